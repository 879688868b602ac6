package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Gone says how a campaign's execution ended before the campaign did: somebody has stopped it, it failed, or it ran
// into its deadline. Nobody takes the campaign's steps then.
type Gone struct {
	Status ExecutionStatus `json:"status"`
	At     time.Time       `json:"at,omitzero"`
	Why    string          `json:"why,omitempty"`   // its error and cause
	Final  bool            `json:"final,omitempty"` // it cannot be redriven any more
	// Paused says that the clock has paused the campaign for it, and Resumed that an operator wants it to go on.
	Paused  bool      `json:"paused,omitempty"`
	Resumed bool      `json:"resumed,omitempty"`
	Tried   time.Time `json:"tried,omitzero"` // when it was redriven last
}

// ExecutionStatus is Step Functions', or ExecutionMissing.
type ExecutionStatus string

// The statuses of an execution.
const (
	ExecutionRunning  ExecutionStatus = "RUNNING" // also one that is about to be redriven
	ExecutionStopped  ExecutionStatus = "ABORTED"
	ExecutionFailed   ExecutionStatus = "FAILED"
	ExecutionTimedOut ExecutionStatus = "TIMED_OUT"
	ExecutionMissing  ExecutionStatus = "MISSING" // there is none: Step Functions keeps them for 90 days
)

// Execution is how an execution stands.
type Execution struct {
	Status     ExecutionStatus
	Ended      time.Time
	Why        string // its error and cause
	Redrivable bool
}

const (
	// unseen is how long Step Functions may not show an execution: what it says of one is eventually consistent.
	unseen = 10 * time.Minute
	// redriveEvery is how often an execution is redriven that ends again.
	redriveEvery = 5 * time.Minute
)

// String is what happened to the execution.
func (g Gone) String() string {
	text := map[ExecutionStatus]string{
		ExecutionStopped: "its execution was stopped", ExecutionFailed: "its execution failed",
		ExecutionTimedOut: "its execution ran into its deadline",
		ExecutionMissing:  "its execution is not there any more",
	}[g.Status]
	if text == "" {
		text = "its execution is " + string(g.Status)
	}
	if !g.At.IsZero() {
		text += " at " + g.At.UTC().Format(time.RFC3339)
	}
	if g.Why != "" {
		text += " (" + g.Why + ")"
	}
	return text
}

// remedy is what an operator can do about it, in a state of the campaign.
func (g Gone) remedy(s State) string {
	switch {
	case s.ends():
		return "it is about to end"
	case g.Resumed:
		return "it is about to go on"
	case g.Final:
		return "it cannot go on: abort it, and create another for the same targets"
	}
	return "resume or abort it"
}

// ends reports whether the campaign was decided to end, one way or another, and has not yet.
func (s State) ends() bool { return s == Halting || s == Aborting || s == Finishing }

// look sees whether the execution is there that takes a campaign's steps. Without one the campaign is paused: devices
// would begin, and nobody would judge them. One that is to end, or that an operator has resumed, gets it back.
func (d *Driver) look(ctx context.Context, c Campaign) (Campaign, error) {
	if c.Execution == "" { // create is about to start it, or has failed and is to be repeated
		if c.State.ends() {
			return d.start(ctx, c)
		}
		return c, nil
	}
	x, err := d.Executions.Execution(ctx, c.Execution)
	switch {
	case err != nil:
		return c, err
	case x.Status == ExecutionRunning && c.Gone == nil,
		x.Status == ExecutionMissing && d.Now().Sub(c.Created) < unseen,
		x.Status == ExecutionMissing && d.Now().Sub(c.Restarted) < unseen:
		return c, nil
	case x.Status == ExecutionRunning:
		return d.back(ctx, c)
	}
	own, _, err := d.Flags.Flag(ctx, c.ID)
	if err != nil {
		return c, err
	}
	c, err = change(ctx, d.Store, c.ID, func(c *Campaign) ([]Entry, error) {
		if c.State.Over() {
			return nil, nil
		}
		c.still()
		if g := c.Gone; g != nil && g.Status == x.Status && g.At.Equal(x.Ended) {
			g.Final = !x.Redrivable
			return nil, nil
		}
		runs := own == "" || own == event.ControlRunning
		c.Gone = &Gone{Status: x.Status, At: x.Ended, Why: x.Why, Final: !x.Redrivable,
			Paused: runs && !c.State.ends()}
		return []Entry{{At: d.Now(), Verb: "execution " + strings.ToLower(string(x.Status)), Who: "campaign",
			Why: x.Why}}, nil
	})
	if err != nil || c.Gone == nil {
		return c, err
	}
	switch g := *c.Gone; {
	case c.State.ends() || g.Resumed && !g.Final:
		return d.revive(ctx, c)
	case g.Paused && own != event.ControlPaused:
		err := d.Flags.SetFlag(ctx, c.ID, event.ControlPaused, "campaign", g.String())
		if errors.Is(err, ErrOver) { // it was aborted: the record says so, or is about to
			return c, nil
		}
		return c, err
	}
	return c, nil
}

// still lets a minute pass of which the wave, its bake or the stage has nothing.
func (c *Campaign) still() {
	switch {
	case c.Phase == Staging:
		c.Stage.Idle += tick
	case c.Phase == Admit:
		c.wave().Idle += tick
	case c.Phase == Bake:
		c.wave().Still += tick
	}
}

// back is for an execution that goes on: it was redriven.
func (d *Driver) back(ctx context.Context, c Campaign) (Campaign, error) {
	if g := c.Gone; g.Paused && !g.Resumed && !c.State.ends() {
		err := d.Flags.SetFlag(ctx, c.ID, event.ControlRunning, "campaign", "its execution goes on")
		if err != nil && !errors.Is(err, ErrOver) {
			return c, err
		}
	}
	return change(ctx, d.Store, c.ID, func(c *Campaign) ([]Entry, error) {
		if c.Gone == nil {
			return nil, nil
		}
		c.Gone = nil
		return []Entry{{At: d.Now(), Verb: "execution running", Who: "campaign"}}, nil
	})
}

// revive redrives an execution, or starts another one where that is not possible any more.
func (d *Driver) revive(ctx context.Context, c Campaign) (Campaign, error) {
	if c.Gone.Final {
		return d.start(ctx, c)
	}
	if d.Now().Sub(c.Gone.Tried) < redriveEvery {
		return c, nil
	}
	err := d.Executions.Redrive(ctx, c.Execution)
	if err != nil && !errors.Is(err, ErrNotRedrivable) { // the next minute sees why it is not
		return c, err
	}
	return change(ctx, d.Store, c.ID, func(c *Campaign) ([]Entry, error) {
		if c.Gone != nil {
			c.Gone.Tried = d.Now()
		}
		return nil, nil
	})
}

// start starts an execution for a campaign that has none any more, or that never had one, and is to end: whatever it
// begins with, it is told to end (Machine.wait).
func (d *Driver) start(ctx context.Context, c Campaign) (Campaign, error) {
	was := c.Execution
	// What the one before has registered last would be later than all that this one registers, if it was redriven.
	_, err := change(ctx, d.Store, c.ID, func(c *Campaign) ([]Entry, error) {
		c.Turn, c.Token = nil, ""
		return nil, nil
	})
	if err != nil {
		return c, err
	}
	in := c.input()
	in.After = was
	arn, err := d.Executions.Start(ctx, in)
	if err != nil {
		return c, fmt.Errorf("another execution: %w", err)
	}
	return change(ctx, d.Store, c.ID, func(c *Campaign) ([]Entry, error) {
		if c.Execution != was {
			return nil, nil
		}
		c.Execution, c.Restarted, c.Gone = arn, d.Now(), nil
		return []Entry{{At: d.Now(), Verb: "another execution", Who: "campaign"}}, nil
	})
}
