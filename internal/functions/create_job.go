package functions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// CreateJob is the handler of create-job.
type CreateJob func(ctx context.Context, payload json.RawMessage) (event.Created, error)

// NewCreateJob wires create-job.
func NewCreateJob(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (CreateJob, error) {
	p := newParts(ctx, env, cfg, now)
	creator := &jobs.Creator{
		Jobs:   p.control(p.must(environment.JobTemplate)),
		Images: p.images(p.must(environment.FirmwareBucket)),
	}
	if err := p.err("create-job"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, payload json.RawMessage) (event.Created, error) {
		created, err := creator.Create(ctx, payload)
		log := p.logger(ctx)
		if err != nil {
			log.Error("job not created", "error", err.Error())
			return event.Created{}, named(err)
		}
		log.Info("job created", logJob, created.JobID, "firmwareVersion", created.FirmwareVersion,
			"targets", len(created.Targets), "existed", created.Existed)
		return created, nil
	}, nil
}
