package campaign

import (
	"context"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Report is what is said of a campaign, on its way and at its end.
type Report struct {
	Campaign    event.CampaignID `json:"campaignId"`
	State       State            `json:"state"`
	Why         string           `json:"why,omitempty"`
	HaltedIn    string           `json:"haltedIn,omitempty"`
	Paused      bool             `json:"paused,omitempty"`
	Opens       *time.Time       `json:"opens,omitempty"` // when somebody may begin, if nobody may now
	Phase       Phase            `json:"phase,omitempty"` // what it waits for
	Wave        string           `json:"wave,omitempty"`  // the current one
	Created     time.Time        `json:"created"`
	By          string           `json:"by"`
	Ended       *time.Time       `json:"ended,omitempty"`
	Execution   string           `json:"executionArn,omitempty"`
	Gone        *GoneReport      `json:"executionEnded,omitempty"` // before the campaign did
	Devices     Numbers          `json:"devices"`
	Budget      *Budget          `json:"budget,omitempty"`
	NotEligible map[string]int   `json:"notEligible,omitempty"`
	Stage       *StageReport     `json:"stage,omitempty"`
	Waves       []WaveReport     `json:"waves"`
	Log         []Entry          `json:"log,omitempty"`
	// LeftOver are devices that never came to an end of their own: the target of the next
	// campaign. Of many, the first.
	LeftOver []event.ThingName `json:"leftOver,omitempty"`
}

// GoneReport is how a campaign's execution ended, and what is to be done.
type GoneReport struct {
	Gone
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// Budget is how many devices of a campaign may be in danger, and how many are.
type Budget struct {
	Most     int `json:"most"`
	InDanger int `json:"inDanger"`
}

// StageReport is the stage, planned against actual.
type StageReport struct {
	Planned  int        `json:"planned"`
	Admitted int        `json:"admitted"`
	Late     bool       `json:"late,omitempty"`
	Skipped  bool       `json:"skipped,omitempty"`
	Began    *time.Time `json:"began,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
}

// WaveReport is a wave, planned against actual.
type WaveReport struct {
	Name     string     `json:"name"`
	Planned  int        `json:"planned"`
	Needs    int        `json:"needs"`
	Admitted int        `json:"admitted"`
	Devices  Numbers    `json:"devices"`
	Gate     *Verdict   `json:"gate,omitempty"`
	First    []Offender `json:"first,omitempty"`
	Cut      string     `json:"cut,omitempty"`
	Late     bool       `json:"late,omitempty"`
	Began    *time.Time `json:"began,omitempty"`
	Baking   *time.Time `json:"baking,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	Approved *Entry     `json:"approved,omitempty"`
	Skipped  bool       `json:"skipped,omitempty"` // its bake
}

// NewReport says how a campaign stands. What is left over is read from the report that was written at its end.
func NewReport(ctx context.Context, manifest Manifest, counts Counts, c Campaign) (Report, error) {
	r, err := newReport(ctx, counts, c)
	if err == nil && c.State.Over() {
		r.LeftOver, err = reported(ctx, manifest, c.ID)
	}
	return r, err
}

func newReport(ctx context.Context, counts Counts, c Campaign) (Report, error) {
	all, err := counts.Counts(ctx, c.ID, c.Shards)
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Campaign: c.ID, State: c.State, Why: c.Why, HaltedIn: c.HaltedIn, Phase: c.Phase, Created: c.Created, By: c.By,
		Ended: moment(c.Ended), Execution: c.Execution, Devices: NumbersOf(all.Tally, -1, c.Total),
		NotEligible: c.Excluded, Waves: []WaveReport{}, Wave: c.Summary().Wave,
	}
	if c.Gone != nil {
		r.Gone = &GoneReport{Gone: *c.Gone, Text: c.Gone.String(), Remedy: c.Gone.remedy(c.State)}
	}
	if most := c.Request.Budget; most > 0 {
		n, err := counts.InDanger(ctx, c.ID, c.Request.shares())
		if err != nil {
			return Report{}, err
		}
		r.Budget = &Budget{Most: most, InDanger: n}
	}
	if s := c.Stage; s != nil {
		r.Stage = &StageReport{Planned: c.Total, Admitted: s.Admitted, Late: s.Late, Skipped: s.Skipped,
			Began: moment(s.Began), Ended: moment(s.Ended)}
	}
	for i, w := range c.Waves {
		r.Waves = append(r.Waves, WaveReport{
			Name: w.Name, Planned: w.Size, Needs: w.Needs, Admitted: w.Admitted,
			Devices: NumbersOf(all.Tally, i, w.Size), Gate: w.Verdict, First: w.First, Cut: w.Cut, Late: w.Late,
			Began: moment(w.Began), Baking: moment(w.Baking), Ended: moment(w.Ended), Approved: w.Approved,
			Skipped: w.Skipped,
		})
	}
	return r, nil
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
