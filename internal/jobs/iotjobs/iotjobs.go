// Package iotjobs is AWS IoT as jobs needs it: the control plane for jobs, job
// templates and the registry (Control: jobs.Account, jobs.Registry), and the
// jobs data plane for job executions (Executions: jobs.Executions). AWS's errors
// become jobs.ErrExists, ErrNotFound and ErrOver; others are passed on.
package iotjobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// Control is the control plane.
type Control struct {
	api      *iot.Client
	template string
}

// NewControl is the control plane; template is the id of the job template, needed
// by create-job only.
func NewControl(api *iot.Client, template string) *Control {
	return &Control{api: api, template: template}
}

// Template implements jobs.Account.
func (c *Control) Template(ctx context.Context) (jobs.Template, error) {
	out, err := c.api.DescribeJobTemplate(ctx, &iot.DescribeJobTemplateInput{JobTemplateId: &c.template})
	if err != nil {
		return jobs.Template{}, fmt.Errorf("iotjobs.Template: %s: %w", c.template, err)
	}
	t := jobs.Template{Document: json.RawMessage(aws.ToString(out.Document))}
	if out.TimeoutConfig != nil {
		t.JobMinutes = int(aws.ToInt64(out.TimeoutConfig.InProgressTimeoutInMinutes))
	}
	if r := out.JobExecutionsRolloutConfig; r != nil {
		t.Rollout = &jobs.Rollout{MaximumPerMinute: int(aws.ToInt32(r.MaximumPerMinute))}
		if e := r.ExponentialRate; e != nil {
			rate := &jobs.ExponentialRate{
				BaseRatePerMinute: int(aws.ToInt32(e.BaseRatePerMinute)), IncrementFactor: aws.ToFloat64(
					e.IncrementFactor),
			}
			if k := e.RateIncreaseCriteria; k != nil {
				rate.RateIncreaseCriteria = jobs.RateIncreaseCriteria{
					NumberOfNotifiedThings:  int(aws.ToInt32(k.NumberOfNotifiedThings)),
					NumberOfSucceededThings: int(aws.ToInt32(k.NumberOfSucceededThings)),
				}
			}
			t.Rollout.ExponentialRate = rate
		}
	}
	if a := out.AbortConfig; a != nil && len(a.CriteriaList) > 0 {
		t.Abort = &jobs.Abort{}
		for _, k := range a.CriteriaList {
			t.Abort.CriteriaList = append(t.Abort.CriteriaList, jobs.AbortCriterion{
				FailureType: string(k.FailureType), Action: string(k.Action),
				ThresholdPercentage:       aws.ToFloat64(k.ThresholdPercentage),
				MinNumberOfExecutedThings: int(aws.ToInt32(k.MinNumberOfExecutedThings)),
			})
		}
	}
	if r := out.JobExecutionsRetryConfig; r != nil && len(r.CriteriaList) > 0 {
		t.Retry = &jobs.Retry{}
		for _, k := range r.CriteriaList {
			t.Retry.CriteriaList = append(t.Retry.CriteriaList, jobs.RetryCriterion{
				FailureType: string(k.FailureType), NumberOfRetries: int(aws.ToInt32(k.NumberOfRetries)),
			})
		}
	}
	return t, nil
}

// Create implements jobs.Account.
func (c *Control) Create(ctx context.Context, job jobs.Job) (string, error) {
	in := &iot.CreateJobInput{
		JobId: aws.String(string(job.JobID)), Targets: job.Request.Targets,
		TargetSelection: types.TargetSelection(job.Request.TargetSelection),
		Description:     &job.Description, Document: aws.String(string(job.Document)),
		TimeoutConfig: &types.TimeoutConfig{InProgressTimeoutInMinutes: aws.Int64(
			int64(job.Request.Timeouts.JobMinutes))},
	}
	for _, key := range slices.Sorted(maps.Keys(job.Tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(job.Tags[key])})
	}
	if r := job.Request.Rollout; r != nil {
		in.JobExecutionsRolloutConfig = &types.JobExecutionsRolloutConfig{MaximumPerMinute: positive(
			r.MaximumPerMinute)}
		if e := r.ExponentialRate; e != nil {
			in.JobExecutionsRolloutConfig.ExponentialRate = &types.ExponentialRolloutRate{
				BaseRatePerMinute: aws.Int32(int32(e.BaseRatePerMinute)),
				IncrementFactor:   aws.Float64(e.IncrementFactor),
				RateIncreaseCriteria: &types.RateIncreaseCriteria{
					NumberOfNotifiedThings:  positive(e.RateIncreaseCriteria.NumberOfNotifiedThings),
					NumberOfSucceededThings: positive(e.RateIncreaseCriteria.NumberOfSucceededThings),
				},
			}
		}
	}
	if a := job.Request.Abort; a != nil && len(a.CriteriaList) > 0 {
		in.AbortConfig = &types.AbortConfig{}
		for _, k := range a.CriteriaList {
			in.AbortConfig.CriteriaList = append(in.AbortConfig.CriteriaList, types.AbortCriteria{
				Action: types.AbortActionCancel, FailureType: types.JobExecutionFailureType(k.FailureType),
				ThresholdPercentage:       aws.Float64(k.ThresholdPercentage),
				MinNumberOfExecutedThings: aws.Int32(int32(k.MinNumberOfExecutedThings)),
			})
		}
	}
	if r := job.Request.Retry; r != nil {
		in.JobExecutionsRetryConfig = &types.JobExecutionsRetryConfig{}
		for _, k := range r.CriteriaList {
			in.JobExecutionsRetryConfig.CriteriaList = append(in.JobExecutionsRetryConfig.CriteriaList,
				types.RetryCriteria{
					FailureType:     types.RetryableFailureType(k.FailureType),
					NumberOfRetries: aws.Int32(int32(k.NumberOfRetries)),
				})
		}
	}
	out, err := c.api.CreateJob(ctx, in)
	var exists *types.ResourceAlreadyExistsException
	if errors.As(err, &exists) {
		return "", jobs.ErrExists
	}
	var invalid *types.InvalidRequestException
	var gone *types.ResourceNotFoundException
	if errors.As(err, &invalid) || errors.As(err, &gone) {
		return "", fmt.Errorf("%w: %w", jobs.ErrUnfit, err)
	}
	if err != nil {
		return "", fmt.Errorf("iotjobs.Create: %w", err)
	}
	return aws.ToString(out.JobArn), nil
}

func positive(n int) *int32 {
	if n == 0 {
		return nil
	}
	return aws.Int32(int32(n))
}

// Describe implements jobs.Account.
func (c *Control) Describe(ctx context.Context, id event.JobID) (jobs.Existing, error) {
	out, err := c.api.DescribeJob(ctx, &iot.DescribeJobInput{JobId: aws.String(string(id))})
	if notFound(err) {
		return jobs.Existing{}, jobs.ErrNotFound
	}
	if err != nil {
		return jobs.Existing{}, fmt.Errorf("iotjobs.Describe: %w", err)
	}
	return jobs.Existing{ARN: aws.ToString(out.Job.JobArn), Description: aws.ToString(out.Job.Description),
		Status: string(out.Job.Status)}, nil
}

// Document implements jobs.Documents.
func (c *Control) Document(ctx context.Context, id event.JobID) (json.RawMessage, error) {
	out, err := c.api.GetJobDocument(ctx, &iot.GetJobDocumentInput{JobId: aws.String(string(id))})
	if notFound(err) {
		return nil, jobs.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("iotjobs.Document: %w", err)
	}
	return json.RawMessage(aws.ToString(out.Document)), nil
}

// TargetExists implements jobs.Account. What is looked up by its name must have
// the very ARN: one of another account or region may have the same name.
func (c *Control) TargetExists(ctx context.Context, arn string) (bool, error) {
	found, err := c.find(ctx, arn)
	if notFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("iotjobs.TargetExists: %s: %w", arn, err)
	}
	return found == arn, nil
}

// find returns the ARN of this account's thing or thing group of the same name.
func (c *Control) find(ctx context.Context, arn string) (string, error) {
	_, resource, _ := strings.Cut(arn, ":thing")
	if name, ok := strings.CutPrefix(resource, "group/"); ok {
		out, err := c.api.DescribeThingGroup(ctx, &iot.DescribeThingGroupInput{ThingGroupName: &name})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.ThingGroupArn), nil
	}
	out, err := c.api.DescribeThing(ctx,
		&iot.DescribeThingInput{ThingName: aws.String(strings.TrimPrefix(resource, "/"))})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ThingArn), nil
}

// Things implements jobs.Account. The things of a group's child groups are its own.
func (c *Control) Things(ctx context.Context, arn string, most int) (int, error) {
	_, name, isGroup := strings.Cut(arn, ":thinggroup/")
	if !isGroup {
		return min(1, most), nil
	}
	n := 0
	pages := iot.NewListThingsInThingGroupPaginator(c.api, &iot.ListThingsInThingGroupInput{
		ThingGroupName: &name, Recursive: true, MaxResults: aws.Int32(int32(min(most, 250))),
	})
	for n < most && pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, fmt.Errorf("iotjobs.Things: %s: %w", arn, err)
		}
		n += len(page.Things)
	}
	return min(n, most), nil
}

// SetAttribute implements jobs.Registry. UpdateThing merges, so that attributes of
// others stay. A thing that has the value already is left alone.
func (c *Control) SetAttribute(ctx context.Context, thing event.ThingName, name, value string) error {
	out, err := c.api.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(string(thing))})
	if notFound(err) {
		return jobs.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("iotjobs.SetAttribute: %w", err)
	}
	if out.Attributes[name] == value {
		return nil
	}
	_, err = c.api.UpdateThing(ctx, &iot.UpdateThingInput{
		ThingName:        aws.String(string(thing)),
		AttributePayload: &types.AttributePayload{Attributes: map[string]string{name: value}, Merge: true},
	})
	if notFound(err) {
		return jobs.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("iotjobs.SetAttribute: %w", err)
	}
	return nil
}

func notFound(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}
