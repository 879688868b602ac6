package campaign_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/campaign/campaigntest"
	"github.com/fleetstep/fleetstep/internal/event"
)

// noon is when everything here begins, a Monday.
var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// world is a campaign's surroundings: devices that do what they are told, or fail, and a
// state machine that is played by hand.
type world struct {
	*campaigntest.Memory
	t         *testing.T
	now       time.Time
	devices   []campaign.Device
	stands    map[event.ThingName]event.Standing
	flag      event.ControlState
	all       bool // everything is paused
	away      map[event.ThingName]bool
	fails     map[event.ThingName]event.ErrorName
	answers   map[event.TaskToken]campaign.Answer
	notices   []campaign.Notice
	started   []campaign.MachineInput
	admitted  map[string]int // by minute
	at        map[event.ThingName]time.Time
	noIndex   bool
	callbacks int
	failing   error           // of the callback
	lost      event.ThingName // never comes to its end
	danger    int
	unseen    bool // nobody comes to look after devices
	looked    int
	unlisted  event.ThingName // the index does not show it yet
	behind    func()          // a step found that; it is tried again after
	alarms    map[string]campaign.Alarm
	blind     error // of the alarms
	flagless  error // of setting the flag
	deaf      error // of the bulletin
	onNotice  func(campaign.Notice)
	unstarted error // of starting the execution
	// executions are those that do not run, by their ARN, and redriven how often one was redriven.
	executions map[string]campaign.Execution
	redriven   int
}

func newWorld(t *testing.T, devices int) *world {
	w := &world{Memory: &campaigntest.Memory{}, t: t, now: noon, stands: map[event.ThingName]event.Standing{},
		away: map[event.ThingName]bool{}, fails: map[event.ThingName]event.ErrorName{},
		answers: map[event.TaskToken]campaign.Answer{}, admitted: map[string]int{},
		at: map[event.ThingName]time.Time{}, executions: map[string]campaign.Execution{}}
	for i := range devices {
		w.devices = append(w.devices, campaign.Device{Thing: event.ThingName(fmt.Sprintf("rg-%06d", i+1)),
			Model: fmt.Sprintf("M%d", i%3), Version: "1.0.0"})
	}
	return w
}

func (w *world) clock() time.Time { return w.now }

// Find implements campaign.Fleet: ten devices on a page.
func (w *world) Find(_ context.Context, targets campaign.Targets, from campaign.Place, pages int,
	page func([]campaign.Device) error) (*campaign.Place, event.Problems, error) {
	if w.noIndex {
		return nil, nil, campaign.ErrNoIndex
	}
	if slices.Contains(targets.Groups, "nobody") {
		return nil, event.Problems{{Path: "$.targets.groups[0]", Value: "nobody", Allowed: "a group that is there"}},
			nil
	}
	page = campaign.Once(page)
	at, _ := strconv.Atoi(from.Token)
	for ; at < len(w.devices); at += 10 {
		if pages == 0 {
			return &campaign.Place{Step: 1, Token: strconv.Itoa(at)}, nil, nil
		}
		pages--
		if err := page(w.devices[at:min(at+10, len(w.devices))]); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// Counts implements campaign.Counts.
func (w *world) Counts(_ context.Context, id event.CampaignID, _ int) (event.Counts, error) {
	c := event.Counts{Tally: event.Tally{}, Running: map[string]int{}}
	for _, s := range w.stands {
		if s.Campaign != id {
			continue
		}
		c.Tally[s.Place()]++
		if s.State == event.StandRunning && !s.Stage {
			c.Running[s.Model]++
		}
	}
	return c, nil
}

// Alarms implements campaign.Alarms.
func (w *world) Alarms(_ context.Context, asked []string) (map[string]campaign.Alarm, error) {
	found := map[string]campaign.Alarm{}
	for _, name := range asked {
		if a, ok := w.alarms[name]; ok {
			found[name] = a
		}
	}
	return found, w.blind
}

// InDanger implements campaign.Counts.
func (w *world) InDanger(context.Context, event.CampaignID, int) (int, error) { return w.danger, nil }

// Standings implements campaign.Counts.
func (w *world) Standings(_ context.Context, _ event.CampaignID, things []event.ThingName) (
	map[event.ThingName]event.Standing, error) {
	found := map[event.ThingName]event.Standing{}
	for _, thing := range things {
		if s, ok := w.stands[thing]; ok {
			found[thing] = s
		}
	}
	return found, nil
}

// ListStandings implements campaign.Counts: what the index shows, which is all but what it does not show yet.
func (w *world) ListStandings(_ context.Context, _ event.CampaignID, shards int, where event.Where, after string,
	most int) (found []event.Stood, next string, err error) {
	from, err := event.ParseListCursor(after, where, shards)
	if err != nil {
		return nil, "", event.Problems{{Path: "$.after", Value: after, Allowed: "what the page before has as next"}}
	}
	at := func(s event.Stood) event.ListCursor {
		return event.ListCursor{Shard: s.Shard, After: s.ListKey(s.Thing)}
	}
	for thing, s := range w.stands {
		one := event.Stood{Thing: thing, Standing: s}
		if c := at(one); where.Has(s) && thing != w.unlisted &&
			(c.Shard > from.Shard || c.Shard == from.Shard && c.After > from.After) {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b event.Stood) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.ListKey(a.Thing), b.ListKey(b.Thing)))
	})
	if len(found) > most {
		found = found[:most]
		next = at(found[most-1]).String()
	}
	return found, next, nil
}

// Flag implements campaign.Flags.
func (w *world) Flag(context.Context, event.CampaignID) (event.ControlState, bool, error) {
	return w.flag, w.all, nil
}

// SetFlag implements campaign.Flags.
func (w *world) SetFlag(_ context.Context, _ event.CampaignID, s event.ControlState, _, _ string) error {
	if w.flag == event.ControlStopped && s != event.ControlStopped {
		return campaign.ErrOver
	}
	if w.flagless != nil {
		return w.flagless
	}
	w.flag = s
	return nil
}

// Admit implements campaign.Carrier.
func (w *world) Admit(_ context.Context, all []campaign.Entrant, _ time.Duration) (admitted, skipped int, err error) {
	for _, e := range all {
		if s, ok := w.stands[e.Thing]; ok {
			if s.Stage && !s.State.Over() && !e.Standing.Stage {
				if s.Stage = false; s.State == event.StandStaged {
					s.State, w.at[e.Thing] = event.StandAdmitted, w.now
				}
				w.stands[e.Thing] = s
				w.admitted[w.now.Format("15:04")]++
			}
			if s.State == event.StandAdmitted {
				admitted++
			} else {
				skipped++
			}
			continue
		}
		admitted++
		w.stands[e.Thing], w.at[e.Thing] = e.Standing, w.now
		w.admitted[w.now.Format("15:04")]++
	}
	return admitted, skipped, nil
}

// Withdraw implements campaign.Carrier.
func (w *world) Withdraw(_ context.Context, thing event.ThingName, _ event.CampaignID, to event.StandState) (bool,
	error) {
	s, ok := w.stands[thing]
	if !ok || s.State != event.StandAdmitted && s.State != event.StandWaiting && s.State != event.StandStaged {
		return false, nil
	}
	w.stands[thing] = s.In(to, "", w.now)
	return true, nil
}

// LookAfter implements campaign.Carrier: the device in danger is followed to its end, the others are not.
func (w *world) LookAfter(_ context.Context, _ event.CampaignID, things []event.ThingName, _ time.Duration) error {
	w.looked++
	if w.unseen {
		return nil
	}
	for _, thing := range things {
		s := w.stands[thing]
		switch {
		case s.State != event.StandRunning:
		case thing == w.lost:
			w.stands[thing] = s.In(event.StandFailed, event.ControllerFailed, w.now)
		case w.flag == event.ControlStopped && !s.Danger:
			w.stands[thing] = s.In(event.StandHeld, "", w.now)
		}
	}
	return nil
}

// Exclude implements campaign.Carrier.
func (w *world) Exclude(_ context.Context, s event.Standing, thing event.ThingName) (bool, error) {
	if _, ok := w.stands[thing]; ok {
		return false, nil
	}
	w.stands[thing] = s
	return true, nil
}

// Again implements campaign.Carrier.
func (w *world) Again(_ context.Context, e campaign.Entrant, most int64) (bool, error) {
	s := w.stands[e.Thing]
	if s.State != event.StandFailed || s.Attempt >= most {
		return false, nil
	}
	s = s.In(event.StandAdmitted, "", w.now)
	s.Attempt++
	s.Stage = e.Standing.Stage
	w.stands[e.Thing] = s
	return true, nil
}

// Succeed implements campaign.Callback.
func (w *world) Succeed(_ context.Context, token event.TaskToken, output any) error {
	w.callbacks++
	if w.failing != nil {
		return w.failing
	}
	if _, over := w.answers[token]; !over {
		w.answers[token] = *output.(*campaign.Answer)
	}
	return nil
}

// Start implements campaign.Executions.
func (w *world) Start(_ context.Context, in campaign.MachineInput) (string, error) {
	if w.unstarted != nil {
		return "", w.unstarted
	}
	w.started = append(w.started, in)
	if in.After != "" {
		return in.After + "-again", nil
	}
	return "arn:x:" + string(in.Campaign), nil
}

// Execution implements campaign.Executions.
func (w *world) Execution(_ context.Context, arn string) (campaign.Execution, error) {
	if x, ok := w.executions[arn]; ok {
		return x, nil
	}
	return campaign.Execution{Status: campaign.ExecutionRunning}, nil
}

// Redrive implements campaign.Executions.
func (w *world) Redrive(_ context.Context, arn string) error {
	if x, ok := w.executions[arn]; !ok || !x.Redrivable {
		return campaign.ErrNotRedrivable
	}
	w.redriven++
	delete(w.executions, arn)
	return nil
}

// Announce implements campaign.Bulletin.
func (w *world) Announce(_ context.Context, n campaign.Notice) error {
	if w.deaf != nil {
		return w.deaf
	}
	w.notices = append(w.notices, n)
	if w.onNotice != nil {
		w.onNotice(n)
	}
	return nil
}

// blink is an operation, and firmware another with images.
func forms() []event.Form {
	read := func(at string, m map[string]any) (event.Input, event.Problems) {
		var problems event.Problems
		if f, ok := m["firmware"].(map[string]any); !ok || f["version"] == "bad" {
			problems = event.Problems{{Path: at + ".firmware", Value: m["firmware"], Allowed: "an image"}}
		}
		if m["activation"] == "bad" {
			problems = append(problems, event.Problem{Path: at + ".activation", Value: "bad",
				Allowed: "an activation"})
		}
		b, _ := json.Marshal(m["firmware"])
		return event.Input{At: at, Members: map[string]json.RawMessage{"firmware": b}, Prefix: "fw-2-0-0"}, problems
	}
	staged := func(at string, m map[string]any) (map[string]any, event.Problems) {
		if m["activation"] == "at once" {
			return m, event.Problems{{Path: at + ".activation", Value: m["activation"], Allowed: "later"}}
		}
		return m, nil
	}
	complete := func(_ context.Context, in event.Input) (event.Input, event.Problems, error) {
		if strings.Contains(string(in.Members["firmware"]), `"missing"`) {
			return in, event.Problems{{Path: in.At + ".firmware.version", Value: "missing", Allowed: "one image"}}, nil
		}
		for version, size := range map[string]int64{"2.0.0": 2_000, "3.0.0": 3_000} {
			if strings.Contains(string(in.Members["firmware"]), version) {
				in.Size = size
			}
		}
		return in, nil, nil
	}
	needs := func(json.RawMessage) (time.Duration, error) { return 2 * time.Hour, nil }
	return []event.Form{
		{Operation: "firmware", One: "an upgrade", Read: read, Complete: complete, Needs: needs, Staged: staged,
			Timeouts: []event.Timeout{{Name: "downloadSeconds", Low: 10, High: 1000, Default: 600}}},
		{Operation: "blink", Complete: complete,
			Read: func(at string, m map[string]any) (event.Input, event.Problems) {
				if m["times"] == nil {
					return event.Input{}, event.Problems{{Path: at + ".times", Allowed: "how often"}}
				}
				return event.Input{At: at, Members: map[string]json.RawMessage{"times": json.RawMessage("1")}}, nil
			},
			Needs: func(json.RawMessage) (time.Duration, error) { return 8 * 24 * time.Hour, nil }},
	}
}

func (w *world) creator() *campaign.Creator {
	return &campaign.Creator{CreatorPorts: campaign.CreatorPorts{Store: w, Manifest: w, Fleet: w, Alarms: w,
		Executions: w,
		Forms:      forms(), Images: "firmware", Stack: "s", Now: w.clock}}
}

// ask asks for a campaign, or its plan.
func (w *world) ask(payload []byte, who string, plan bool) (campaign.Created, error) {
	return w.creator().Create(w.t.Context(), event.CreateCampaignRequest{Campaign: payload, Plan: plan}, who)
}

func (w *world) machine() *campaign.Machine {
	return &campaign.Machine{MachinePorts: campaign.MachinePorts{Store: w, Manifest: w, Counts: w, Flags: w,
		Alarms: w, Callback: w, Bulletin: w, Now: w.clock}}
}

func (w *world) driver() *campaign.Driver {
	return &campaign.Driver{DriverPorts: campaign.DriverPorts{Store: w, Manifest: w, Counts: w, Flags: w, Carrier: w,
		Alarms: w, Callback: w, Executions: w, Now: w.clock}}
}

func (w *world) controller() *campaign.Controller {
	return &campaign.Controller{ControllerPorts: campaign.ControllerPorts{Store: w, Manifest: w, Counts: w, Flags: w,
		Carrier: w, Callback: w, Now: w.clock, Errors: map[event.Operation][]event.ErrorName{
			"firmware": {"Download.Failed", "Device.Busy", "Activate.Failed"}}}}
}

func (w *world) lister() *campaign.Lister {
	return &campaign.Lister{Store: w, Manifest: w, Counts: w, Errors: w.controller().Errors, Now: w.clock}
}

func (w *world) create(payload string) campaign.Campaign {
	w.t.Helper()
	out, err := w.ask([]byte(payload), "arn:creator", false)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.load(out.Campaign)
}

func (w *world) load(id event.CampaignID) campaign.Campaign {
	w.t.Helper()
	c, err := w.Load(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// minute lets devices work for a minute, and the clock tick: who was admitted begins in the
// first minute, and is done in the third.
func (w *world) minute() {
	w.t.Helper()
	for thing, s := range w.stands {
		switch since := w.now.Sub(w.at[thing]); {
		case s.State == event.StandAdmitted && !w.away[thing] && w.flag != event.ControlPaused && !w.all:
			to := event.StandRunning
			if w.flag == event.ControlStopped {
				to = event.StandHeld
			}
			w.stands[thing], w.at[thing] = s.In(to, "", w.now), w.now
		case thing == w.lost && s.State == event.StandRunning:
		case s.State == event.StandRunning && since >= 2*time.Minute:
			to := event.StandSucceeded
			if s.Stage {
				to = event.StandStaged
			}
			if w.fails[thing] != "" {
				to = event.StandFailed
			}
			w.stands[thing] = s.In(to, w.fails[thing], w.now)
		}
	}
	if _, err := w.driver().Tick(w.t.Context()); err != nil && (w.blind == nil || !errors.Is(err, w.blind)) {
		w.t.Fatal(err)
	}
	w.sums()
	w.now = w.now.Add(time.Minute)
}

// sums sees that every device is in exactly one place.
func (w *world) sums() {
	w.t.Helper()
	all, err := w.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range all {
		c := w.load(s.ID)
		counts, _ := w.Counts(w.t.Context(), c.ID, c.Shards)
		planned := 0
		for i, one := range c.Waves {
			n := campaign.NumbersOf(counts.Tally, i, one.Size)
			if n.Planned < 0 || n.Total() != one.Size {
				w.t.Fatalf("wave %s of %d devices: %+v", one.Name, one.Size, n)
			}
			planned += n.Planned
		}
		if n := campaign.NumbersOf(counts.Tally, -1, c.Total); n.Planned != planned || n.Total() != c.Total {
			w.t.Fatalf("%d devices: %+v", c.Total, n)
		}
	}
}

// errStuck: the campaign's execution waits for longer than it may.
var errStuck = errors.New("the execution waits for too long")

// play is the state machine, as statemachines/firmware-campaign.asl.json has it. on is
// called while it waits, each minute, before the clock ticks.
func (w *world) play(id event.CampaignID, most time.Duration, on func(campaign.Campaign)) campaign.StepAnswer {
	w.t.Helper()
	m, tokens := w.machine(), 0
	in := w.started[0]
	var last campaign.StepInput // that waited
	await := func(step campaign.Step, wave int, next string) campaign.Answer {
		w.t.Helper()
		tokens++
		token := event.TaskToken(fmt.Sprintf("token-%d", tokens))
		now := campaign.StepInput{Step: step, Campaign: id, Wave: wave, Token: token, Next: next,
			Entered: w.now.Add(time.Duration(tokens) * time.Millisecond), Retry: 1}
		late := now // an attempt that was given up, and goes on
		late.Token, late.Retry = token+"-0", 0
		for _, in := range []campaign.StepInput{now, now, late, last} {
			if in.Token == "" {
				continue
			}
			if _, err := m.Take(w.t.Context(), in); err != nil {
				w.t.Fatal(err)
			}
			if c := w.load(id); c.Token != string(token) && !c.Answered {
				w.t.Fatalf("%+v took the place of %+v", in, now)
			}
		}
		last = now
		for begun := w.now; ; {
			if a, ok := w.answers[token]; ok {
				if _, err := m.Take(w.t.Context(), now); err != nil { // a copy that comes late
					w.t.Fatal(err)
				}
				if c := w.load(id); c.Token != "" {
					w.t.Fatalf("%+v waits again", now)
				}
				return a
			}
			if w.now.Sub(begun) > most {
				w.t.Fatalf("%v: %s of wave %d: %+v", errStuck, step, wave, w.load(id))
			}
			if on != nil {
				on(w.load(id))
			}
			w.minute()
		}
	}
	take := func(step campaign.Step, wave int) campaign.StepAnswer {
		w.t.Helper()
		var a campaign.StepAnswer
		for range 2 {
			var err error
			a, err = m.Take(w.t.Context(), campaign.StepInput{Step: step, Campaign: id, Wave: wave})
			if errors.Is(err, campaign.ErrBehind) && w.behind != nil { // the state machine tries again
				w.behind()
				a, err = m.Take(w.t.Context(), campaign.StepInput{Step: step, Campaign: id, Wave: wave})
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}
		return a
	}
	next, wave := campaign.NextGo, 0
	if in.Stage {
		next = await(campaign.StepStage, 0, "").Next
	}
	for ; wave < len(in.Waves) && next == campaign.NextGo; wave++ {
		if in.Waves[wave].Approval {
			if a := await(campaign.StepApproval, wave, ""); a.Next != campaign.NextGo {
				next = a.Next
				break
			}
		}
		if a := await(campaign.StepWave, wave, ""); a.Next != campaign.NextGo {
			next = a.Next
			break
		}
		g := take(campaign.StepGate, wave)
		if next = g.Next; next == campaign.NextHold {
			next = await(campaign.StepHold, wave, "").Next
		}
	}
	await(campaign.StepClose, 0, next)
	return take(campaign.StepReport, 0)
}
