package dynamodb

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// arrivalShards spreads arrivals over partitions: one takes 1,000 writes a second, and
// the tick reads them all once a minute.
const arrivalShards = 8

// Arrivals that no tick ever read, since none are received any more, go with this.
const arrivalLife = 90 * 24 * time.Hour

func arrivalPK(shard int) string { return "ARRIVAL#" + strconv.Itoa(shard) }

func arrivalKey(thing event.ThingName) item {
	return key(arrivalPK(shardOf(thing, arrivalShards)), string(thing))
}

// Arrive implements workflow.Store.
func (st *Store) Arrive(ctx context.Context, a workflow.Arrival, learnt map[string]string) error {
	i := arrivalKey(a.Thing)
	i["v"], i["thing"], i["at"] = n(form), s(string(a.Thing)), n(a.At.UnixMilli())
	i["expiresAt"] = n(a.At.Add(arrivalLife).Unix())
	if len(learnt) == 0 {
		_, err := st.api.PutItem(ctx, &dynamodb.PutItemInput{TableName: &st.table, Item: i})
		return wrap("Arrive", err)
	}
	return st.transact(ctx, "Arrive", []types.TransactWriteItem{
		{Put: &types.Put{TableName: &st.table, Item: i}}, st.learning(devicePK(a.Thing), learnt),
	})
}

// Arrivals implements workflow.Ticks. A cursor is the shard and the thing that was read
// last: "3#gw-17".
func (st *Store) Arrivals(ctx context.Context, after string, most int) (found []workflow.Arrival, next string,
	err error) {
	shard, thing, _ := strings.Cut(after, "#")
	first, err := strconv.Atoi(shard)
	if err != nil || first < 0 || first >= arrivalShards {
		first, thing = 0, ""
	}
	// Once round: the first shard from the cursor on, and at the end up to it.
	for i := 0; i <= arrivalShards; i++ {
		at := (first + i) % arrivalShards
		condition, values := "PK = :pk", item{":pk": s(arrivalPK(at))}
		switch {
		case thing == "" && i == arrivalShards:
			continue
		case thing != "" && i == 0:
			condition, values[":thing"] = condition+" AND SK > :thing", s(thing)
		case i == arrivalShards:
			condition, values[":thing"] = condition+" AND SK <= :thing", s(thing)
		}
		more, err := st.arrivals(ctx, condition, values, most-len(found))
		if err != nil {
			return nil, "", err
		}
		if found = append(found, more...); len(found) == most {
			return found, strconv.Itoa(at) + "#" + string(found[most-1].Thing), nil
		}
	}
	return found, "", nil
}

// arrivals reads up to so many of one shard.
func (st *Store) arrivals(ctx context.Context, condition string, values item, most int) (found []workflow.Arrival,
	err error) {
	var start item
	for {
		out, err := st.api.Query(ctx, &dynamodb.QueryInput{
			TableName: &st.table, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start,
			Limit:                  aws.Int32(int32(most - len(found))),
			KeyConditionExpression: &condition, ExpressionAttributeValues: values,
		})
		if err != nil {
			return nil, wrap("Arrivals", err)
		}
		for _, i := range out.Items {
			r, err := known(i)
			if err != nil {
				return nil, err
			}
			found = append(found, workflow.Arrival{Thing: event.ThingName(text(i, "thing")), At: r.moment("at")})
			if r.err != nil {
				return nil, r.err
			}
		}
		if start = out.LastEvaluatedKey; len(start) == 0 || len(found) == most {
			return found, nil
		}
	}
}

// Admitted implements workflow.Ticks.
func (st *Store) Admitted(ctx context.Context, a workflow.Arrival) error {
	_, err := st.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &st.table, Key: arrivalKey(a.Thing),
		ConditionExpression:       aws.String("attribute_not_exists(PK) OR #at = :at"),
		ExpressionAttributeNames:  map[string]string{"#at": "at"},
		ExpressionAttributeValues: item{":at": n(a.At.UnixMilli())},
	})
	if refused(err) {
		return nil
	}
	return wrap("Admitted", err)
}
