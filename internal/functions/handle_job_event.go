package functions

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// HandleJobEvent is the handler of handle-job-event.
type HandleJobEvent func(ctx context.Context, e event.JobEvent) (Handled, error)

// NewHandleJobEvent wires handle-job-event.
func NewHandleJobEvent(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (HandleJobEvent, error) {
	p := newParts(ctx, env, cfg, now)
	flows := p.flows("", nil)
	ender, err := workflow.NewEnder(workflow.EnderPorts{Store: p.store(), Machine: p.machine(), Orders: orders{p.executions(), p.log}})
	p.failed(err)
	var outcomes jobs.Outcomes = p.outcomes()
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
		why := event.Failf(event.JobCanceled, "AWS IoT says the job execution is %s", e.Operation)
		if e.Operation == "timed_out" {
			why.Name = event.JobTimedOut
		}
		ended, err := ender.End(ctx, thing, event.JobOwner(e.JobID), *why)
		if err != nil {
			log.Error("execution not ended", "error", err.Error())
			return Handled{}, named(err)
		}
		if !ended.Execution {
			log.Info("job execution over", "pendingEnded", ended.Pending)
			return Handled{Did: "noted"}, nil
		}
		flow, _ := flows.Find(ended.Operation)
		o := event.Outcome{
			Event: flow.Failed, Owner: event.JobOwner(e.JobID), ThingName: thing, Status: why.Name.Status(), Reason: why.Name, Detail: why.Detail,
		}
		if err := outcomes.Publish(ctx, o); err != nil {
			// The execution is ended; asking for this event again would find
			// nothing, so the outcome is in the log only.
			log.Error("outcome not published", "error", err.Error())
		}
		p.finished(o)
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
