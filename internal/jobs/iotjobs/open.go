package iotjobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// cursor says where among the open job executions a reader has come: of which job,
// with which status, after which page. First come jobs that are IN_PROGRESS, one a
// page of jobs; then those that were cancelled, of which a page is kept.
type cursor struct {
	Job      event.JobID              `json:"job,omitempty"` // "" to find the next one
	Jobs     string                   `json:"jobs,omitempty"`
	Status   types.JobExecutionStatus `json:"status,omitempty"`
	Page     string                   `json:"page,omitempty"`
	Canceled bool                     `json:"canceled,omitempty"`
	Left     []event.JobID            `json:"left,omitempty"` // of the page of cancelled jobs
}

// A job that was cancelled leaves those of its executions alone that are IN_PROGRESS,
// for as long as their timer may run: seven days at most (AWS IoT API reference,
// TimeoutConfig), and a day for clocks and copies.
const mostOpen = 8 * 24 * time.Hour

// canceledPage is how many cancelled jobs are read at once. Their ids are kept in the
// cursor, 64 characters each.
const canceledPage = 50

// Open reads a page of the open job executions of jobs that are IN_PROGRESS, and of
// those that were cancelled and may have some, from a cursor on, by two calls at most.
// A page may be empty though it is not the last. The cursor after the last is "".
func (c *Control) Open(ctx context.Context, from string, now time.Time, most int) (page []jobs.Open, next string,
	err error) {
	fail := func(err error) ([]jobs.Open, string, error) { return nil, "", fmt.Errorf("iotjobs.Open: %w", err) }
	var at cursor
	if from != "" {
		if err := json.Unmarshal([]byte(from), &at); err != nil {
			return fail(err)
		}
	}
	if at.Job == "" {
		if at, err = c.nextJob(ctx, at, now); err != nil {
			return fail(err)
		}
		if at.Job == "" {
			return nil, at.text(), nil
		}
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
	case at.Status == types.JobExecutionStatusInProgress && !at.Canceled:
		at.Status = types.JobExecutionStatusQueued
	default:
		at = at.behind()
	}
	return page, at.text(), nil
}

// nextJob finds the next job to look at, by one call at most; without one the cursor is
// where to go on.
func (c *Control) nextJob(ctx context.Context, at cursor, now time.Time) (cursor, error) {
	status, most := types.JobStatusInProgress, 1
	if at.Canceled {
		status, most = types.JobStatusCanceled, canceledPage
	}
	if len(at.Left) == 0 {
		in := &iot.ListJobsInput{Status: status, MaxResults: aws.Int32(int32(most))}
		if at.Jobs != "" {
			in.NextToken = &at.Jobs
		}
		out, err := c.api.ListJobs(ctx, in)
		if err != nil {
			return at, err
		}
		at = cursor{Jobs: aws.ToString(out.NextToken), Canceled: at.Canceled}
		for _, j := range out.Jobs {
			if !at.Canceled || now.Sub(aws.ToTime(j.LastUpdatedAt)) < mostOpen {
				at.Left = append(at.Left, event.JobID(aws.ToString(j.JobId)))
			}
		}
	}
	if len(at.Left) == 0 {
		return at.behind(), nil
	}
	at.Job, at.Left, at.Status = at.Left[0], at.Left[1:], types.JobExecutionStatusInProgress
	return at, nil
}

// behind is the cursor when the executions of a job are all read.
func (c cursor) behind() cursor {
	c = cursor{Jobs: c.Jobs, Canceled: c.Canceled, Left: c.Left}
	switch {
	case c.Jobs != "" || len(c.Left) > 0:
		return c
	case c.Canceled:
		return cursor{}
	}
	return cursor{Canceled: true}
}

// text is how a cursor is kept; "" is the beginning, and the end.
func (c cursor) text() string {
	if c.Job == "" && c.Jobs == "" && !c.Canceled {
		return ""
	}
	b, err := json.Marshal(c)
	if err != nil {
		return "" // unreachable: plain values only
	}
	return string(b)
}
