package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// upgrades are the executions of the upgrade's state machine.
func (w *world) upgrades(ctx context.Context) (list []localcloud.Execution, err error) {
	machine := fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s-firmware-upgrade", region, account, stack)
	for e, err := range w.cloud.Executions(ctx, machine) {
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b localcloud.Execution) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// A Finalize that cannot report for hours gives up, and the execution fails in it. Once
// the cause is mended, RedriveExecution reports, as if nothing had been: an upgrade
// that succeeded ends an execution that succeeded, one that failed one that failed.
func TestFinalizeThatCouldNotReportIsRedriven(t *testing.T) {
	const mended = 12 * time.Hour
	var (
		w        *world
		before   []string
		alarm    string
		problem  error
		outcomes = &outcomeDoor{published: map[string][]string{}}
	)
	s, out, err := play(t, Config{
		Devices: 3, Seed: 3, Faults: "404@2",
		Fault: func(_ context.Context, c *localcloud.Request, in any) error {
			if c.Operation != "UpdateJobExecution" || w.sched.Now().Sub(start) >= mended {
				return nil
			}
			b, err := json.Marshal(in)
			if err != nil || strings.Contains(string(b), "IN_PROGRESS") {
				return err
			}
			return errInvalidEndpoint
		},
		opened: func(opened *world) {
			w = opened
			outcomes.door, w.door = w.door, outcomes
			w.sched.After(time.Hour, "look at the alarm", func() { alarm = w.state(t, "stuck-upgrades") })
			w.sched.After(mended, "redrive", func() {
				failed, err := w.upgrades(t.Context())
				problem = errors.Join(problem, err)
				for _, e := range failed {
					_, path, err := w.path(t.Context(), e)
					before = append(before, path)
					problem = errors.Join(problem, err,
						w.call(t.Context(), "sfn", "RedriveExecution", map[string]any{"executionArn": e.ExecutionARN}, nil))
				}
			})
		},
		over: func(ctx context.Context, w *world, _ string) error {
			ended, err := w.upgrades(ctx)
			if err != nil {
				return err
			}
			var statuses []string
			for _, e := range ended {
				_, path, err := w.path(ctx, e)
				if err != nil {
					return err
				}
				statuses = append(statuses, path[strings.LastIndex(path, "ExecutionRedriven")+1:])
			}
			if len(statuses) != 3 || !strings.HasSuffix(statuses[0], "SUCCEEDED") || !strings.HasSuffix(statuses[2], "SUCCEEDED") ||
				!strings.HasSuffix(statuses[1], "Failed ExecutionFailed Download.Failed FAILED") {
				t.Errorf("the executions ended so: %q", statuses)
			}
			return nil
		},
	})
	if err != nil || problem != nil || s.Succeeded != 2 || s.Failed != 1 {
		t.Fatalf("%v, %v\n%s", err, problem, out)
	}
	for i, want := range []string{"Finalize", "FinalizeFailed", "Finalize"} {
		_, last, _ := strings.Cut(before[i], " "+want+" ")
		if strings.Contains(last, "Failed ExecutionFailed Download") || !strings.HasSuffix(last, "ExecutionFailed Transient FAILED") {
			t.Errorf("execution %d did not fail in %s: %s", i, want, before[i])
		}
	}
	if alarm != "ALARM" {
		t.Errorf("after an hour stuck-upgrades was %s", alarm)
	}
	for _, thing := range []string{"rg-000001", "rg-000002", "rg-000003"} {
		if n := len(outcomes.published[thing]); n != 1 {
			t.Errorf("%s: %d outcomes: %v", thing, n, outcomes.published[thing])
		}
	}
}

// A function that nobody can call fails no device: its upgrades are canceled under our
// own name, no abort criterion stops the job, no retry is used up, and an alarm tells.
func TestOurOwnFailureIsNoDevices(t *testing.T) {
	alarms := map[string]string{}
	outcomes := &outcomeDoor{published: map[string][]string{}}
	s, out, err := play(t, Config{
		Devices: 3, Seed: 4, Event: "../../events/create-job-quick.json",
		Fault: func(_ context.Context, c *localcloud.Request, in any) error {
			if c.Service.ID != "lambda" || c.Operation != "Invoke" {
				return nil
			}
			if b, err := json.Marshal(in); err != nil || !strings.Contains(string(b), stack+"-verify-version") {
				return err
			}
			return &localcloud.Error{Code: "AccessDeniedException", Status: 403, Message: "not authorized to perform: lambda:InvokeFunction"}
		},
		opened: func(w *world) { outcomes.door, w.door = w.door, outcomes },
		over: func(ctx context.Context, w *world, job string) error {
			if err := w.sched.Sleep(ctx, 10*time.Minute); err != nil {
				return err
			}
			for _, alarm := range []string{"controller-failed", "failure-ratio"} {
				alarms[alarm] = w.state(t, alarm)
			}
			var x struct {
				Execution struct {
					Status          string
					ExecutionNumber int
					StatusDetails   struct{ DetailsMap map[string]string }
				}
			}
			err := w.call(ctx, "iot", "DescribeJobExecution", map[string]any{"thingName": "rg-000001", "jobId": job}, &x)
			if d := x.Execution.StatusDetails.DetailsMap; x.Execution.Status != "CANCELED" || x.Execution.ExecutionNumber != 1 ||
				d["reason"] != "Controller.Failed" || !strings.Contains(d["detail"], "in state Verify") {
				t.Errorf("the job execution is %+v", x.Execution)
			}
			return err
		},
	})
	if s == nil || s.Canceled != 3 || s.Failed != 0 {
		t.Fatalf("%+v, %v\n%s", s, err, out)
	}
	if alarms["controller-failed"] != "ALARM" || alarms["failure-ratio"] == "ALARM" {
		t.Errorf("alarms %v", alarms)
	}
	for thing, published := range outcomes.published {
		if len(published) != 1 || !strings.Contains(published[0], `"reason":"Controller.Failed"`) || !strings.Contains(published[0], `"status":"CANCELED"`) {
			t.Errorf("%s: %v", thing, published)
		}
	}
}
