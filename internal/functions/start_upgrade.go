package functions

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// StartUpgrade is the handler of start-upgrade, which starts any operation.
type StartUpgrade func(ctx context.Context, e event.StartEvent) (StartAnswer, error)

// StartAnswer says what became of a job execution, or of a batch of the queue: which
// of its messages are to come again.
type StartAnswer struct {
	Did       workflow.Start      `json:"did"`
	Execution string              `json:"execution,omitempty"` // its name
	Failures  []event.ItemFailure `json:"batchItemFailures,omitempty"`
}

// NewStartUpgrade wires start-upgrade.
func NewStartUpgrade(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (StartUpgrade, error) {
	p := newParts(ctx, env, cfg, now)
	starter := p.starter(p.store(), p.flows(""))
	if err := p.err("start-upgrade"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, e event.StartEvent) (StartAnswer, error) {
		if e.Records != nil {
			return StartAnswer{Failures: p.wake(ctx, starter, e.Records)}, nil
		}
		n := e.NotifyNext
		x := n.Execution
		log := p.logger(ctx, logRule, "notify_next", logThing, n.ThingName, logJob, x.JobID, "executionNumber",
			x.ExecutionNumber)
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
	for _, ahead := range s.Ahead {
		p.started(ahead)
	}
	if s.Owner.Arrival {
		return // it is counted at its end
	}
	if s.Unreported {
		p.emf.count(metrics.UpgradesUnreported, "", "")
	}
	switch s.Did {
	case workflow.StartBegun:
		if s.Lap > 0 {
			return // it was counted when it began
		}
		p.emf.count(metrics.UpgradesStarted, "", "")
	case workflow.StartPending:
		p.emf.count(metrics.UpgradesPending, "", "")
	case workflow.StartOver:
		p.emf.count(metrics.UpgradesOver, "", "")
	}
}

// wake starts what the queue asks for, and says which messages are to come again.
func (p *parts) wake(ctx context.Context, starter *workflow.Starter, records []event.QueueRecord) (
	again []event.ItemFailure) {
	for _, r := range records {
		log := p.logger(ctx, "messageId", r.MessageID)
		var m event.StartMessage
		err := json.Unmarshal([]byte(r.Body), &m)
		if err == nil && (m.ThingName == "" || m.Owner == workflow.Everyone) {
			err = errors.New("it names no thing, or no owner")
		}
		var started workflow.Started
		if err == nil {
			log = log.With(logThing, m.ThingName, whose(m.Owner))
			wake := starter.Wake
			if m.Lost {
				wake = starter.Recover
			}
			started, err = wake(ctx, m.ThingName, m.Owner)
		}
		if err != nil {
			// One that cannot be read goes to the dead letters in the end.
			log.Error("not started", "error", err.Error())
			again = append(again, event.ItemFailure{ItemIdentifier: r.MessageID})
			continue
		}
		p.started(started)
		if m.Lost && started.Did == workflow.StartBegun {
			p.emf.count(metrics.UpgradesFound, "", "")
		}
		log.Info("woken job execution "+started.Did.String(), "execution", started.Execution)
	}
	return again
}
