package dynamodb

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Where a device stands with a campaign is an item of its partition. How many stand where
// is counted in COUNT#<campaign>#<shard>, each shard a partition of its own, one attribute
// for each place: what changes a standing changes the count in the same transaction, so
// that every reading of a shard adds up, and with it every sum.
const (
	skStanding = "CAMPAIGN#"
	skCount    = "COUNT"
)

func countPK(id event.CampaignID, shard int) string {
	return "COUNT#" + string(id) + "#" + strconv.Itoa(shard)
}

// standingLife is for those who ask after a campaign is over.
const standingLife = 400 * 24 * time.Hour

func standingKey(thing event.ThingName, id event.CampaignID) item {
	return key(devicePK(thing), skStanding+string(id))
}

func standing(r *reading) event.Standing {
	st := event.Standing{
		Campaign: event.CampaignID(strings.TrimPrefix(text(r.item, "SK"), skStanding)), Attempt: r.number("attempt"),
		State: event.StandState(text(r.item, "state")), Error: event.ErrorName(text(r.item, "error")),
		Wave: int(r.number("wave")), Model: text(r.item, "model"), Shard: int(r.number("shard")),
		Rev: r.number("rev"), At: r.moment("at"), Stage: truth(r.item, "stage"), Danger: truth(r.item, "danger"),
		Document: int(r.number("document")), Zone: text(r.item, "zone"), Priority: int(r.number("priority")),
	}
	if _, limited := r.item["budget"]; limited {
		st.Budget, st.Share = int(r.number("budget")), int(r.number("share"))
	}
	if err := parse(r.item, "again", &st.Again); err != nil && r.err == nil {
		r.err = err
	}
	return st
}

func standingItem(thing event.ThingName, st event.Standing) item {
	i := standingKey(thing, st.Campaign)
	i["v"], i["attempt"], i["state"], i["wave"] = n(form), n(st.Attempt), s(string(st.State)), n(int64(st.Wave))
	i["shard"], i["rev"], i["at"] = n(int64(st.Shard)), n(st.Rev), n(st.At.UnixMilli())
	i["expiresAt"] = n(st.At.Add(standingLife).Unix())
	if st.Error != "" {
		i["error"] = s(string(st.Error))
	}
	if st.Model != "" {
		i["model"] = s(st.Model)
	}
	if st.Stage {
		i["stage"] = flag(true)
	}
	if st.Budget > 0 {
		i["budget"], i["share"] = n(int64(st.Budget)), n(int64(st.Share))
	}
	if st.Danger {
		i["danger"] = flag(true)
	}
	if st.Document != 0 {
		i["document"] = n(int64(st.Document))
	}
	if st.Priority != 0 {
		i["priority"] = n(int64(st.Priority))
	}
	if st.Zone != "" {
		i["zone"] = s(st.Zone)
	}
	i[event.StandingsShard], i[event.StandingsPlace] = s(listPK(st.Campaign, st.Shard)), s(st.ListKey(thing))
	if len(st.Again) > 0 {
		if again, err := js(st.Again); err == nil { // unreachable: plain values only
			i["again"] = again
		}
	}
	return i
}

// shifting writes a change of a standing, and of its count.
func (st *Store) shifting(thing event.ThingName, shift event.Shift) []types.TransactWriteItem {
	deltas := map[string]int{}
	writes := []types.TransactWriteItem{st.standing(thing, shift, deltas)}
	if slices.ContainsFunc(slices.Collect(maps.Values(deltas)), func(n int) bool { return n != 0 }) {
		writes = append(writes, st.counting(shift.To.Campaign, shift.To.Shard, deltas))
	}
	if risk, ok := st.risking(shift); ok {
		writes = append(writes, risk)
	}
	return writes
}

// How many devices of a campaign's share are in danger is an item of its own: that it is no more than may
// be is a condition of the transaction that adds one.
func dangerPK(id event.CampaignID, share int) string {
	return "DANGER#" + string(id) + "#" + strconv.Itoa(share)
}

const hasRoom = "attribute_not_exists(n) OR n < :most"

// risking counts a device that comes into danger, or is out of it; ok is false for any other change.
func (st *Store) risking(shift event.Shift) (write types.TransactWriteItem, ok bool) {
	was, to := shift.From != nil && shift.From.Danger, shift.To
	if was == to.Danger || to.Budget == 0 {
		return write, false
	}
	u := &types.Update{
		TableName: &st.table, Key: key(dangerPK(to.Campaign, to.Share), skCount),
		UpdateExpression:          aws.String("SET v = :form ADD n :by"),
		ExpressionAttributeValues: item{":form": n(form), ":by": n(-1)},
	}
	if to.Danger {
		u.ConditionExpression = aws.String(hasRoom)
		u.ExpressionAttributeValues[":by"], u.ExpressionAttributeValues[":most"] = n(1), n(int64(to.Budget))
	}
	return types.TransactWriteItem{Update: u}, true
}

// Full implements workflow.Store.
func (st *Store) Full(ctx context.Context, s event.Standing) (full bool, err error) {
	err = st.batch(ctx, "Full", []item{key(dangerPK(s.Campaign, s.Share), skCount)}, func(r *reading) {
		full = r.number("n") >= int64(s.Budget)
	})
	return full, err
}

// InDanger implements workflow.Standings.
func (st *Store) InDanger(ctx context.Context, id event.CampaignID, shares int) (all int, err error) {
	var keys []item
	for share := range shares {
		keys = append(keys, key(dangerPK(id, share), skCount))
	}
	err = st.batch(ctx, "InDanger", keys, func(r *reading) { all += int(r.number("n")) })
	return all, err
}

// standing writes a change of a standing, and adds what it changes of its count.
func (st *Store) standing(thing event.ThingName, shift event.Shift, deltas map[string]int) types.TransactWriteItem {
	to := shift.To
	put := &types.Put{TableName: &st.table}
	if shift.From == nil {
		to.Rev = 1
		put.ConditionExpression = aws.String("attribute_not_exists(PK)")
	} else {
		to.Rev = shift.From.Rev + 1
		put.ConditionExpression = aws.String("rev = :rev")
		put.ExpressionAttributeValues = item{":rev": n(shift.From.Rev)}
	}
	put.Item = standingItem(thing, to)
	if shift.From != nil {
		count(deltas, *shift.From, -1)
	}
	count(deltas, to, 1)
	return types.TransactWriteItem{Put: put}
}

// Names of a count's attributes: a wave's begin with its number.
const runningModel = "RUNNING "

func place(p event.Place) string {
	return strings.TrimSpace(strconv.Itoa(p.Wave) + " " + string(p.State) + " " + string(p.Error))
}

func parsePlace(name string) (p event.Place, ok bool) {
	words := strings.SplitN(name, " ", 3)
	if len(words) < 2 {
		return p, false
	}
	wave, err := strconv.Atoi(words[0])
	if err != nil {
		return p, false
	}
	p = event.Place{Wave: wave, State: event.StandState(words[1])}
	if len(words) == 3 {
		p.Error = event.ErrorName(words[2])
	}
	return p, true
}

func count(deltas map[string]int, st event.Standing, by int) {
	deltas[place(st.Place())] += by
	if st.State == event.StandRunning && !st.Stage {
		deltas[runningModel+st.Model] += by
	}
}

// counting adds to a shard's counts.
func (st *Store) counting(id event.CampaignID, shard int, deltas map[string]int) types.TransactWriteItem {
	add, names, values := "", map[string]string{}, item{}
	for k, name := range slices.Sorted(maps.Keys(deltas)) {
		if deltas[name] == 0 {
			continue
		}
		at := strconv.Itoa(k)
		if add != "" {
			add += ", "
		}
		add += "#c" + at + " :c" + at
		names["#c"+at], values[":c"+at] = name, n(int64(deltas[name]))
	}
	values[":form"] = n(form)
	set := "SET v = :form"
	if add != "" {
		set += " ADD " + add
	} else {
		names = nil
	}
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &st.table, Key: key(countPK(id, shard), skCount), UpdateExpression: &set,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}}
}

// claimCounted is Claim of a device that is counted.
func (st *Store) claimCounted(ctx context.Context, thing event.ThingName, claim *types.Update, shift event.Shift,
) error {
	writes := append([]types.TransactWriteItem{{Update: claim}}, st.shifting(thing, shift)...)
	_, err := st.api.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for i, r := range canceled.CancellationReasons {
			if aws.ToString(r.Code) != conditionFailed {
				continue
			}
			if i == 0 {
				return workflow.ErrClaimed
			}
			return workflow.ErrChanged
		}
	}
	return wrap("Claim", err)
}

// Admit implements workflow.Standings.
func (st *Store) Admit(ctx context.Context, all []workflow.Admission) error {
	deltas := map[string]int{}
	var writes []types.TransactWriteItem
	for _, a := range all {
		a.Standing.Rev = 1
		count(deltas, a.Standing, 1)
		pending, err := pendingItem(a.Thing, a.Pending)
		if err != nil {
			return wrap("Admit", err)
		}
		writes = append(writes,
			types.TransactWriteItem{Put: &types.Put{
				TableName: &st.table, Item: standingItem(a.Thing, a.Standing),
				ConditionExpression: aws.String("attribute_not_exists(PK)"),
			}},
			types.TransactWriteItem{Put: &types.Put{
				TableName: &st.table, Item: pending, ConditionExpression: aws.String("attribute_not_exists(PK)"),
			}})
	}
	if len(writes) == 0 {
		return nil
	}
	first := all[0].Standing
	return st.transact(ctx, "Admit", append(writes, st.counting(first.Campaign, first.Shard, deltas)))
}

// Stand implements workflow.Store.
func (st *Store) Stand(ctx context.Context, thing event.ThingName, shift event.Shift, drop *workflow.Attempt,
	void ...workflow.Due) error {
	writes := st.shifting(thing, shift)
	if drop != nil {
		writes = append(writes, st.deletePending(devicePK(thing), *drop))
	}
	for _, d := range void {
		writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{TableName: &st.table, Key: dueKey(d)}})
	}
	return st.transact(ctx, "Stand", writes)
}

// Retry implements workflow.Standings.
func (st *Store) Retry(ctx context.Context, thing event.ThingName, shift event.Shift, p workflow.Pending) error {
	pending, err := pendingItem(thing, p)
	if err != nil {
		return wrap("Retry", err)
	}
	return st.transact(ctx, "Retry", append(st.shifting(thing, shift),
		types.TransactWriteItem{Put: &types.Put{TableName: &st.table, Item: pending}}))
}

// StandAll implements workflow.Standings.
func (st *Store) StandAll(ctx context.Context, all []workflow.Shifted) error {
	if len(all) == 0 {
		return nil
	}
	deltas := map[string]int{}
	var writes []types.TransactWriteItem
	for _, one := range all {
		writes = append(writes, st.standing(one.Thing, one.Shift, deltas))
	}
	to := all[0].Shift.To
	return st.transact(ctx, "StandAll", append(writes, st.counting(to.Campaign, to.Shard, deltas)))
}

// mostKeys is how many items BatchGetItem reads (DynamoDB API reference).
const mostKeys = 100

// Standings implements workflow.Standings.
func (st *Store) Standings(ctx context.Context, id event.CampaignID, things []event.ThingName) (
	map[event.ThingName]event.Standing, error) {
	found := make(map[event.ThingName]event.Standing, len(things))
	keys := make([]item, len(things))
	for i, thing := range things {
		keys[i] = standingKey(thing, id)
	}
	err := st.batch(ctx, "Standings", keys, func(r *reading) {
		thing := event.ThingName(strings.TrimPrefix(text(r.item, "PK"), devicePK("")))
		found[thing] = standing(r)
	})
	return found, err
}

// Counts implements workflow.Standings.
func (st *Store) Counts(ctx context.Context, id event.CampaignID, shards int) (event.Counts, error) {
	c := event.Counts{Tally: event.Tally{}, Running: map[string]int{}}
	keys := make([]item, shards)
	for i := range keys {
		keys[i] = key(countPK(id, i), skCount)
	}
	err := st.batch(ctx, "Counts", keys, func(r *reading) {
		for name := range r.item {
			if model, ok := strings.CutPrefix(name, runningModel); ok {
				c.Running[model] += int(r.number(name))
			} else if p, ok := parsePlace(name); ok {
				c.Tally[p] += int(r.number(name))
			}
		}
	})
	for p, n := range c.Tally {
		if n == 0 {
			delete(c.Tally, p)
		}
	}
	for model, n := range c.Running {
		if n == 0 {
			delete(c.Running, model)
		}
	}
	return c, err
}

// batch reads items strongly consistent.
func (st *Store) batch(ctx context.Context, op string, keys []item, take func(*reading)) error {
	for len(keys) > 0 {
		page := keys[:min(len(keys), mostKeys)]
		keys = keys[len(page):]
		const attempts = 4 // of keys that were left out for want of throughput, or of room
		for left := attempts; len(page) > 0; left-- {
			if left == 0 {
				return wrap(op, errors.New("DynamoDB leaves items unread"))
			}
			out, err := st.api.BatchGetItem(ctx,
				&dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
					st.table: {Keys: page, ConsistentRead: aws.Bool(true)},
				}})
			if err != nil {
				return wrap(op, err)
			}
			for _, i := range out.Responses[st.table] {
				r, err := known(i)
				if err != nil {
					return err
				}
				if take(&r); r.err != nil {
					return r.err
				}
			}
			page = out.UnprocessedKeys[st.table].Keys
		}
	}
	return nil
}
