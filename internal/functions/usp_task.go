package functions

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/device"
)

// NewUSPTask wires usp-task: the tasks of every operation that is only a state machine.
func NewUSPTask(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (TakeStep, error) {
	return newParts(ctx, env, cfg, now).takeStep("usp-task", device.NoAddresses{})
}
