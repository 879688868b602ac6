package functions

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Finalize is the handler of finalize.
type Finalize func(ctx context.Context, in event.FinalizeInput) (event.Outcome, error)

// NewFinalize wires finalize.
func NewFinalize(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (Finalize, error) {
	p := newParts(ctx, env, cfg, now)
	w := &workflow.Workflow{Store: p.store(), Now: p.now}
	f := &jobs.Finisher{Executions: p.executions(), Registry: p.control(""), Outcomes: p.outcomes(), Now: p.now}
	if err := p.err("finalize"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, in event.FinalizeInput) (event.Outcome, error) {
		up := in.Upgrade
		log := p.logger(ctx, event.LogThing, up.ThingName, event.LogJob, up.JobID, "execution", up.Execution)
		// The device is given back before the job hears of the end: the moment it
		// does, AWS IoT may name the next job, whose start wants the device free.
		d, err := w.Release(ctx, up)
		if err != nil {
			log.Error("device not released", "error", err.Error())
			return event.Outcome{}, named(err)
		}
		o := f.Judge(in, jobs.Known{Connected: d.State.Connected, SoftwareVersion: d.State.SoftwareVersion})
		if o, err = f.Finish(ctx, o); err != nil {
			log.Error("outcome not reported", "error", err.Error())
			return event.Outcome{}, named(err)
		}
		p.finished(o)
		for phase, seconds := range jobs.Phases(in) {
			p.emf.seconds(event.MetricPhaseDuration, seconds, event.DimensionPhase, phase)
		}
		log.Info("upgrade finished", event.LogEndpoint, d.State.Endpoint, "status", o.Status, "reason", o.Reason,
			"detail", o.Detail, "softwareVersion", o.SoftwareVersion, "seconds", o.Seconds)
		return o, nil
	}, nil
}

func (p *parts) finished(o event.Outcome) {
	p.emf.count(event.MetricDevicesFinished, event.DimensionResult, string(o.Status))
	if o.Status != event.StatusSucceeded {
		p.emf.count(event.MetricFailures, event.DimensionReason, string(o.Reason))
	} else if o.Seconds > 0 && o.Reason == "" {
		p.emf.seconds(event.MetricUpgradeDuration, o.Seconds, "", "")
	}
}
