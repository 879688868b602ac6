package functions

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// StartUpgrade is the handler of start-upgrade.
type StartUpgrade func(ctx context.Context, n event.NotifyNext) (workflow.Started, error)

// NewStartUpgrade wires start-upgrade.
func NewStartUpgrade(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (StartUpgrade, error) {
	p := newParts(ctx, env, cfg, now)
	job := jobPort{p.executions()}
	w := &workflow.Workflow{Store: p.store(), Machine: p.steps(p.must(event.EnvStateMachine)), Job: job, Now: p.now}
	if err := p.err("start-upgrade"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, n event.NotifyNext) (workflow.Started, error) {
		x := n.Execution
		log := p.logger(ctx, event.LogRule, "notify_next", event.LogThing, n.ThingName, event.LogJob, x.JobID, "executionNumber", x.ExecutionNumber)
		if n.ThingName == "" || x.JobID == "" {
			log.Warn("not a job execution")
			return workflow.Started{Did: "ignored"}, nil
		}
		doc, ours, err := event.ParseDocument(x.JobDocument)
		if !ours {
			log.Info("another kind of job")
			return workflow.Started{Did: "ignored"}, nil
		}
		if err != nil {
			log.Error("job document refused", "error", err.Error())
			f := event.Failf(event.UpgradeNotEligible, "%s", err)
			return workflow.Started{Did: "rejected"}, named(job.Reject(ctx, n.ThingName, x.JobID, x.ExecutionNumber, *f))
		}
		started, err := w.Offer(ctx, n.ThingName, x.JobID, x.ExecutionNumber, doc)
		if err != nil {
			log.Error("not started", "error", err.Error())
			return started, named(err)
		}
		p.started(started)
		log.Info("upgrade "+started.Did, "execution", started.Execution)
		return started, nil
	}, nil
}

func (p *parts) started(s workflow.Started) {
	switch s.Did {
	case "started":
		p.emf.count(event.MetricUpgradesStarted, "", "")
	case "pending":
		p.emf.count(event.MetricUpgradesPending, "", "")
	case "over":
		p.emf.count(event.MetricUpgradesOver, "", "")
	}
}
