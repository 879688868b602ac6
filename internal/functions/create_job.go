package functions

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// CreateJob is the handler of create-job.
type CreateJob func(ctx context.Context, payload json.RawMessage) (jobs.Created, error)

// NewCreateJob wires create-job.
func NewCreateJob(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (CreateJob, error) {
	p := newParts(ctx, env, cfg, now)
	creator := &jobs.Creator{
		Jobs: p.control(p.must(environment.JobTemplate)), Forms: p.forms(), Owner: env.Get(environment.StackName),
	}
	if err := p.err("create-job"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, payload json.RawMessage) (jobs.Created, error) {
		created, err := creator.Create(ctx, payload)
		log := p.logger(ctx)
		if err != nil {
			log.Error("job not created", "error", err.Error())
			return jobs.Created{}, named(err)
		}
		did := "job created"
		if created.Existed {
			did = "job existed"
		}
		log.Info(did, logJob, created.JobID, "details", created.Details, "targets", len(created.Targets),
			"status", created.Status)
		return created, nil
	}, nil
}

// forms are the operations that create-job knows, a line for each. The first is that of
// a payload that names none.
func (p *parts) forms() []event.Form {
	return []event.Form{
		upgrade.NewForm(p.images(p.must(environment.FirmwareBucket)), p.rules()),
	}
}

// rules are what the stack's parameters say of images.
func (p *parts) rules() upgrade.Rules {
	var r upgrade.Rules
	for _, host := range strings.Split(p.env.Get(environment.SourceHosts), ",") {
		if host = strings.TrimSpace(host); host != "" {
			r.Hosts = append(r.Hosts, host)
		}
	}
	var err error
	if r.Keys, err = upgrade.ParseKeys(p.env.Get(environment.SigningKeys)); err != nil {
		p.failed(fmt.Errorf("%s: %w", environment.SigningKeys, err))
	}
	if v := p.env.Get(environment.RequireSignature); v != "" {
		if r.SignatureRequired, err = strconv.ParseBool(v); err != nil {
			p.failed(fmt.Errorf("%s: %w", environment.RequireSignature, err))
		}
	}
	if r.SignatureRequired && len(r.Keys) == 0 {
		p.failed(fmt.Errorf("%s is true and %s names no key", environment.RequireSignature, environment.SigningKeys))
	}
	return r
}
