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
	jobss3 "github.com/fleetstep/fleetstep/internal/jobs/s3"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// TakeStep is the handler of a function that a state waits for by a task token.
type TakeStep func(ctx context.Context, in event.StepInput) (event.StepTaken, error)

// NewSendUSPOperate wires send-usp-operate: Inspect, Download, Activate, Rollback.
func NewSendUSPOperate(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (TakeStep, error) {
	p := newParts(ctx, env, cfg, now)
	store := p.images(p.must(event.EnvFirmwareBucket))
	return p.takeStep("send-usp-operate", store, event.StepInspect, event.StepDownload, event.StepActivate, event.StepRollback)
}

// NewAwaitFirmwareReport wires await-firmware-report: AwaitReport.
func NewAwaitFirmwareReport(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (TakeStep, error) {
	return newParts(ctx, env, cfg, now).takeStep("await-firmware-report", nil, event.StepReport)
}

// NewVerifyVersion wires verify-version: Verify.
func NewVerifyVersion(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (TakeStep, error) {
	return newParts(ctx, env, cfg, now).takeStep("verify-version", nil, event.StepVerify)
}

func (p *parts) takeStep(function string, store *jobss3.Store, steps ...event.Step) (TakeStep, error) {
	talk := &device.Talk{Controller: p.controller()}
	if store != nil {
		talk.ImageURL = store.URL
	}
	w := &workflow.Workflow{
		Store: p.store(), Callback: p.steps(""), Talk: talk, Sender: p.sender(), Now: p.now,
	}
	if err := p.err(function); err != nil {
		return nil, err
	}
	return func(ctx context.Context, in event.StepInput) (event.StepTaken, error) {
		up := in.Upgrade
		log := p.logger(ctx, event.LogThing, up.ThingName, event.LogJob, up.JobID, "execution", up.Execution, "step", in.Step)
		if !slices.Contains(steps, in.Step) || in.TaskToken == "" || up.ThingName == "" {
			err := fmt.Errorf("%s: step %q, with or without a task token, is not for this function", function, in.Step)
			log.Error("step refused", "error", err.Error())
			return event.StepTaken{}, err
		}
		did, err := w.Await(ctx, in)
		if errors.Is(err, workflow.ErrGone) {
			log.Info("the job execution was ended meanwhile")
			return event.StepTaken{}, named(err)
		}
		if err != nil {
			log.Error("step not taken", "error", err.Error())
			return event.StepTaken{}, named(err)
		}
		if phase := in.Step.Phase(); phase != "" && did != "repeated" {
			p.emf.count(event.MetricPhaseReached, event.DimensionPhase, phase)
		}
		log.Info("step taken", "did", did)
		return event.StepTaken{Step: in.Step, Did: did}, nil
	}, nil
}
