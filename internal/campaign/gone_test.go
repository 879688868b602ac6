package campaign_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// orphan is a campaign whose execution somebody has stopped while it waited in a step.
type orphan struct {
	*world
	c       campaign.Campaign
	redrive int
}

// orphaned makes one; redrivable is whether it can be redriven.
func orphaned(t *testing.T, step campaign.Step, redrivable bool) *orphan {
	t.Helper()
	w := newWorld(t, 60)
	c := w.create(`{"campaignId": "c", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"rate": 1, "gate": {"success": 0.8}, "waves": [{"name": "canary", "count": 20, "bakeMinutes": 5},
		{"name": "rest", "bakeMinutes": 0, "approval": true}]}`)
	o := &orphan{world: w, c: c}
	o.take(step, "first")
	w.minute()
	w.minute()
	o.stop(redrivable)
	return o
}

func (o *orphan) stop(redrivable bool) {
	o.executions[o.load("c").Execution] = campaign.Execution{Status: campaign.ExecutionStopped, Ended: o.now,
		Why: "Op.Stop: somebody clicked", Redrivable: redrivable}
}

// take is a step as the execution takes it.
func (o *orphan) take(step campaign.Step, token event.TaskToken) {
	o.t.Helper()
	wave := 0
	if step == campaign.StepApproval {
		wave = 1
	}
	in := campaign.StepInput{Step: step, Campaign: "c", Wave: wave, Token: token, Entered: o.now, Redrive: o.redrive}
	if _, err := o.machine().Take(o.t.Context(), in); err != nil {
		o.t.Fatal(err)
	}
}

func (o *orphan) verb(v event.CampaignVerb) (campaign.Done, error) {
	return o.controller().Do(o.t.Context(), event.CampaignRequest{Verb: v, Campaign: "c", Why: "x"}, "me")
}

// TestACampaignWithoutItsExecutionIsPaused: nobody would judge what begins. It says so, and goes on when it is
// resumed.
func TestACampaignWithoutItsExecutionIsPaused(t *testing.T) {
	o := orphaned(t, campaign.StepWave, true)
	ended := o.now
	begun := len(o.stands)
	for range 10 {
		o.minute()
	}
	c := o.load("c")
	idle := c.Waves[0].Idle
	if len(o.stands) != begun || o.flag != event.ControlPaused || idle < 9*time.Minute || begun == 0 {
		t.Errorf("%d devices have begun, before %d; flag %s; idle for %s", len(o.stands), begun, o.flag, idle)
	}
	r, err := campaign.NewReport(t.Context(), o, o, c)
	if err != nil || r.Gone == nil || r.Gone.Text != "its execution was stopped at "+ended.Format(time.RFC3339)+
		" (Op.Stop: somebody clicked)" || r.Gone.Remedy != "resume or abort it" {
		t.Fatalf("%v: the report has %+v", err, r.Gone)
	}
	if s := c.Summary(); s.Gone != campaign.ExecutionStopped {
		t.Errorf("the list has %+v", s)
	}
	if log, _ := o.Log(t.Context(), "c"); log[len(log)-1].Verb != "execution aborted" || len(log) != 2 {
		t.Errorf("the log has %+v", log)
	}
	for _, v := range []event.CampaignVerb{event.VerbSkip, event.VerbApprove} {
		if _, err := o.verb(v); !errors.Is(err, campaign.ErrNothingToDo) ||
			!strings.Contains(err.Error(), "somebody clicked): resume or abort it") {
			t.Errorf("%s: %v", v, err)
		}
	}
	if o.redriven != 0 {
		t.Error("redriven before anybody asked for it")
	}
	for i, changed := range []bool{true, false} {
		done, err := o.verb(event.VerbResumeCampaign)
		if err != nil || done.Changed != changed {
			t.Fatalf("resumed %d: %+v, %v", i, done, err)
		}
	}
	o.minute()
	o.redrive++
	o.take(campaign.StepWave, "second")
	if c := o.load("c"); c.Gone != nil {
		t.Errorf("it has registered and is gone: %+v", c.Gone)
	}
	for range 10 {
		o.minute()
	}
	if c := o.load("c"); o.redriven != 1 || c.Gone != nil || len(o.stands) < begun+9 || c.Token != "second" {
		t.Errorf("redriven %d times, %d devices have begun, before %d: %+v", o.redriven, len(o.stands), begun, c.Gone)
	}
}

// TestACampaignWithoutItsExecutionIsAborted: also where the execution cannot be redriven any more, or is not there:
// another one brings it to its end.
func TestACampaignWithoutItsExecutionIsAborted(t *testing.T) {
	for name, redrivable := range map[string]bool{"redriven": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			o := orphaned(t, campaign.StepWave, true)
			o.now = o.now.Add(time.Hour)
			o.redrive = 2 // it was redriven before
			o.take(campaign.StepWave, "later")
			o.stop(redrivable)
			o.minute()
			_, err := o.verb(event.VerbResumeCampaign)
			if redrivable != (err == nil) || !redrivable && !strings.Contains(err.Error(), "cannot go on: abort it") {
				t.Errorf("resumed: %v", err)
			}
			if done, err := o.verb(event.VerbAbort); err != nil || !done.Changed || done.State != campaign.Aborting {
				t.Fatalf("aborted: %+v, %v", done, err)
			}
			r, err := campaign.NewReport(t.Context(), o, o, o.load("c"))
			if err != nil || r.Gone == nil || r.Gone.Remedy != "it is about to end" {
				t.Errorf("%v: the report has %+v", err, r.Gone)
			}
			o.minute()
			if o.redrive++; !redrivable {
				o.redrive = 0
			}
			o.take(campaign.StepWave, "second")
			if a := o.answers["second"]; a.Next != campaign.NextAbort {
				t.Fatalf("the step was told %+v", a)
			}
			if !redrivable { // Step Functions does not show it for a moment
				o.executions[o.load("c").Execution] = campaign.Execution{Status: campaign.ExecutionMissing}
				o.minute()
				clear(o.executions)
				if len(o.started) != 2 {
					t.Fatalf("%d executions were started", len(o.started))
				}
			}
			o.now = o.now.Add(time.Second)
			o.take(campaign.StepClose, "third")
			for range 10 {
				o.minute()
			}
			if a := o.answers["third"]; a.Next != campaign.NextGo {
				t.Fatalf("it does not close: %+v", o.load("c"))
			}
			report := campaign.StepInput{Step: campaign.StepReport, Campaign: "c"}
			if _, err := o.machine().Take(t.Context(), report); err != nil {
				t.Fatal(err)
			}
			c := o.load("c")
			if c.State != campaign.Aborted || c.Gone != nil || redrivable != (o.redriven == 1) ||
				redrivable == strings.HasSuffix(c.Execution, "-again") {
				t.Errorf("%s by %s, redriven %d times: %+v", c.State, c.Execution, o.redriven, c.Gone)
			}
		})
	}
}

// TestWhoRedrivesByHimself finds the campaign as it was: paused if an operator paused it.
func TestWhoRedrivesByHimself(t *testing.T) {
	for _, paused := range []bool{false, true} {
		o := orphaned(t, campaign.StepWave, true)
		o.minute()
		for _, changed := range []bool{paused, false} {
			if !paused {
				break
			}
			if done, err := o.verb(event.VerbPauseCampaign); err != nil || done.Changed != changed {
				t.Fatalf("paused: %+v, %v", done, err)
			}
		}
		if err := o.Redrive(t.Context(), o.c.Execution); err != nil {
			t.Fatal(err)
		}
		o.minute()
		if c := o.load("c"); c.Gone != nil || (o.flag == event.ControlPaused) != paused {
			t.Errorf("paused %v: the flag is %s; %+v", paused, o.flag, c.Gone)
		}
	}
}

// TestAnAnswerThatTheExecutionDidNotHear is given again: to the state that it goes on in.
func TestAnAnswerThatTheExecutionDidNotHear(t *testing.T) {
	for step, verb := range map[campaign.Step]event.CampaignVerb{
		campaign.StepHold: event.VerbResumeCampaign, campaign.StepWave: event.VerbSkip,
		campaign.StepApproval: event.VerbDeny,
	} {
		o := orphaned(t, step, true)
		notices := len(o.notices)
		if step == campaign.StepWave {
			for o.load("c").Phase != campaign.Bake {
				delete(o.executions, o.c.Execution)
				o.minute()
			}
			o.stop(true)
		}
		if done, err := o.verb(verb); err != nil || !done.Changed { // before the clock has seen it
			t.Fatalf("%s: %+v, %v", verb, done, err)
		}
		said := o.answers["first"]
		for range 2 {
			o.minute()
		}
		if step != campaign.StepApproval {
			if _, err := o.verb(event.VerbResumeCampaign); err != nil {
				t.Fatal(err)
			}
			o.minute()
		}
		o.redrive++
		o.take(step, "second")
		if a := o.answers["second"]; a.Next != said.Next || len(o.notices) != notices || o.redriven != 1 {
			t.Errorf("%s: told %+v, first %+v; %d notices more, redriven %d times", step, a, said,
				len(o.notices)-notices, o.redriven)
		}
		if verb != event.VerbDeny && o.flag != event.ControlRunning {
			t.Errorf("%s: the flag is %s", step, o.flag)
		}
	}
}

// TestACampaignThatClosesGoesOnByItself: whoever stops its execution then wants its end.
func TestACampaignThatClosesGoesOnByItself(t *testing.T) {
	o := orphaned(t, campaign.StepClose, true)
	o.minute()
	if c := o.load("c"); o.redriven != 1 || o.flag == event.ControlPaused {
		t.Errorf("redriven %d times, flag %q: %+v", o.redriven, o.flag, c.Gone)
	}
	o.stop(true)
	for range 3 { // again, and not each minute
		o.minute()
	}
	if o.redriven > 2 {
		t.Errorf("redriven %d times", o.redriven)
	}
}

// TestAnAbortIsNotLostBetweenTwoSteps: it comes while a gate judges, which then asks.
func TestAnAbortIsNotLostBetweenTwoSteps(t *testing.T) {
	w := newWorld(t, 60)
	w.create(strings.Replace(three, "fall", "c", 1))
	o := &orphan{world: w}
	o.take(campaign.StepWave, "wave")
	c := w.load("c")
	c.Answer, c.Token, c.Answered = &campaign.Answer{Next: campaign.NextGo}, "", true
	if err := w.Save(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := o.verb(event.VerbAbort); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
	o.take(campaign.StepHold, "hold")
	if c := w.load("c"); c.State != campaign.Aborting || w.answers["hold"].Next != campaign.NextAbort {
		t.Errorf("%s, and told %+v", c.State, w.answers["hold"])
	}
}

// TestAnExecutionThatIsNotSeenYet is not gone.
func TestAnExecutionThatIsNotSeenYet(t *testing.T) {
	o := orphaned(t, campaign.StepWave, true)
	o.executions[o.c.Execution] = campaign.Execution{Status: campaign.ExecutionMissing}
	o.minute()
	if c := o.load("c"); c.Gone != nil || o.flag == event.ControlPaused {
		t.Errorf("gone after a minute: %+v", c.Gone)
	}
	o.now = o.now.Add(time.Hour)
	o.minute()
	if c := o.load("c"); c.Gone == nil || !c.Gone.Final {
		t.Errorf("not gone after an hour: %+v", c.Gone)
	}
}

// TestAHaltForAStepThatWasGivenUpSaysWhyInWords, and not with the document that Step Functions has of a function's
// error.
func TestAHaltForAStepThatWasGivenUpSaysWhyInWords(t *testing.T) {
	for why, want := range map[string]string{
		`Transient in Gate: {"errorMessage":"the table is away","errorType":"Transient"}`: "Transient in Gate: the " +
			"table is away",
		"States.Timeout in Wave: ":    "States.Timeout in Wave: ",
		`A.B in Gate: {"error": "x"}`: `A.B in Gate: {"error": "x"}`,
		"C in Gate: of a {kind":       "C in Gate: of a {kind",
	} {
		o := orphaned(t, campaign.StepWave, true)
		o.now = o.now.Add(time.Second)
		in := campaign.StepInput{Step: campaign.StepClose, Campaign: "c", Token: "close", Entered: o.now,
			Next: campaign.NextHalt, Why: why}
		if _, err := o.machine().Take(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if c := o.load("c"); c.Why != want || c.State != campaign.Halting {
			t.Errorf("%s: %q, want %q", c.State, c.Why, want)
		}
	}
}
