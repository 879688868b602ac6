package functions

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	jobssns "github.com/fleetstep/fleetstep/internal/jobs/sns"
	workflowsns "github.com/fleetstep/fleetstep/internal/workflow/sns"
)

// announcer tells other systems what becomes of devices, where the stack has a topic for
// them. What could not be told is counted, and costs nobody anything.
type announcer struct {
	*parts
	topic *workflowsns.Topic // nil: nobody is told
}

func (p *parts) announcer() announcer {
	arn := p.env.Get(environment.EventTopic)
	if arn == "" {
		return announcer{p, nil}
	}
	api := sns.NewFromConfig(p.cfg, jobssns.Options)
	return announcer{p, workflowsns.New(api, arn, p.env.Get(environment.StackName))}
}

// Announce implements workflow.Announcer.
func (a announcer) Announce(ctx context.Context, e event.DomainEvent) {
	if a.topic == nil {
		return
	}
	if err := a.topic.Publish(ctx, e); err != nil {
		a.logger(ctx, logThing, e.ThingName, whose(e.Owner)).Error("domain event not told", "event", e.Name,
			"id", e.ID, "error", err.Error())
		a.emf.count(metrics.EventsUntold, "", "")
	}
}

// over tells how an attempt ended.
func (a announcer) over(ctx context.Context, operation event.Operation, o event.Outcome) {
	e := event.NewDomainEvent(event.EventFinished, a.now(), o.Owner, o.ThingName, o.ExecutionNumber, operation)
	e.Outcome, e.Reason, e.Detail, e.Details = o.Status, o.Reason, o.Detail, o.Details
	a.Announce(ctx, e)
}
