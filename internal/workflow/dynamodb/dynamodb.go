// Package dynamodb stores the items of package workflow in DynamoDB: a workflow.Store over one
// table with keys PK and SK. The package comment of workflow describes the items and rules.
// Attributes that conditions compare are attributes of their own; the rest is JSON in one
// attribute. Times are epoch milliseconds, except expiresAt, which DynamoDB's TTL needs in
// seconds.
//
// Each method is one request, except that Release reads again after a lost race. Only a failed
// condition becomes an error of package workflow. A conflict with another transaction does not
// mean that a condition failed: a client made with Options tries again after a random wait,
// and then returns the SDK's error. Every such error is worth a retry.
package dynamodb

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// API is the part of DynamoDB that is used.
type API interface {
	Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput,
		error)
	UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (
		*dynamodb.UpdateItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (
		*dynamodb.DeleteItemOutput, error)
	BatchWriteItem(
		ctx context.Context, in *dynamodb.BatchWriteItemInput, opts ...func(*dynamodb.Options),
	) (*dynamodb.BatchWriteItemOutput, error)
	BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (
		*dynamodb.BatchGetItemOutput, error)
	TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (
		*dynamodb.TransactWriteItemsOutput, error)
}

// Store is a workflow.Store, and a workflow.Controls (control.go).
type Store struct {
	api   API
	table string
}

// Options are those of a client for a Store: what conflicts is tried again, as
// often and with the waits of the client's other retries. The SDK does not do so by
// itself: TransactionCanceledException has many reasons.
//
//	dynamodb.NewFromConfig(cfg, workflowdb.Options)
func Options(o *dynamodb.Options) {
	o.Retryer = retry.AddWithErrorCodes(conflicts{o.Retryer}, (*types.TransactionConflictException)(nil).ErrorCode())
}

// conflicts is a Retryer that tries again when a transaction met another.
type conflicts struct{ aws.Retryer }

// IsErrorRetryable implements aws.Retryer.
func (c conflicts) IsErrorRetryable(err error) bool {
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return passing(canceled.CancellationReasons)
	}
	return c.Retryer.IsErrorRetryable(err)
}

// GetAttemptToken implements aws.RetryerV2.
func (c conflicts) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if v2, ok := c.Retryer.(aws.RetryerV2); ok {
		return v2.GetAttemptToken(ctx)
	}
	return c.Retryer.GetInitialToken(), nil
}

// Codes of CancellationReasons.
const (
	conditionFailed = "ConditionalCheckFailed"
	conflict        = "TransactionConflict"
	overThroughput  = "ProvisionedThroughputExceeded"
	throttled       = "ThrottlingError"
)

// passing reports whether the same transaction may go through a moment later: all
// that kept it from it was contention.
// Source: DynamoDB API reference, TransactWriteItems, "TransactionCanceledException".
func passing(reasons []types.CancellationReason) bool {
	again := false
	for _, r := range reasons {
		switch aws.ToString(r.Code) {
		case "", "None":
		case conflict, overThroughput, throttled:
			again = true
		default:
			return false
		}
	}
	return again
}

// New is a store over a table; api is a client with Options.
func New(api API, table string) *Store { return &Store{api: api, table: table} }

// Keys.
const (
	skState   = "STATE"
	skClaim   = "CLAIM"
	skPending = "PENDING#"
	skAwait   = "AWAIT#"
	skNews    = "NEWS#"
	skOwner   = "OWNER"
)

func devicePK(thing event.ThingName) string       { return "DEVICE#" + string(thing) }
func endpointPK(endpoint event.EndpointID) string { return "ENDPOINT#" + string(endpoint) }

type item = map[string]types.AttributeValue

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
}
func flag(v bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: v} }
func key(pk, sk string) item           { return item{"PK": s(pk), "SK": s(sk)} }

func js(v any) (types.AttributeValue, error) {
	b, err := json.Marshal(v)
	return s(string(b)), err
}

func text(i item, name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func truth(i item, name string) bool {
	v, ok := i[name].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

// reading reads the numbers of an item, and keeps the error of the first that is
// there and is none.
type reading struct {
	item item
	err  error
}

func (r *reading) number(name string) int64 {
	v, there := r.item[name]
	if !there {
		return 0
	}
	value := ""
	if n, ok := v.(*types.AttributeValueMemberN); ok {
		value = n.Value
	}
	f, err := strconv.ParseInt(value, 10, 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("workflow/dynamodb: item %s of %s, attribute %s is no whole number: %w", text(r.item, "SK"),
			text(r.item, "PK"), name, err)
	}
	return f
}

func (r *reading) moment(name string) time.Time {
	if ms := r.number(name); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

func parse(i item, name string, into any) error {
	raw := text(i, name)
	if raw == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(raw), into); err != nil {
		return fmt.Errorf("workflow/dynamodb: item %s, attribute %s: %w", text(i, "SK"), name, err)
	}
	return nil
}

// Load implements workflow.Store.
func (st *Store) Load(ctx context.Context, thing event.ThingName) (workflow.Device, error) {
	d := workflow.Device{Thing: thing}
	var start item
	for {
		out, err := st.api.Query(ctx, &dynamodb.QueryInput{
			TableName: &st.table, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start,
			KeyConditionExpression:    aws.String("PK = :pk"),
			ExpressionAttributeValues: item{":pk": s(devicePK(thing))},
		})
		if err != nil {
			return d, fmt.Errorf("workflow/dynamodb.Load: %w", err)
		}
		for _, i := range out.Items {
			if err := add(&d, i); err != nil {
				return d, err
			}
		}
		if start = out.LastEvaluatedKey; len(start) == 0 {
			return d, nil
		}
	}
}

// form is the version of the items that this program writes, in their attribute v. It
// reads those up to it, which are one as yet, and refuses others by event.FormError: a
// later version wrote them, and what is asked of them waits for one that knows them.
// Without v are STATE and OWNER of before there were forms. testdata/stored has items of
// every form, which a test reads.
const form = 1

// known is an item that this program can read.
func known(i item) (reading, error) {
	r := reading{item: i}
	v, sk := r.number("v"), text(i, "SK")
	switch {
	case r.err != nil:
		return r, r.err
	case v == 0 && sk != skState && sk != skOwner:
		return r, fmt.Errorf("workflow/dynamodb: item %s of %s has no form, attribute v", sk, text(i, "PK"))
	}
	return r, wrap("read", event.CheckForm("item "+sk+" of "+text(i, "PK"), int(v), form))
}

// factPrefix begins the names of STATE's attributes that hold facts.
const factPrefix = "fact."

func facts(i item) map[string]string {
	var found map[string]string
	for name, v := range i {
		fact, ok := strings.CutPrefix(name, factPrefix)
		text, isText := v.(*types.AttributeValueMemberS)
		if !ok || !isText {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		found[fact] = text.Value
	}
	return found
}

func add(d *workflow.Device, i item) error {
	sk := text(i, "SK")
	r, err := known(i)
	if err != nil {
		return err
	}
	switch {
	case sk == skState:
		d.Known = true
		d.State = event.DeviceState{
			Endpoint: event.EndpointID(text(i, "endpointId")), Connected: truth(i, "connected"),
			SeenAt: r.moment("seenAt"), PresenceVersion: r.number("presenceVersion"),
			Legacy: truth(i, "legacy"), AgentTopic: text(i, "agentTopic"),
			Facts: facts(i),
		}
	case sk == skClaim:
		c := &workflow.Claim{
			Owner: event.OwnerOf(text(i, "ownerKey")), ExecutionNumber: r.number("executionNumber"),
			Lap: int(r.number("lap")), Operation: event.Operation(text(i, "operation")),
			Execution: text(i, "execution"), ClaimedAt: r.moment("claimedAt"), Deadline: r.moment("deadline"),
			ExpiresAt: time.Unix(r.number("expiresAt"), 0).UTC(), Rev: int(r.number("rev")),
		}
		if err := parse(i, "tries", &c.Tries); err != nil {
			return err
		}
		if err := parse(i, "seen", &c.Seen); err != nil {
			return err
		}
		c.Attempt = text(i, "attempt")
		if err := parse(i, "taken", &c.Taken); err != nil {
			return err
		}
		if by := text(i, "endingBy"); by != "" {
			c.Ending = &workflow.Ending{By: by, At: r.moment("endingAt")}
		}
		d.Claim = c
	case strings.HasPrefix(sk, skPending):
		p, err := pending(i, event.OwnerOf(strings.TrimPrefix(sk, skPending)), &r)
		if err != nil {
			return err
		}
		d.Pending = append(d.Pending, p)
	case strings.HasPrefix(sk, skAwait):
		a := workflow.Await{
			Step: event.Step(strings.TrimPrefix(sk, skAwait)), Token: event.TaskToken(text(i, "token")),
			Owner: event.OwnerOf(text(i, "ownerKey")), Execution: text(i, "execution"), Messages: text(i, "messages"),
			Attempt: text(i, "attempt"), Rev: int(r.number("rev")), Since: r.moment("since"),
			ExpiresAt: time.Unix(r.number("expiresAt"), 0).UTC(),
		}
		if raw := text(i, "state"); raw != "" {
			a.State = json.RawMessage(raw)
		}
		if err := parse(i, "commands", &a.Commands); err != nil {
			return err
		}
		d.Awaits = append(d.Awaits, a)
	case strings.HasPrefix(sk, skNews):
		var ev event.DeviceEvent
		if err := parse(i, "news", &ev); err != nil {
			return err
		}
		d.News = append(d.News, ev)
	case strings.HasPrefix(sk, skStanding):
		d.Standings = append(d.Standings, standing(&r))
	}
	return r.err
}

// PutPending implements workflow.Store.
func (st *Store) PutPending(ctx context.Context, thing event.ThingName, p workflow.Pending) error {
	i, err := pendingItem(thing, p)
	if err != nil {
		return wrap("PutPending", err)
	}
	values := upToValues(p.Identity())
	values[":form"] = n(form)
	_, err = st.api.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &st.table, Item: i,
		// A late copy of an earlier attempt does not hide the later one, nor what a later version of this program
		// has written.
		ConditionExpression:       aws.String("(" + upTo + ") AND (attribute_not_exists(PK) OR v <= :form)"),
		ExpressionAttributeValues: values,
	})
	if refused(err) {
		return nil
	}
	return wrap("PutPending", err)
}

// DropPending implements workflow.Store.
func (st *Store) DropPending(ctx context.Context, thing event.ThingName, a workflow.Attempt) error {
	_, err := st.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skPending+a.Owner.Key()),
		ConditionExpression: aws.String(upTo), ExpressionAttributeValues: upToValues(a),
	})
	if refused(err) {
		return nil
	}
	return wrap("DropPending", err)
}

// Claim implements workflow.Store.
func (st *Store) Claim(ctx context.Context, thing event.ThingName, c workflow.Claim, dead *workflow.Claim) error {
	// An update, so that claiming again what this execution has already keeps
	// what its steps wrote.
	condition := "attribute_not_exists(PK) OR execution = :e"
	set := "SET v = :v, execution = :e, ownerKey = :o, operation = :op, executionNumber = :n, lap = :l, rev = " +
		"if_not_exists(rev, :one)," +
		" claimedAt = if_not_exists(claimedAt, :at), deadline = if_not_exists(deadline, :deadline), expiresAt = :x"
	values := item{
		":e": s(c.Execution), ":o": s(c.Owner.Key()), ":op": s(string(c.Operation)), ":v": n(form),
		":n": n(c.ExecutionNumber), ":one": n(1), ":l": n(int64(c.Lap)),
		":at": n(c.ClaimedAt.UnixMilli()), ":deadline": n(c.Deadline.UnixMilli()), ":x": n(c.ExpiresAt.Unix()),
	}
	if dead != nil {
		condition = "execution = :dead"
		set = "SET v = :v, execution = :e, ownerKey = :o, operation = :op, executionNumber = :n, lap = :l, rev = " +
			"rev + :one," +
			" claimedAt = :at, deadline = :deadline, expiresAt = :x REMOVE tries, seen, attempt, taken, endingBy, " +
			"endingAt"
		values[":dead"] = s(dead.Execution)
	}
	if c.Shift != nil {
		return st.claimCounted(ctx, thing, &types.Update{
			TableName: &st.table, Key: key(devicePK(thing), skClaim),
			UpdateExpression: &set, ConditionExpression: &condition, ExpressionAttributeValues: values,
		}, *c.Shift)
	}
	_, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skClaim),
		UpdateExpression: &set, ConditionExpression: &condition, ExpressionAttributeValues: values,
	})
	if refused(err) {
		return workflow.ErrClaimed
	}
	return wrap("Claim", err)
}

// Register implements workflow.Store.
func (st *Store) Register(ctx context.Context, thing event.ThingName, r workflow.Registration) error {
	pk := devicePK(thing)
	a := r.Await
	commands, err := js(a.Commands)
	tries, noTries := js(r.Claim.Tries)
	seen, noSeen := js(r.Claim.Seen)
	if err := errors.Join(err, noTries, noSeen); err != nil {
		return wrap("Register", err)
	}
	i := key(pk, skAwait+string(a.Step))
	i["v"], i["token"], i["ownerKey"], i["execution"] = n(form), s(string(a.Token)), s(a.Owner.Key()), s(a.Execution)
	i["messages"], i["commands"], i["rev"] = s(a.Messages), commands, n(int64(a.Rev))
	i["since"], i["expiresAt"] = n(a.Since.UnixMilli()), n(a.ExpiresAt.Unix())
	if a.State != nil {
		i["state"] = s(string(a.State))
	}
	set := "SET rev = rev + :one, tries = :tries, seen = :seen"
	values := item{
		":one": n(1), ":tries": tries, ":seen": seen, ":e": s(r.Claim.Execution), ":rev": n(int64(r.Claim.Rev)),
	}
	if a.Attempt != "" {
		i["attempt"], values[":attempt"] = s(a.Attempt), s(a.Attempt)
		set += ", attempt = :attempt"
	}
	writes := []types.TransactWriteItem{
		{Update: &types.Update{
			TableName: &st.table, Key: key(pk, skClaim),
			UpdateExpression:          &set,
			ConditionExpression:       aws.String("execution = :e AND rev = :rev"),
			ExpressionAttributeValues: values,
		}},
		{Put: &types.Put{TableName: &st.table, Item: i}},
	}
	for _, step := range r.Dismiss {
		writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{TableName: &st.table,
			Key: key(pk, skAwait+string(step))}})
	}
	if r.Started {
		writes = append(writes, st.deletePending(pk, r.Claim.Identity()))
	}
	if len(r.Learnt) > 0 {
		writes = append(writes, st.learning(pk, r.Learnt))
	}
	if r.Shift != nil {
		writes = append(writes, st.shifting(thing, *r.Shift)...)
	}
	return st.transact(ctx, "Register", writes)
}

// deletePending spares the item of a later lap: the condition would fail the whole
// transaction, so a later one is left for the next try.
func (st *Store) deletePending(pk string, a workflow.Attempt) types.TransactWriteItem {
	return types.TransactWriteItem{Delete: &types.Delete{
		TableName: &st.table, Key: key(pk, skPending+a.Owner.Key()),
		ConditionExpression: aws.String(upTo), ExpressionAttributeValues: upToValues(a),
	}}
}

// Take implements workflow.Store.
func (st *Store) Take(ctx context.Context, thing event.ThingName, c workflow.Claim) error {
	taken, err := js(c.Taken)
	if err != nil {
		return wrap("Take", err)
	}
	_, err = st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skClaim),
		UpdateExpression:    aws.String("SET taken = :taken, rev = rev + :one"),
		ConditionExpression: aws.String("execution = :e AND rev = :rev"),
		ExpressionAttributeValues: item{
			":taken": taken, ":one": n(1), ":e": s(c.Execution), ":rev": n(int64(c.Rev)),
		},
	})
	if refused(err) {
		return workflow.ErrChanged
	}
	return wrap("Take", err)
}

// Advance implements workflow.Store. by is this very write: when it was done and its
// answer was lost, the SDK's next try finds it so.
func (st *Store) Advance(ctx context.Context, thing event.ThingName, a workflow.Await) error {
	_, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skAwait+string(a.Step)),
		UpdateExpression:    aws.String("SET #state = :state, rev = :next, #by = :by"),
		ConditionExpression: aws.String("#token = :token AND (rev = :rev OR rev = :next AND #by = :by)"),
		// reserved words
		ExpressionAttributeNames: map[string]string{"#state": "state", "#token": "token", "#by": "by"},
		ExpressionAttributeValues: item{
			":state": s(string(a.State)), ":token": s(string(a.Token)), ":rev": n(int64(a.Rev)),
			":next": n(int64(a.Rev) + 1), ":by": s(rand.Text()),
		},
	})
	if refused(err) {
		return workflow.ErrChanged
	}
	return wrap("Advance", err)
}

// Finish implements workflow.Store.
func (st *Store) Finish(ctx context.Context, thing event.ThingName, a workflow.Await, learnt map[string]string) error {
	pk := devicePK(thing)
	condition := "attribute_not_exists(PK) OR #token = :token"
	names := map[string]string{"#token": "token"}
	values := item{":token": s(string(a.Token))}
	if len(learnt) == 0 {
		_, err := st.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &st.table, Key: key(pk, skAwait+string(a.Step)),
			ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		})
		if refused(err) {
			return nil // a later try of the same step waits there by now
		}
		return wrap("Finish", err)
	}
	err := st.transact(ctx, "Finish", []types.TransactWriteItem{
		{Delete: &types.Delete{
			TableName: &st.table, Key: key(pk, skAwait+string(a.Step)),
			ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		}},
		st.learning(pk, learnt),
	})
	if errors.Is(err, workflow.ErrChanged) {
		return nil
	}
	return err
}

// learning adds facts to what is known of a device.
func (st *Store) learning(pk string, learnt map[string]string) types.TransactWriteItem {
	set, names, values := "SET v = if_not_exists(v, :form)", map[string]string{}, item{":form": n(form)}
	for k, name := range slices.Sorted(maps.Keys(learnt)) {
		at := strconv.Itoa(k)
		set += ", #f" + at + " = :f" + at
		names["#f"+at], values[":f"+at] = factPrefix+name, s(learnt[name])
	}
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &st.table, Key: key(pk, skState),
		UpdateExpression: &set, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}}
}

// Learn implements workflow.Store.
func (st *Store) Learn(ctx context.Context, thing event.ThingName, learnt map[string]string) error {
	u := st.learning(devicePK(thing), learnt).Update
	_, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: u.TableName, Key: u.Key, UpdateExpression: u.UpdateExpression,
		ExpressionAttributeNames: u.ExpressionAttributeNames, ExpressionAttributeValues: u.ExpressionAttributeValues,
	})
	return wrap("Learn", err)
}

// PutNews implements workflow.Store.
func (st *Store) PutNews(ctx context.Context, thing event.ThingName, execution string, ev event.DeviceEvent,
	expires time.Time) error {
	pk := devicePK(thing)
	news, err := js(ev)
	if err != nil {
		return wrap("PutNews", err)
	}
	i := key(pk, skNews+ev.NewsKey())
	i["v"], i["news"], i["at"], i["expiresAt"] = n(form), news, n(ev.At.UnixMilli()), n(expires.Unix())
	err = st.transact(ctx, "PutNews", []types.TransactWriteItem{
		{Update: &types.Update{
			TableName: &st.table, Key: key(pk, skClaim),
			UpdateExpression:          aws.String("SET rev = rev + :one"),
			ConditionExpression:       aws.String("execution = :e"),
			ExpressionAttributeValues: item{":one": n(1), ":e": s(execution)},
		}},
		{Put: &types.Put{TableName: &st.table, Item: i}},
	})
	if errors.Is(err, workflow.ErrChanged) {
		return workflow.ErrGone
	}
	return err
}

// Presence implements workflow.Store. AWS IoT's presence events come late, twice
// and in any order; within a connection both carry the same version, which rises
// from one to the next and may begin again after an hour's absence.
func (st *Store) Presence(ctx context.Context, thing event.ThingName, p workflow.Presence) error {
	newer := "attribute_not_exists(presenceVersion) OR presenceVersion < :v OR presenceAt < :hour"
	values := item{
		":form": n(form), ":v": n(p.Version), ":c": flag(p.Connected), ":at": n(p.At.UnixMilli()),
		":hour": n(p.At.Add(-time.Hour).UnixMilli()),
	}
	if p.Connected {
		// The same again is no news, but whoever is told it may have died of the first
		// time, or not have had its answer: what follows from it is done again.
		newer += " OR presenceVersion = :v AND connected = :c AND presenceAt = :at"
	} else {
		newer += " OR presenceVersion = :v"
	}
	newer = " AND (" + newer + ")"
	if !p.Connected {
		newer += " AND (attribute_not_exists(seenAt) OR seenAt <= :at)"
	}
	set := "SET v = if_not_exists(v, :form), connected = :c, presenceVersion = :v, presenceAt = :at, seenAt = :at"
	update := &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skState),
		UpdateExpression: &set, ConditionExpression: aws.String("attribute_exists(endpointId)" + newer),
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	_, err := st.api.UpdateItem(ctx, update)
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok &&
		text(failed.Item, "endpointId") == "" {
		// Its greeting may still come, though the connection is over. Clients that are no
		// agents have presence too, and never greet: their items go.
		values[":gone"] = n(p.At.Add(strangerLife).Unix())
		set += ", expiresAt = :gone"
		update.ConditionExpression = aws.String("attribute_not_exists(endpointId)" + newer)
		_, err = st.api.UpdateItem(ctx, update)
	}
	if refused(err) {
		return workflow.ErrStale
	}
	return wrap("Presence", err)
}

// strangerLife is how long the presence of a client that never greeted is kept: longer
// than any message of a rule is late (a dead letter that is sent again excepted).
const strangerLife = 24 * time.Hour

// Greet implements workflow.Store.
func (st *Store) Greet(ctx context.Context, thing event.ThingName, g workflow.Greeting) error {
	values := greeting(g)
	values[":soon"] = n(g.At.Add(workflow.SameArrival).UnixMilli())
	_, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skState),
		UpdateExpression:                    aws.String("SET " + greets + stays),
		ConditionExpression:                 aws.String("endpointId = :id AND " + notGone + notOld),
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		if text(failed.Item, "endpointId") != string(g.Endpoint) {
			return workflow.ErrForeign
		}
		return workflow.ErrStale
	}
	return wrap("Greet", err)
}

// What a greeting writes, and what keeps a late one from writing it.
const (
	greets  = "v = if_not_exists(v, :form), connected = :yes, seenAt = :at, legacy = :legacy, agentTopic = :topic"
	stays   = " REMOVE expiresAt" // which STATE has before the first greeting (Presence)
	notGone = "(attribute_not_exists(seenAt) OR seenAt <= :at OR connected = :yes)"
	// notOld: of a connection before the one that is known. With its time the end of that one would be news.
	notOld = " AND (attribute_not_exists(seenAt) OR seenAt <= :soon)"
)

func greeting(g workflow.Greeting) item {
	return item{
		":form": n(form), ":id": s(string(g.Endpoint)), ":yes": flag(true), ":at": n(g.At.UnixMilli()),
		":legacy": flag(g.Legacy), ":topic": s(g.AgentTopic),
	}
}

// Bind implements workflow.Store: both directions of the map in one transaction,
// and what goes for it.
func (st *Store) Bind(ctx context.Context, thing event.ThingName, g workflow.Greeting, b workflow.Binding) error {
	id := s(string(g.Endpoint))
	values := greeting(g)
	mine := "attribute_not_exists(endpointId) OR endpointId = :id"
	if b.Before != "" {
		mine += " OR endpointId = :before"
		values[":before"] = s(string(b.Before))
	}
	owner := key(endpointPK(g.Endpoint), skOwner)
	owner["thing"], owner["v"] = s(string(thing)), n(form)
	free, owners := "attribute_not_exists(PK) OR thing = :thing", item{":thing": s(string(thing))}
	if b.From != "" {
		free += " OR thing = :from"
		owners[":from"] = s(string(b.From))
	}
	forget, forgotten := "", map[string]string(nil)
	for i, name := range b.Forget {
		at := "#f" + strconv.Itoa(i)
		if forget += ", " + at; forgotten == nil {
			forgotten = map[string]string{}
		}
		forgotten[at] = factPrefix + name
	}
	old := types.ReturnValuesOnConditionCheckFailureAllOld
	writes := []types.TransactWriteItem{
		{Update: &types.Update{
			TableName: &st.table, Key: key(devicePK(thing), skState),
			UpdateExpression:          aws.String("SET endpointId = :id, " + greets + stays + forget),
			ExpressionAttributeNames:  forgotten,
			ConditionExpression:       aws.String("(" + mine + ") AND " + notGone),
			ExpressionAttributeValues: values, ReturnValuesOnConditionCheckFailure: old,
		}},
		{Put: &types.Put{
			TableName: &st.table, Item: owner, ConditionExpression: &free, ExpressionAttributeValues: owners,
			ReturnValuesOnConditionCheckFailure: old,
		}},
	}
	if b.Before != "" {
		writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{
			TableName: &st.table, Key: key(endpointPK(b.Before), skOwner),
			ConditionExpression:       aws.String("attribute_not_exists(PK) OR thing = :thing"),
			ExpressionAttributeValues: item{":thing": s(string(thing))},
		}})
	}
	if b.From != "" {
		writes = append(writes, types.TransactWriteItem{Update: &types.Update{
			TableName: &st.table, Key: key(devicePK(b.From), skState),
			UpdateExpression:          aws.String("REMOVE endpointId"),
			ConditionExpression:       aws.String("attribute_not_exists(endpointId) OR endpointId = :id"),
			ExpressionAttributeValues: item{":id": id},
		}})
	}
	_, err := st.api.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return wrap("Bind", err)
	}
	reasons := canceled.CancellationReasons
	failed := func(i int) bool {
		return i < len(reasons) && aws.ToString(reasons[i].Code) == conditionFailed
	}
	switch {
	case failed(1):
		return &workflow.OwnedError{By: event.ThingName(text(reasons[1].Item, "thing"))}
	case failed(2), failed(3):
		return workflow.ErrForeign
	case failed(0):
		switch event.EndpointID(text(reasons[0].Item, "endpointId")) {
		case "", g.Endpoint, b.Before:
			return workflow.ErrStale
		}
		return workflow.ErrForeign
	}
	return wrap("Bind", err)
}

// End implements workflow.Store.
func (st *Store) End(ctx context.Context, thing event.ThingName, c workflow.Claim, e workflow.Ending) error {
	_, err := st.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &st.table, Key: key(devicePK(thing), skClaim),
		UpdateExpression:    aws.String("SET endingBy = :by, endingAt = :at, rev = rev + :one"),
		ConditionExpression: aws.String("execution = :e AND rev = :rev"),
		ExpressionAttributeValues: item{
			":by": s(e.By), ":at": n(e.At.UnixMilli()), ":one": n(1), ":e": s(c.Execution), ":rev": n(int64(c.Rev)),
		},
	})
	if refused(err) {
		return workflow.ErrChanged
	}
	return wrap("End", err)
}

// Release implements workflow.Store.
func (st *Store) Release(ctx context.Context, d workflow.Device, execution string, a workflow.Attempt) error {
	before, learnt := d.Claim, d.Learnt
	for attempt := 0; ; attempt++ {
		if attempt > 0 && d.Claim != nil && d.Claim.Execution == execution && !workflow.SameEnding(d.Claim, before) {
			return workflow.ErrChanged
		}
		err := st.release(ctx, d, execution, a)
		if !errors.Is(err, workflow.ErrChanged) || d.Shift != nil || attempt == 4 {
			return err
		}
		if d, err = st.Load(ctx, d.Thing); err != nil {
			return err
		}
		d.Learnt = learnt
	}
}

func (st *Store) release(ctx context.Context, d workflow.Device, execution string, a workflow.Attempt) error {
	writes := st.freeing(d, execution, 94)
	if d.Shift != nil {
		writes = append(writes, st.shifting(d.Thing, *d.Shift)...)
	}
	for _, p := range d.Pending {
		if p.Owner == a.Owner && !p.Identity().After(a) {
			writes = append(writes, st.deletePending(devicePK(d.Thing), a))
		}
	}
	if len(writes) == 0 {
		return nil
	}
	return st.transact(ctx, "Release", writes)
}

// freeing removes the execution's claim, tasks and news, by so many writes at most.
func (st *Store) freeing(d workflow.Device, execution string, most int) []types.TransactWriteItem {
	pk := devicePK(d.Thing)
	mine := d.Claim != nil && d.Claim.Execution == execution
	var writes []types.TransactWriteItem
	remove := func(sk, condition string, values item) {
		del := &types.Delete{TableName: &st.table, Key: key(pk, sk)}
		if condition != "" {
			del.ConditionExpression, del.ExpressionAttributeValues = &condition, values
		}
		writes = append(writes, types.TransactWriteItem{Delete: del})
	}
	if mine {
		remove(skClaim, "execution = :e AND rev = :rev", item{":e": s(execution), ":rev": n(int64(d.Claim.Rev))})
		if len(d.Learnt) > 0 {
			writes = append(writes, st.learning(pk, d.Learnt))
		}
	}
	for _, a := range d.Awaits {
		if a.Execution == execution {
			remove(skAwait+string(a.Step), "attribute_not_exists(PK) OR execution = :e", item{":e": s(execution)})
		}
	}
	if mine || d.Claim == nil {
		for _, ev := range d.News {
			if len(writes) >= most {
				break // the rest goes with its TTL
			}
			remove(skNews+ev.NewsKey(), "", nil)
		}
	}
	return writes
}

// transact writes all or nothing; ErrChanged if a condition did not hold, ErrFull if it was only
// that of a budget.
func (st *Store) transact(ctx context.Context, op string, writes []types.TransactWriteItem) error {
	_, err := st.api.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		full := false
		for i, r := range canceled.CancellationReasons {
			if aws.ToString(r.Code) != conditionFailed {
				continue
			}
			if u := writes[i].Update; u == nil || aws.ToString(u.ConditionExpression) != hasRoom {
				return workflow.ErrChanged
			}
			full = true
		}
		if full {
			return workflow.ErrFull
		}
	}
	return wrap(op, err)
}

func refused(err error) bool {
	var failed *types.ConditionalCheckFailedException
	return errors.As(err, &failed)
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("workflow/dynamodb.%s: %w", op, err)
}
