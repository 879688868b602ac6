package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
)

// crashCampaign has two waves, of 3 devices and of 1, and an approval between them.
const crashCampaign = `{"campaignId": "c", "images": [{"firmware": {"version": "` + crashVersion + `"}}],
	"targets": {"groups": ["` + crashGroup + `"]}, "rate": 60, "gate": {"success": 0.5},
	"activation": {"mode": "SEPARATE"},
	"waves": [{"name": "canary", "count": 3, "bakeMinutes": 0}, {"name": "rest", "bakeMinutes": 0, "approval": true}],
	"timeouts": {"answerSeconds": 20, "downloadSeconds": 60, "rebootSeconds": 60}}`

// crashCanary is how many devices its first wave has.
const crashCanary = 3

// looksEvery is how often its operator looks at it.
const looksEvery = 5 * time.Second

// campaignOutage is a campaign during which the cloud's process dies.
type campaignOutage struct {
	*outage
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
	told := 0
	for _, f := range s.fleet.Facts() {
		if f.Downloads > 0 {
			told++
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
	if n := r.Devices; n.Total() != crashDevices || n.Planned < 0 || n.Failures()+n.Held+n.Withdrawn > 0 {
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
		if told > crashCanary {
			s.problem("%d devices were told to download before the second wave", told)
		}
	case canary.Gate == nil || canary.Gate.Outcome != campaign.Pass || canary.Ended == nil || rest.Approved == nil ||
		rest.Began.Before(*canary.Ended) || rest.Began.Before(rest.Approved.At):
		s.problem("wave %s began at %s; %+v, approved %+v", rest.Name, rest.Began, canary, rest.Approved)
	}
	return nil
}

// paused pauses the campaign a while after its first device is at work, looks for five minutes whether anything
// begins, and resumes it.
func (s *campaignOutage) paused(after time.Duration) error {
	pass := func(d time.Duration) error {
		began := s.sched.Now()
		return s.until("time has passed", func() (bool, string) { return s.sched.Now().Sub(began) >= d, "" })
	}
	commands := func() (n int) {
		for _, f := range s.fleet.Facts() {
			n += f.Operates
		}
		return n
	}
	err := s.until("a device is at work", func() (bool, string) {
		err := s.read()
		return err == nil && s.report.Devices.Planned < crashDevices-1, fmt.Sprint(err)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(pass(after), s.do(event.CampaignRequest{Verb: event.VerbPauseCampaign}),
		pass(10*time.Second)); err != nil {
		return err
	}
	before := commands()
	if err := pass(290 * time.Second); err != nil {
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

// leadThrough plays the campaign with crashes. meanwhile, if any, is done after it was created.
func leadThrough(seed uint64, crashes []crash, meanwhile func(s *campaignOutage) error) (s *campaignOutage,
	err error) {
	o, err := newOutage(seed, "", crashes)
	if err != nil {
		return nil, err
	}
	s = &campaignOutage{outage: o}
	if s.asker, err = s.somebody(s.ctx, "ann"); err != nil {
		return s, err
	}
	s.fleet.Start()
	s.arm()
	began := s.sched.Now()
	if err := s.until("the campaign is created", func() (bool, string) {
		_, err := s.api().Create(s.ctx, []byte(crashCampaign), false)
		return err == nil, fmt.Sprint(err)
	}); err != nil {
		return s, err
	}
	if meanwhile != nil {
		if err := meanwhile(s); err != nil {
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
		if err == nil && s.report.Phase == campaign.Approval {
			r := event.CampaignRequest{Verb: event.VerbApprove, Campaign: "c", Wave: "rest", Why: "a test"}
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
	return s, s.judge(page, meanwhile != nil)
}

// judge is what was wrong at any moment, and at the end.
func (s *campaignOutage) judge(page cli.DevicesPage, paused bool) error {
	if r := s.report; r.State != campaign.Completed || r.Devices.Succeeded != crashDevices || len(r.LeftOver) > 0 {
		s.problem("it ended as %+v", r)
	}
	entries := map[string]int{}
	for _, e := range s.report.Log {
		entries[e.Verb]++
	}
	want := map[string]int{"create": 1, "gate pass": 1, "gate inconclusive": 1, "approve": 1, "COMPLETED": 1}
	if paused {
		want["pause"], want["resume"] = 1, 1
	}
	for verb, n := range want {
		if got := entries[verb]; got != n {
			s.problem("the log has %d times %q, not %d times: %+v", got, verb, n, s.report.Log)
		}
	}
	if len(page.Devices) != crashDevices {
		s.problem("devices %+v", page)
	}
	for _, d := range page.Devices {
		if d.State != string(event.StandSucceeded) || d.Attempt != 1 {
			s.problem("device %+v", d)
		}
	}
	for _, f := range s.fleet.Facts() {
		if f.Version != crashVersion || f.Downloads != 1 || f.Completed != 1 {
			s.problem("device %+v", f)
		}
	}
	return errors.Join(s.wrong...)
}

// uncrashedCampaign is how long the campaign takes without a crash.
var uncrashedCampaign = sync.OnceValues(func() (time.Duration, error) {
	s, err := leadThrough(1, nil, nil)
	if err != nil {
		return 0, fmt.Errorf("without a crash: %w", err)
	}
	return s.took, nil
})

// clockPatience is patience with what the clock does each minute: a tick may die, and the next one is
// kept off by its lease for as long as a minute.
const clockPatience = patience + 2*time.Minute

// TestACampaignSurvivesACrashAtEachWrite looks at all writes of a campaign, with FLEETSTEP_CRASHES=all; else at some.
// Counts add up at every reading, no wave begins before the gate and its approval, no device downloads twice, nothing
// is left.
func TestACampaignSurvivesACrashAtEachWrite(t *testing.T) {
	usual, err := uncrashedCampaign()
	if err != nil {
		t.Fatal(err)
	}
	step := crashStep(397)
	for n := 1; ; n += step {
		for _, lost := range []bool{false, true} {
			s, err := leadThrough(1, []crash{{write: n, lost: lost}}, nil)
			switch {
			case err != nil:
				t.Errorf("%s\n%v", strings.Join(s.log, "\n"), err)
			case len(s.log) == 0:
				t.Logf("the campaign makes %d writes", n-s.store.UpdatesLeft())
				if n < 300 {
					t.Errorf("the campaign makes %d writes only: this test looks at another one", n)
				}
				return
			case s.took > usual+clockPatience:
				t.Errorf("%s\ntook %s, without crashes %s: something waited for its deadline",
					strings.Join(s.log, "\n"), s.took, usual)
			}
		}
	}
}

// TestAPausedCampaignSurvivesACrashAtEachWrite: pausing and resuming it, too, at whatever write the cloud dies, with
// FLEETSTEP_CRASHES=all; else at some. Ten seconds after the pause nothing begins, and who was held goes on.
func TestAPausedCampaignSurvivesACrashAtEachWrite(t *testing.T) {
	step := crashStep(251)
	for n := 1; ; n += step {
		s, err := leadThrough(1, []crash{{write: n, lost: n%2 == 0}}, func(s *campaignOutage) error {
			return s.paused(time.Duration(n%5) * time.Second)
		})
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
