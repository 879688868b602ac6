package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/event"
)

// ErrConflict: there is a job of this id with another content.
var ErrConflict = errors.New("there is a job of this id that is not the one asked for; choose another jobId")

// Errors of the ports.
var (
	ErrExists   = errors.New("the job exists")
	ErrNotFound = errors.New("not found")
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
type Existing struct{ ARN, Description string }

// Account is where jobs, their template and their targets are.
type Account interface {
	// Template reads the job template.
	Template(ctx context.Context) (Template, error)
	// Create creates a job and returns its ARN; ErrExists if its id is taken.
	Create(ctx context.Context, j Job) (arn string, err error)
	// Describe finds a job; ErrNotFound.
	Describe(ctx context.Context, id event.JobID) (Existing, error)
	// TargetExists reports whether a thing or thing group is there.
	TargetExists(ctx context.Context, arn string) (bool, error)
}

// Image is a firmware image in S3.
type Image struct {
	Object event.S3Object
	Size   int64
	SHA256 string // hexadecimal
}

// Images finds firmware images.
type Images interface {
	// ByVersion lists the images of a version in the firmware bucket.
	ByVersion(ctx context.Context, version string) ([]event.S3Object, error)
	// Describe reads size and hash of an image; ErrNotFound.
	Describe(ctx context.Context, o event.S3Object) (Image, error)
	// Where is the place that ByVersion looks at, for messages.
	Where(version string) string
}

// Creator creates jobs.
type Creator struct {
	Jobs   Account
	Images Images
}

// Create checks a payload and makes the job that it asks for. Doing it again with
// the same payload answers the same and makes nothing.
func (c *Creator) Create(ctx context.Context, payload []byte) (event.Created, error) {
	req, err := event.ParseRequest(payload)
	if err != nil {
		return event.Created{}, err
	}
	id := req.DerivedJobID()
	problems, err := c.complete(ctx, &req)
	if err != nil {
		return event.Created{}, fmt.Errorf("jobs.Create: job %s: %w", id, err)
	}
	if len(problems) > 0 {
		return event.Created{}, problems
	}
	description := describe(req)
	t, err := c.Jobs.Template(ctx)
	if err != nil {
		return event.Created{}, fmt.Errorf("jobs.Create: job template: %w", err)
	}
	document, err := underlay(&req, t)
	if err != nil {
		return event.Created{}, fmt.Errorf("jobs.Create: job template: %w", err)
	}
	out := event.Created{JobID: id, FirmwareVersion: req.Firmware.Version, Targets: req.Targets}
	out.JobARN, err = c.Jobs.Create(ctx, Job{JobID: id, Description: description, Document: document, Request: req})
	if errors.Is(err, ErrExists) {
		there, err := c.Jobs.Describe(ctx, id)
		if err != nil {
			return event.Created{}, fmt.Errorf("jobs.Create: job %s: %w", id, err)
		}
		if there.Description != description {
			return event.Created{}, fmt.Errorf("jobs.Create: job %s (%s): %w", id, there.Description, ErrConflict)
		}
		out.JobARN, out.Existed = there.ARN, true
		return out, nil
	}
	if err != nil {
		return event.Created{}, fmt.Errorf("jobs.Create: job %s: %w", id, err)
	}
	return out, nil
}

// complete finds the image and checks what only the account knows.
func (c *Creator) complete(ctx context.Context, req *event.Request) (event.Problems, error) {
	var problems event.Problems
	f := &req.Firmware
	if f.URL == "" && f.S3 == nil {
		found, err := c.Images.ByVersion(ctx, f.Version)
		if err != nil {
			return nil, err
		}
		if len(found) == 1 {
			f.S3 = &found[0]
		} else {
			problems = append(problems, event.Problem{
				Path: "$.firmware.version", Value: f.Version,
				Allowed: fmt.Sprintf("a version with exactly one image in %s; there are %d", c.Images.Where(f.Version), len(found)),
			})
		}
	}
	if f.S3 != nil {
		image, err := c.Images.Describe(ctx, *f.S3)
		switch {
		case errors.Is(err, ErrNotFound):
			problems = append(problems, event.Problem{Path: "$.firmware.s3", Value: f.S3, Allowed: "an object that exists and can be read"})
		case err != nil:
			return nil, err
		default:
			object := image.Object
			f.S3 = &object
			problems = append(problems, agree(f, image)...)
		}
	}
	for i, arn := range req.Targets {
		ok, err := c.Jobs.TargetExists(ctx, arn)
		if err != nil {
			return nil, err
		}
		if !ok {
			problems = append(problems, event.Problem{
				Path: fmt.Sprintf("$.targets[%d]", i), Value: arn, Allowed: "a thing or thing group that exists in this account and region",
			})
		}
	}
	return problems, nil
}

// agree takes over what is known of the image, unless the request says otherwise.
func agree(f *event.Firmware, image Image) (problems event.Problems) {
	if f.SHA256 == "" {
		f.SHA256 = image.SHA256
	} else if image.SHA256 != "" && f.SHA256 != image.SHA256 {
		problems = append(problems, event.Problem{Path: "$.firmware.sha256", Value: f.SHA256, Allowed: "the hash of the object, " + image.SHA256})
	}
	if f.Size == 0 {
		f.Size = image.Size
	} else if f.Size != image.Size {
		problems = append(problems, event.Problem{Path: "$.firmware.size", Value: f.Size, Allowed: fmt.Sprintf("the size of the object, %d", image.Size)})
	}
	return problems
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

// underlay fills in from the template what the request leaves open, and returns
// the job document: the template's, with our members laid over it.
func underlay(req *event.Request, t Template) (json.RawMessage, error) {
	if req.Rollout == nil {
		req.Rollout = t.Rollout
	}
	if req.Abort == nil {
		req.Abort = t.Abort
	}
	if req.Retry == nil {
		req.Retry = t.Retry
	}
	frame := map[string]json.RawMessage{}
	if len(t.Document) > 0 {
		if err := json.Unmarshal(t.Document, &frame); err != nil {
			return nil, fmt.Errorf("its document is no JSON object: %w", err)
		}
	}
	var defaults event.Timeouts
	if raw, ok := frame["timeouts"]; ok {
		if err := json.Unmarshal(raw, &defaults); err != nil {
			return nil, fmt.Errorf("its document, timeouts: %w", err)
		}
	}
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
	for name, v := range map[string]any{
		"operation": event.FirmwareUpgrade, "firmware": req.Firmware, "activation": req.Activation, "timeouts": req.Timeouts,
	} {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		frame[name] = b
	}
	return json.Marshal(frame)
}
