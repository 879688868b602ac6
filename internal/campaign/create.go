package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// PlanDocument and ReportDocument are names of documents in the manifest.
const (
	PlanDocument   = "plan.json"
	ReportDocument = "report.json"
)

// CreatorPorts are what a Creator needs.
type CreatorPorts struct {
	Store      Store
	Manifest   Manifest
	Fleet      Fleet
	Alarms     Alarms
	Executions Executions
	Forms      []event.Form
	// Images is the operation of a payload with images.
	Images event.Operation
	// Stack is whose documents are.
	Stack string
	Now   func() time.Time
}

// Creator makes campaigns.
type Creator struct{ CreatorPorts }

// Created is a campaign that was made, or is there, or only its plan.
type Created struct {
	Campaign  event.CampaignID `json:"campaignId"`
	State     State            `json:"state,omitempty"`
	Existed   bool             `json:"existed,omitempty"`
	Execution string           `json:"executionArn,omitempty"`
	Plan      *Plan            `json:"plan,omitempty"`
	// Searching is set where the targets are not all found yet: nothing was planned or made. The
	// same request goes on after it.
	Searching *Searching `json:"searching,omitempty"`
}

// Create checks a payload, plans, and makes the campaign that it asks for. The same request
// again answers the same, and makes nothing. With Plan nothing is made. Where the targets are
// not all found in one call, nothing is made either: the answer says so, and where to go on.
func (w *Creator) Create(ctx context.Context, ask event.CreateCampaignRequest, who string) (Created, error) {
	r, err := Parse(ask.Campaign, w.Forms, w.Images)
	if err != nil {
		return Created{}, err
	}
	if r.FourEyes && who == event.Nobody && !ask.Plan {
		return Created{}, fmt.Errorf("campaign.Create: approval.fourEyes: %w", ErrUnproved)
	}
	fail := func(id event.CampaignID, err error) (Created, error) {
		if problems, ok := errors.AsType[event.Problems](err); ok {
			return Created{}, problems
		}
		return Created{}, fmt.Errorf("campaign.Create: %s: %w", id, err)
	}
	find, err := newFinding(w, ask)
	if err != nil {
		return fail(r.Campaign, err)
	}
	if find.on() { // what else is to be seen was, and will be again
		found, err := find.more(ctx, r.Targets)
		if err != nil {
			return fail(find.ID, err)
		}
		return Created{Campaign: find.ID, Searching: found}, nil
	}
	documents, problems, err := w.documents(ctx, &r)
	if err != nil {
		return fail(r.Campaign, err)
	}
	hash, err := r.hash()
	if err != nil {
		return fail(r.Campaign, err)
	}
	id := r.id(hash)
	if len(problems) == 0 && !ask.Plan {
		switch c, err := w.Store.Load(ctx, id); {
		case err == nil:
			return w.existing(ctx, c, hash)
		case !errors.Is(err, ErrNotFound):
			return fail(id, err)
		}
	}
	notes, absent, err := w.alarms(ctx, r)
	if err != nil {
		return fail(id, err)
	}
	problems = append(problems, absent...)
	devices, searching, err := find.devices(ctx, id, r.Targets)
	if more, ok := errors.AsType[event.Problems](err); ok { // the plan would be wrong
		return Created{}, append(problems, more...).Sorted()
	}
	if err != nil {
		return fail(id, err)
	}
	if searching != nil {
		if len(problems) > 0 {
			return Created{}, problems.Sorted()
		}
		return Created{Campaign: id, Searching: searching}, nil
	}
	plan, late := NewPlan(r, id, devices, w.Now())
	if problems = append(problems, late...); len(problems) == 1 && plan.Total == 0 && problems[0].Path == "$.targets" {
		return fail(id, fmt.Errorf(`%w: %s; look at the targets, or ask for "allowEmpty": true`, ErrEmpty,
			plan.why(len(devices))))
	}
	if len(problems) > 0 {
		return Created{}, problems.Sorted()
	}
	plan.Notes = append(plan.Notes, notes...)
	text, err := json.Marshal(plan)
	if err != nil {
		return fail(id, err)
	}
	if err := w.Manifest.PutDocument(ctx, id, PlanDocument, text); err != nil {
		return fail(id, err)
	}
	if ask.Plan {
		return Created{Campaign: id, Plan: &plan}, nil
	}
	if err := w.manifest(ctx, id, plan); err != nil {
		return fail(id, err)
	}
	c := Campaign{
		ID: id, Hash: hash, State: Running, Request: r, Documents: documents, Created: w.Now(), By: who,
		Total: plan.Total, Shards: shards(plan.Total), Excluded: plan.NotEligible,
	}
	if plan.Stage != nil {
		c.Stage = &StageRun{PlannedStage: *plan.Stage}
	}
	for _, one := range plan.Waves {
		c.Waves = append(c.Waves, WaveRun{PlannedWave: one})
	}
	err = w.Store.Create(ctx, c)
	if errors.Is(err, ErrExists) { // made meanwhile
		if c, err = w.Store.Load(ctx, id); err == nil {
			return w.existing(ctx, c, hash)
		}
	}
	if err != nil {
		return fail(id, err)
	}
	c.Rev = 1
	out, err := w.start(ctx, c)
	if err != nil {
		return fail(id, err)
	}
	out.Plan = &plan
	return out, nil
}

// alarms sees whether the alarms of gates are there, and notes those that would halt at once. Gates
// of waves that have none of their own are told where they are written.
func (w *Creator) alarms(ctx context.Context, r Request) (notes []string, problems event.Problems, err error) {
	var names []string
	for _, one := range r.Waves {
		names = append(names, one.Gate.Alarms...)
	}
	found, err := watched(ctx, w.Alarms, names)
	if err != nil {
		return nil, nil, err
	}
	told := map[string]bool{}
	for _, one := range r.Waves {
		for i, name := range one.Gate.Alarms {
			a, ok := found[name]
			switch at := fmt.Sprintf("%s.alarms[%d]", one.Gate.at, i); {
			case told[at]:
			case !ok:
				problems = append(problems, event.Problem{Path: at, Value: name,
					Allowed: "an alarm of CloudWatch that there is in this account and Region"})
			case a.State == AlarmInAlarm:
				notes = append(notes, "alarm "+name+" is in ALARM now: it halts the campaign at once")
			}
			told[fmt.Sprintf("%s.alarms[%d]", one.Gate.at, i)] = true
		}
	}
	return notes, problems, nil
}

// existing answers a request whose id is taken. One that was not started yet is.
func (w *Creator) existing(ctx context.Context, c Campaign, hash string) (Created, error) {
	if c.Hash != hash {
		return Created{}, fmt.Errorf("campaign.Create: %s: %w", c.ID, ErrConflict)
	}
	out, err := w.start(ctx, c)
	out.Existed = true
	return out, err
}

func (w *Creator) start(ctx context.Context, c Campaign) (Created, error) {
	if c.Execution == "" && !c.State.Over() {
		arn, err := w.Executions.Start(ctx, c.input())
		if err != nil {
			return Created{}, err
		}
		c, err = change(ctx, w.Store, c.ID, func(c *Campaign) ([]Entry, error) {
			if c.Execution != "" {
				return nil, nil
			}
			c.Execution = arn
			return []Entry{{At: w.Now(), Verb: "create", Who: c.By, N: c.Total}}, nil
		})
		if err != nil {
			return Created{}, err
		}
	}
	return Created{Campaign: c.ID, State: c.State, Execution: c.Execution}, nil
}

// input is what an execution of the campaign begins with.
func (c Campaign) input() MachineInput {
	in := MachineInput{Campaign: c.ID, Stage: c.Stage != nil && len(c.Waves) > 0, Waves: []MachineWave{}}
	for _, one := range c.Waves {
		in.Waves = append(in.Waves, MachineWave{Name: one.Name, Approval: one.Approval})
	}
	return in
}

// manifest writes the parts of a plan. Writing them again replaces them by the same.
func (w *Creator) manifest(ctx context.Context, id event.CampaignID, p Plan) error {
	for wave, classes := range p.parts {
		for class, members := range classes {
			for number := 0; number*PartSize < len(members); number++ {
				end := min((number+1)*PartSize, len(members))
				at := Part{Campaign: id, Wave: wave, Class: class, Number: number}
				if err := w.Manifest.PutPart(ctx, at, members[number*PartSize:end]); err != nil {
					return fmt.Errorf("manifest: %w", err)
				}
			}
		}
	}
	return nil
}

// mostMinutes is the longest that one device may take: seven days, as in a job.
const mostMinutes = 7 * 24 * 60

// documents makes the document of each image: what its devices are asked.
func (w *Creator) documents(ctx context.Context, r *Request) (all []json.RawMessage, problems event.Problems,
	err error) {
	var form event.Form
	for _, f := range w.Forms {
		if f.Operation == r.Operation {
			form = f
		}
	}
	for i := range r.Images {
		image := &r.Images[i]
		in, more, err := form.Complete(ctx, image.Input)
		if err != nil {
			return nil, nil, err
		}
		image.Input = in
		problems = append(problems, more...)
		if len(more) > 0 {
			continue
		}
		document, more, err := w.document(form, *r, in)
		if err != nil {
			return nil, nil, err
		}
		problems = append(problems, more...)
		all = append(all, document)
	}
	return all, problems, nil
}

func (w *Creator) document(form event.Form, r Request, in event.Input) (json.RawMessage, event.Problems, error) {
	timeouts := map[string]int{}
	for _, own := range form.Timeouts {
		timeouts[own.Name] = own.Default
		if v, ok := r.Timeouts[own.Name]; ok {
			timeouts[own.Name] = v
		}
	}
	timeouts["jobMinutes"] = mostMinutes
	lay := func() (json.RawMessage, error) {
		m := map[string]any{"operation": form.Operation, "timeouts": timeouts}
		for name, v := range in.Members {
			m[name] = v
		}
		if w.Stack != "" {
			m["owner"] = w.Stack
		}
		return json.Marshal(m)
	}
	document, err := lay()
	if err != nil {
		return nil, nil, err
	}
	longest, err := form.Needs(document)
	if err != nil {
		return nil, nil, err
	}
	if minutes := int((longest + time.Minute - 1) / time.Minute); minutes > mostMinutes {
		return nil, event.Problems{{
			Path: "$.timeouts", Value: r.Timeouts,
			Allowed: fmt.Sprintf("times with which %s ends within %d minutes; with these%s it may take %d", form.One,
				mostMinutes, form.Beside, minutes),
		}}, nil
	}
	return document, nil, nil
}
