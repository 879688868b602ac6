package dynamodb

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// skControl is the sort key of a flag. The table is a stack's own, so that the flag
// of everything has no name of a stack in its key.
const skControl = "CONTROL"

func controlPK(owner event.Owner) string {
	if owner == workflow.Everyone {
		return "STOP"
	}
	return "CONTROL#" + owner.Key()
}

// knockShards spreads those that knock at one flag, a whole fleet perhaps, over
// partitions: one takes 1,000 writes a second.
const knockShards = 64

func knockPK(whose event.Owner, shard int) string {
	return "KNOCK#" + controlPK(whose) + "#" + strconv.Itoa(shard)
}

func shardOf(thing event.ThingName, shards uint32) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(thing)) // never fails
	return int(h.Sum32() % shards)
}

// Flags of things that are over are of no use after this long: no job lives longer
// than its executions' timers, of seven days, and the queue's retention.
const stoppedLife = 90 * 24 * time.Hour

// Flags implements workflow.Controls by one request: BatchGetItem with
// ConsistentRead reads each item strongly consistent (DynamoDB API reference).
func (st *Store) Flags(ctx context.Context, owner event.Owner) (workflow.Flags, error) {
	var flags workflow.Flags
	keys := []item{key(controlPK(workflow.Everyone), skControl)}
	if owner != workflow.Everyone {
		keys = append(keys, key(controlPK(owner), skControl))
	}
	const attempts = 4 // of keys that were left out for want of throughput
	for range attempts {
		out, err := st.api.BatchGetItem(ctx,
			&dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
				st.table: {Keys: keys, ConsistentRead: aws.Bool(true)},
			}})
		if err != nil {
			return flags, wrap("Flags", err)
		}
		for _, i := range out.Responses[st.table] {
			r, err := known(i)
			if err != nil {
				return flags, err
			}
			c := workflow.Control{
				State: event.ControlState(text(i, "state")), Rev: r.number("rev"), Who: text(i, "who"),
				Why: text(i, "why"), At: r.moment("at"),
			}
			if r.err != nil {
				return flags, r.err
			}
			if text(i, "PK") == controlPK(workflow.Everyone) {
				flags.Everyone = c
			} else {
				flags.Owner = c
			}
		}
		if keys = out.UnprocessedKeys[st.table].Keys; len(keys) == 0 {
			return flags, nil
		}
	}
	return flags, wrap("Flags", errors.New("DynamoDB leaves flags unread"))
}

// SetFlag implements workflow.Controls.
func (st *Store) SetFlag(ctx context.Context, owner event.Owner, c workflow.Control) error {
	set := "SET v = :v, #state = :state, rev = :next, who = :who, why = :why, #at = :at"
	names := map[string]string{"#state": "state", "#at": "at"}
	values := item{
		":v": n(form), ":state": s(string(c.State)), ":next": n(c.Rev + 1), ":who": s(c.Who), ":why": s(c.Why),
		":at": n(c.At.UnixMilli()),
	}
	condition := "attribute_not_exists(PK)"
	if c.Rev > 0 {
		condition, values[":rev"] = "rev = :rev", n(c.Rev)
	}
	if c.State == event.ControlStopped {
		set += ", expiresAt = :x"
		values[":x"] = n(c.At.Add(stoppedLife).Unix())
	}
	writes := []types.TransactWriteItem{{Update: &types.Update{
		TableName: &st.table, Key: key(controlPK(owner), skControl), UpdateExpression: &set,
		ConditionExpression:      &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}}}
	if c.State != event.ControlPaused {
		// In one with the flag: whoever reads that it does not hold them back any more knows that the tick will come.
		// Where it is for good they hear so.
		lifted := key(tickPK, skLifted+controlPK(owner))
		lifted["v"], lifted["ownerKey"], lifted["rev"] = n(form), s(owner.Key()), n(c.Rev+1)
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &st.table, Item: lifted}})
	}
	return st.transact(ctx, "SetFlag", writes)
}

// Knock implements workflow.Controls.
func (st *Store) Knock(ctx context.Context, whose event.Owner, k workflow.Knock) error {
	i := key(knockPK(whose, shardOf(k.Thing, knockShards)), string(k.Thing)+"#"+k.Owner.Key())
	i["v"], i["thing"], i["ownerKey"], i["at"] = n(form), s(string(k.Thing)), s(k.Owner.Key()), n(k.At.UnixMilli())
	_, err := st.api.PutItem(ctx, &dynamodb.PutItemInput{TableName: &st.table, Item: i})
	return wrap("Knock", err)
}
