package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/onboard"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/statemachines"
)

// CreateJob is the handler of create-job.
type CreateJob func(ctx context.Context, payload json.RawMessage) (jobs.Created, error)

// NewCreateJob wires create-job.
func NewCreateJob(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (CreateJob, error) {
	p := newParts(ctx, env, cfg, now)
	creator := &jobs.Creator{
		Jobs: p.control(p.must(environment.JobTemplate)), Forms: p.forms(), Owner: env.Get(environment.StackName),
		Tags: p.tags(),
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

// tags are those of every job.
func (p *parts) tags() map[string]string {
	all := map[string]string{}
	for _, tag := range strings.Split(p.env.Get(environment.JobTags), ",") {
		if tag == "" {
			continue
		}
		key, value, ok := strings.Cut(tag, "=") // a value may have one, too
		if !ok {
			p.failed(fmt.Errorf("%s: %q is not key=value", environment.JobTags, tag))
		}
		all[key] = value
	}
	return all
}

// forms are the operations that create-job knows: those with a room of their own, of
// which the first is that of a payload that names none; those that are only ASL, from
// statemachines/ and from the folder beside its program.
func (p *parts) forms() []event.Form {
	forms := []event.Form{
		upgrade.NewForm(p.images(p.must(environment.FirmwareBucket)), p.rules()),
	}
	scripts, err := operation.Load(statemachines.Files(), upgrade.Operation, onboard.Operation, statemachines.Campaign)
	p.failed(err)
	if p.env.Operations != nil {
		more, err := operation.Load(p.env.Operations)
		if !errors.Is(err, fs.ErrNotExist) {
			p.failed(err)
		}
		scripts = append(scripts, more...)
	}
	known := map[event.Operation]bool{upgrade.Operation: true}
	for _, o := range scripts {
		if known[o.Name] {
			p.failed(fmt.Errorf("two operations are called %s", o.Name))
		}
		known[o.Name] = true
		forms = append(forms, o.Form())
	}
	return forms
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
