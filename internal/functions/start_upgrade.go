package functions

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// StartUpgrade is the handler of start-upgrade, which starts any operation.
type StartUpgrade func(ctx context.Context, n event.NotifyNext) (StartAnswer, error)

// StartAnswer says what became of a job execution.
type StartAnswer struct {
	Did       workflow.Start `json:"did"`
	Execution string         `json:"execution,omitempty"` // its name
}

// NewStartUpgrade wires start-upgrade.
func NewStartUpgrade(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (StartUpgrade, error) {
	p := newParts(ctx, env, cfg, now)
	starter := p.starter(p.store(), p.flows("", nil))
	if err := p.err("start-upgrade"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, n event.NotifyNext) (StartAnswer, error) {
		x := n.Execution
		log := p.logger(ctx, logRule, "notify_next", logThing, n.ThingName, logJob, x.JobID, "executionNumber", x.ExecutionNumber)
		if n.ThingName == "" || x.JobID == "" {
			log.Warn("not a job execution")
			return StartAnswer{}, nil
		}
		started, err := starter.Offer(ctx, n.ThingName, event.JobOwner(x.JobID), x.ExecutionNumber, x.JobDocument)
		answer := StartAnswer{Did: started.Did, Execution: started.Execution}
		if started.Refused != nil {
			log.Error("job document refused", "error", started.Refused.Error())
		}
		if err != nil {
			log.Error("not started", "error", err.Error())
			return answer, named(err)
		}
		p.started(started)
		log.Info("job execution "+started.Did.String(), "execution", started.Execution)
		return answer, nil
	}, nil
}

func (p *parts) started(s workflow.Started) {
	if s.Unreported {
		p.emf.count(metrics.UpgradesUnreported, "", "")
	}
	switch s.Did {
	case workflow.StartBegun:
		p.emf.count(metrics.UpgradesStarted, "", "")
	case workflow.StartPending:
		p.emf.count(metrics.UpgradesPending, "", "")
	case workflow.StartOver:
		p.emf.count(metrics.UpgradesOver, "", "")
	}
}
