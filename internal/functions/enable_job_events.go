package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

// EnableJobEvents is the handler of enable-job-events, a custom resource.
type EnableJobEvents = cfn.CustomResourceLambdaFunction

// answered gives a custom resource's handler the part of cfn.LambdaWrap that
// tells CloudFormation the outcome; that one knows no HTTP client but the
// process's own. An error is of the answer, not of the handler.
func answered(client aws.HTTPClient, handle cfn.CustomResourceFunction) EnableJobEvents {
	if client == nil {
		client = http.DefaultClient
	}
	return func(ctx context.Context, e cfn.Event) (reason string, err error) {
		r := cfn.NewResponse(&e)
		r.Status = cfn.StatusSuccess
		if r.PhysicalResourceID, r.Data, err = handle(ctx, e); err != nil {
			r.Status, r.Reason = cfn.StatusFailed, err.Error()
		}
		body, err := json.Marshal(r)
		if err != nil {
			return err.Error(), err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, e.ResponseURL, bytes.NewReader(body))
		if err != nil {
			return err.Error(), errors.New("enable-job-events: the response URL is malformed")
		}
		resp, err := client.Do(req)
		if err != nil {
			if u, ok := errors.AsType[*url.Error](err); ok {
				err = u.Err // its text holds the URL, which is signed
			}
			return err.Error(), fmt.Errorf("enable-job-events: answer: %w", err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("enable-job-events: the answer was refused by HTTP status %d", resp.StatusCode)
			return err.Error(), err
		}
		return "", nil
	}
}

// NewEnableJobEvents wires enable-job-events. CloudFormation has no resource for
// AWS IoT's event configurations, and they are off by default. They belong to the
// account, so that deleting the stack leaves them.
func NewEnableJobEvents(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (EnableJobEvents, error) {
	p := newParts(ctx, env, cfg, now)
	api := iot.NewFromConfig(p.cfg)
	if err := p.err("enable-job-events"); err != nil {
		return nil, err
	}
	return answered(cfg.HTTPClient, func(ctx context.Context, e cfn.Event) (string, map[string]any, error) {
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
