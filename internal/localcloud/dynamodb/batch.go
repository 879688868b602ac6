package dynamodb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func hash(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

type keysAndAttributes struct {
	Keys                     []expr.Item       `json:"Keys"`
	ConsistentRead           bool              `json:"ConsistentRead,omitempty"`
	ProjectionExpression     *string           `json:"ProjectionExpression,omitempty"`
	ExpressionAttributeNames map[string]string `json:"ExpressionAttributeNames,omitempty" api:"each.max=65535"`
	AttributesToGet          any               `json:"AttributesToGet,omitempty"`
}

type batchGetIn struct {
	RequestItems           map[string]keysAndAttributes `json:"RequestItems" api:"key.min=1,key.max=1024"`
	ReturnConsumedCapacity string                       `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
}

type batchGetOut struct {
	Responses        map[string][]expr.Item       `json:"Responses"`
	UnprocessedKeys  map[string]keysAndAttributes `json:"UnprocessedKeys"`
	ConsumedCapacity []*consumption               `json:"ConsumedCapacity,omitempty"`
}

// How many items a batch reads and writes.
const (
	maxBatchGet   = 100
	maxBatchWrite = 25
)

// maxBatchBytes is the size of a BatchGetItem's answer.
const maxBatchBytes = 16 << 20

func (s *Service) batchGet(_ context.Context, c *awsapi.Call, in *batchGetIn) (*batchGetOut, error) {
	n := 0
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		k := in.RequestItems[name]
		n += len(k.Keys)
		const keys = "1 validation error detected: Value at 'RequestItems.%s.member.Keys' failed to satisfy " +
			"constraint: Member must have length "
		switch {
		case len(k.Keys) == 0:
			return nil, errValidation(keys+"greater than or equal to 1", name)
		case len(k.Keys) > maxBatchGet:
			return nil, errValidation(keys+"less than or equal to 100", name)
		}
	}
	if n == 0 {
		return nil, errValidation("The requestItems parameter is required for BatchGetItem")
	}
	if n > maxBatchGet {
		return nil, errValidation("Too many items requested for the BatchGetItem call")
	}
	out := &batchGetOut{Responses: map[string][]expr.Item{}, UnprocessedKeys: map[string]keysAndAttributes{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		total := 0
		for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
			k := in.RequestItems[name]
			found := []expr.Item{}
			seen := map[string]bool{}
			var used units
			var t *table
			for i, key := range k.Keys {
				if total > maxBatchBytes {
					rest := k
					rest.Keys = k.Keys[i:]
					out.UnprocessedKeys[name] = rest
					break
				}
				get := &getIn{TableName: name, Key: key, ConsistentRead: k.ConsistentRead,
					ProjectionExpression: k.ProjectionExpression, ExpressionAttributeNames: k.ExpressionAttributeNames}
				get.AttributesToGet = k.AttributesToGet
				var item expr.Item
				var size int
				var err error
				if t, item, size, err = s.read(tx, c, get); err != nil {
					return err
				}
				id := string(store.Key(t.itemKey(key)...))
				if seen[id] {
					return errValidation("Provided list of item keys contains duplicates")
				}
				seen[id] = true
				total += size
				used.table += readUnits(size, k.ConsistentRead)
				if item != nil {
					found = append(found, item)
				}
			}
			out.Responses[tableName(name)] = found
			if c := consumed(in.ReturnConsumedCapacity, t, used, 1); c != nil {
				out.ConsumedCapacity = append(out.ConsumedCapacity, c)
			}
		}
		return nil
	})
}

type writeRequest struct {
	PutRequest *struct {
		Item expr.Item `json:"Item"`
	} `json:"PutRequest,omitempty"`
	DeleteRequest *struct {
		Key expr.Item `json:"Key"`
	} `json:"DeleteRequest,omitempty"`
}

type batchWriteIn struct {
	RequestItems           map[string][]writeRequest `json:"RequestItems" api:"key.min=1,key.max=1024,each.min=1,each.max=25"`
	ReturnConsumedCapacity string                    `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
}

type batchWriteOut struct {
	UnprocessedItems map[string][]writeRequest `json:"UnprocessedItems"`
	ConsumedCapacity []*consumption            `json:"ConsumedCapacity,omitempty"`
}

func (s *Service) batchWrite(_ context.Context, _ *awsapi.Call, in *batchWriteIn) (*batchWriteOut, error) {
	n := 0
	for _, w := range in.RequestItems {
		n += len(w)
	}
	if n == 0 {
		return nil, errValidation("The requestItems parameter is required for BatchWriteItem")
	}
	if n > maxBatchWrite {
		return nil, errValidation("Too many items requested for the BatchWriteItem call")
	}
	out := &batchWriteOut{UnprocessedItems: map[string][]writeRequest{}}
	return out, s.Store.Update(func(tx *store.Tx) error {
		for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
			seen := map[string]bool{}
			var used units
			var t *table
			for _, w := range in.RequestItems[name] {
				c := &change{table: name}
				switch {
				case w.PutRequest != nil && w.DeleteRequest == nil:
					c.item = w.PutRequest.Item
					if err := checkItem(c.item); err != nil {
						return err
					}
				case w.DeleteRequest != nil && w.PutRequest == nil:
					c.key, c.delete = w.DeleteRequest.Key, true
				default:
					return errValidation("Supplied AttributeValue has more than one datatypes set, must contain " +
						"exactly one of PutRequest and DeleteRequest")
				}
				var old, now expr.Item
				var err error
				if t, old, now, err = s.apply(tx, c); err != nil {
					return err
				}
				key := c.key
				if c.item != nil {
					key = c.item
				}
				id := string(store.Key(t.itemKey(key)...))
				if seen[id] {
					return errValidation("Provided list of item keys contains duplicates")
				}
				seen[id] = true
				used.add(written(in.ReturnConsumedCapacity, t, old, now))
			}
			if t == nil {
				return errValidation("RequestItems.%s must have at least one member", name)
			}
			if c := consumed(in.ReturnConsumedCapacity, t, used, 1); c != nil {
				out.ConsumedCapacity = append(out.ConsumedCapacity, c)
			}
		}
		return nil
	})
}

type transactItem struct {
	ConditionCheck *deleteIn `json:"ConditionCheck,omitempty"`
	Put            *putIn    `json:"Put,omitempty"`
	Delete         *deleteIn `json:"Delete,omitempty"`
	Update         *updateIn `json:"Update,omitempty"`
}

type transactWriteIn struct {
	TransactItems          []transactItem `json:"TransactItems" api:"required,min=1,max=100"`
	ClientRequestToken     string         `json:"ClientRequestToken,omitempty" api:"min=1,max=36"`
	ReturnConsumedCapacity string         `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
}

type transactWriteOut struct {
	ConsumedCapacity []*consumption `json:"ConsumedCapacity,omitempty"`
}

// parse returns the change of a transaction's action and the IAM action that
// it needs.
func (i transactItem) parse() (c *change, action string, err error) {
	n := 0
	if i.ConditionCheck != nil {
		n++
		action = "dynamodb:ConditionCheckItem"
		if i.ConditionCheck.ConditionExpression == nil {
			return nil, "", errValidation("TransactItems.ConditionCheck.ConditionExpression must be given")
		}
		if c, err = i.ConditionCheck.change(); err == nil {
			c.delete, c.check = false, true
		}
	}
	if i.Put != nil {
		n++
		action = "dynamodb:PutItem"
		c, err = i.Put.change()
	}
	if i.Delete != nil {
		n++
		action = "dynamodb:DeleteItem"
		c, err = i.Delete.change()
	}
	if i.Update != nil {
		n++
		action = "dynamodb:UpdateItem"
		c, err = i.Update.change()
	}
	if n != 1 {
		return nil, "", errValidation("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	return c, action, err
}

// tokenLife is how long a client request token is remembered.
const tokenLife = 10 * time.Minute

func (s *Service) transactWrite(ctx context.Context, call *awsapi.Call,
	in *transactWriteIn) (*transactWriteOut, error) {
	changes := make([]*change, len(in.TransactItems))
	for i, item := range in.TransactItems {
		c, action, err := item.parse()
		if err != nil {
			return nil, err
		}
		if err := call.Authorize(ctx, action, s.arn(tableName(c.table)), nil); err != nil {
			return nil, err
		}
		changes[i] = c
	}
	var sum [sha256.Size]byte
	if in.ClientRequestToken != "" {
		body, err := json.Marshal(in.TransactItems)
		if err != nil {
			return nil, err
		}
		sum = sha256.Sum256(body)
	}
	out := &transactWriteOut{}
	return out, s.Store.Update(func(tx *store.Tx) error {
		now := s.Scheduler.Now()
		if in.ClientRequestToken != "" {
			r, ok, err := requests.Get(tx, in.ClientRequestToken)
			if err != nil {
				return err
			}
			if ok && now.Before(r.Expires) {
				if !bytes.Equal(r.Hash, sum[:]) {
					return awsapi.Errorf("IdempotentParameterMismatchException",
						"The provided client token is already in use with a different request parameters")
				}
				return nil
			}
			expires := now.Add(tokenLife)
			if err := requests.Put(tx, request{Hash: sum[:], Expires: expires}, in.ClientRequestToken); err != nil {
				return err
			}
			tx.OnCommit(func() { s.dropToken(in.ClientRequestToken, expires) })
		}
		return s.transact(tx, changes, in.ReturnConsumedCapacity, out)
	})
}

// dropToken drops a client request token once its time is over.
func (s *Service) dropToken(token string, when time.Time) {
	s.Scheduler.At(when, "dynamodb client request token", func() {
		err := s.Store.Update(func(tx *store.Tx) error {
			r, ok, err := requests.Get(tx, token)
			if err != nil || !ok || s.Scheduler.Now().Before(r.Expires) {
				return err
			}
			return requests.Delete(tx, token)
		})
		s.Scheduler.Failed("dynamodb client request token", err)
	})
}

func (s *Service) transact(tx *store.Tx, changes []*change, capacity string, out *transactWriteOut) error {
	reasons := make([]reason, len(changes))
	failed := false
	seen := map[string]bool{}
	size := 0
	for i, c := range changes {
		t, err := s.findShared(tx, c.table)
		if err != nil {
			return err
		}
		key := c.key
		if c.item != nil {
			key = c.item
		}
		if err := t.checkKey(key, c.item == nil); err != nil {
			var of bool
			if reasons[i], of = reasonOf(err); !of {
				return err
			}
			failed = true
			continue
		}
		id := string(store.Key(t.itemKey(key)...))
		if seen[id] {
			return errTwice
		}
		seen[id] = true
		_, old, now, err := s.apply(tx, c)
		if size += now.Size(); size > maxTransactionSize {
			return errValidation("Transaction request size must not exceed 4194304 bytes")
		}
		reasons[i].Code = "None"
		r, of := reasonOf(err)
		switch {
		case err == nil:
			if u := consumed(capacity, t, written(capacity, t, old, now), 2); u != nil {
				out.ConsumedCapacity = append(out.ConsumedCapacity, u)
			}
		case of:
			failed, reasons[i] = true, r
		default:
			return err
		}
	}
	if failed {
		return errCanceled(reasons)
	}
	return nil
}

type transactGetItem struct {
	Get *getIn `json:"Get" api:"required"`
}

type transactGetIn struct {
	TransactItems          []transactGetItem `json:"TransactItems" api:"required,min=1,max=100"`
	ReturnConsumedCapacity string            `json:"ReturnConsumedCapacity,omitempty" api:"values=INDEXES|TOTAL|NONE"`
}

type transactGetOut struct {
	Responses        []getOut       `json:"Responses"`
	ConsumedCapacity []*consumption `json:"ConsumedCapacity,omitempty"`
}

func (s *Service) transactGet(ctx context.Context, call *awsapi.Call, in *transactGetIn) (*transactGetOut, error) {
	for _, item := range in.TransactItems {
		if err := call.Authorize(ctx, "dynamodb:GetItem", s.arn(tableName(item.Get.TableName)), nil); err != nil {
			return nil, err
		}
	}
	out := &transactGetOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		reasons, failed := make([]reason, len(in.TransactItems)), false
		seen := map[string]bool{}
		for i, item := range in.TransactItems {
			item.Get.ConsistentRead = true // all of a transaction are
			t, found, size, err := s.read(tx, call, item.Get)
			if err == nil {
				id := string(store.Key(t.itemKey(item.Get.Key)...))
				if seen[id] {
					return errTwice
				}
				seen[id] = true
			}
			reasons[i].Code = "None"
			if r, of := reasonOf(err); of && t != nil { // a key that is none of the table's
				failed, reasons[i] = true, r
				continue
			}
			if err != nil {
				return err
			}
			out.Responses = append(out.Responses, getOut{Item: found})
			if u := consumed(in.ReturnConsumedCapacity, t, units{table: readUnits(size, true)}, 2); u != nil {
				out.ConsumedCapacity = append(out.ConsumedCapacity, u)
			}
		}
		if failed {
			return errCanceled(reasons)
		}
		return nil
	})
}
