package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// dueShards spreads the hints of a minute over partitions: one takes 1,000 writes a second.
const dueShards = 16

func duePK(minute time.Time, shard int) string {
	return "DUE#" + minute.UTC().Format("200601021504") + "#" + strconv.Itoa(shard)
}

// Hints that the tick never read, since it stood still, are of no use after this long.
const dueLife = 7 * 24 * time.Hour

func dueKey(d workflow.Due) item {
	return key(duePK(d.At, shardOf(d.Thing, dueShards)), string(d.Thing)+"#"+d.Owner.Key())
}

func (st *Store) putDue(d workflow.Due) types.TransactWriteItem {
	i := dueKey(d)
	i["v"], i["thing"], i["ownerKey"], i["at"] = n(form), s(string(d.Thing)), s(d.Owner.Key()), n(d.At.UnixMilli())
	i["expiresAt"] = n(d.At.Add(dueLife).Unix())
	return types.TransactWriteItem{Put: &types.Put{TableName: &st.table, Item: i}}
}

// upTo holds for a PENDING that is not of a later attempt, or a later lap, than :n and :l.
const upTo = "attribute_not_exists(PK) OR executionNumber < :n OR" +
	" (executionNumber = :n AND (attribute_not_exists(lap) OR lap <= :l))"

func upToValues(a workflow.Attempt) item { return item{":n": n(a.Number), ":l": n(int64(a.Lap))} }

// pendingItem is PENDING as it is stored.
func pendingItem(thing event.ThingName, p workflow.Pending) (item, error) {
	i := key(devicePK(thing), skPending+p.Owner.Key())
	i["v"], i["executionNumber"], i["lap"], i["operation"] = n(form), n(p.ExecutionNumber), n(int64(p.Lap)),
		s(string(p.Operation))
	i["document"], i["timeouts"] = s(string(p.Plan.Document)), s(string(p.Plan.Timeouts))
	i["lastsSeconds"] = n(int64(p.Plan.Lasts / time.Second))
	i["at"], i["expiresAt"] = n(p.At.UnixMilli()), n(p.ExpiresAt.Unix())
	if p.Plan.Window != nil {
		window, err := js(p.Plan.Window)
		if err != nil {
			return nil, err
		}
		i["window"] = window
	}
	i["gated"], i["notBefore"], i["notAfter"] = flag(p.Gated), n(millis(p.NotBefore)), n(millis(p.NotAfter))
	i["deadline"] = n(millis(p.Deadline))
	if p.Looks {
		i["looks"] = flag(true)
	}
	if len(p.Resume) > 0 {
		i["resume"] = s(string(p.Resume))
	}
	return i, nil
}

// pending reads what pendingItem wrote.
func pending(i item, owner event.Owner, r *reading) (workflow.Pending, error) {
	p := workflow.Pending{
		Owner: owner, ExecutionNumber: r.number("executionNumber"), Lap: int(r.number("lap")),
		Operation: event.Operation(text(i, "operation")),
		Plan: event.Plan{
			Document: raw(i, "document"), Timeouts: raw(i, "timeouts"),
			Lasts: time.Duration(r.number("lastsSeconds")) * time.Second,
		},
		At: r.moment("at"), ExpiresAt: time.Unix(r.number("expiresAt"), 0).UTC(),
		Gated: truth(i, "gated"), NotBefore: r.moment("notBefore"), NotAfter: r.moment("notAfter"),
		Deadline: r.moment("deadline"),
		Resume:   raw(i, "resume"), Looks: truth(i, "looks"),
	}
	if by := text(i, "endingBy"); by != "" {
		p.Ending = &workflow.Ending{By: by, At: r.moment("endingAt")}
	}
	err := parse(i, "window", &p.Plan.Window)
	return p, err
}

func raw(i item, name string) []byte {
	if v := text(i, name); v != "" {
		return []byte(v)
	}
	return nil
}

// Park implements workflow.Store: Release, with PENDING instead of none.
func (st *Store) Park(ctx context.Context, d workflow.Device, execution string, p workflow.Pending,
	due workflow.Due) error {
	i, err := pendingItem(d.Thing, p)
	if err != nil {
		return wrap("Park", err)
	}
	if d.Claim == nil || d.Claim.Execution != execution {
		return workflow.ErrChanged
	}
	writes := st.freeing(d, execution, 94)
	if d.Shift != nil {
		writes = append(writes, st.shifting(d.Thing, *d.Shift)...)
	}
	writes = append(writes, types.TransactWriteItem{Put: &types.Put{
		TableName: &st.table, Item: i, ConditionExpression: aws.String(upTo), ExpressionAttributeValues: upToValues(
			p.Identity()),
	}})
	if due != (workflow.Due{}) {
		writes = append(writes, st.putDue(due))
	}
	return st.transact(ctx, "Park", writes)
}

// Postpone implements workflow.Store.
func (st *Store) Postpone(ctx context.Context, thing event.ThingName, p workflow.Pending, due workflow.Due) error {
	return st.transact(ctx, "Postpone", []types.TransactWriteItem{
		{Update: &types.Update{
			TableName: &st.table, Key: key(devicePK(thing), skPending+p.Owner.Key()),
			UpdateExpression:    aws.String("SET notBefore = :from, notAfter = :to"),
			ConditionExpression: aws.String("executionNumber = :n AND lap = :l AND attribute_not_exists(endingBy)"),
			ExpressionAttributeValues: item{
				":from": n(millis(p.NotBefore)), ":to": n(millis(p.NotAfter)), ":n": n(p.ExecutionNumber),
				":l": n(int64(p.Lap)),
			},
		}},
		st.putDue(due),
	})
}

// millis is 0 for no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// EndPending implements workflow.Store.
func (st *Store) EndPending(ctx context.Context, thing event.ThingName, p workflow.Pending, e workflow.Ending) error {
	condition := "executionNumber = :n AND lap = :l AND attribute_not_exists(endingBy)"
	values := item{":by": s(e.By), ":at": n(e.At.UnixMilli()), ":n": n(p.ExecutionNumber), ":l": n(int64(p.Lap))}
	if p.Ending != nil {
		condition = "executionNumber = :n AND lap = :l AND endingBy = :was AND endingAt = :when"
		values[":was"], values[":when"] = s(p.Ending.By), n(p.Ending.At.UnixMilli())
	}
	_, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skPending+p.Owner.Key()),
		UpdateExpression:    aws.String("SET endingBy = :by, endingAt = :at"),
		ConditionExpression: &condition, ExpressionAttributeValues: values,
	})
	if refused(err) {
		return workflow.ErrChanged
	}
	return wrap("EndPending", err)
}

// Due implements workflow.Ticks.
func (st *Store) Due(ctx context.Context, minute time.Time, most int) (due []workflow.Due, more bool, err error) {
	more, err = st.shards(ctx, "Due", dueShards, most, func(shard int) string { return duePK(minute, shard) },
		func(r *reading) {
			due = append(due, workflow.Due{
				At: r.moment("at"), Thing: event.ThingName(text(r.item, "thing")),
				Owner: event.OwnerOf(text(r.item, "ownerKey")),
			})
		})
	return due, more, err
}

// Done implements workflow.Ticks. Nobody writes the same hint again: its minute is
// over for all who write.
func (st *Store) Done(ctx context.Context, due []workflow.Due) error {
	const mostItems = 25 // of BatchWriteItem (DynamoDB API reference)
	for len(due) > 0 {
		page := due[:min(len(due), mostItems)]
		due = due[len(page):]
		var writes []types.WriteRequest
		for _, d := range page {
			writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: dueKey(d)}})
		}
		const attempts = 4 // of items that were left out for want of throughput
		for left := attempts; len(writes) > 0; left-- {
			if left == 0 {
				return wrap("Done", errors.New("DynamoDB leaves hints where they are"))
			}
			out, err := st.api.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
				RequestItems: map[string][]types.WriteRequest{st.table: writes},
			})
			if err != nil {
				return wrap("Done", fmt.Errorf("%d hints: %w", len(writes), err))
			}
			writes = out.UnprocessedItems[st.table]
		}
	}
	return nil
}
