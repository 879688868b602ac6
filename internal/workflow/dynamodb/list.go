package dynamodb

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/fleetstep/fleetstep/internal/event"
)

// listPK is a partition of the index of standings: that of the campaign's shard.
func listPK(id event.CampaignID, shard int) string { return string(id) + "#" + strconv.Itoa(shard) }

// mostLooked is how many entries of the index one list reads at most, when it looks for few among
// many: 20,000 of 200 bytes are four of DynamoDB's pages.
const mostLooked = 20000

// ListStandings implements workflow.Standings: shard after shard, one query for each, or for each megabyte
// of it. Global secondary indexes are eventually consistent only (DynamoDB Developer Guide, "Using
// Global Secondary Indexes").
func (st *Store) ListStandings(ctx context.Context, id event.CampaignID, shards int, where event.Where, after string,
	most int) (found []event.Stood, next string, err error) {
	at, err := event.ParseListCursor(after, where, shards)
	if err != nil {
		return nil, "", event.Problems{{Path: "$.after", Value: after, Allowed: "what the page before has as next"}}
	}
	prefix, looked := where.ListPrefix(), 0
	for ; at.Shard < shards; at = (event.ListCursor{Shard: at.Shard + 1}) {
		in := &dynamodb.QueryInput{
			TableName: &st.table, IndexName: aws.String(event.StandingsIndex),
			KeyConditionExpression:    aws.String(event.StandingsShard + " = :shard"),
			ExpressionAttributeValues: item{":shard": s(listPK(id, at.Shard))},
		}
		if prefix != "" {
			in.KeyConditionExpression = aws.String(event.StandingsShard + " = :shard AND begins_with(" +
				event.StandingsPlace + ", :place)")
			in.ExpressionAttributeValues[":place"] = s(prefix)
		}
		if at.After != "" {
			in.ExclusiveStartKey = standingKey(at.Thing(), id)
			in.ExclusiveStartKey[event.StandingsShard] = s(listPK(id, at.Shard))
			in.ExclusiveStartKey[event.StandingsPlace] = s(at.After)
		}
		for more := true; more; {
			if len(found) == most || looked >= mostLooked {
				return found, at.String(), nil
			}
			in.Limit = aws.Int32(int32(max(most-len(found), someLooked))) //nolint:gosec // small
			out, err := st.api.Query(ctx, in)
			if err != nil {
				return nil, "", wrap("ListStandings", err)
			}
			looked += len(out.Items)
			for _, i := range out.Items {
				if len(found) == most {
					return found, at.String(), nil
				}
				r, err := known(i)
				if err != nil {
					return nil, "", err
				}
				one := event.Stood{Thing: event.ThingName(strings.TrimPrefix(text(i, "PK"), devicePK(""))),
					Standing: standing(&r)}
				if r.err != nil {
					return nil, "", r.err
				}
				at.After = text(i, event.StandingsPlace)
				if where.Has(one.Standing) {
					found = append(found, one)
				}
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
			more = len(in.ExclusiveStartKey) > 0
		}
	}
	return found, "", nil
}

// someLooked is the least that a query reads.
const someLooked = 100
