package rehearsal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// twoVersions are the template and a later one of the same stack, in which the functions of the steps have changed:
// two that the CDK app made of different code, in the folder that FLEETSTEP_TEMPLATES names, else the committed one
// and what it would be.
func twoVersions(t *testing.T) (first, second []byte) {
	t.Helper()
	if dir := os.Getenv("FLEETSTEP_TEMPLATES"); dir != "" {
		var err error
		if first, err = os.ReadFile(dir + "/first.json"); err != nil {
			t.Fatal(err)
		}
		if second, err = os.ReadFile(dir + "/second.json"); err != nil {
			t.Fatal(err)
		}
	} else {
		first = infra.Versioned(infra.Template)
		// Another time for each function, as another configuration has.
		changed := strings.NewReplacer(`"Timeout": 30`, `"Timeout": 29`).Replace(string(infra.Template))
		second = infra.Versioned([]byte(changed))
	}
	if bytes.Equal(first, second) {
		t.Fatal("the two versions are one")
	}
	return first, second
}

// TestAnUpgradeOfTheStackInTheMiddleOfAJob deploys another version while a job runs:
// what has begun ends with the version that it began with, what begins later has the new
// one, and every device is upgraded.
func TestAnUpgradeOfTheStackInTheMiddleOfAJob(t *testing.T) {
	first, second := twoVersions(t)
	var w *world
	var deployed time.Time
	told := fmt.Errorf("not at its end when the job was")
	story := func(ctx context.Context, sched *localcloud.Scheduler) error {
		for deployed.IsZero() {
			starts, err := w.starts(ctx)
			if err != nil && localcloud.ErrorCode(err) != "StateMachineDoesNotExist" {
				return err
			}
			if len(starts) >= 20 { // the first minute's
				if _, err := w.cloud.Deploy(ctx, stack, second, settled); err != nil {
					return err
				}
				deployed = sched.Now()
			}
			if err := sched.Sleep(ctx, time.Second/4); err != nil {
				return err
			}
		}
		return nil
	}
	var out bytes.Buffer
	before, after := 0, 0
	summary, err := Run(t.Context(), Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: 60, Seed: 4, Event: "../../events/create-job.json",
		Image:    1 << 10,
		Template: first,
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("story", func() { told = story(context.WithoutCancel(t.Context()), sched) })
		},
		opened: func(opened *world) { w = opened },
		over: func(ctx context.Context, w *world, _ string) error {
			machine := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-firmware-upgrade"
			for e, err := range w.cloud.Executions(ctx, machine) {
				if err != nil {
					return err
				}
				var history struct {
					Events []struct {
						TaskScheduledEventDetails struct{ Parameters string }
					}
				}
				in := map[string]any{"executionArn": e.ExecutionARN, "maxResults": 1000}
				if err := w.call(ctx, "sfn", "GetExecutionHistory", in, &history); err != nil {
					return err
				}
				versions := map[string]bool{} // of the functions of its steps
				for _, event := range history.Events {
					if p := event.TaskScheduledEventDetails.Parameters; p != "" {
						versions[versionOf(p)] = true
					}
				}
				want := "1"
				if !e.StartDate.Before(deployed) {
					want = "2"
					after++
				} else {
					before++
				}
				if len(versions) != 1 || !versions[want] {
					t.Errorf("%s, begun at %v, deployed at %v: functions of versions %v, want %s alone", e.Name,
						e.StartDate.Time, deployed, versions, want)
				}
			}
			return nil
		},
	})
	if err != nil || told != nil || summary.Succeeded != 60 {
		t.Fatalf("%v, story: %v, summary %+v\n%s", err, told, summary, last(out.String()))
	}
	if before == 0 || after == 0 {
		t.Errorf("%d began before the deployment, %d after it; want some of both", before, after)
	}
}

// versionOf is the version of the function that a task's parameters name.
func versionOf(parameters string) string {
	_, rest, _ := strings.Cut(parameters, `"FunctionName":"`)
	arn, _, _ := strings.Cut(rest, `"`)
	return arn[strings.LastIndexByte(arn, ':')+1:]
}
