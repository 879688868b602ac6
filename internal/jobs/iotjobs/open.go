package iotjobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// cursor says where among the open job executions a reader has come: of which job,
// with which status, after which page.
type cursor struct {
	Job    event.JobID              `json:"job,omitempty"` // "" to find the next one
	Jobs   string                   `json:"jobs,omitempty"`
	Status types.JobExecutionStatus `json:"status,omitempty"`
	Page   string                   `json:"page,omitempty"`
}

// Open reads a page of the open job executions of jobs that are IN_PROGRESS, from a
// cursor on, by two calls at most. A page may be empty though it is not the last. The
// cursor after the last is "".
func (c *Control) Open(ctx context.Context, from string, most int) (page []jobs.Open, next string, err error) {
	fail := func(err error) ([]jobs.Open, string, error) { return nil, "", fmt.Errorf("iotjobs.Open: %w", err) }
	var at cursor
	if from != "" {
		if err := json.Unmarshal([]byte(from), &at); err != nil {
			return fail(err)
		}
	}
	if at.Job == "" {
		in := &iot.ListJobsInput{Status: types.JobStatusInProgress, MaxResults: aws.Int32(1)}
		if at.Jobs != "" {
			in.NextToken = &at.Jobs
		}
		out, err := c.api.ListJobs(ctx, in)
		if err != nil {
			return fail(err)
		}
		at = cursor{Jobs: aws.ToString(out.NextToken)}
		if len(out.Jobs) == 0 {
			return nil, at.text(), nil
		}
		at.Job, at.Status = event.JobID(aws.ToString(out.Jobs[0].JobId)), types.JobExecutionStatusInProgress
	}
	in := &iot.ListJobExecutionsForJobInput{
		JobId: aws.String(string(at.Job)), Status: at.Status, MaxResults: aws.Int32(int32(most)),
	}
	if at.Page != "" {
		in.NextToken = &at.Page
	}
	out, err := c.api.ListJobExecutionsForJob(ctx, in)
	if err != nil && !notFound(err) {
		return fail(err)
	}
	if err != nil { // deleted meanwhile
		out = &iot.ListJobExecutionsForJobOutput{}
	}
	for _, s := range out.ExecutionSummaries {
		_, thing, _ := strings.Cut(aws.ToString(s.ThingArn), ":thing/")
		if s.JobExecutionSummary == nil || thing == "" {
			continue
		}
		page = append(page, jobs.Open{
			Thing: event.ThingName(thing), Job: at.Job, Since: aws.ToTime(s.JobExecutionSummary.LastUpdatedAt),
		})
	}
	switch at.Page = aws.ToString(out.NextToken); {
	case at.Page != "":
	case at.Status == types.JobExecutionStatusInProgress:
		at.Status = types.JobExecutionStatusQueued
	default:
		at = cursor{Jobs: at.Jobs}
	}
	return page, at.text(), nil
}

// text is how a cursor is kept; "" is the beginning, and the end.
func (c cursor) text() string {
	if c == (cursor{}) {
		return ""
	}
	b, err := json.Marshal(c)
	if err != nil {
		return "" // unreachable: plain values only
	}
	return string(b)
}
