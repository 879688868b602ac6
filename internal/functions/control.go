package functions

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowsts "github.com/fleetstep/fleetstep/internal/workflow/sts"
)

// Control is the handler of control.
type Control func(ctx context.Context, r event.ControlRequest) (event.ControlAnswer, error)

// NewControl wires control, which pauses and resumes a job, or everything. Whoever
// may invoke it may do so; who it was STS says, if the request has a proof.
func NewControl(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (Control, error) {
	p := newParts(ctx, env, cfg, now)
	controller := &workflow.Controller{Controls: p.store(), Now: p.now}
	identities, err := workflowsts.New(ctx, cfg, p.now)
	p.failed(err)
	if err := p.err("control"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, r event.ControlRequest) (event.ControlAnswer, error) {
		log := p.logger(ctx, "verb", r.Verb)
		if err := r.Check(); err != nil {
			log.Error("request refused", "error", err.Error())
			return event.ControlAnswer{}, named(err)
		}
		owner := workflow.Everyone
		if r.JobID != "" {
			owner, log = event.JobOwner(r.JobID), log.With(logJob, r.JobID)
		}
		state := event.ControlRunning
		if r.Verb == event.VerbPause || r.Verb == event.VerbStopAll {
			state = event.ControlPaused
		}
		who, err := workflow.Asker(ctx, identities, r)
		if err != nil {
			log.Error("nobody knows who asks", "error", err.Error())
			return event.ControlAnswer{}, named(err)
		}
		log = log.With("who", who)
		c, changed, err := controller.Set(ctx, owner, state, who, r.Why)
		if err != nil {
			log.Error("flag not set", "error", err.Error())
			return event.ControlAnswer{}, named(err)
		}
		log.Info("flag set", "state", state, "changed", changed, "why", r.Why)
		return event.ControlAnswer{State: state, Changed: changed, Rev: c.Rev, Who: c.Who, Why: c.Why}, nil
	}, nil
}
