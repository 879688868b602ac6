package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// control invokes the function control as an operator does.
func (w *world) control(ctx context.Context, verb, job string) error {
	b, err := json.Marshal(map[string]string{"verb": verb, "jobId": job, "why": "a test"})
	if err != nil {
		return err
	}
	var out struct {
		FunctionError string
		Payload       []byte
	}
	if err := w.call(ctx, "lambda", "Invoke", map[string]any{"FunctionName": stack + "-control", "Payload": b},
		&out); err != nil {
		return err
	}
	if out.FunctionError != "" {
		return fmt.Errorf("control: %s", out.Payload)
	}
	return nil
}

// starts are the moments at which executions began.
func (w *world) starts(ctx context.Context) ([]time.Time, error) {
	arn := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-firmware-upgrade"
	var all []time.Time
	for token := ""; ; {
		in := map[string]any{"stateMachineArn": arn, "maxResults": 1000}
		if token != "" {
			in["nextToken"] = token
		}
		var out struct {
			Executions []struct{ StartDate float64 }
			NextToken  string
		}
		if err := w.call(ctx, "sfn", "ListExecutions", in, &out); err != nil {
			return nil, err
		}
		for _, e := range out.Executions {
			all = append(all, time.UnixMilli(int64(e.StartDate*1000)))
		}
		if token = out.NextToken; token == "" {
			return all, nil
		}
	}
}

// taken are the moments at which devices took the commands of Download and Activate.
func (w *world) taken(ctx context.Context) (all []time.Time, err error) {
	arn := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-firmware-upgrade"
	for e, err := range w.cloud.Executions(ctx, arn) {
		if err != nil {
			return nil, err
		}
		state := ""
		for event, err := range w.cloud.History(ctx, e.ExecutionARN) {
			if err != nil {
				return nil, err
			}
			if entered := event.StateEntered; entered != nil {
				state = entered.Name
			}
			if event.Type == "TaskSucceeded" && (state == "Download" || state == "Activate") {
				all = append(all, event.Timestamp.UTC())
			}
		}
	}
	return all, nil
}

// TestAPauseHoldsAndAResumeWakes pauses a job, or everything, at moments that the
// seed chooses, for a while: nothing begins meanwhile, no device at work is told to
// download or to activate, and every device is upgraded after it. In one of them the clock stands
// still for the first minutes after it.
func TestAPauseHoldsAndAResumeWakes(t *testing.T) {
	separate := filepath.Join(t.TempDir(), "separate.json")
	if err := os.WriteFile(separate, []byte(`{
  "firmware": {"version": "2.0.0"}, "activation": {"mode": "SEPARATE"},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"]
}`), 0o666); err != nil {
		t.Fatal(err)
	}
	for seed := uint64(1); seed <= 4; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			payload := "../../events/create-job.json"
			if seed > 2 {
				payload = separate
			}
			job, verbs := "", []string{"pause", "resume"}
			if seed%2 == 0 {
				verbs = []string{"stop-all", "start-all"}
			}
			var w *world
			var from, until time.Time
			told := fmt.Errorf("not at its end when the job was")
			story := func(ctx context.Context, sched *localcloud.Scheduler) error {
				for job == "" {
					var out struct{ Jobs []struct{ JobID string } }
					if err := w.call(ctx, "iot", "ListJobs", map[string]any{}, &out); err != nil {
						return err
					}
					if len(out.Jobs) > 0 {
						job = out.Jobs[0].JobID
					}
					if err := sched.Sleep(ctx, time.Second); err != nil {
						return err
					}
				}
				if err := sched.Sleep(ctx, time.Duration(sched.Rand().IntN(90))*time.Second); err != nil {
					return err
				}
				whose := job
				if verbs[0] == "stop-all" {
					whose = ""
				}
				if err := w.control(ctx, verbs[0], whose); err != nil {
					return err
				}
				from = sched.Now()
				if err := sched.Sleep(ctx, 20*time.Minute); err != nil {
					return err
				}
				until = sched.Now()
				return w.control(ctx, verbs[1], whose)
			}
			var out bytes.Buffer
			summary, err := Run(t.Context(), Config{
				Env: &cli.Env{Out: &out, Err: &out}, Devices: 60, Seed: seed, Faults: "",
				Event: payload, Image: 1 << 10,
				Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
					sched.Go("story", func() { told = story(context.WithoutCancel(t.Context()), sched) })
				},
				opened: func(opened *world) { w = opened },
				over: func(ctx context.Context, w *world, _ string) error {
					taken, err := w.taken(ctx)
					if err != nil {
						return err
					}
					for _, at := range taken {
						if at.After(from.Add(10*time.Second)) && at.Before(until) {
							t.Errorf("a command was taken %v after the pause", at.Sub(from))
						}
					}
					starts, err := w.starts(ctx)
					if err != nil {
						return err
					}
					before, after := 0, 0
					for _, at := range starts {
						switch {
						case at.Before(from.Add(10 * time.Second)):
							before++
						case at.Before(until):
							t.Errorf("an execution began %v after the pause", at.Sub(from))
						default:
							after++
						}
					}
					if after == 0 {
						t.Errorf("all %d began before the pause: it held nothing", before)
					}
					return nil
				},
			})
			if err != nil || told != nil || summary.Succeeded != 60 {
				t.Fatalf("%v, story: %v, summary %+v\n%s", err, told, summary, last(out.String()))
			}
		})
	}
}

func last(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// TestTheClockStandsStill keeps tick from running for ten minutes, in which a flag is
// lifted: an alarm goes off, and when it ticks again whom the flag had kept begins,
// once.
func TestTheClockStandsStill(t *testing.T) {
	var w *world
	var resumed, ticked time.Time
	states := map[string]bool{}
	told := fmt.Errorf("not at its end when the job was")
	story := func(ctx context.Context, sched *localcloud.Scheduler) error {
		pass := func(d time.Duration) error { return sched.Sleep(ctx, d) }
		tick := map[string]any{"FunctionName": stack + "-tick", "ReservedConcurrentExecutions": 0}
		for _, do := range []func() error{
			func() error { return pass(time.Minute) }, // until the stack is there
			func() error { return w.control(ctx, "stop-all", "") },
			func() error { return pass(10 * time.Minute) },
			func() error { return w.call(ctx, "lambda", "PutFunctionConcurrency", tick, nil) },
			func() error { resumed = sched.Now(); return w.control(ctx, "start-all", "") },
			func() error {
				for range 10 {
					if err := pass(time.Minute); err != nil {
						return err
					}
					states[w.state(t, "tick-missing")] = true
				}
				return nil
			},
			func() error { ticked = sched.Now(); delete(tick, "ReservedConcurrentExecutions"); return nil },
			func() error { return w.call(ctx, "lambda", "DeleteFunctionConcurrency", tick, nil) },
		} {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	}
	var out bytes.Buffer
	summary, err := Run(t.Context(), Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: 60, Seed: 3, Event: "../../events/create-job.json",
		Image: 1 << 10,
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("story", func() { told = story(context.WithoutCancel(t.Context()), sched) })
		},
		opened: func(opened *world) { w = opened },
		over: func(ctx context.Context, w *world, _ string) error {
			starts, err := w.starts(ctx)
			kept := 0
			for _, at := range starts {
				if at.After(ticked) {
					kept++
				}
			}
			if len(starts) != 60 || kept == 0 {
				t.Errorf("%d executions, %d after the clock went on; want one for each of 60 devices, and some kept",
					len(starts), kept)
			}
			return err
		},
	})
	if err != nil || told != nil || summary.Succeeded != 60 || resumed.IsZero() {
		t.Fatalf("%v, story: %v, summary %+v\n%s", err, told, summary, last(out.String()))
	}
	if !states["ALARM"] {
		t.Errorf("the alarm was %v while the clock stood still", states)
	}
}
