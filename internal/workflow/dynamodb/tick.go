package dynamodb

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Keys of what the tick alone decides.
const (
	tickPK   = "TICK"
	skLease  = "LEASE"
	skLifted = "LIFTED#"
)

// Lease implements workflow.Ticks.
func (st *Store) Lease(ctx context.Context, holder string, now, until time.Time) (workflow.Lease, error) {
	out, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(tickPK, skLease), ReturnValues: types.ReturnValueAllNew,
		UpdateExpression: aws.String("SET v = :v, holder = :holder, #until = :until, #by = :by ADD fence :one"),
		// The lease of a later version is not written over. by is this very write: one that was
		// done, and its answer lost, is asked for again.
		ConditionExpression:      aws.String("attribute_not_exists(PK) OR #until <= :now AND v <= :v OR #by = :by"),
		ExpressionAttributeNames: map[string]string{"#until": "until", "#by": "by"},
		ExpressionAttributeValues: item{
			":v": n(form), ":holder": s(holder), ":until": n(until.UnixMilli()), ":one": n(1),
			":now": n(now.UnixMilli()), ":by": s(rand.Text()),
		},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		if _, err := known(failed.Item); err != nil && len(failed.Item) > 0 {
			return workflow.Lease{}, err
		}
		return workflow.Lease{}, workflow.ErrLeased
	}
	if err != nil {
		return workflow.Lease{}, wrap("Lease", err)
	}
	r := reading{item: out.Attributes}
	return workflow.Lease{Holder: holder, Until: until, Fence: r.number("fence"), Minute: r.moment("minute"),
		Served: r.moment("served"), Sweep: text(out.Attributes, "sweep"),
		Arrivals: text(out.Attributes, "arrivals")}, r.err
}

// Keep implements workflow.Ticks.
func (st *Store) Keep(ctx context.Context, l workflow.Lease) error {
	err := st.keepLease(ctx, l, l.Until)
	if refused(err) {
		return workflow.ErrLeased
	}
	return wrap("Keep", err)
}

// Return implements workflow.Ticks.
func (st *Store) Return(ctx context.Context, l workflow.Lease) error {
	err := st.keepLease(ctx, l, time.UnixMilli(0))
	if refused(err) {
		return nil
	}
	return wrap("Return", err)
}

func (st *Store) keepLease(ctx context.Context, l workflow.Lease, until time.Time) error {
	_, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(tickPK, skLease),
		UpdateExpression: aws.String(
			"SET #until = :until, #minute = :minute, served = :served, sweep = :sweep, arrivals = :arrivals"),
		ConditionExpression:      aws.String("fence = :fence"),
		ExpressionAttributeNames: map[string]string{"#until": "until", "#minute": "minute"}, // reserved words
		ExpressionAttributeValues: item{":until": n(until.UnixMilli()), ":fence": n(l.Fence),
			":minute": n(millis(l.Minute)), ":served": n(millis(l.Served)), ":sweep": s(l.Sweep),
			":arrivals": s(l.Arrivals)},
	})
	return err
}

// Lifted implements workflow.Ticks. There are few: one page.
func (st *Store) Lifted(ctx context.Context) ([]workflow.Lifted, error) {
	out, err := st.api.Query(ctx, &dynamodb.QueryInput{
		TableName: &st.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("PK = :pk AND begins_with(SK, :lifted)"),
		ExpressionAttributeValues: item{":pk": s(tickPK), ":lifted": s(skLifted)},
	})
	if err != nil {
		return nil, wrap("Lifted", err)
	}
	var found []workflow.Lifted
	for _, i := range out.Items {
		r, err := known(i)
		if err != nil {
			return nil, err
		}
		found = append(found, workflow.Lifted{Whose: event.OwnerOf(text(i, "ownerKey")), Rev: r.number("rev")})
		if r.err != nil {
			return nil, r.err
		}
	}
	return found, nil
}

// Knocks implements workflow.Ticks.
func (st *Store) Knocks(ctx context.Context, whose event.Owner, most int) (knocks []workflow.Knock, more bool,
	err error) {
	more, err = st.shards(ctx, "Knocks", knockShards, most, func(shard int) string { return knockPK(whose, shard) },
		func(r *reading) {
			knocks = append(knocks, workflow.Knock{
				Thing: event.ThingName(text(r.item, "thing")), Owner: event.OwnerOf(text(r.item, "ownerKey")),
				At: r.moment("at"),
			})
		})
	return knocks, more, err
}

// shards reads the partitions of a list, one after the other, until there are enough items; more is true if there may
// be others, which the next tick sees.
func (st *Store) shards(ctx context.Context, op string, shards, most int, pk func(shard int) string,
	take func(*reading)) (more bool, err error) {
	left := most
	for shard := range shards {
		var start item
		for {
			if left == 0 {
				return true, nil
			}
			out, err := st.api.Query(ctx, &dynamodb.QueryInput{
				TableName: &st.table, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start,
				Limit:                     aws.Int32(int32(left)),
				KeyConditionExpression:    aws.String("PK = :pk"),
				ExpressionAttributeValues: item{":pk": s(pk(shard))},
			})
			if err != nil {
				return false, wrap(op, err)
			}
			left -= len(out.Items)
			for _, i := range out.Items {
				r, err := known(i)
				if err != nil {
					return false, err
				}
				if take(&r); r.err != nil {
					return false, r.err
				}
			}
			if start = out.LastEvaluatedKey; len(start) == 0 {
				break
			}
		}
	}
	return false, nil
}

// Answer implements workflow.Ticks.
func (st *Store) Answer(ctx context.Context, whose event.Owner, k workflow.Knock) error {
	_, err := st.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &st.table, Key: key(knockPK(whose, shardOf(k.Thing, knockShards)), string(k.Thing)+"#"+
			k.Owner.Key()),
		ConditionExpression:       aws.String("attribute_not_exists(PK) OR #at = :at"),
		ExpressionAttributeNames:  map[string]string{"#at": "at"},
		ExpressionAttributeValues: item{":at": n(k.At.UnixMilli())},
	})
	if refused(err) {
		return nil
	}
	return wrap("Answer", err)
}

// Forget implements workflow.Ticks.
func (st *Store) Forget(ctx context.Context, l workflow.Lifted) error {
	_, err := st.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &st.table, Key: key(tickPK, skLifted+controlPK(l.Whose)),
		ConditionExpression:       aws.String("attribute_not_exists(PK) OR rev = :rev"),
		ExpressionAttributeValues: item{":rev": n(l.Rev)},
	})
	if refused(err) {
		return nil
	}
	return wrap("Forget", err)
}
