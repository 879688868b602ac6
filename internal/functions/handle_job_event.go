package functions

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// HandleJobEvent is the handler of handle-job-event.
type HandleJobEvent func(ctx context.Context, e event.JobEvent) (Handled, error)

// NewHandleJobEvent wires handle-job-event.
func NewHandleJobEvent(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (HandleJobEvent, error) {
	p := newParts(ctx, env, cfg, now)
	ender, err := workflow.NewEnder(workflow.EnderPorts{
		Store: p.store(), Machine: p.machine(), Orders: orders{p.executions(), p.log}, Reports: p.reports(p.flows("", nil)), Now: p.now, Who: who,
	})
	p.failed(err)
	if err := p.err("handle-job-event"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, e event.JobEvent) (Handled, error) {
		log := p.logger(ctx, logRule, rule(e), logJob, e.JobID, "operation", e.Operation)
		if e.EventType != event.EventTypeJobExecution {
			log.Info("job event", "status", e.Status)
			return Handled{Did: "noted"}, nil
		}
		_, name, ok := strings.Cut(e.ThingARN, ":thing/")
		if !ok {
			log.Warn("no thing in the event", "thingArn", e.ThingARN)
			return Handled{Did: "ignored"}, nil
		}
		thing := event.ThingName(name)
		log = log.With(logThing, thing)
		p.emf.count(metrics.JobExecutions, metrics.Status, strings.ToUpper(e.Operation))
		why := ended(e.Operation)
		end, err := ender.End(ctx, thing, event.JobOwner(e.JobID), *why)
		if err != nil {
			log.Error("execution not ended", "error", err.Error())
			return Handled{}, named(err)
		}
		if !end.Execution {
			log.Info("job execution over", "pendingEnded", end.Pending)
			return Handled{Did: "noted"}, nil
		}
		log.Info("execution ended", "reason", why.Name)
		return Handled{Did: "ended"}, nil
	}, nil
}

func rule(e event.JobEvent) string {
	if e.EventType == event.EventTypeJobExecution {
		return "job_execution_event"
	}
	return "job_event"
}
