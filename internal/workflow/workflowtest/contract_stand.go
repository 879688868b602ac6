package workflowtest

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// standings holds Standings, and what a Store writes of them, to what workflow expects.
func standings(t *testing.T, s Kept) {
	t.Helper()
	ctx, at := context.Background(), time.UnixMilli(1795334400000).UTC()
	const id, shards = event.CampaignID("fall"), 4
	owner := event.CampaignOwner(id)
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	}
	counts := func(want event.Tally, running map[string]int) {
		t.Helper()
		got, err := s.Counts(ctx, id, shards)
		must(err, nil)
		if !reflect.DeepEqual(got.Tally, want) || !reflect.DeepEqual(got.Running, running) {
			t.Fatalf("counts %+v, want %v, %v", got, want, running)
		}
	}
	admission := func(thing event.ThingName, wave int) workflow.Admission {
		return workflow.Admission{
			Thing: thing, Standing: event.Standing{
				Campaign: id, Attempt: 1, State: event.StandAdmitted, Wave: wave, Model: "M 1", Shard: 3, At: at,
				Priority: 70,
				Again:    []event.Again{{Error: "Blink.Slow", Times: 2, Minutes: 30}},
			},
			Pending: workflow.Pending{Owner: owner, ExecutionNumber: 1, Operation: "o", At: at,
				ExpiresAt: at.Add(time.Hour)},
		}
	}
	load := func(thing event.ThingName) (workflow.Device, event.Standing) {
		t.Helper()
		d, err := s.Load(ctx, thing)
		must(err, nil)
		if len(d.Standings) != 1 {
			t.Fatalf("thing %s stands at %+v", thing, d.Standings)
		}
		return d, d.Standings[0]
	}
	admitted, running := event.Place{State: event.StandAdmitted}, event.Place{State: event.StandRunning}
	failed := event.Place{State: event.StandFailed, Error: "Blink.Failed"}

	counts(event.Tally{}, map[string]int{})
	must(s.Admit(ctx, []workflow.Admission{admission("c1", 0), admission("c2", 0)}), nil)
	must(s.Admit(ctx, []workflow.Admission{admission("c3", 1), admission("c1", 0)}), workflow.ErrChanged)
	counts(event.Tally{admitted: 2}, map[string]int{})
	have, err := s.Standings(ctx, id, []event.ThingName{"c1", "c3"})
	must(err, nil)
	want := admission("c1", 0).Standing
	want.Rev = 1
	if !reflect.DeepEqual(have, map[event.ThingName]event.Standing{"c1": want}) {
		t.Fatalf("standings %+v", have)
	}
	d, first := load("c1")
	if len(d.Pending) != 1 || d.Pending[0].Owner != owner {
		t.Fatalf("pending %+v", d.Pending)
	}

	// With the claim it runs; a claim that fails changes nothing.
	c := workflow.Claim{Owner: owner, ExecutionNumber: 1, Operation: "o", Execution: "x", ClaimedAt: at,
		Deadline: at.Add(time.Hour), ExpiresAt: at.Add(time.Hour)}
	c.Shift = &event.Shift{From: &first, To: first.In(event.StandRunning, "", at)}
	must(s.Claim(ctx, "c1", c, nil), nil)
	must(s.Claim(ctx, "c1", c, nil), workflow.ErrChanged) // it stands otherwise by now
	other := c
	other.Execution = "y"
	must(s.Claim(ctx, "c1", other, nil), workflow.ErrClaimed)
	counts(event.Tally{admitted: 1, running: 1}, map[string]int{"M 1": 1})

	// Its end and the release are one.
	d, now := load("c1")
	stale := first
	d.Shift = &event.Shift{From: &stale, To: first.In(event.StandSucceeded, "", at)}
	must(s.Release(ctx, d, "x", workflow.Attempt{Owner: owner, Number: 1}), workflow.ErrChanged)
	d.Shift = &event.Shift{From: &now, To: now.In(event.StandFailed, "Blink.Failed", at)}
	must(s.Release(ctx, d, "x", workflow.Attempt{Owner: owner, Number: 1}), nil)
	counts(event.Tally{admitted: 1, failed: 1}, map[string]int{})
	d, now = load("c1")
	if d.Claim != nil || len(d.Pending) != 0 || now.Error != "Blink.Failed" || now.Rev != 3 {
		t.Fatalf("after its end: %+v", d)
	}

	// Once more, and back.
	to := now.In(event.StandAdmitted, "", at)
	to.Attempt = 2
	p := admission("c1", 0).Pending
	p.ExecutionNumber = 2
	must(s.Retry(ctx, "c1", event.Shift{From: &now, To: to}, p), nil)
	must(s.Retry(ctx, "c1", event.Shift{From: &now, To: to}, p), workflow.ErrChanged)
	d, now = load("c1")
	if now.Attempt != 2 || now.Error != "" || len(d.Pending) != 1 || d.Pending[0].ExecutionNumber != 2 {
		t.Fatalf("once more: %+v", d)
	}
	gone := event.Shift{From: &now, To: now.In(event.StandWithdrawn, "", at)}
	p.NotBefore, p.NotAfter = at.Add(72*time.Hour), at.Add(73*time.Hour)
	hint := workflow.Due{At: p.NotBefore, Thing: "c1", Owner: owner}
	must(s.Postpone(ctx, "c1", p, hint), nil)
	must(s.Stand(ctx, "c1", gone, &workflow.Attempt{Owner: owner, Number: 2}, hint), nil)
	if due, _, err := s.Due(ctx, hint.At.Truncate(time.Minute), 10); err != nil || len(due) != 0 {
		t.Fatalf("hints of who is withdrawn: %+v, %v", due, err)
	}
	must(s.Stand(ctx, "c1", gone, nil), workflow.ErrChanged)
	if d, _ = load("c1"); len(d.Pending) != 0 {
		t.Fatalf("withdrawn: %+v", d.Pending)
	}
	counts(event.Tally{admitted: 1, {State: event.StandWithdrawn}: 1}, map[string]int{})

	// Several change together, or not at all; who is only staged is not at work.
	staged := admission("c4", 1)
	staged.Standing.Stage, staged.Standing.State, staged.Standing.Model = true, event.StandRunning, "M 2"
	must(s.Admit(ctx, []workflow.Admission{staged, admission("c5", 1)}), nil)
	counts(event.Tally{admitted: 1, {State: event.StandWithdrawn}: 1, {Wave: 1, State: event.StandAdmitted}: 1,
		{Wave: 1, State: event.StandRunning}: 1}, map[string]int{})
	_, four := load("c4")
	_, five := load("c5")
	if !four.Stage || five.Stage {
		t.Fatalf("staged %+v, not staged %+v", four, five)
	}
	goes := four
	goes.Stage = false
	both := []workflow.Shifted{
		{Thing: "c4", Shift: event.Shift{From: &four, To: goes}},
		{Thing: "c5", Shift: event.Shift{From: &five, To: five.In(event.StandStaged, "", at)}},
	}
	must(s.StandAll(ctx, both), nil)
	must(s.StandAll(ctx, both), workflow.ErrChanged)
	must(s.StandAll(ctx, nil), nil)
	counts(event.Tally{admitted: 1, {State: event.StandWithdrawn}: 1, {Wave: 1, State: event.StandStaged}: 1,
		{Wave: 1, State: event.StandRunning}: 1}, map[string]int{"M 2": 1})
	for thing, wave := range map[event.ThingName]int{"c4": 1, "c5": 1} {
		_, now = load(thing)
		must(s.Stand(ctx, thing, event.Shift{From: &now, To: now.In(event.StandWithdrawn, "", at)},
			&workflow.Attempt{Owner: owner, Number: int64(wave)}), nil)
	}
	out := event.Place{Wave: 1, State: event.StandWithdrawn}
	ends := event.Place{Wave: 2, State: event.StandSucceeded}

	danger(t, s, owner, at)

	// Who parks waits.
	_, first = load("c2")
	c.Execution, c.Shift = "z", &event.Shift{From: &first, To: first.In(event.StandRunning, "", at)}
	must(s.Claim(ctx, "c2", c, nil), nil)
	d, now = load("c2")
	d.Shift = &event.Shift{From: &now, To: now.In(event.StandWaiting, "", at)}
	p = admission("c2", 0).Pending
	p.Lap = 1
	must(s.Park(ctx, d, "z", p, workflow.Due{}), nil) // without a hint
	counts(event.Tally{{State: event.StandWaiting}: 1, {State: event.StandWithdrawn}: 1, out: 2, ends: 1,
		{Wave: 2, State: event.StandWithdrawn}: 1, {Wave: 2, State: event.StandFailed, Error: "Blink.Failed"}: 1},
		map[string]int{})
	d, now = load("c2")
	must(s.Stand(ctx, "c2", event.Shift{From: &now, To: now.In(event.StandHeld, "", at)},
		&workflow.Attempt{Owner: owner, Number: 1, Lap: 1}), nil)
	if due, _, err := s.Due(ctx, at.Truncate(time.Minute), 10); err != nil || len(due) != 0 {
		t.Fatalf("hints %+v, %v", due, err)
	}
	standingLists(t, s)
}

// standingLists holds lists of devices to what workflow expects: by any part of where they stand, in pages of any
// size, each once.
func standingLists(t *testing.T, s Kept) {
	t.Helper()
	ctx, at := context.Background(), time.UnixMilli(1795334400000).UTC()
	const id, shards = event.CampaignID("lists"), 3
	all := map[event.ThingName]event.Standing{}
	for i := range 12 {
		thing := event.ThingName("l" + strconv.Itoa(i))
		st := event.Standing{Campaign: id, Attempt: 1, State: event.StandAdmitted, Wave: i % 2, Shard: i % shards,
			Model: []string{"M 1", "M|1", ""}[i/4], At: at, Document: i % 2, Zone: []string{"", "Asia/Tokyo"}[i%2]}
		if err := s.Admit(ctx, []workflow.Admission{{Thing: thing, Standing: st, Pending: workflow.Pending{
			Owner: event.CampaignOwner(id), ExecutionNumber: 1, Operation: "o", At: at, ExpiresAt: at.Add(time.Hour),
		}}}); err != nil {
			t.Fatal(err)
		}
		if st.Rev = 1; i%3 != 0 {
			to := st.In(event.StandFailed, []event.ErrorName{"", "Blink.Failed", "Blink.FailedTwice"}[i%3], at)
			if err := s.Stand(ctx, thing, event.Shift{From: &st, To: to}, nil); err != nil {
				t.Fatal(err)
			}
			st = to
		}
		st.Rev = 0 // a list has no revision: what it shows may be over
		all[thing] = st
	}
	read := func(where event.Where, most int) map[event.ThingName]event.Standing {
		t.Helper()
		got := map[event.ThingName]event.Standing{}
		for after, pages := "", 0; ; pages++ {
			found, next, err := s.ListStandings(ctx, id, shards, where, after, most)
			if err != nil || len(found) > most || pages > 100 {
				t.Fatalf("%+v: page %d of %d devices, %v", where, pages, len(found), err)
			}
			for _, one := range found {
				if _, twice := got[one.Thing]; twice {
					t.Fatalf("%+v: %s is listed twice", where, one.Thing)
				}
				one.Rev = 0
				got[one.Thing] = one.Standing
			}
			if after = next; next == "" {
				return got
			}
		}
	}
	for tries := 0; !reflect.DeepEqual(read(event.Anywhere(), 100), all); tries++ { // an index is a moment behind
		if tries == 5000 {
			t.Fatalf("listed are %+v, want %+v", read(event.Anywhere(), 100), all)
		}
	}
	for _, where := range []event.Where{event.Anywhere(), {State: event.StandFailed, Wave: -1},
		{State: event.StandFailed, Error: "Blink.Failed", Wave: -1},
		{State: event.StandFailed, Error: "Blink.Failed", Wave: 1}, {State: event.StandAdmitted, Wave: 0},
		{State: event.StandFailed, Error: "Blink.FailedTwice", Wave: 0, Model: "M|1"}, {Wave: 1},
		{Wave: -1, Model: "M 1"},
		{State: event.StandHeld, Wave: -1}} {
		want := map[event.ThingName]event.Standing{}
		for thing, st := range all {
			if where.Has(st) {
				want[thing] = st
			}
		}
		for _, most := range []int{1, 2, 5, 100} {
			if got := read(where, most); !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v in pages of %d: %+v, want %+v", where, most, got, want)
			}
		}
	}
	var problems event.Problems
	if _, _, err := s.ListStandings(ctx, id, shards, event.Anywhere(), "x", 1); !errors.As(err, &problems) {
		t.Fatalf("a cursor that nobody gave: %v", err)
	}
}

// danger holds a Store to what a budget of devices in danger is.
func danger(t *testing.T, s Kept, owner event.Owner, at time.Time) {
	t.Helper()
	ctx, id := context.Background(), owner.Campaign
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	}
	risk := func(want int, full bool, of event.Standing) {
		t.Helper()
		n, err := s.InDanger(ctx, id, 3)
		must(err, nil)
		is, err := s.Full(ctx, of)
		if must(err, nil); n != want || is != full {
			t.Fatalf("%d devices in danger, full %t; want %d, %t", n, is, want, full)
		}
	}
	load := func(thing event.ThingName) (workflow.Device, event.Standing) {
		t.Helper()
		d, err := s.Load(ctx, thing)
		must(err, nil)
		return d, d.Standings[0]
	}
	var all []workflow.Admission
	for _, thing := range []event.ThingName{"d1", "d2", "d3"} {
		share := 0
		if thing == "d3" {
			share = 2
		}
		all = append(all, workflow.Admission{
			Thing: thing, Standing: event.Standing{Campaign: id, Attempt: 1, State: event.StandAdmitted, Wave: 2,
				Shard: 1, At: at, Budget: 1, Share: share},
			Pending: workflow.Pending{Owner: owner, ExecutionNumber: 1, Operation: "o", At: at,
				ExpiresAt: at.Add(time.Hour)},
		})
	}
	must(s.Admit(ctx, all), nil)
	risk(0, false, all[0].Standing)
	register := func(thing event.ThingName) error {
		t.Helper()
		d, now := load(thing)
		to := now
		to.Danger = true
		return s.Register(ctx, thing, workflow.Registration{
			Claim: *d.Claim, Shift: &event.Shift{From: &now, To: to},
			Await: workflow.Await{Step: "S", Token: "t", Owner: owner, Execution: d.Claim.Execution, Rev: 1, Since: at,
				ExpiresAt: at.Add(time.Hour)},
		})
	}
	for _, a := range all {
		_, now := load(a.Thing)
		c := workflow.Claim{Owner: owner, ExecutionNumber: 1, Operation: "o", Execution: "x-" + string(a.Thing),
			ClaimedAt: at, Deadline: at.Add(time.Hour), ExpiresAt: at.Add(time.Hour),
			Shift: &event.Shift{From: &now, To: now.In(event.StandRunning, "", at)}}
		must(s.Claim(ctx, a.Thing, c, nil), nil)
	}
	must(register("d1"), nil)
	must(register("d2"), workflow.ErrFull)
	must(register("d3"), nil) // of another share
	d1, first := load("d1")
	d2, second := load("d2")
	if !first.Danger || second.Danger || len(d2.Awaits) != 0 || second.Budget != 1 {
		t.Fatalf("%+v, %+v", first, d2)
	}
	risk(2, true, second)
	to := second
	to.Danger = true
	must(s.Stand(ctx, "d2", event.Shift{From: &second, To: to}, nil), workflow.ErrFull)

	// Room is again with its end, or as it is parked.
	d1.Shift = &event.Shift{From: &first, To: first.In(event.StandSucceeded, "", at)}
	must(s.Release(ctx, d1, "x-d1", workflow.Attempt{Owner: owner, Number: 1}), nil)
	risk(1, false, second)
	must(s.Stand(ctx, "d2", event.Shift{From: &second, To: to}, nil), nil)
	must(s.Stand(ctx, "d2", event.Shift{From: &second, To: to}, nil), workflow.ErrChanged)
	d2, second = load("d2")
	d2.Shift = &event.Shift{From: &second, To: second.In(event.StandWaiting, "", at)}
	must(s.Park(ctx, d2, "x-d2", workflow.Pending{Owner: owner, ExecutionNumber: 1, Lap: 1, Operation: "o", At: at,
		ExpiresAt: at.Add(time.Hour)}, workflow.Due{}), nil)
	d3, third := load("d3")
	d3.Shift = &event.Shift{From: &third, To: third.In(event.StandFailed, "Blink.Failed", at)}
	must(s.Release(ctx, d3, "x-d3", workflow.Attempt{Owner: owner, Number: 1}), nil)
	risk(0, false, second)
	_, second = load("d2")
	must(s.Stand(ctx, "d2", event.Shift{From: &second, To: second.In(event.StandWithdrawn, "", at)},
		&workflow.Attempt{Owner: owner, Number: 1, Lap: 1}), nil)
}
