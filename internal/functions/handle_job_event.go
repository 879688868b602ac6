package functions

import (
	"context"
	"log/slog"
	"slices"
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
	store := p.store()
	flows := p.flows("")
	h := &jobEvents{
		parts: p, controller: &workflow.Controller{Controls: store, Now: p.now},
		register: jobs.NewRegister(p.control(""), flows),
	}
	ender, err := workflow.NewEnder(workflow.EnderPorts{
		Store: store, Machine: p.machine(), Orders: p.orders(store),
		Reports: p.reports(flows), Now: p.now, Who: who,
	})
	h.ender = ender
	p.failed(err)
	if err := p.err("handle-job-event"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, e event.JobEvent) (Handled, error) {
		log := p.logger(ctx, logRule, rule(e), logJob, e.JobID, "operation", e.Operation)
		if e.EventType != event.EventTypeJobExecution {
			return h.job(ctx, log, e)
		}
		return h.execution(ctx, log, e)
	}, nil
}

type jobEvents struct {
	*parts
	controller *workflow.Controller
	ender      *workflow.Ender
	register   *jobs.Register
}

// execution ends what works on a job execution that is over, and counts it if it was
// one of this stack's.
func (h *jobEvents) execution(ctx context.Context, log *slog.Logger, e event.JobEvent) (Handled, error) {
	_, name, ok := strings.Cut(e.ThingARN, ":thing/")
	if !ok {
		log.Warn("no thing in the event", "thingArn", e.ThingARN)
		return Handled{Did: "ignored"}, nil
	}
	thing := event.ThingName(name)
	log = log.With(logThing, thing)
	// What cannot be looked up now is ended all the same, and counted as the event
	// comes again.
	whose, unknown := h.register.Whose(ctx, e.JobID)
	if unknown == nil && whose == jobs.Others {
		log.Debug("another's job execution")
		return Handled{Did: "another's"}, nil
	}
	why := ended(e.Operation)
	end, err := h.ender.End(ctx, thing, event.JobOwner(e.JobID), *why)
	if err != nil {
		log.Error("execution not ended", "error", err.Error())
		return Handled{}, named(err)
	}
	if unknown != nil {
		log.Error("job not known", "error", unknown.Error(), "ended", end.Execution)
		return Handled{}, named(unknown)
	}
	if whose == jobs.Ours {
		h.emf.count(metrics.JobExecutions, metrics.Status, strings.ToUpper(e.Operation))
	}
	if !end.Execution {
		log.Info("job execution over", "pendingEnded", end.Pending)
		return Handled{Did: "noted"}, nil
	}
	log.Info("execution ended", "reason", why.Name)
	return Handled{Did: "ended"}, nil
}

func rule(e event.JobEvent) string {
	if e.EventType == event.EventTypeJobExecution {
		return "job_execution_event"
	}
	return "job_event"
}

// jobOver are the operations of job events that say that nothing of a job is to go
// on: an operator or an abort criterion cancelled it, or it was deleted.
// AWS IoT Developer Guide, "Jobs events".
var jobOver = []string{"cancellation_in_progress", "canceled", "deletion_in_progress", jobDeleted}

// jobDeleted is the last that is told of a job.
const jobDeleted = "deleted"

// job sets the flag of a job that was ended: AWS IoT leaves its executions that are
// IN_PROGRESS alone unless it is forced. A job that is gone may have been ours.
func (h *jobEvents) job(ctx context.Context, log *slog.Logger, e event.JobEvent) (Handled, error) {
	if !slices.Contains(jobOver, e.Operation) {
		log.Info("job event", "status", e.Status)
		return Handled{Did: "noted"}, nil
	}
	whose, err := h.register.Whose(ctx, e.JobID)
	if err != nil {
		log.Error("job not known", "error", err.Error())
		return Handled{}, named(err)
	}
	if whose == jobs.Others {
		log.Debug("another's job")
		return Handled{Did: "another's"}, nil
	}
	set, why := h.controller.Stop, "the job is "+strings.ReplaceAll(e.Operation, "_", " ")
	if e.Operation == jobDeleted {
		set, why = h.controller.Last, event.WhyJobDeleted
	}
	_, changed, err := set(ctx, event.JobOwner(e.JobID), "AWS IoT", why)
	if err != nil {
		log.Error("job not stopped", "error", err.Error())
		return Handled{}, named(err)
	}
	log.Info("job stopped", "status", e.Status, "changed", changed)
	return Handled{Did: "stopped"}, nil
}
