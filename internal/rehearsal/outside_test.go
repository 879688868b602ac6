package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// TestAnOutsidePairOutlivesBadWeather: two files that are not in the stack, a hundred
// devices, some difficult and some away, a pause, a device whose part is cancelled, and
// the worst weather. Every device ends, each that failed with a reason, and nothing is
// left. What a device may end with on such a day is not its outcome on a fair one: its
// answer to a command may be lost for good, and is told so.
func TestAnOutsidePairOutlivesBadWeather(t *testing.T) {
	seeds := askedSeeds(t)
	if len(seeds) == 0 {
		t.Skip("make test-weather plays it")
	}
	payload := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(payload, []byte(`{
  "operation": "reconnect", "rollout": {"maximumPerMinute": 60}, "abort": {"criteriaList": []},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"]
}`), 0o600); err != nil {
		t.Fatal(err)
	}
	canceled := simulator.ThingName(50)
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			bad, err := localcloud.ParseWeather("bad", "", seed)
			if err != nil {
				t.Fatal(err)
			}
			var w *world
			told := errors.New("not at its end when the job was")
			story := func(ctx context.Context, sched *localcloud.Scheduler) error {
				job := ""
				for job == "" {
					var out struct{ Jobs []struct{ JobID string } }
					if err := w.call(ctx, "iot", "ListJobs", map[string]any{}, &out); err == nil && len(out.Jobs) > 0 {
						job = out.Jobs[0].JobID
					}
					if err := sched.Sleep(ctx, 10*time.Second); err != nil {
						return err
					}
				}
				// An operator whose call fails calls again.
				insist := func(do func() error) (err error) {
					for range 20 {
						if err = do(); err == nil {
							return nil
						}
						if err := sched.Sleep(ctx, time.Second); err != nil {
							return err
						}
					}
					return err
				}
				if err := insist(func() error { return w.control(ctx, "pause", job) }); err != nil {
					return err
				}
				err := insist(func() error {
					err := w.call(ctx, "iot", "CancelJobExecution", map[string]any{"jobId": job, "thingName": canceled,
						"force": true}, nil)
					if localcloud.ErrorCode(errors.Unwrap(err)) == "InvalidStateTransitionException" {
						return nil // it is over
					}
					return err
				})
				if err != nil {
					return err
				}
				if err := sched.Sleep(ctx, 5*time.Minute); err != nil {
					return err
				}
				return insist(func() error { return w.control(ctx, "resume", job) })
			}
			_, out, err := play(t, Config{
				Devices: 100, Seed: seed, Event: payload, Workflows: "../../examples/workflows", Weather: bad,
				Faults:  "delay=5,offline-at-start=5,duplicate-all=5,reorder=5,garbage=5",
				Timeout: 24 * time.Hour, opened: func(x *world) { w = x },
				Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
					sched.Go("story", func() { told = story(context.WithoutCancel(t.Context()), sched) })
				},
			})
			if told != nil {
				t.Errorf("story: %v", told)
			}
			failed := 0
			for line := range strings.Lines(out) {
				problem, ok := strings.CutPrefix(strings.TrimSpace(line), "PROBLEM: ")
				switch {
				case !ok, strings.HasPrefix(problem, canceled+" "):
				case strings.Contains(problem, " ended with FAILED Device.NoReport"):
					failed++
				default:
					t.Error(problem)
				}
			}
			if failed > 10 {
				t.Errorf("%d of 100 devices failed", failed)
			}
			if t.Failed() || !strings.Contains(out, "SUMMARY ") {
				t.Errorf("%v\n%s", err, last(out))
			}
		})
	}
}
