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
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/jobs/iotjobs"
	"github.com/fleetstep/fleetstep/proto"
)

// PrepareAccount is the handler of prepare-account, a custom resource.
type PrepareAccount = cfn.CustomResourceLambdaFunction

// answered gives a custom resource's handler the part of cfn.LambdaWrap that
// tells CloudFormation the outcome; that one knows no HTTP client but the
// process's own. An error is of the answer, not of the handler.
func answered(client aws.HTTPClient, handle cfn.CustomResourceFunction) PrepareAccount {
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
			return err.Error(), errors.New("prepare-account: the response URL is malformed")
		}
		resp, err := client.Do(req)
		if err != nil {
			if u, ok := errors.AsType[*url.Error](err); ok {
				err = u.Err // its text holds the URL, which is signed
			}
			return err.Error(), fmt.Errorf("prepare-account: answer: %w", err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("prepare-account: the answer was refused by HTTP status %d", resp.StatusCode)
			return err.Error(), err
		}
		return "", nil
	}
}

// NewPrepareAccount wires prepare-account, for what CloudFormation has no resource
// for. AWS IoT's event configurations are off by default; they belong to the
// account, so that deleting the stack leaves them. The endpoints of its data planes
// are looked up once, here, and handed to the functions as environment variables.
// Another resource of it has USP's descriptor set put into a bucket, for a topic rule
// that decodes.
func NewPrepareAccount(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (PrepareAccount, error) {
	p := newParts(ctx, env, cfg, now)
	api := iot.NewFromConfig(p.cfg)
	if err := p.err("prepare-account"); err != nil {
		return nil, err
	}
	return answered(cfg.HTTPClient, func(ctx context.Context, e cfn.Event) (string, map[string]any, error) {
		id := e.PhysicalResourceID
		if id == "" {
			id = "aws-iot-account"
		}
		log := p.logger(ctx)
		fail := func(what string, err error) (string, map[string]any, error) {
			log.Error(what, "error", err.Error())
			return id, nil, fmt.Errorf("prepare-account: %w", err)
		}
		if bucket, ok := e.ResourceProperties[environment.DescriptorBucket].(string); ok {
			key, _ := e.ResourceProperties[environment.DescriptorKey].(string)
			id = bucket + "/" + key
			if e.RequestType == cfn.RequestDelete {
				log.Info("descriptor set left where it is", "bucket", bucket, "key", key)
				return e.PhysicalResourceID, nil, nil
			}
			if _, err := p.s3().PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key,
				Body: bytes.NewReader(proto.DescriptorSet)}); err != nil {
				return fail("descriptor set not put", err)
			}
			log.Info("descriptor set put", "bucket", bucket, "key", key)
			return id, nil, nil
		}
		if e.RequestType == cfn.RequestDelete {
			log.Info("event configurations left as they are")
			return id, nil, nil
		}
		if _, err := api.UpdateEventConfigurations(ctx, &iot.UpdateEventConfigurationsInput{
			EventConfigurations: map[string]types.Configuration{
				event.EventTypeJob: {Enabled: true}, event.EventTypeJobExecution: {Enabled: true},
			},
		}); err != nil {
			return fail("event configurations not updated", err)
		}
		log.Info("job and job execution events are on")
		chosen, _ := e.ResourceProperties[environment.AccountJobsEndpoint].(string)
		found, err := iotjobs.FindEndpoints(ctx, p.cfg, chosen, p.now)
		if err != nil {
			return fail("no endpoints", err)
		}
		if found.Doubt != nil {
			log.Warn("the chosen endpoint of the jobs data plane does not answer as one", "error", found.Doubt.Error())
		}
		log.Info("endpoints found", "data", found.Data, "jobs", found.Jobs)
		return id, map[string]any{environment.AccountDataEndpoint: found.Data,
			environment.AccountJobsEndpoint: found.Jobs}, nil
	}), nil
}
