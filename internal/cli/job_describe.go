package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/event"
)

// State is a job as it is now.
type State struct {
	JobID    string    `json:"jobId"`
	Status   string    `json:"status"`
	Comment  string    `json:"comment,omitempty"`
	Targets  []string  `json:"targets"`
	Counts   Counts    `json:"counts"`
	Failures []Failure `json:"failures,omitempty"`
	Waiting  []Behind  `json:"waiting,omitempty"` // devices behind other jobs, if that was asked
}

// Behind is a device whose execution of a job is queued behind another job, of whoever.
type Behind struct {
	Thing  string `json:"thing"`
	Behind string `json:"behind"` // the job at the head of the device's queue
}

// mostExplained is how many queued devices are looked at: each takes two requests.
const mostExplained = 100

// WaitingBehind looks at the first devices whose execution of a job is queued, for those at the head of whose queue
// another job is: one that is in progress, or else the one that was queued first.
func WaitingBehind(ctx context.Context, api *iot.Client, job string) (waiting []Behind, err error) {
	pages := iot.NewListJobExecutionsForJobPaginator(api,
		&iot.ListJobExecutionsForJobInput{JobId: &job, Status: types.JobExecutionStatusQueued})
	for seen := 0; pages.HasMorePages() && seen < mostExplained; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.ExecutionSummaries[:min(len(page.ExecutionSummaries), mostExplained-seen)] {
			seen++
			thing := thingOf(e)
			head, err := headOfQueue(ctx, api, thing)
			if err != nil {
				return nil, err
			}
			if head != "" && head != job {
				waiting = append(waiting, Behind{thing, head})
			}
		}
	}
	return waiting, nil
}

// headOfQueue is the job that a device is given now; "" if there is none any more.
func headOfQueue(ctx context.Context, api *iot.Client, thing string) (head string, err error) {
	for _, status := range []types.JobExecutionStatus{types.JobExecutionStatusInProgress,
		types.JobExecutionStatusQueued} {
		var first time.Time
		pages := iot.NewListJobExecutionsForThingPaginator(api,
			&iot.ListJobExecutionsForThingInput{ThingName: &thing, Status: status})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return "", err
			}
			for _, e := range page.ExecutionSummaries {
				if e.JobExecutionSummary == nil {
					continue
				}
				if at := aws.ToTime(e.JobExecutionSummary.QueuedAt); head == "" || at.Before(first) {
					head, first = aws.ToString(e.JobId), at
				}
			}
		}
		if head != "" {
			return head, nil
		}
	}
	return "", nil
}

func thingOf(e types.JobExecutionSummaryForJob) string {
	arn := aws.ToString(e.ThingArn)
	return arn[strings.LastIndexByte(arn, '/')+1:]
}

// Counts are job executions by status.
type Counts struct {
	Queued     int `json:"queued"`
	InProgress int `json:"inProgress"`
	Succeeded  int `json:"succeeded"`
	Failed     int `json:"failed"`
	Rejected   int `json:"rejected"`
	TimedOut   int `json:"timedOut"`
	Canceled   int `json:"canceled"`
	Removed    int `json:"removed"`
}

// Total is the number of devices the job has reached so far.
func (c Counts) Total() int { return c.Queued + c.InProgress + c.Done() }

// Done is the number of devices whose part has ended.
func (c Counts) Done() int {
	return c.Succeeded + c.Failed + c.Rejected + c.TimedOut + c.Canceled + c.Removed
}

// Unsuccessful is the number of devices that ended otherwise than well.
func (c Counts) Unsuccessful() int { return c.Done() - c.Succeeded }

// Failure is a device that was not upgraded.
type Failure struct {
	Thing  string `json:"thing"`
	Status string `json:"status"`
	Reason string `json:"reason"` // error name of docs/errors.md
	Detail string `json:"detail,omitempty"`
}

// Describe reads a job's state, without the failures.
func Describe(ctx context.Context, api *iot.Client, job string) (*State, error) {
	out, err := api.DescribeJob(ctx, &iot.DescribeJobInput{JobId: &job})
	if err != nil {
		return nil, err
	}
	s := &State{JobID: job, Status: string(out.Job.Status), Comment: aws.ToString(out.Job.Comment),
		Targets: out.Job.Targets}
	if p := out.Job.JobProcessDetails; p != nil {
		n := func(v *int32) int { return int(aws.ToInt32(v)) }
		s.Counts = Counts{
			n(p.NumberOfQueuedThings), n(p.NumberOfInProgressThings), n(p.NumberOfSucceededThings),
			n(p.NumberOfFailedThings),
			n(p.NumberOfRejectedThings), n(p.NumberOfTimedOutThings), n(p.NumberOfCanceledThings),
			n(p.NumberOfRemovedThings),
		}
	}
	return s, nil
}

// Failures lists the devices that were not upgraded, at most that many of them,
// and why, in order of their things. A device may have several executions of a
// continuous job: each is told as it ended.
func Failures(ctx context.Context, api *iot.Client, job string, most int) ([]Failure, error) {
	var list []Failure
	for _, status := range []types.JobExecutionStatus{
		types.JobExecutionStatusFailed, types.JobExecutionStatusRejected, types.JobExecutionStatusTimedOut,
		types.JobExecutionStatusCanceled, types.JobExecutionStatusRemoved,
	} {
		pages := iot.NewListJobExecutionsForJobPaginator(api,
			&iot.ListJobExecutionsForJobInput{JobId: &job, Status: status})
		for pages.HasMorePages() && len(list) < most {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, e := range page.ExecutionSummaries {
				if len(list) == most {
					break
				}
				f, err := failure(ctx, api, job, e)
				if err != nil {
					return nil, err
				}
				list = append(list, f)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Failure) int { return strings.Compare(a.Thing, b.Thing) })
	return list, nil
}

func failure(ctx context.Context, api *iot.Client, job string, e types.JobExecutionSummaryForJob) (Failure, error) {
	thing := thingOf(e)
	in := &iot.DescribeJobExecutionInput{JobId: &job, ThingName: &thing}
	if e.JobExecutionSummary != nil {
		in.ExecutionNumber = e.JobExecutionSummary.ExecutionNumber
	}
	out, err := api.DescribeJobExecution(ctx, in)
	if err != nil {
		return Failure{}, err
	}
	f := Failure{Thing: thing, Status: string(out.Execution.Status)}
	if d := out.Execution.StatusDetails; d != nil {
		f.Reason, f.Detail = d.DetailsMap["reason"], d.DetailsMap["detail"]
	}
	return f, nil
}

func jobDescribe(env *Env) *cobra.Command {
	var asJSON, why bool
	var most int
	c := &cobra.Command{
		Use:   "describe JOB",
		Short: "Show a job: its status, its devices by status, its failures by reason",
		Long: `Shows a job: its status, its devices by status, its failures by reason. AWS IoT gives a device
one job execution after the other, whoever made the jobs: --why says behind which job the queued
devices of this one wait.`,
		Example: "  fleetstep job describe fw-2-0-0-7a57f8c2b3c01f4e",
		Args:    oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := env.iot(c.Context())
			if err != nil {
				return err
			}
			s, err := Describe(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if s.Failures, err = Failures(c.Context(), api, args[0], most); err != nil {
				return err
			}
			if why {
				if s.Waiting, err = WaitingBehind(c.Context(), api, args[0]); err != nil {
					return err
				}
			}
			if asJSON {
				return env.json(s)
			}
			fmt.Fprintf(env.Out, "job       %s\nstatus    %s\n", s.JobID, s.Status)
			if s.Comment != "" {
				fmt.Fprintf(env.Out, "comment   %s\n", s.Comment)
			}
			fmt.Fprintf(env.Out, "devices   %d: %s\n", s.Counts.Total(), s.Counts)
			var waiting []ListedDevice
			for _, b := range s.Waiting {
				waiting = append(waiting, ListedDevice{ThingName: b.Thing,
					Waits: &event.Waits{For: event.WaitsOwner, Behind: "job " + b.Behind}})
			}
			explain(env.Out, waiting, false)
			return printFailures(env, s.Failures)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&why, "why", false, "behind which other job queued devices wait: of the first hundred")
	c.Flags().IntVar(&most, "failures", 100, "list at most this many devices that were not upgraded")
	return c
}

func (c Counts) String() string {
	s := fmt.Sprintf("%d queued, %d in progress, %d succeeded", c.Queued, c.InProgress, c.Succeeded)
	for _, n := range []struct {
		count int
		name  string
	}{{c.Failed, "failed"}, {c.Rejected, "rejected"}, {c.TimedOut, "timed out"}, {c.Canceled, "canceled"},
		{c.Removed, "removed"}} {
		if n.count > 0 {
			s += fmt.Sprintf(", %d %s", n.count, n.name)
		}
	}
	return s
}

// printFailures shows failures grouped by reason.
func printFailures(env *Env, list []Failure) error {
	if len(list) == 0 {
		return nil
	}
	reasons := map[string]int{}
	for _, f := range list {
		reasons[f.Status+" "+f.Reason]++
	}
	fmt.Fprintln(env.Out, "\nnot upgraded, by reason:")
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(env.Out, "  %4d  %s\n", reasons[r], r)
	}
	fmt.Fprintln(env.Out)
	w := tabwriter.NewWriter(env.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "THING\tSTATUS\tREASON\tDETAIL")
	for _, f := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Thing, f.Status, f.Reason, f.Detail)
	}
	return w.Flush()
}
