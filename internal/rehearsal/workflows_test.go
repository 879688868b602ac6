package rehearsal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// folder is one with the two files of an operation, which the stack's template does not have:
// one of statemachines/, under another name.
func folder(t *testing.T, of, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, ending := range []string{operation.MachineFile, operation.SchemaFile} {
		b, err := os.ReadFile("../../statemachines/" + of + ending)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+ending), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTwoFilesAreAnOperation plays one that is given by a folder, on devices of which some are
// difficult or away.
func TestTwoFilesAreAnOperation(t *testing.T) {
	c := Config{
		Devices: 12, Seed: 5, Faults: "delay=2,duplicate-all=2,offline-at-start=2",
		Operation: trial.Operation{Name: "again", Input: `{"bootSeconds":900}`}, Workflows: folder(t, "reboot",
			"again"),
	}
	s, out, err := play(t, c)
	if s == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err != nil || s.Succeeded != 12 || !strings.HasPrefix(s.JobID, "again-") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"job " + s.JobID + ": operation again", "(fault offline-at-start): succeeded"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing says %q:\n%s", want, out)
		}
	}
}

// TestANewWorkflowRuns plays what "fleetstep workflow new" writes, as it is.
func TestANewWorkflowRuns(t *testing.T) {
	dir := t.TempDir()
	machine, schema := operation.Skeleton("blink")
	for ending, text := range map[string][]byte{operation.MachineFile: machine, operation.SchemaFile: schema} {
		if err := os.WriteFile(filepath.Join(dir, "blink"+ending), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, out, err := play(t, Config{Devices: 3, Seed: 5, Operation: trial.Operation{Name: "blink"}, Workflows: dir})
	if err != nil || s == nil || s.Succeeded != 3 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAnOperationsInputIsHeldToItsSchema: create-job says what is wrong, and the run how it is repeated.
func TestAnOperationsInputIsHeldToItsSchema(t *testing.T) {
	_, out, err := play(t, Config{
		Devices: 1, Seed: 5, Operation: trial.Operation{Name: "again", Input: `{"bootSeconds":1,"song":2}`},
		Workflows: folder(t, "reboot", "again"),
	})
	if err == nil || !strings.Contains(err.Error(),
		"$.input.bootSeconds: 1: at least 10\n$.input.song: 2: no such member") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, `--operation again --input "{\"bootSeconds\":1,\"song\":2}" --workflows`) {
		t.Errorf("got %s", out)
	}
}

func TestAFolderWithMistakesIsRefused(t *testing.T) {
	dir := folder(t, "reboot", "again")
	if err := os.Remove(filepath.Join(dir, "again"+operation.SchemaFile)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, filepath.Join(dir, "nowhere"), folder(t, "reboot", "reboot")} {
		_, out, err := play(t, Config{Devices: 1, Operation: trial.Operation{Name: "again"}, Workflows: dir})
		if err == nil {
			t.Errorf("%s: no error\n%s", dir, out)
		}
	}
}

// TestTheExampleOfAWorkflow plays what docs/workflows.md shows.
func TestTheExampleOfAWorkflow(t *testing.T) {
	s, out, err := play(t, Config{
		Devices: 30, Seed: 5, Faults: "delay=3,duplicate-all=3,reorder=3,offline-at-start=3",
		Operation: trial.Operation{Name: "reconnect"}, Workflows: "../../examples/workflows",
	})
	if err != nil || s.Succeeded != 30 {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestAnOperationOfAFolderIsPaused: nothing begins during a pause, and every device is done after it.
func TestAnOperationOfAFolderIsPaused(t *testing.T) {
	payload := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(payload, []byte(`{
  "operation": "again", "rollout": {"maximumPerMinute": 20}, "abort": {"criteriaList": []},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"]
}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var w *world
	var from, until time.Time
	told := errors.New("not at its end when the job was")
	story := func(ctx context.Context, sched *localcloud.Scheduler) error {
		job := ""
		for job == "" {
			var out struct{ Jobs []struct{ JobID string } }
			if err := w.call(ctx, "iot", "ListJobs", map[string]any{}, &out); err != nil {
				return err
			}
			if len(out.Jobs) > 0 {
				job = out.Jobs[0].JobID
			}
			if err := sched.Sleep(ctx, 10*time.Second); err != nil {
				return err
			}
		}
		if err := w.control(ctx, "pause", job); err != nil {
			return err
		}
		from = sched.Now()
		if err := sched.Sleep(ctx, 10*time.Minute); err != nil {
			return err
		}
		until = sched.Now()
		return w.control(ctx, "resume", job)
	}
	s, out, err := play(t, Config{
		Devices: 40, Seed: 3, Faults: "delay=3,offline-at-start=3", Event: payload, Workflows: folder(t, "reboot",
			"again"),
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("story", func() { told = story(context.WithoutCancel(t.Context()), sched) })
		},
		opened: func(opened *world) { w = opened },
		over: func(ctx context.Context, w *world, _ string) error {
			after := 0
			machine := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-again"
			for e, err := range w.cloud.Executions(ctx, machine) {
				if err != nil {
					return err
				}
				switch at := e.StartDate.Time; {
				case at.After(from.Add(10*time.Second)) && at.Before(until):
					t.Errorf("an execution began %v after the pause", at.Sub(from))
				case at.After(until):
					after++
				}
			}
			if after == 0 {
				t.Error("the pause held nothing")
			}
			return nil
		},
	})
	if err != nil || told != nil || s == nil || s.Succeeded != 40 {
		t.Errorf("%v, story: %v\n%s", err, told, last(out))
	}
}
