package functions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
)

// TakeStep is the handler of a function that a state waits for by a task token.
type TakeStep func(ctx context.Context, in event.StepInput) (event.StepTaken, error)

// NewSendUSPOperate wires send-usp-operate: Inspect, Download, Activate, Rollback.
func NewSendUSPOperate(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (TakeStep, error) {
	p := newParts(ctx, env, cfg, now)
	return p.takeStep("send-usp-operate", p.addresses(), upgrade.Inspect, upgrade.Download, upgrade.Activate,
		upgrade.Rollback)
}

// NewAwaitFirmwareReport wires await-firmware-report: AwaitReport.
func NewAwaitFirmwareReport(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (TakeStep, error) {
	return newParts(ctx, env, cfg, now).takeStep("await-firmware-report", device.NoAddresses{}, upgrade.AwaitReport)
}

// NewVerifyVersion wires verify-version: Verify.
func NewVerifyVersion(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (TakeStep, error) {
	return newParts(ctx, env, cfg, now).takeStep("verify-version", device.NoAddresses{}, upgrade.Verify)
}

// takeStep makes a function that takes these steps; without names, the steps of any flow
// that names them itself.
func (p *parts) takeStep(function string, addresses device.Addresses, names ...event.Step) (TakeStep, error) {
	flows := p.flows(p.controller())
	store := p.store()
	steps, err := workflow.NewSteps(workflow.StepsPorts{
		Store: store, Controls: store, Callback: p.callback(), Sender: p.sender(addresses),
		Announce: p.announcer(), Models: &workflowdb.Models{Store: store, Now: p.now}, Flows: flows, Now: p.now,
	})
	p.failed(err)
	if err := p.err(function); err != nil {
		return nil, err
	}
	return func(ctx context.Context, in event.StepInput) (event.StepTaken, error) {
		x := in.Input
		log := p.logger(ctx, logThing, x.ThingName, whose(x.Owner), "execution", x.Execution, "step", in.Step)
		if len(names) > 0 && !slices.Contains(names, in.Step) || in.Step == "" || in.TaskToken == "" ||
			x.ThingName == "" {
			err := fmt.Errorf("%s: step %q, with or without a task token, is not for this function", function, in.Step)
			log.Error("step refused", "error", err.Error())
			return event.StepTaken{}, err
		}
		taken, err := steps.Await(ctx, in)
		if errors.Is(err, workflow.ErrGone) {
			log.Info("the job execution was ended meanwhile")
			return event.StepTaken{}, named(err)
		}
		if err != nil {
			log.Error("step not taken", "error", err.Error())
			return event.StepTaken{}, named(err)
		}
		if flow, _ := flows.Find(x.Operation); flow.Phases[in.Step] != "" && taken != workflow.TakenRepeated {
			p.emf.count(metrics.PhaseReached, metrics.Phase, flow.Phases[in.Step])
		}
		log.Info("step taken", "did", taken.String())
		return event.StepTaken{Step: in.Step, Did: taken.String()}, nil
	}, nil
}
