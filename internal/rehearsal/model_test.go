package rehearsal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// An upgrade heeds what was found of its device's model: who ignores AutoActivate is
// told to activate as soon as the image is there, and not when the restart is overdue.
func TestUpgradesHeedTheQuirksOfAModel(t *testing.T) {
	var paths []string
	_, out, err := play(t, Config{
		Devices: 2, Seed: 6, Onboard: true, Profiles: "no-auto-activate=2",
		Event: "../../events/create-job-quick.json",
		opened: func(w *world) {
			w.sched.Go("model", func() { keep(t, w, "no-auto-activate") })
		},
		over: func(ctx context.Context, w *world, _ string) error {
			all, err := w.paths(ctx)
			for _, f := range w.fleet.Facts() {
				paths = append(paths, all[f.Thing]...)
			}
			return err
		},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	heeded := 0
	for _, path := range paths {
		if strings.Contains(path, "AwaitReport (Next.Activate) Activate") {
			heeded++
		}
	}
	if heeded != 2 { // else: AwaitReport (States.Timeout) Verify (Next.Activate)
		t.Errorf("%q", paths)
	}
}

// keep writes what was found of the simulated devices' model, as soon as there is a table.
func keep(t *testing.T, w *world, quirks string) {
	ctx := t.Context()
	for range 600 {
		var out struct {
			StackResourceDetail struct{ PhysicalResourceID, ResourceStatus string }
		}
		err := w.call(ctx, "cloudformation", "DescribeStackResource", map[string]string{"StackName": stack,
			"LogicalResourceId": "DeviceTable"}, &out)
		if err == nil && out.StackResourceDetail.ResourceStatus == "CREATE_COMPLETE" {
			err = w.call(ctx, "dynamodb", "PutItem", map[string]any{
				"TableName": out.StackResourceDetail.PhysicalResourceID,
				"Item": map[string]any{"PK": map[string]string{"S": "MODELS"},
					"SK": map[string]string{"S": "MODEL#USP Agent"}, "v": map[string]string{"N": "1"},
					"quirks": map[string]string{"S": quirks}},
			}, nil)
			if err != nil {
				t.Error(err)
			}
			return
		}
		if err := w.sched.Sleep(ctx, 100*time.Millisecond); err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("there is no table")
}

// A deadline begins when the device is there, not when the job was made: one that is
// connected ten minutes a day, and came hours later, has its whole time.
func TestADeviceThatComesADayLaterHasItsWholeTime(t *testing.T) {
	s, out, err := play(t, Config{Devices: 1, Seed: 4, Profiles: "sleeps",
		Event: "../../events/create-job-quick.json"}) // whose upgrade has two minutes
	if err != nil || s.Succeeded != 1 || s.VirtualSeconds < 3*3600 {
		t.Errorf("%v\n%s", err, out)
	}
}
