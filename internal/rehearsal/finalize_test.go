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

	"github.com/fleetstep/fleetstep/internal/cli"
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
						w.call(t.Context(), "sfn", "RedriveExecution", map[string]any{"executionArn": e.ExecutionARN},
							nil))
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
			if len(statuses) != 3 || !strings.HasSuffix(statuses[0], "SUCCEEDED") ||
				!strings.HasSuffix(statuses[2], "SUCCEEDED") ||
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
		if strings.Contains(last, "Failed ExecutionFailed Download") ||
			!strings.HasSuffix(last, "ExecutionFailed Permanent FAILED") {
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
			return &localcloud.Error{Code: "AccessDeniedException", Status: 403,
				Message: "not authorized to perform: lambda:InvokeFunction"}
		},
		opened: func(w *world) { outcomes.door, w.door = w.door, outcomes },
		over: func(ctx context.Context, w *world, job string) error {
			if err := w.sched.Sleep(ctx, 10*time.Minute); err != nil {
				return err
			}
			for _, alarm := range []string{"controller-failed", "failure-ratio"} {
				alarms[alarm] = w.state(t, alarm)
			}
			x, err := w.jobExecution(ctx, job, "rg-000001")
			if d := x.StatusDetails.DetailsMap; x.Status != "CANCELED" || x.ExecutionNumber != 1 ||
				d["reason"] != "Controller.Failed" || !strings.Contains(d["detail"], "in state Verify") {
				t.Errorf("the job execution is %+v", x)
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

// A device's upgrade is force-cancelled while another job waits for it. Whoever hears of
// it first tells of it, under its name, and nobody tells of it again: AWS IoT's event, or
// the start of the other job, where events come late. The other job is played.
func TestAnUpgradeThatIsForceCancelledIsToldOnce(t *testing.T) {
	const thing = "rg-000001"
	for name, late := range map[string]bool{"the event is first": false, "the other job is first": true} {
		for seed := range uint64(4) {
			outcomes := &outcomeDoor{published: map[string][]string{}}
			var problem error
			_, out, err := play(t, Config{
				Devices: 1, Seed: seed, Faults: "slow-link@1",
				opened: func(w *world) {
					outcomes.door, w.door = w.door, outcomes
					w.sched.Go("operator", func() { problem = w.forceCancel(t, thing, late) })
				},
				over: func(ctx context.Context, w *world, _ string) error { return w.sched.Sleep(ctx, time.Hour) },
			})
			if err != nil && !errors.Is(err, cli.ErrFailed) || problem != nil {
				t.Fatalf("%s, seed %d: %v, %v\n%s", name, seed, err, problem, out)
			}
			first, second := 0, 0
			for _, o := range outcomes.published[thing] {
				switch {
				case strings.Contains(o, "jobId=other"):
					second++
				case strings.Contains(o, `"reason":"Job.Canceled"`) && strings.Contains(o, `"status":"CANCELED"`) && strings.Contains(o, `"executionNumber":1`):
					first++
				}
			}
			if n := len(outcomes.published[thing]); first != 1 || second != 1 || n != 2 {
				t.Errorf("%s, seed %d: %q", name, seed, outcomes.published[thing])
			}
		}
	}
}

// forceCancel waits for a thing's upgrade to begin, queues another job and cancels; late
// keeps AWS IoT's events from their function meanwhile.
func (w *world) forceCancel(t *testing.T, thing string, late bool) error {
	ctx := t.Context()
	var job string
	for job == "" {
		if err := w.sched.Sleep(ctx, time.Second); err != nil {
			return err
		}
		var out struct {
			ExecutionSummaries []struct {
				JobID               string
				JobExecutionSummary struct{ Status string }
			}
		}
		err := w.call(ctx, "iot", "ListJobExecutionsForThing", map[string]any{"thingName": thing}, &out)
		if err != nil && localcloud.ErrorCode(err) != "ResourceNotFoundException" {
			return err
		}
		for _, s := range out.ExecutionSummaries {
			if s.JobExecutionSummary.Status == "IN_PROGRESS" {
				job = s.JobID
			}
		}
	}
	if late {
		w.concurrency(t, "handle-job-event", 0)
	}
	payload, err := json.Marshal(map[string]any{
		"jobId": "other", "firmware": map[string]any{"version": "2.0.0"},
		"targets": []string{"arn:aws:iot:" + region + ":" + account + ":thing/" + thing},
	})
	if err != nil {
		return err
	}
	w.must(t, "lambda", "Invoke", map[string]any{"FunctionName": stack + "-create-job", "Payload": payload})
	w.must(t, "iot", "CancelJobExecution", map[string]any{"thingName": thing, "jobId": job, "force": true})
	if err := w.sched.Sleep(ctx, 5*time.Minute); err != nil {
		return err
	}
	x, err := w.jobExecution(ctx, job, thing)
	if err != nil {
		return err
	}
	if r := x.StatusDetails.DetailsMap["reason"]; r != "Job.Begun" {
		return fmt.Errorf("the reason in statusDetails is %q", r)
	}
	if !late {
		return nil
	}
	return w.call(ctx, "lambda", "DeleteFunctionConcurrency", map[string]any{"FunctionName": stack +
		"-handle-job-event"}, nil)
}
