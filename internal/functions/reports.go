package functions

import (
	"context"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// reports tells of ends that no execution reports, as Finalize tells of the others.
type reports struct {
	*parts
	outcomes jobs.Outcomes
	flows    event.Flows
}

func (p *parts) reports(flows event.Flows) reports { return reports{p, p.outcomes(), flows} }

// Report implements workflow.Reports.
func (r reports) Report(ctx context.Context, e workflow.End) error {
	if e.Owner.Arrival {
		return nil
	}
	flow, _ := r.flows.Find(e.Operation)
	o := event.Outcome{
		Event: flow.Failed, Owner: e.Owner, ThingName: e.Thing, ExecutionNumber: e.ExecutionNumber,
		Status: e.Status, Reason: e.Why.Name, Detail: e.Why.Detail,
	}
	if err := r.outcomes.Publish(ctx, o); err != nil {
		return err
	}
	r.finished(e.Operation, o)
	r.announcer().over(ctx, e.Operation, o)
	if e.Unreported {
		r.emf.count(metrics.UpgradesUnreported, "", "")
	}
	r.logger(ctx, logThing, e.Thing, whose(e.Owner)).Info("operation ended from outside",
		"operation", e.Operation, "status", o.Status, "reason", o.Reason, "detail", o.Detail, "unreported",
		e.Unreported)
	return nil
}

// who names an invocation: Lambda repeats an asynchronous one under the same id. A
// message of the queue comes again under another, after five receipts or less when
// the name before is void (see decision 0016): its copy has the same message id, so
// that this cannot be the name.
func who(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok && lc.AwsRequestID != "" {
		return lambdacontext.FunctionName + "/" + lc.AwsRequestID
	}
	return "invocation"
}
