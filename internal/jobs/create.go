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
	// ErrUnreadable: S3 does not give the image, and will not.
	ErrUnreadable = errors.New("the image cannot be read")
	// ErrUnfit: AWS IoT does not take such a job.
	ErrUnfit = errors.New("AWS IoT refuses the job")
)

// Template is what the job template says: defaults, and the frame of documents.
type Template struct {
	Document   json.RawMessage // an object, or empty
	JobMinutes int             // 0 is not set
	Rollout    *event.Rollout
	Abort      *event.Abort
	Retry      *event.Retry
}

// Job is one about to be created.
type Job struct {
	JobID       event.JobID
	Description string
	Document    json.RawMessage
	Request     event.Request // with the template's defaults
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

// Rules are what a stack's configuration says of jobs.
type Rules struct {
	// Owner is the stack. Job documents name it, so that of several stacks in an
	// account each does its own jobs.
	Owner string
	// Hosts are those that images may come from beside S3: names, with a port
	// where it is not 443; "*.example.com"; or "*" for any.
	Hosts []string
	// Keys verify signatures; SignatureRequired refuses images without one.
	Keys              []Key
	SignatureRequired bool
}

// Creator creates jobs.
type Creator struct {
	Jobs   Account
	Images Images
	// Plan reads a job document as whoever follows it will.
	Plan  func(document json.RawMessage) (event.Plan, error)
	Rules Rules
}

// Create checks a payload and makes the job that it asks for. Doing it again with
// the same payload answers the same, but for what has become of the job, and makes
// nothing.
func (c *Creator) Create(ctx context.Context, payload []byte) (event.Created, error) {
	req, err := event.ParseRequest(payload)
	if err != nil {
		return event.Created{}, err
	}
	id := req.DerivedJobID()
	fail := func(err error) (event.Created, error) {
		if problems, ok := errors.AsType[event.Problems](err); ok {
			return event.Created{}, problems
		}
		return event.Created{}, fmt.Errorf("jobs.Create: job %s: %w", id, err)
	}
	problems, err := c.image(ctx, &req.Firmware)
	if err != nil {
		return fail(err)
	}
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
		return event.Created{}, problems.Sorted()
	}
	out := event.Created{JobID: id, FirmwareVersion: req.Firmware.Version, Targets: req.Targets}
	// A job that is there is found before its target is counted: an upgraded
	// device leaves a dynamic group, and the same request is to have its answer
	// also when none is left.
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
	out.JobARN, err = c.Jobs.Create(ctx, Job{JobID: id, Description: description, Document: document, Request: req})
	switch {
	case errors.Is(err, ErrExists): // made meanwhile
		if there, err = c.Jobs.Describe(ctx, id); err != nil {
			return fail(err)
		}
		return existed(out, there, description)
	case errors.Is(err, ErrUnfit):
		return event.Created{}, event.Problems{{Path: "$", Allowed: err.Error()}}
	case err != nil:
		return fail(err)
	}
	return out, nil
}

// existed answers a request whose job id is taken.
func existed(out event.Created, there Existing, description string) (event.Created, error) {
	if there.Description != description {
		return event.Created{}, fmt.Errorf("jobs.Create: job %s (%s): %w", out.JobID, there.Description, ErrConflict)
	}
	out.JobARN, out.Existed, out.Status = there.ARN, true, there.Status
	return out, nil
}

// describe is the job's description. It carries a hash of the request and of the
// image that was found for it, by which the same request is known again.
func describe(req event.Request) string {
	b, err := json.Marshal(req)
	if err != nil {
		b = nil // unreachable: plain values only
	}
	sum := sha256.Sum256(b)
	return fmt.Sprintf("Firmware %s (Fleetstep request %s)", req.Firmware.Version, hex.EncodeToString(sum[:16]))
}

// underlay fills in from the template what the request leaves open, but for the
// job's own time.
func underlay(req *event.Request, t Template) error {
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
		Timeouts event.Timeouts `json:"timeouts"`
	}
	if len(t.Document) > 0 {
		if err := json.Unmarshal(t.Document, &frame); err != nil {
			return fmt.Errorf("its document: %w", err)
		}
	}
	defaults := frame.Timeouts
	if t.JobMinutes != 0 {
		defaults.JobMinutes = t.JobMinutes
	}
	fill := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	fill(&req.Timeouts.JobMinutes, defaults.JobMinutes)
	fill(&req.Timeouts.AnswerSeconds, defaults.AnswerSeconds)
	fill(&req.Timeouts.DownloadSeconds, defaults.DownloadSeconds)
	fill(&req.Timeouts.RebootSeconds, defaults.RebootSeconds)
	req.Timeouts = req.Timeouts.WithDefaults()
	return nil
}

// mostMinutes is the longest in-progress timer that AWS IoT has, seven days.
const mostMinutes = 7 * 24 * 60

// document makes the job document, the template's with our members laid over it,
// and fits the job's time, of which the request said given, to what an upgrade may
// take at the longest. A job whose timer ran out first would be over while its
// devices are still at work.
func (c *Creator) document(req *event.Request, t Template, given int) (json.RawMessage, event.Problems, error) {
	frame := map[string]json.RawMessage{}
	if len(t.Document) > 0 {
		if err := json.Unmarshal(t.Document, &frame); err != nil {
			return nil, nil, fmt.Errorf("job template: its document is no JSON object: %w", err)
		}
	}
	lay := func() (json.RawMessage, error) {
		members := map[string]any{
			"operation": event.FirmwareUpgrade, "firmware": req.Firmware, "activation": req.Activation,
			"timeouts": req.Timeouts,
		}
		if c.Rules.Owner != "" {
			members["owner"] = c.Rules.Owner
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
	if req.Firmware.S3 == nil && req.Firmware.URL == "" {
		return document, nil, nil // there is no image, and nothing to plan
	}
	plan, err := c.Plan(document)
	if err != nil {
		return nil, nil, err
	}
	needs := int((plan.Needs + time.Minute - 1) / time.Minute)
	switch {
	case needs > mostMinutes:
		return nil, event.Problems{{
			Path: "$.timeouts", Value: req.Timeouts,
			Allowed: fmt.Sprintf("times with which an upgrade ends within %d minutes, AWS IoT's longest; with "+
				"these, the activation window, the soak"+
				" and all retries it may take %d minutes, %d too many", mostMinutes, needs, needs-mostMinutes),
		}}, nil
	case given != 0 && given < needs:
		return nil, event.Problems{{
			Path: "$.timeouts.jobMinutes", Value: given,
			Allowed: fmt.Sprintf("at least %d, or leave it out: with the other times, the activation window, the "+
				"soak and all retries an upgrade may"+
				" take that long, %d minutes more", needs, needs-given),
		}}, nil
	case given == 0 && req.Timeouts.JobMinutes < needs:
		req.Timeouts.JobMinutes = needs
		if document, err = lay(); err != nil {
			return nil, nil, err
		}
	}
	return document, nil, nil
}
