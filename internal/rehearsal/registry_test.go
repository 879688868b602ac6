package rehearsal

import (
	"context"
	"testing"
	"time"
)

// A device may come up with another version when its job is long over, or its upgrade
// has timed out: the registry follows what it reports.
func TestTheRegistryFollowsADeviceAfterItsJob(t *testing.T) {
	got := ""
	_, out, err := play(t, Config{Devices: 1, Seed: 4, over: func(ctx context.Context, w *world, _ string) error {
		thing := map[string]any{"thingName": w.fleet.Facts()[0].Thing, "attributePayload": map[string]any{
			"attributes": map[string]string{"firmwareVersion": "0.9.0", "site": "x"}, "merge": true}}
		if err := w.call(ctx, "iot", "UpdateThing", thing, nil); err != nil {
			return err
		}
		w.fleet.Agent(w.fleet.Facts()[0].Thing).PowerCut()
		if err := w.sched.Sleep(ctx, time.Minute); err != nil {
			return err
		}
		var is struct{ Attributes map[string]string }
		err := w.call(ctx, "iot", "DescribeThing", map[string]any{"thingName": w.fleet.Facts()[0].Thing}, &is)
		got = is.Attributes["firmwareVersion"] + " " + is.Attributes["site"]
		return err
	}})
	if err != nil || got != "2.0.0 x" {
		t.Errorf("the registry says %q, %v\n%s", got, err, out)
	}
}
