package functions

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Finalize is the handler of finalize.
type Finalize func(ctx context.Context, in event.FinalizeInput) (event.Outcome, error)

// NewFinalize wires finalize.
func NewFinalize(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (Finalize, error) {
	p := newParts(ctx, env, cfg, now)
	store := p.store()
	flows := p.flows("")
	releaser := &workflow.Releaser{Store: store, Flows: flows, Now: p.now}
	parker := &workflow.Parker{Store: store, Now: p.now}
	f := &jobs.Finisher{
		Executions: p.executions(), Registry: p.control(""), Outcomes: p.outcomes(), Flows: flows,
		Now: p.now,
	}
	tell := p.announcer()
	if err := p.err("finalize"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, in event.FinalizeInput) (event.Outcome, error) {
		x := in.Input
		log := p.logger(ctx, logThing, x.ThingName, whose(x.Owner), "execution", x.Execution, "tries", in.Tries)
		fail := func(what string, err error) (event.Outcome, error) {
			log.Error(what, "error", err.Error())
			if in.Tries+1 >= metrics.FailingTries {
				p.emf.count(metrics.ReportsFailing, "", "")
			}
			return event.Outcome{}, named(err)
		}
		if in.Park == nil && in.Failure != nil {
			// A state machine that knows no Next.Park catches it as any error.
			park, err := in.Failure.Park()
			if err != nil {
				return fail("not parked", err)
			}
			in.Park = park
		}
		if in.Park != nil {
			pending, parked, err := parker.Park(ctx, x, *in.Park)
			if err != nil {
				return fail("not parked", err)
			}
			if parked {
				p.emf.count(metrics.UpgradesParked, "", "")
				tell.Announce(ctx, event.NewDomainEvent(event.EventParked, p.now(), x.Owner, x.ThingName,
					x.ExecutionNumber, x.Operation))
				log.Info("parked", "why", in.Park.Why, "notBefore", pending.NotBefore, "notAfter", pending.NotAfter)
			}
			return event.Outcome{
				Event: event.Parked, Owner: x.Owner, ThingName: x.ThingName, ExecutionNumber: x.ExecutionNumber,
				Status: event.StatusInProgress, Reason: event.NextPark, Detail: in.Park.Why,
			}, nil
		}
		// The device is given back before the job hears of the end: the moment it
		// does, AWS IoT may name the next job, whose start wants the device free.
		d, owned, err := releaser.Release(ctx, in)
		if err != nil {
			return fail("device not released", err)
		}
		done, err := f.Finish(ctx, in, d.State, owned || in.Tries > 0 || in.Redrives > 0)
		if err != nil {
			return fail("outcome not reported", err)
		}
		o := done.Outcome
		if done.Elsewhere {
			log.Info("operation ended from outside, and told there")
			return o, nil
		}
		p.finished(x.Operation, o)
		for _, name := range done.Tells {
			e := event.NewDomainEvent(name, p.now(), x.Owner, x.ThingName, x.ExecutionNumber, x.Operation)
			e.Details = o.Details
			tell.Announce(ctx, e)
		}
		tell.over(ctx, x.Operation, o)
		for phase, seconds := range done.Phases {
			p.emf.seconds(metrics.PhaseDuration, seconds, metrics.Phase, phase)
		}
		if done.Unsaid != nil {
			log.Error("details refused", "error", done.Unsaid.Error())
			p.emf.count(metrics.DetailsRefused, "", "")
		}
		if done.Unset != nil {
			log.Error("attributes of the thing not set", "error", done.Unset.Error())
			p.emf.count(metrics.ThingsNotUpdated, "", "")
		}
		log.Info("operation finished", "operation", x.Operation, logEndpoint, d.State.Endpoint, "status", o.Status,
			"reason", o.Reason,
			"detail", o.Detail, "details", o.Details, "seconds", o.Seconds)
		return o, nil
	}, nil
}

func (p *parts) finished(operation event.Operation, o event.Outcome) {
	if o.Arrival {
		p.emf.count(metrics.DevicesOnboarded, metrics.Result, string(o.Status))
		return
	}
	p.emf.count(metrics.DevicesFinished, metrics.Result, string(o.Status))
	if o.Status != event.StatusSucceeded {
		p.emf.count(metrics.Failures, metrics.Reason, string(o.Reason))
	} else if operation == upgrade.Operation && o.Seconds > 0 && o.Reason == "" {
		p.emf.seconds(metrics.UpgradeDuration, o.Seconds, "", "")
	}
}
