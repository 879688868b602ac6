package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
)

// crashCampaign is one of those that are played: two waves, of 3 devices and of 1, and an approval between them.
type crashCampaign struct {
	name    string
	members string // of the payload, beside those that all have
	faults  string
	verdict campaign.State
	// meanwhile, if any, is done after the campaign was created.
	meanwhile func(s *campaignOutage) error
	// log is how often the log has each verb, of those that are to be looked at.
	log map[string]int
}

// untouched is a campaign that only its approval holds; its devices restart by a command.
var untouched = crashCampaign{name: "untouched", members: `, "activation": {"mode": "SEPARATE"}`,
	verdict: campaign.Completed,
	log:     map[string]int{"gate pass": 1, "gate inconclusive": 1, "approve": 1, "COMPLETED": 1}}

// crashCampaigns are those in which more happens.
var crashCampaigns = []crashCampaign{
	untouched,
	{name: "by themselves", verdict: campaign.Completed, log: untouched.log},
	{name: "staged, with a budget", members: `, "stage": {}, "budget": 1`, verdict: campaign.Completed,
		log: untouched.log},
	{name: "tried again", members: `, "retry": [{"error": "Download.Failed", "times": 1, "minutes": 1}]`,
		faults: "404@2", verdict: campaign.Completed, log: map[string]int{"approve": 1, "COMPLETED": 1}},
	{name: "aborted", members: untouched.members, verdict: campaign.Aborted,
		meanwhile: func(s *campaignOutage) error { return s.aborted(3 * time.Second) },
		log:       map[string]int{"abort": 1, "ABORTED": 1, "approve": 0, "COMPLETED": 0}},
}

func (c crashCampaign) payload() []byte {
	return []byte(`{"campaignId": "c", "images": [{"firmware": {"version": "` + crashVersion + `"}}],
		"targets": {"groups": ["` + crashGroup + `"]}, "rate": 60, "gate": {"success": 0.5},
		"waves": [{"name": "canary", "count": 3, "bakeMinutes": 0},
		{"name": "rest", "bakeMinutes": 0, "approval": true}],
		"timeouts": {"answerSeconds": 20, "downloadSeconds": 60, "rebootSeconds": 60}` + c.members + `}`)
}

// crashCanary is how many devices its first wave has.
const crashCanary = 3

// looksEvery is how often its operator looks at it.
const looksEvery = 5 * time.Second

// campaignOutage is a campaign during which the cloud's process dies.
type campaignOutage struct {
	*outage
	of     crashCampaign
	wrong  []error
	report campaign.Report // the last one that was read
}

func (s *campaignOutage) problem(format string, args ...any) {
	const most = 5
	if len(s.wrong) < most {
		s.wrong = append(s.wrong, fmt.Errorf("%s: "+format, append([]any{s.sched.Now().Sub(start)}, args...)...))
	}
}

// api calls the functions of the cloud that is there now.
func (s *campaignOutage) api() cli.Campaigns {
	return cli.Campaigns{AWS: s.operator(), Stack: stack, Now: s.sched.Now, Asker: s.asker}
}

// do has a verb done, however often the cloud dies of it.
func (s *campaignOutage) do(r event.CampaignRequest) error {
	r.Campaign, r.Why = "c", "a test"
	return s.until("the operator's "+string(r.Verb)+" is done", func() (bool, string) {
		_, err := s.api().Do(s.ctx, r)
		return err == nil, fmt.Sprint(err)
	})
}

// read reads the report, and looks at what must hold at every moment.
func (s *campaignOutage) read() error {
	changed := 0
	for _, f := range s.fleet.Facts() {
		if f.Upgraded() {
			changed++
		}
	}
	_, raw, err := s.api().Describe(s.ctx, "c", true)
	if err != nil {
		return err
	}
	var r campaign.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	s.report = r
	if n := r.Devices; n.Total() != crashDevices || n.Planned < 0 {
		s.problem("%d devices count %+v", crashDevices, n)
	}
	for _, w := range r.Waves {
		if w.Devices.Total() != w.Planned || w.Devices.Planned < 0 {
			s.problem("wave %s of %d devices counts %+v", w.Name, w.Planned, w.Devices)
		}
	}
	if len(r.Waves) != 2 {
		return fmt.Errorf("%d waves", len(r.Waves))
	}
	canary, rest := r.Waves[0], r.Waves[1]
	switch {
	case rest.Began == nil:
		if changed > crashCanary {
			s.problem("%d devices have another version before the second wave", changed)
		}
	case canary.Gate == nil || canary.Gate.Outcome == campaign.Fail || canary.Ended == nil || rest.Approved == nil ||
		rest.Began.Before(*canary.Ended) || rest.Began.Before(rest.Approved.At):
		s.problem("wave %s began at %s; %+v, approved %+v", rest.Name, rest.Began, canary, rest.Approved)
	}
	return nil
}

func (s *campaignOutage) pass(d time.Duration) error {
	began := s.sched.Now()
	return s.until("time has passed", func() (bool, string) { return s.sched.Now().Sub(began) >= d, "" })
}

// atWork waits until devices are at work, and a while longer.
func (s *campaignOutage) atWork(after time.Duration) error {
	err := s.until("a device is at work", func() (bool, string) {
		err := s.read()
		return err == nil && s.report.Devices.Planned < crashDevices-1, fmt.Sprint(err)
	})
	return errors.Join(err, s.pass(after))
}

// aborted aborts the campaign a while after its first device is at work.
func (s *campaignOutage) aborted(after time.Duration) error {
	return errors.Join(s.atWork(after), s.do(event.CampaignRequest{Verb: event.VerbAbort}))
}

// paused pauses the campaign a while after its first device is at work, looks for five minutes whether anything
// begins, and resumes it.
func (s *campaignOutage) paused(after time.Duration) error {
	commands := func() (n int) {
		for _, f := range s.fleet.Facts() {
			n += f.Operates
		}
		return n
	}
	if err := errors.Join(s.atWork(after), s.do(event.CampaignRequest{Verb: event.VerbPauseCampaign}),
		s.pass(10*time.Second)); err != nil {
		return err
	}
	before := commands()
	if err := s.pass(290 * time.Second); err != nil {
		return err
	}
	if now := commands(); now != before {
		s.problem("%d commands had been given when the pause began, %d at its end", before, now)
	}
	if err := s.read(); err == nil && !s.report.Paused {
		s.problem("the report does not say that it is paused: %+v", s.report)
	}
	return s.do(event.CampaignRequest{Verb: event.VerbResumeCampaign})
}

// lead plays the campaign with crashes.
func (c crashCampaign) lead(seed uint64, crashes []crash) (s *campaignOutage, err error) {
	o, err := newOutage(seed, c.faults, slices.Clone(crashes))
	if err != nil {
		return nil, err
	}
	s = &campaignOutage{outage: o, of: c}
	if s.asker, err = s.somebody(s.ctx, "ann"); err != nil {
		return s, err
	}
	s.fleet.Start()
	s.arm()
	began := s.sched.Now()
	if err := s.until("the campaign is created", func() (bool, string) {
		_, err := s.api().Create(s.ctx, c.payload(), false)
		return err == nil, fmt.Sprint(err)
	}); err != nil {
		return s, err
	}
	if c.meanwhile != nil {
		if err := c.meanwhile(s); err != nil {
			return s, err
		}
	}
	var looked time.Time
	if err := s.until("the campaign ends", func() (bool, string) {
		if s.sched.Now().Sub(looked) < looksEvery {
			return false, fmt.Sprintf("%+v", s.report)
		}
		looked = s.sched.Now()
		err := s.read()
		r := event.CampaignRequest{Campaign: "c", Why: "a test"}
		switch failed := s.report.Devices.Failures(); {
		case err != nil:
		case s.report.Phase == campaign.Approval:
			r.Verb, r.Wave = event.VerbApprove, "rest"
		case s.report.Phase == campaign.Hold:
			r.Verb, r.Failures = event.VerbResumeCampaign, &failed
		}
		if r.Verb != "" {
			_, err = s.api().Do(s.ctx, r)
		}
		return err == nil && s.report.State.Over(), fmt.Sprintf("%+v %v", s.report, err)
	}); err != nil {
		return s, err
	}
	s.took = s.sched.Now().Sub(began)
	if err := s.until("nothing is left", func() (bool, string) {
		left, err := s.residue()
		return len(left) == 0 && err == nil, fmt.Sprintf("%s %v", strings.Join(left, "\n"), err)
	}); err != nil {
		return s, err
	}
	var page cli.DevicesPage
	if err := s.until("the report and the devices are read", func() (bool, string) {
		err := s.read()
		if err == nil {
			page, _, err = s.api().Devices(s.ctx, "c", event.ListRequest{})
		}
		return err == nil, fmt.Sprint(err)
	}); err != nil {
		return s, err
	}
	return s, s.judge(page)
}

// judge is what was wrong at any moment, and at the end.
func (s *campaignOutage) judge(page cli.DevicesPage) error {
	if r := s.report; r.State != s.of.verdict || s.of.verdict == campaign.Completed && len(r.LeftOver) > 0 {
		s.problem("it ended as %+v", r)
	}
	entries := map[string]int{}
	for _, e := range s.report.Log {
		entries[e.Verb]++
	}
	for verb, n := range s.of.log {
		if got := entries[verb]; got != n {
			s.problem("the log has %d times %q, not %d times: %+v", got, verb, n, s.report.Log)
		}
	}
	stands := map[string]cli.ListedDevice{}
	for _, d := range page.Devices {
		stands[d.ThingName] = d
	}
	if n := crashDevices - s.report.Devices.Planned; len(stands) != n {
		s.problem("%d devices are listed, and %d counted: %+v", len(stands), n, page)
	}
	for i, f := range s.fleet.Facts() {
		d, ok := stands[f.Thing]
		healthy, upgraded := s.faults[i] == nil, f.Version == crashVersion
		switch state := event.StandState(d.State); {
		case !ok || state == event.StandHeld || state == event.StandWithdrawn:
			if s.of.verdict != campaign.Aborted || upgraded || f.Downloads > 1 {
				s.problem("%+v: device %+v", d, f)
			}
		case healthy && (state != event.StandSucceeded || d.Attempt != 1 || !upgraded || f.Downloads != 1 ||
			f.Completed != 1):
			s.problem("%+v: device %+v", d, f)
		case !healthy && (state != event.StandFailed || d.Attempt != 2 || f.Downloads != 2 || upgraded):
			s.problem("%+v: device %+v", d, f)
		}
	}
	return errors.Join(s.wrong...)
}

// uncrashedCampaigns is how long campaigns take without a crash, by name.
var uncrashedCampaigns struct {
	sync.Mutex
	took map[string]time.Duration
}

// clockPatience is patience with what the clock does each minute: a tick may die, and the next one is
// kept off by its lease for as long as a minute.
const clockPatience = patience + 2*time.Minute

// usual is how long the campaign takes without a crash.
func (c crashCampaign) usual() (time.Duration, error) {
	uncrashedCampaigns.Lock()
	defer uncrashedCampaigns.Unlock()
	if d, ok := uncrashedCampaigns.took[c.name]; ok {
		return d, nil
	}
	s, err := c.lead(1, nil)
	if err != nil {
		return 0, fmt.Errorf("%s, without a crash: %w", c.name, err)
	}
	if uncrashedCampaigns.took == nil {
		uncrashedCampaigns.took = map[string]time.Duration{}
	}
	uncrashedCampaigns.took[c.name] = s.took
	return s.took, nil
}

// survive plays the campaign with crashes and says what was wrong with it.
func (c crashCampaign) survive(seed uint64, crashes []crash) (s *campaignOutage, err error) {
	limit, err := c.usual()
	if err != nil {
		return nil, err
	}
	s, err = c.lead(seed, crashes)
	for _, one := range crashes {
		limit += one.down + clockPatience
	}
	if err == nil && s.took > limit {
		err = fmt.Errorf("took %s, at most %s was to be: something waited for its deadline", s.took, limit)
	}
	if err != nil && s != nil {
		err = fmt.Errorf("%s, seed %d\n%s\n%w", c.name, seed, strings.Join(s.log, "\n"), err)
	}
	return s, err
}

// TestACampaignSurvivesACrashAtEachWrite looks at all writes of a campaign, with FLEETSTEP_CRASHES=all; else at some.
// Counts add up at every reading, no wave begins before the gate and its approval, no device downloads twice, nothing
// is left.
func TestACampaignSurvivesACrashAtEachWrite(t *testing.T) {
	step := crashStep(397)
	for n := 1; ; n += step {
		for _, lost := range []bool{false, true} {
			s, err := untouched.survive(1, []crash{{write: n, lost: lost}})
			switch {
			case err != nil:
				t.Error(err)
			case len(s.log) == 0:
				if n < 300 {
					t.Errorf("the campaign makes %d writes only: this test looks at another one", n)
				}
				return
			}
		}
	}
}

// TestAPausedCampaignSurvivesACrashAtEachWrite: pausing and resuming it, too, at whatever write the cloud dies, with
// FLEETSTEP_CRASHES=all; else at some. Ten seconds after the pause nothing begins, and who was held goes on.
func TestAPausedCampaignSurvivesACrashAtEachWrite(t *testing.T) {
	step := crashStep(251)
	for n := 1; ; n += step {
		c := untouched
		c.log = maps.Clone(c.log)
		c.log["pause"], c.log["resume"] = 1, 1
		c.meanwhile = func(s *campaignOutage) error { return s.paused(time.Duration(n%5) * time.Second) }
		s, err := c.lead(1, []crash{{write: n, lost: n%2 == 0}})
		switch {
		case err != nil:
			t.Errorf("%s\n%v", strings.Join(s.log, "\n"), err)
		case len(s.log) == 0:
			if n < 300 {
				t.Errorf("the campaign makes %d writes only: this test looks at another one", n)
			}
			return
		}
	}
}

// TestCampaignsSurviveCrashes: whatever durable writes the cloud's process dies at, up to three times.
func TestCampaignsSurviveCrashes(t *testing.T) {
	few(t, 4)
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(crashCampaigns).Draw(t, "campaign")
		seed := rapid.Uint64Range(1, 1000).Draw(t, "seed")
		crashes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) crash {
			return crash{
				write: rapid.IntRange(1, 650).Draw(t, "write"), lost: rapid.Bool().Draw(t, "lost"),
				down: rapid.SampledFrom([]time.Duration{0, 2 * time.Second, 10 * time.Second, 70 * time.Second}).
					Draw(t, "down"),
			}
		}), 1, 3).Draw(t, "crashes")
		if _, err := c.survive(seed, crashes); err != nil {
			t.Fatal(err)
		}
	})
}
