package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// ErrConflict: there is a job of this id with another content.
var ErrConflict = errors.New("there is a job of this id that is not the one asked for; choose another jobId")

// ErrEmpty: the job would be done with nothing.
var ErrEmpty = errors.New("no device is in the target now, and a SNAPSHOT takes no later ones;" +
	` look at the target, or ask for "targetSelection": "CONTINUOUS", or for "allowEmpty": true`)

// Errors of the ports.
var (
	ErrExists   = errors.New("the job exists")
	ErrNotFound = errors.New("not found")
	// ErrUnfit: AWS IoT does not take such a job.
	ErrUnfit = errors.New("AWS IoT refuses the job")
)

// Template is what the job template says: defaults, and the frame of documents.
type Template struct {
	Document   json.RawMessage // an object, or empty
	JobMinutes int             // 0 is not set
	Rollout    *Rollout
	Abort      *Abort
	Retry      *Retry
}

// Job is one about to be created.
type Job struct {
	JobID       event.JobID
	Description string
	Document    json.RawMessage
	Tags        map[string]string
	Request     Request // with the template's defaults
}

// Existing is a job that is there.
type Existing struct{ ARN, Description, Status string }

// Account is where jobs, their template and their targets are.
type Account interface {
	// Template reads the job template.
	Template(ctx context.Context) (Template, error)
	// Create creates a job and returns its ARN; ErrExists if its id is taken,
	// ErrUnfit if it is not fit to be one.
	Create(ctx context.Context, j Job) (arn string, err error)
	// Describe finds a job; ErrNotFound.
	Describe(ctx context.Context, id event.JobID) (Existing, error)
	// TargetExists reports whether a thing or thing group is there.
	TargetExists(ctx context.Context, arn string) (bool, error)
	// Things counts the things of a target that is there, but only to most.
	Things(ctx context.Context, arn string, most int) (int, error)
}

// Creator creates jobs.
type Creator struct {
	Jobs Account
	// Forms are the operations that a job can have. A payload that names none is for
	// the first that can be asked for so.
	Forms []event.Form
	// Owner is the stack. Job documents name it, so that of several stacks in an
	// account each does its own jobs.
	Owner string
	// Tags are those of every job, for whoever counts costs.
	Tags map[string]string
}

// Create checks a payload and makes the job that it asks for. Doing it again with
// the same payload answers the same, but for what has become of the job, and makes
// nothing.
func (c *Creator) Create(ctx context.Context, payload []byte) (Created, error) {
	req, err := Parse(payload, c.Forms)
	if err != nil {
		return Created{}, err
	}
	id := req.DerivedJobID()
	fail := func(err error) (Created, error) {
		if problems, ok := errors.AsType[event.Problems](err); ok {
			return Created{}, problems
		}
		return Created{}, fmt.Errorf("jobs.Create: job %s: %w", id, err)
	}
	in, problems, err := req.form.Complete(ctx, req.Input)
	if err != nil {
		return fail(err)
	}
	req.Input = in
	more, err := c.targets(ctx, req.Targets)
	if err != nil {
		return fail(err)
	}
	problems = append(problems, more...)
	description := describe(req)
	t, err := c.Jobs.Template(ctx)
	if err != nil {
		return fail(fmt.Errorf("job template: %w", err))
	}
	given := req.Timeouts.JobMinutes
	if err := underlay(&req, t); err != nil {
		return fail(fmt.Errorf("job template: %w", err))
	}
	document, late, err := c.document(&req, t, given)
	if err != nil {
		return fail(err)
	}
	if problems = append(problems, late...); len(problems) > 0 {
		return Created{}, problems.Sorted()
	}
	out := Created{JobID: id, Targets: req.Targets, Details: req.Input.Details}
	if req.named {
		out.Operation = req.form.Operation
	}
	// A job that is there is found before its target is counted: a device that is
	// done leaves a dynamic group, and the same request is to have its answer also
	// when none is left.
	there, err := c.Jobs.Describe(ctx, id)
	if err == nil {
		return existed(out, there, description)
	}
	if !errors.Is(err, ErrNotFound) {
		return fail(err)
	}
	if err := c.count(ctx, &req, t); err != nil {
		return fail(err)
	}
	out.JobARN, err = c.Jobs.Create(ctx, Job{
		JobID: id, Description: description, Document: document, Tags: c.Tags, Request: req,
	})
	switch {
	case errors.Is(err, ErrExists): // made meanwhile
		if there, err = c.Jobs.Describe(ctx, id); err != nil {
			return fail(err)
		}
		return existed(out, there, description)
	case errors.Is(err, ErrUnfit):
		return Created{}, event.Problems{{Path: "$", Allowed: err.Error()}}
	case err != nil:
		return fail(err)
	}
	return out, nil
}

// existed answers a request whose job id is taken.
func existed(out Created, there Existing, description string) (Created, error) {
	if there.Description != description {
		return Created{}, fmt.Errorf("jobs.Create: job %s (%s): %w", out.JobID, there.Description, ErrConflict)
	}
	out.JobARN, out.Existed, out.Status = there.ARN, true, there.Status
	return out, nil
}

// describe is the job's description. It carries a hash of the request and of what was
// found for it, by which the same request is known again.
func describe(req Request) string {
	sum := sha256.Sum256(req.canonical())
	return fmt.Sprintf("%s (Fleetstep request %s)", req.Input.Title, hex.EncodeToString(sum[:16]))
}

// defaultMinutes is a job's time where neither payload nor job template sets AWS IoT's
// in-progress timer.
const defaultMinutes = 24 * 60

// underlay fills in from the template what the request leaves open.
func underlay(req *Request, t Template) error {
	if req.Rollout == nil {
		req.Rollout = t.Rollout
	}
	if req.Abort == nil {
		req.Abort = t.Abort
	}
	if req.Retry == nil {
		req.Retry = t.Retry
	}
	var frame struct {
		Timeouts map[string]json.RawMessage `json:"timeouts"`
	}
	if len(t.Document) > 0 {
		if err := json.Unmarshal(t.Document, &frame); err != nil {
			return fmt.Errorf("its document: %w", err)
		}
	}
	// fill sets what is not set: from the template, or to what the operation says.
	fill := func(v *int, name string, otherwise int) error {
		if *v != 0 {
			return nil
		}
		if text, ok := frame.Timeouts[name]; ok {
			if err := json.Unmarshal(text, v); err != nil {
				return fmt.Errorf("its document: timeouts.%s: %w", name, err)
			}
		}
		if *v == 0 {
			*v = otherwise
		}
		return nil
	}
	if req.Timeouts.JobMinutes == 0 {
		req.Timeouts.JobMinutes = t.JobMinutes
	}
	if err := fill(&req.Timeouts.JobMinutes, "jobMinutes", defaultMinutes); err != nil {
		return err
	}
	for i, own := range req.form.Timeouts {
		if err := fill(&req.Timeouts.Own[i].For, own.Name, own.Default); err != nil {
			return err
		}
	}
	return nil
}

// mostMinutes is the longest in-progress timer that AWS IoT has, seven days.
const mostMinutes = 7 * 24 * 60

// document makes the job document, the template's with our members laid over it,
// and fits the job's time, of which the request said given, to what the operation may
// take at the longest. A job whose timer ran out first would be over while its
// devices are still at work.
func (c *Creator) document(req *Request, t Template, given int) (json.RawMessage, event.Problems, error) {
	frame := map[string]json.RawMessage{}
	if len(t.Document) > 0 {
		if err := json.Unmarshal(t.Document, &frame); err != nil {
			return nil, nil, fmt.Errorf("job template: its document is no JSON object: %w", err)
		}
	}
	lay := func() (json.RawMessage, error) {
		members := map[string]any{"operation": req.form.Operation, "timeouts": req.Timeouts}
		for name, v := range req.Input.Members {
			members[name] = v
		}
		if c.Owner != "" {
			members["owner"] = c.Owner
		}
		for name, v := range members {
			b, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			frame[name] = b
		}
		return json.Marshal(frame)
	}
	document, err := lay()
	if err != nil {
		return nil, nil, err
	}
	// The flow's own arithmetic: for the upgrade flow/upgrade/deadline.go, held by functions/deadline_test.go.
	longest, err := req.form.Needs(document)
	if err != nil {
		return nil, nil, err
	}
	needs := int((longest + time.Minute - 1) / time.Minute)
	one, beside := req.form.One, req.form.Beside
	switch {
	case needs > mostMinutes:
		return nil, event.Problems{{
			Path: "$.timeouts", Value: req.Timeouts,
			Allowed: fmt.Sprintf("times with which %s ends within %d minutes, AWS IoT's longest; with these%s it may"+
				" take %d minutes, %d too many", one, mostMinutes, beside, needs, needs-mostMinutes),
		}}, nil
	case given != 0 && given < needs:
		return nil, event.Problems{{
			Path: "$.timeouts.jobMinutes", Value: given,
			Allowed: fmt.Sprintf("at least %d, or leave it out: with the other times%s %s may take that long,"+
				" %d minutes more", needs, beside, one, needs-given),
		}}, nil
	case given == 0 && req.Timeouts.JobMinutes < needs:
		req.Timeouts.JobMinutes = needs
		if document, err = lay(); err != nil {
			return nil, nil, err
		}
	}
	return document, nil, nil
}
