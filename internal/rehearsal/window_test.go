package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	words "github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// lap is an execution of a device.
type lap struct {
	began, ended time.Time
	input        struct {
		ThingName string
		Lap       int
	}
	activated time.Time // when it entered Activate the last time
}

// laps are all executions, by thing.
func (w *world) laps(ctx context.Context) (map[string][]lap, error) {
	arn := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-firmware-upgrade"
	all := map[string][]lap{}
	for e, err := range w.cloud.Executions(ctx, arn) {
		if err != nil {
			return nil, err
		}
		var l lap
		for event, err := range w.cloud.History(ctx, e.ExecutionARN) {
			if err != nil {
				return nil, err
			}
			l.ended = event.Timestamp.UTC()
			if started := event.ExecutionStarted; started != nil && started.Input != nil {
				l.began = l.ended
				if err := json.Unmarshal([]byte(*started.Input), &l.input); err != nil {
					return nil, err
				}
			}
			if entered := event.StateEntered; entered != nil && entered.Name == "Activate" {
				l.activated = l.ended
			}
		}
		all[l.input.ThingName] = append(all[l.input.ThingName], l)
	}
	return all, nil
}

// The zones of these fleets: a third each of the registry's, of the device's own, and
// of neither, for which the payload has one.
const (
	registryZone = "Atlantic/Azores"
	deviceZone   = "EET-2EEST,M3.5.0/3,M10.5.0/4" // Helsinki
	payloadZone  = "Europe/Berlin"
)

func zoneOf(thing string) string {
	_, number, _ := strings.Cut(thing, "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return payloadZone
	}
	return []string{registryZone, deviceZone, payloadZone}[n%3]
}

// fleetInWindows is a job whose devices have a window of two hours, in their own time.
type fleetInWindows struct {
	devices int
	mode    string
	at      time.Time
	window  [2]string // in the devices' time
	faults  string
	still   time.Duration // for so long the clock stands still from when the first window opens on
}

// play plays it and holds every device to its window, and the clock to its evenness.
func (f fleetInWindows) play(t *testing.T) {
	t.Helper()
	event := filepath.Join(t.TempDir(), "window.json")
	if err := os.WriteFile(event, fmt.Appendf(nil, `{
  "firmware": {"version": "2.0.0"}, "activation": {"mode": %q, "window": {"start": %q, "end": %q, "zone": %q}},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"], "abort": {"criteriaList": []},
  "rollout": {"maximumPerMinute": 1000}
}`, f.mode, f.window[0], f.window[1], payloadZone), 0o666); err != nil {
		t.Fatal(err)
	}
	var w *world
	var laps map[string][]lap
	told := fmt.Errorf("not at its end when the job was")
	story := func(ctx context.Context, sched *localcloud.Scheduler) error {
		// The registry learns of its zones as soon as there are things.
		for len(w.certificates) < f.devices {
			if err := sched.Sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
		for thing := range w.certificates {
			if zoneOf(thing) != registryZone {
				continue
			}
			in := map[string]any{"thingName": thing, "attributePayload": map[string]any{"merge": true,
				"attributes": map[string]string{"tz": registryZone}}}
			if err := w.call(ctx, "iot", "UpdateThing", in, nil); err != nil {
				return err
			}
		}
		if f.still == 0 {
			return nil
		}
		return f.stop(ctx, t, w, sched)
	}
	var out bytes.Buffer
	summary, err := Run(t.Context(), Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: f.devices, Seed: 5, Event: event, Faults: f.faults,
		Image: 1 << 10,
		Every: time.Minute, at: f.at,
		zone: func(thing string) string {
			if zoneOf(thing) == deviceZone {
				return deviceZone
			}
			return ""
		},
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("story", func() { told = story(context.WithoutCancel(t.Context()), sched) })
		},
		opened: func(opened *world) { w = opened },
		over: func(ctx context.Context, w *world, _ string) (err error) {
			laps, err = w.laps(ctx)
			return err
		},
	})
	if err != nil || told != nil || summary.Succeeded != f.devices {
		t.Fatalf("%v, story: %v, %+v\n%s", err, told, summary, last(out.String()))
	}
	seconds, minutes, waited := map[time.Time]int{}, map[time.Time]int{}, 0
	for thing, of := range laps {
		slices.SortFunc(of, func(a, b lap) int { return a.input.Lap - b.input.Lap })
		for i, l := range of {
			if l.input.Lap != i {
				t.Fatalf("%s has the laps %+v", thing, of)
			}
			if open := l.ended.Sub(l.began); open > 5*time.Minute {
				t.Errorf("%s: an execution was open for %v", thing, open)
			}
		}
		final := of[len(of)-1]
		disturbed := final.activated
		if f.mode == "AUTO" {
			disturbed = final.began
		}
		f.inside(t, thing, disturbed)
		if len(of) > 1 || f.mode == "AUTO" && final.began.Sub(f.at) > time.Hour {
			waited++
			seconds[final.began.Truncate(time.Second)]++
			minutes[final.began.Truncate(time.Minute)]++
		}
	}
	for thing, of := range laps {
		if f.mode == "SEPARATE" && len(of) > 2 {
			t.Errorf("%s has %d laps", thing, len(of))
		}
	}
	if waited < f.devices/2 {
		t.Errorf("%d of %d devices waited for their window", waited, f.devices)
	}
	most := 0
	for at, n := range seconds {
		if limit := (minutes[at.Truncate(time.Minute)]+59)/60 + 1; n > limit {
			t.Errorf("%d devices began at %s; %d did in its minute", n, at, minutes[at.Truncate(time.Minute)])
		}
		most = max(most, n)
	}
	t.Logf("%d devices waited, over %d minutes; at most %d began in a second; %.1f s, peak %d MiB",
		waited, len(minutes), most, summary.Seconds, summary.PeakMemoryMiB)
}

// stop has the clock stand still when the window of the devices in the payload's zone opens.
func (f fleetInWindows) stop(ctx context.Context, t *testing.T, w *world, sched *localcloud.Scheduler) error {
	opens, _ := words.Window{Start: f.window[0], End: f.window[1], Zone: payloadZone}.Next(f.at)
	tick := map[string]any{"FunctionName": stack + "-tick", "ReservedConcurrentExecutions": 0}
	if err := sched.Sleep(ctx, opens.Sub(sched.Now())); err != nil {
		return err
	}
	if err := w.call(ctx, "lambda", "PutFunctionConcurrency", tick, nil); err != nil {
		return err
	}
	alarmed := false
	for end := sched.Now().Add(f.still); sched.Now().Before(end); {
		if err := sched.Sleep(ctx, time.Minute); err != nil {
			return err
		}
		alarmed = alarmed || w.state(t, "tick-missing") == "ALARM"
	}
	if !alarmed {
		t.Error("nobody was told that the clock stands still")
	}
	delete(tick, "ReservedConcurrentExecutions")
	return w.call(ctx, "lambda", "DeleteFunctionConcurrency", tick, nil)
}

// inside holds a moment to the window of a device.
func (f fleetInWindows) inside(t *testing.T, thing string, at time.Time) {
	t.Helper()
	zone := zoneOf(thing)
	if zone == deviceZone {
		zone = "Europe/Helsinki"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	clock := at.In(loc).Format("15:04")
	in := f.window[0] <= clock && clock < f.window[1]
	if f.window[0] > f.window[1] {
		in = f.window[0] <= clock || clock < f.window[1]
	}
	if at.IsZero() || !in {
		t.Errorf("%s was disturbed at %s, which is %s in %s; its window is %v", thing, at, clock, zone, f.window)
	}
}

// TestDevicesWaitForTheirWindows outside of executions, each in its own time, also
// over midnight and a change of the clock, and begin evenly when it opens.
func TestDevicesWaitForTheirWindows(t *testing.T) {
	evening := time.Date(2026, 1, 5, 19, 0, 0, 0, time.UTC)
	for name, f := range map[string]fleetInWindows{
		"automatic activation": {60, "AUTO", evening, [2]string{"02:00", "04:00"}, "", 0},
		"over midnight": {60, "SEPARATE", evening, [2]string{"23:00", "01:00"},
			"cut-before-restart=5", 0},
		"with a clock that stands still": {60, "SEPARATE", evening, [2]string{"02:00", "04:00"}, "", 10 * time.Minute},
		// All three change their clocks on 2026-03-29 and 2026-10-25 at 01:00Z, which is
		// another time of day in each.
		"over a change to daylight saving": {60, "SEPARATE", time.Date(2026, 3, 28, 19, 0, 0, 0, time.UTC),
			[2]string{"01:00", "03:30"}, "", 0},
		"over a change from daylight saving": {60, "SEPARATE", time.Date(2026, 10, 24, 19, 0, 0, 0, time.UTC),
			[2]string{"01:00", "03:30"}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && (f.at != evening || f.still > 0) {
				t.Skip("a day of virtual time")
			}
			t.Parallel()
			f.play(t)
		})
	}
}

// TestALongSoakIsParked: no execution is open while new versions prove themselves for two
// hours.
func TestALongSoakIsParked(t *testing.T) {
	event := filepath.Join(t.TempDir(), "soak.json")
	if err := os.WriteFile(event, []byte(`{
  "firmware": {"version": "2.0.0"}, "activation": {"soakSeconds": 7200},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"], "abort": {"criteriaList": []}
}`), 0o666); err != nil {
		t.Fatal(err)
	}
	var laps map[string][]lap
	var out bytes.Buffer
	summary, err := Run(t.Context(), Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: 12, Seed: 5, Event: event, Image: 1 << 10, Every: time.Minute,
		Faults: "delay=1,duplicate-all=1,cut-before-restart=1",
		over: func(ctx context.Context, w *world, _ string) (err error) {
			laps, err = w.laps(ctx)
			return err
		},
	})
	if err != nil || summary.Succeeded != 12 {
		t.Fatalf("%v, %+v\n%s", err, summary, last(out.String()))
	}
	for thing, of := range laps {
		slices.SortFunc(of, func(a, b lap) int { return a.input.Lap - b.input.Lap })
		if len(of) != 2 {
			t.Errorf("%s has %d laps, want 2", thing, len(of))
			continue
		}
		for _, l := range of {
			if open := l.ended.Sub(l.began); open > 5*time.Minute {
				t.Errorf("%s: an execution was open for %v", thing, open)
			}
		}
		soaked := of[1].began.Sub(of[0].ended)
		if soaked < 2*time.Hour-time.Minute || soaked > 2*time.Hour+5*time.Minute {
			t.Errorf("%s soaked for %v, want two hours", thing, soaked)
		}
	}
}

// TestAFleetWaitsForItsWindow plays as many devices as FLEETSTEP_FLEET says: 20,000 with
// "make test-windows".
func TestAFleetWaitsForItsWindow(t *testing.T) {
	devices, err := strconv.Atoi(os.Getenv("FLEETSTEP_FLEET"))
	if err != nil {
		t.Skip("FLEETSTEP_FLEET does not say how many devices")
	}
	evening := time.Date(2026, 1, 5, 18, 0, 0, 0, time.UTC)
	t.Run("over midnight", func(t *testing.T) {
		fleetInWindows{devices, "SEPARATE", evening, [2]string{"23:00", "01:00"}, "", 0}.play(t)
	})
	change := time.Date(2026, 3, 28, 19, 0, 0, 0, time.UTC)
	t.Run("over a change to daylight saving", func(t *testing.T) { // a tenth, of which one night is enough
		fleetInWindows{max(60, devices/10), "SEPARATE", change, [2]string{"01:00", "03:30"}, "", 0}.play(t)
	})
}
