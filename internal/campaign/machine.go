package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Step is a state of statemachines/firmware-campaign.asl.json that calls a function.
type Step string

// The steps. Those that wait have a task token.
const (
	StepStage    Step = "STAGE"    // waits
	StepApproval Step = "APPROVAL" // waits
	StepWave     Step = "WAVE"     // waits
	StepGate     Step = "GATE"
	StepHold     Step = "HOLD"  // waits
	StepClose    Step = "CLOSE" // waits
	StepReport   Step = "REPORT"
)

// MachineInput is the input of an execution: what its Choices need.
type MachineInput struct {
	Campaign event.CampaignID `json:"campaignId"`
	Stage    bool             `json:"stage,omitempty"`
	Waves    []MachineWave    `json:"waves"`
	// After is the ARN of the execution of the same campaign whose place this one takes.
	After string `json:"-"`
}

// MachineWave is a wave in it.
type MachineWave struct {
	Name     string `json:"name"`
	Approval bool   `json:"approval"`
}

// StepInput is what a state hands to its function.
type StepInput struct {
	Step     Step             `json:"step"`
	Campaign event.CampaignID `json:"campaignId"`
	Wave     int              `json:"wave"`
	Token    event.TaskToken  `json:"taskToken,omitempty"`
	Next     string           `json:"next,omitempty"` // with CLOSE: what it was told before
	Why      string           `json:"why,omitempty"`  // with CLOSE: why
	// Entered is when the state was entered, and Retry how often it was retried since, of one that waits. Executions
	// that began before these were told have neither.
	Entered time.Time `json:"entered,omitzero"`
	Retry   int       `json:"retry,omitempty"`
	// Redrive is how often the execution was redriven: its state is tried again then, and was entered when it was.
	Redrive int `json:"redrive,omitempty"`
}

// Turn is which of its steps, and which attempt of it, the execution has registered last.
type Turn struct {
	Step    Step      `json:"step"`
	Wave    int       `json:"wave"`
	Entered time.Time `json:"entered"`
	Retry   int       `json:"retry,omitempty"`
	Redrive int       `json:"redrive,omitempty"`
}

func (in StepInput) turn() Turn { return Turn{in.Step, in.Wave, in.Entered, in.Retry, in.Redrive} }

// past reports whether the execution has come further than an invocation that comes late: another attempt of the
// state, or another state, has registered since. Or it has registered this very attempt; its token may be answered.
func (c *Campaign) past(in StepInput) (over, same bool) {
	last := c.Turn
	if last == nil || in.Entered.IsZero() {
		return false, c.Token == string(in.Token)
	}
	switch {
	case in.Redrive != last.Redrive:
		return in.Redrive < last.Redrive, false
	case !in.Entered.Equal(last.Entered):
		return in.Entered.Before(last.Entered), false
	case in.Step != last.Step || in.Wave != last.Wave: // entered in the same millisecond
		return false, false
	}
	return in.Retry < last.Retry, in.Retry == last.Retry
}

// StepAnswer is a function's answer. A state that waits does not look at it.
type StepAnswer struct {
	Next string `json:"next"` // of REPORT: the State
	Why  string `json:"why,omitempty"`
}

// MachinePorts are what a Machine needs.
type MachinePorts struct {
	Store    Store
	Manifest Manifest
	Counts   Counts
	Flags    Flags
	Alarms   Alarms
	Callback Callback
	Bulletin Bulletin
	Now      func() time.Time
}

// Machine takes the steps of a campaign's execution.
type Machine struct{ MachinePorts }

// ErrStep: the state machine hands over what cannot be.
type stepError struct{ in StepInput }

func (e stepError) Error() string {
	return fmt.Sprintf("step %s of wave %d: there is no such step, or wave", e.in.Step, e.in.Wave)
}

// Take takes a step. One that waits is registered in the record, and answered later; twice
// is once.
func (m *Machine) Take(ctx context.Context, in StepInput) (StepAnswer, error) {
	fail := func(err error) (StepAnswer, error) {
		return StepAnswer{}, fmt.Errorf("campaign.Take: %s, step %s: %w", in.Campaign, in.Step, err)
	}
	var err error
	var answer StepAnswer
	switch in.Step {
	case StepStage:
		err = m.wait(ctx, in, Staging)
	case StepApproval:
		err = m.wait(ctx, in, Approval)
	case StepWave:
		err = m.wait(ctx, in, Admit)
	case StepHold:
		err = m.wait(ctx, in, Hold)
	case StepClose:
		err = m.wait(ctx, in, Close)
	case StepGate:
		answer, err = m.gate(ctx, in)
	case StepReport:
		answer, err = m.report(ctx, in)
	default:
		err = stepError{in}
	}
	if err != nil {
		return fail(err)
	}
	return answer, nil
}

// wait registers a step that waits.
func (m *Machine) wait(ctx context.Context, in StepInput, phase Phase) error {
	if phase == Hold {
		if err := m.hold(ctx, in); err != nil {
			return err
		}
	}
	late, repeated, unheard := false, false, false
	var staged event.Counts // before a wave of what is staged
	if phase == Admit {
		c, err := m.Store.Load(ctx, in.Campaign)
		if err == nil && c.Stage != nil && c.Token != string(in.Token) {
			staged, err = m.Counts.Counts(ctx, c.ID, c.Shards)
		}
		if err != nil {
			return err
		}
	}
	c, err := change(ctx, m.Store, in.Campaign, func(c *Campaign) ([]Entry, error) {
		if in.Wave < 0 || in.Wave >= len(c.Waves) && phase != Close {
			return nil, stepError{in}
		}
		if late, repeated = c.past(in); late || repeated {
			return nil, nil
		}
		// Its execution ended before it heard the answer, or the attempt did that was to hear it.
		last := c.Turn
		unheard = last != nil && c.Answer != nil && last.Step == in.Step && last.Wave == in.Wave
		if !in.Entered.IsZero() {
			turn := in.turn()
			c.Turn = &turn
		}
		c.Token, c.Answered = string(in.Token), false
		if c.Gone != nil && (c.State.ends() || c.Gone.Resumed) {
			c.Gone = nil // here it is. Whoever redrives it by himself finds it paused until the clock sees that.
		}
		if c.State.ends() && phase != Close {
			// It was decided meanwhile, or is an execution that takes the place of another.
			next := NextAbort
			if c.State == Finishing {
				next = NextClose
			}
			c.Answer = &Answer{Next: next, Why: c.Why}
			return nil, nil
		}
		if c.Phase, c.Skip = phase, false; unheard {
			return nil, nil
		}
		c.Answer = nil
		now := m.Now()
		switch phase {
		case Staging:
			if c.Stage == nil {
				return nil, stepError{in}
			}
			if c.Stage.Began.IsZero() {
				c.Stage.Began = now
				for _, w := range c.Waves {
					c.Stage.Cursors = append(c.Stage.Cursors, make([]int, len(w.Classes)))
				}
			}
		case Approval:
			c.Current = in.Wave
			if c.wave().Approved != nil { // the execution was redriven: nobody heard it
				c.answer(Answer{Next: NextGo})
			}
		case Admit:
			c.Current = in.Wave
			w := c.wave()
			if w.Began.IsZero() {
				w.Began, w.Cursors = now, make([]int, len(w.Classes))
				// They were of the wave before. Those of the stage have not halted it, and count in
				// the share.
				c.Acknowledged = failures(staged.Tally, in.Wave)
			}
		case Hold:
			c.State = Held
		case Close:
			c.close(in.Next)
			if c.Closing.IsZero() {
				c.Closing = now
			}
			if c.Why == "" && c.State != Finishing {
				c.Why = Plain(in.Why)
			}
		}
		return nil, nil
	})
	if err != nil || late || repeated && c.Answered { // what follows was done, and is over
		return err
	}
	switch phase {
	case Approval, Hold:
		kind := NoticeApproval
		if phase == Hold {
			kind = NoticeHeld
		}
		if !repeated && c.Answer == nil {
			if err := m.announce(ctx, c, kind); err != nil {
				return err
			}
		}
	case Close:
		// What has not begun, and what has and is at no command yet, goes no further.
		if c.State != Finishing {
			err := m.Flags.SetFlag(ctx, c.ID, event.ControlStopped, "campaign", c.Why)
			if err != nil {
				return err
			}
		}
		// A device that does not come back keeps it from its end for an hour, or for days.
		if c.State == Halting && c.Told.IsZero() {
			if c, err = m.tell(ctx, c); err != nil {
				return err
			}
		}
	}
	return respond(ctx, m.Store, m.Callback, c)
}

// tell tells people that a campaign has halted, and notes that it has: the step may be taken again.
func (m *Machine) tell(ctx context.Context, c Campaign) (Campaign, error) {
	if err := m.announce(ctx, c, NoticeHalting); err != nil {
		return c, err
	}
	return change(ctx, m.Store, c.ID, func(c *Campaign) ([]Entry, error) {
		if c.Told.IsZero() {
			c.Told = m.Now()
		}
		return nil, nil
	})
}

// Plain has a text that ends with the cause of a failed task say it in words. Of a function's error Step Functions has
// a document (Lambda developer guide, "Lambda function errors": errorMessage, errorType).
func Plain(text string) string {
	at := strings.Index(text, "{")
	if at < 0 {
		return text
	}
	var cause struct {
		ErrorMessage string `json:"errorMessage"`
	}
	if err := json.Unmarshal([]byte(text[at:]), &cause); err != nil || cause.ErrorMessage == "" {
		return text
	}
	return text[:at] + cause.ErrorMessage
}

// hold pauses a campaign before it asks whether to go on: whoever hears of it may answer at once, and the answer
// lifts the flag.
func (m *Machine) hold(ctx context.Context, in StepInput) error {
	c, err := m.Store.Load(ctx, in.Campaign)
	if err != nil {
		return err
	}
	if late, repeated := c.past(in); late || repeated || c.State.ends() {
		return nil
	}
	if last := c.Turn; last != nil && last.Step == in.Step && last.Wave == in.Wave && c.Answer != nil {
		return nil // it was resumed, and its execution did not hear it
	}
	err = m.Flags.SetFlag(ctx, c.ID, event.ControlPaused, "campaign", "it asks whether to go on: "+c.Why)
	if errors.Is(err, ErrOver) { // it was aborted: the record says so
		return nil
	}
	return err
}

// failures are those of a wave, by name; nil if there are none.
func failures(t event.Tally, wave int) map[event.ErrorName]int {
	return NumbersOf(t, wave, 0).Failed
}

// close is how a campaign comes to its end, by what it was told.
func (c *Campaign) close(next string) {
	switch {
	case c.State == Aborting || c.State == Halting:
	case next == NextHalt:
		c.State = Halting
	case next == NextAbort:
		c.State = Aborting
	default:
		c.State = Finishing
	}
}

// respond tells the step that waits, if there is an answer to it. It was decided, and
// stored, before: telling it again does no harm.
func respond(ctx context.Context, s Store, cb Callback, c Campaign) error {
	if c.Answer == nil || c.Token == "" || c.Answered {
		return nil
	}
	token := c.Token
	if err := cb.Succeed(ctx, event.TaskToken(token), c.Answer); err != nil {
		return fmt.Errorf("campaign %s: answer to %s: %w", c.ID, c.Phase, err)
	}
	_, err := change(ctx, s, c.ID, func(c *Campaign) ([]Entry, error) {
		if c.Token == token {
			c.Token, c.Answered = "", true
		}
		return nil, nil
	})
	return err
}

// gateVerb begins the entry of a gate, before its outcome.
const gateVerb = "gate "

// gate judges a wave, once.
func (m *Machine) gate(ctx context.Context, in StepInput) (StepAnswer, error) {
	c, err := m.Store.Load(ctx, in.Campaign)
	if err != nil {
		return StepAnswer{}, err
	}
	if in.Wave < 0 || in.Wave >= len(c.Waves) {
		return StepAnswer{}, stepError{in}
	}
	if v := c.Waves[in.Wave].Verdict; v == nil {
		counts, err := m.Counts.Counts(ctx, c.ID, c.Shards)
		if err != nil {
			return StepAnswer{}, err
		}
		w := c.Waves[in.Wave]
		numbers := NumbersOf(counts.Tally, in.Wave, w.Size)
		seen := numbers.Sample()
		if seen.Alarms, err = watched(ctx, m.Alarms, w.Gate.Alarms); err != nil {
			return StepAnswer{}, err
		}
		verdict := w.Gate.Judge(seen, c.Acknowledged)
		var first []Offender
		if numbers.Failures() > 0 {
			if first, err = offenders(ctx, m.Counts, c, in.Wave); err != nil {
				return StepAnswer{}, err
			}
		}
		c, err = change(ctx, m.Store, in.Campaign, func(c *Campaign) ([]Entry, error) {
			w := &c.Waves[in.Wave]
			if w.Verdict != nil {
				return nil, nil
			}
			w.Verdict, w.First = &verdict, first
			if w.Ended.IsZero() {
				w.Ended = m.Now()
			}
			last := in.Wave == len(c.Waves)-1
			if verdict.Outcome == Fail || verdict.Outcome == Inconclusive && !last {
				c.Why = fmt.Sprintf("wave %s: %s", w.Name, verdict.Why)
			}
			if verdict.Outcome == Fail {
				c.HaltedIn = w.Name
			}
			return []Entry{{At: m.Now(), Verb: gateVerb + string(verdict.Outcome), Who: "campaign", Why: verdict.Why,
				Wave: w.Name, N: verdict.N}}, nil
		})
		if err != nil {
			return StepAnswer{}, err
		}
	}
	last := in.Wave == len(c.Waves)-1
	v := c.Waves[in.Wave].Verdict
	switch {
	case v.Outcome == Fail:
		return StepAnswer{Next: NextHalt, Why: v.Why}, nil
	case last:
		return StepAnswer{Next: NextClose, Why: v.Why}, nil
	case v.Outcome == Inconclusive:
		return StepAnswer{Next: NextHold, Why: v.Why}, nil
	}
	return StepAnswer{Next: NextGo, Why: v.Why}, nil
}

// mostOffenders is how many devices that failed are named.
const mostOffenders = 10

// walk reads the devices of a wave in order that nobody was asked to begin, as far as the record says, until f says
// that it has enough: a part of them at a time. Those before the cursors stand somewhere; of those after it some may
// as well, since a cursor moves when they are admitted.
func walk(ctx context.Context, manifest Manifest, c Campaign, wave int, f func([]Member) (more bool, err error),
) error {
	for class, k := range c.Waves[wave].Classes {
		passed := c.passed(wave, class)
		for number := passed / PartSize; max(passed, number*PartSize) < k.Count; number++ {
			members, err := manifest.Part(ctx, Part{Campaign: c.ID, Wave: wave, Class: class, Number: number})
			if err != nil {
				return fmt.Errorf("manifest of wave %d: %w", wave, err)
			}
			members = members[min(max(passed-number*PartSize, 0), len(members)):]
			if more, err := f(members); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// passed is how many devices of a class of a wave were asked to begin, or to download.
func (c Campaign) passed(wave, class int) (n int) {
	if at := c.Waves[wave].Cursors; class < len(at) {
		n = at[class]
	}
	if c.Stage != nil && wave < len(c.Stage.Cursors) {
		n = max(n, c.Stage.Cursors[wave][class])
	}
	return n
}

// report ends a campaign: its report is there before anybody reads that it is over.
func (m *Machine) report(ctx context.Context, in StepInput) (StepAnswer, error) {
	var c Campaign
	err := ErrChanged
	for i := 0; errors.Is(err, ErrChanged) && i < changeAttempts; i++ {
		c, err = m.end(ctx, in.Campaign)
	}
	if err != nil {
		return StepAnswer{}, err
	}
	kinds := map[State]string{Completed: NoticeCompleted, Halted: NoticeHalted, Aborted: NoticeAborted}
	if err := m.announce(ctx, c, kinds[c.State]); err != nil {
		return StepAnswer{}, err
	}
	return StepAnswer{Next: string(c.State), Why: c.Why}, nil
}

// end writes the report of a campaign, and that it is over; ErrChanged if it is to end otherwise than
// was reported.
func (m *Machine) end(ctx context.Context, id event.CampaignID) (Campaign, error) {
	c, err := m.Store.Load(ctx, id)
	if err != nil {
		return c, err
	}
	reported := c.over(m.Now())
	report, err := newReport(ctx, m.Counts, reported)
	if err == nil {
		report.LeftOver, err = leftOver(ctx, m.Manifest, m.Counts, reported, report.Devices)
	}
	if err != nil {
		return c, err
	}
	b, err := json.Marshal(report)
	if err != nil {
		return c, err
	}
	if err := m.Manifest.PutDocument(ctx, c.ID, ReportDocument, b); err != nil {
		return c, err
	}
	return change(ctx, m.Store, id, func(c *Campaign) ([]Entry, error) {
		if c.State.Over() {
			return nil, nil
		}
		if *c = c.over(reported.Ended); c.State != reported.State || c.Why != reported.Why {
			return nil, ErrChanged
		}
		return []Entry{{At: m.Now(), Verb: string(c.State), Who: "campaign", Why: c.Why}}, nil
	})
}

// over is the campaign as it ends.
func (c Campaign) over(now time.Time) Campaign {
	switch c.State {
	case Completed, Halted, Aborted:
		return c
	case Halting:
		c.State = Halted
	case Aborting:
		c.State = Aborted
	default:
		c.State = Completed
	}
	c.Ended, c.Phase, c.Token, c.Gone = now, "", "", nil
	return c
}

func (m *Machine) announce(ctx context.Context, c Campaign, kind string) error {
	counts, err := m.Counts.Counts(ctx, c.ID, c.Shards)
	if err != nil {
		return err
	}
	n := Notice{
		Event: kind, Campaign: c.ID, Why: c.Why, Devices: NumbersOf(counts.Tally, -1, c.Total), At: m.Now(),
	}
	if c.Current < len(c.Waves) {
		w := c.wave()
		n.Wave, n.Verdict, n.First = w.Name, w.Verdict, w.First
		if kind == NoticeApproval && c.Current > 0 {
			n.Verdict = c.Waves[c.Current-1].Verdict
		}
	}
	halt := kind == NoticeHalting || kind == NoticeHalted
	if halt && c.Stage != nil && c.HaltedIn == stageName && n.Verdict == nil {
		n.Wave = stageName
		if n.First, err = offenders(ctx, m.Counts, c, -1); err != nil {
			return err
		}
	}
	return m.Bulletin.Announce(ctx, n)
}
