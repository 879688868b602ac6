package functions

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

// EnableJobEvents is the handler of enable-job-events, a custom resource.
type EnableJobEvents = cfn.CustomResourceLambdaFunction

// NewEnableJobEvents wires enable-job-events. CloudFormation has no resource for
// AWS IoT's event configurations, and they are off by default. They belong to the
// account, so that deleting the stack leaves them.
func NewEnableJobEvents(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (EnableJobEvents, error) {
	p := newParts(ctx, env, cfg, now)
	api := iot.NewFromConfig(p.cfg)
	if err := p.err("enable-job-events"); err != nil {
		return nil, err
	}
	return cfn.LambdaWrap(func(ctx context.Context, e cfn.Event) (string, map[string]any, error) {
		id := e.PhysicalResourceID
		if id == "" {
			id = "iot-event-configurations"
		}
		log := p.logger(ctx)
		if e.RequestType == cfn.RequestDelete {
			log.Info("event configurations left as they are")
			return id, nil, nil
		}
		_, err := api.UpdateEventConfigurations(ctx, &iot.UpdateEventConfigurationsInput{
			EventConfigurations: map[string]types.Configuration{
				event.EventTypeJob: {Enabled: true}, event.EventTypeJobExecution: {Enabled: true},
			},
		})
		if err != nil {
			log.Error("event configurations not updated", "error", err.Error())
			return id, nil, fmt.Errorf("enable-job-events: %w", err)
		}
		log.Info("job and job execution events are on")
		return id, nil, nil
	}), nil
}
