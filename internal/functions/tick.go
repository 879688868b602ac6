package functions

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Tick is the handler of tick, which EventBridge Scheduler invokes every minute.
type Tick func(ctx context.Context, call Call) (Ticked, error)

// Call is what it is invoked with. Scheduler calls at least once, and asynchronous invocations of Lambda come at least
// once.
type Call struct {
	// ScheduledTime is the minute that Scheduler calls for; an operator may leave it out.
	ScheduledTime time.Time `json:"scheduledTime"`
}

// Ticked is what a tick has done.
type Ticked struct {
	Did   string `json:"did"`
	Woken int    `json:"woken"` // those whom a flag had kept
	Due   int    `json:"due"`   // those whose time comes
	Lost  int    `json:"lost"`  // those on which nobody seems to work
	// Stopped are those whose execution somebody has stopped.
	Stopped int `json:"stopped"`
	// Arrived are those that have appeared, and are onboarded.
	Arrived int `json:"arrived"`
}

// NewTick wires tick.
func NewTick(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (Tick, error) {
	p := newParts(ctx, env, cfg, now)
	store := p.store()
	ticker, err := workflow.NewTicker(workflow.TickerPorts{Ticks: store, Controls: store, Waker: p.waker(),
		Store: store, Backlog: backlog{p.control(""), p.now}, Stops: p.machine(), Now: p.now,
		ArrivalsPerMinute: p.onboardingPerMinute()})
	p.failed(err)
	drive := p.driver(store)
	if err := p.err("tick"); err != nil {
		return nil, err
	}
	ticker.Also = drive
	return func(ctx context.Context, call Call) (Ticked, error) {
		log := p.logger(ctx)
		holder := "tick"
		if lc, ok := lambdacontext.FromContext(ctx); ok {
			holder = lc.AwsRequestID
		}
		did, err := ticker.Tick(ctx, holder, call.ScheduledTime)
		if errors.Is(err, workflow.ErrLeased) {
			log.Info("another tick is at work")
			return Ticked{Did: "leased"}, nil
		}
		if errors.Is(err, workflow.ErrServed) {
			log.Info("the minute is served", "scheduledTime", call.ScheduledTime)
			return Ticked{Did: "served"}, nil
		}
		if err != nil {
			log.Error("tick not done", "woken", did.Woken, "due", did.Due, "lost", did.Lost, "stopped", did.Stopped,
				"arrived", did.Arrived, "error", err.Error())
			return ticked("failed", did), named(err)
		}
		// Without this one for five minutes there is an alarm: everything that waits
		// for the clock would wait in silence.
		p.emf.count(metrics.Ticks, "", "")
		if did.Woken+did.Due+did.Lost+did.Stopped+did.Arrived > 0 {
			log.Info("ticked", "woken", did.Woken, "due", did.Due, "lost", did.Lost, "stopped", did.Stopped,
				"arrived", did.Arrived)
		}
		return ticked("ticked", did), nil
	}, nil
}

func ticked(did string, t workflow.Ticked) Ticked {
	return Ticked{Did: did, Woken: t.Woken, Due: t.Due, Lost: t.Lost, Stopped: t.Stopped,
		Arrived: t.Arrived}
}
