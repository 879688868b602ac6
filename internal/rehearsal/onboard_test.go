package rehearsal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// TestNewDevicesAreOnboarded: devices of which the registry knows no version are found by
// it before the job begins, whose upgrades end as they always do.
func TestNewDevicesAreOnboarded(t *testing.T) {
	t.Parallel()
	onboarded(t, Config{Devices: 40, Seed: 2, Faults: "all"})
}

func TestNewDevicesOutliveBadWeather(t *testing.T) {
	for _, seed := range askedSeeds(t, 1, 2, 3) { // make test-weather plays more
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			bad, err := localcloud.ParseWeather("bad", "", seed)
			if err != nil {
				t.Fatal(err)
			}
			onboarded(t, Config{Devices: 40, Seed: seed, Weather: bad, Timeout: 24 * time.Hour})
		})
	}
}

func onboarded(t *testing.T, c Config) {
	t.Helper()
	c.Onboard = true
	_, out, err := play(t, c)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, " devices onboarded\n") {
		t.Errorf("nobody was onboarded:\n%s", out)
	}
}

// newcomers is a stack that receives so many in a minute, and a fleet that is new to it.
func newcomers(t *testing.T, devices, perMinute int) *world {
	t.Helper()
	w := newCloud(t)
	out := w.deploy(t, stack, infra.Template, map[string]string{"OnboardingPerMinute": fmt.Sprint(perMinute)})
	plan := trial.Plan{Policy: out["DevicePolicyName"], Controller: usp.EndpointID(out["ControllerEndpointId"]),
		Seed: 1, New: true}
	for i := range devices {
		plan.Things = append(plan.Things, simulator.ThingName(i+1))
	}
	if err := w.register(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if err := w.build(plan); err != nil {
		t.Fatal(err)
	}
	w.fleet.Start()
	t.Cleanup(w.fleet.Stop)
	return w
}

type onboarding struct {
	Name, Status string
	StartDate    float64
}

func (w *world) onboardings(t *testing.T) []onboarding {
	t.Helper()
	var out struct{ Executions []onboarding }
	arn := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-device-onboarding"
	if err := w.call(t.Context(), "sfn", "ListExecutions", map[string]any{"stateMachineArn": arn,
		"maxResults": 1000}, &out); err != nil {
		t.Fatal(err)
	}
	return out.Executions
}

func (w *world) attributes(t *testing.T, thing string) map[string]any {
	t.Helper()
	all, _ := w.must(t, "iot", "DescribeThing", map[string]any{"thingName": thing})["attributes"].(map[string]any)
	return all
}

// TestAStormOfFirstGreetingsIsBounded: a fleet that appears at once is onboarded at the
// rate of the stack, everybody once.
func TestAStormOfFirstGreetingsIsBounded(t *testing.T) {
	t.Parallel()
	const devices, rate = 50, 12
	w := newcomers(t, devices, rate)
	w.pass(t, (devices/rate+3)*time.Minute)
	perMinute, first := map[int64]int{}, w.onboardings(t)
	for _, e := range first {
		perMinute[int64(e.StartDate)/60]++
		if e.Status != "SUCCEEDED" {
			t.Errorf("%s: %s", e.Name, e.Status)
		}
	}
	for minute, n := range perMinute {
		if n > rate+1 { // the clock's minutes are not those of the day
			t.Errorf("%d began in minute %d, at most %d are to", n, minute, rate)
		}
	}
	if len(first) != devices {
		t.Errorf("%d executions for %d devices", len(first), devices)
	}
	for i := range devices {
		thing := simulator.ThingName(i + 1)
		got := w.attributes(t, thing)
		if got["firmwareVersion"] != simulator.FactoryVersion || got["model"] == nil || got["endpointId"] == nil {
			t.Errorf("%s: %v", thing, got)
		}
	}
	// They come back, and nobody asks again.
	for i := range devices {
		w.fleet.Agent(simulator.ThingName(i + 1)).PowerCut()
	}
	w.pass(t, 10*time.Minute)
	if again := w.onboardings(t); len(again) != len(first) {
		t.Errorf("%d executions after all have restarted", len(again)-len(first))
	}
}

// TestADeviceThatWasResetIsOnboardedAgain: its Subscriptions are gone, and it introduces
// itself as it is told to.
func TestADeviceThatWasResetIsOnboardedAgain(t *testing.T) {
	t.Parallel()
	w := newcomers(t, 1, 600)
	w.pass(t, 5*time.Minute)
	thing := simulator.ThingName(1)
	send := func(command string) {
		t.Helper()
		record, err := usp.NewRecord("self::fleetstep", simulator.EndpointIDOf(simulator.OUI, thing),
			usp.NewOperate("test", command, "", false, nil)).Encode()
		if err != nil {
			t.Fatal(err)
		}
		w.must(t, "iotdataplane", "Publish", map[string]any{"topic": "usp/v1/agent/" + thing, "payload": record})
		w.pass(t, 5*time.Minute)
	}
	once := w.onboardings(t)
	if len(once) != 1 {
		t.Fatalf("%+v", once)
	}
	send("Device.Reboot()")
	if again := w.onboardings(t); len(again) != 1 {
		t.Fatalf("after a restart: %+v", again)
	}
	send("Device.FactoryReset()") // which nobody hears of: its Subscription to Boot! is gone as well
	send("Device.LocalAgent.Controller.1.SendOnBoardRequest()")
	again := w.onboardings(t)
	if len(again) != 2 || again[0].Status != "SUCCEEDED" || again[1].Status != "SUCCEEDED" {
		t.Fatalf("after a reset: %+v", again)
	}
	// It is subscribed again: a restart is heard of.
	booted := func() float64 {
		t.Helper()
		var metric struct{ Datapoints []struct{ Sum float64 } }
		if err := w.call(t.Context(), "cloudwatch", "GetMetricStatistics", map[string]any{
			"Namespace": "Fleetstep/" + stack, "MetricName": "DeviceMessages", "Statistics": []string{"Sum"},
			"Dimensions": []any{map[string]any{"Name": "Kind", "Value": "BOOTED"}}, "Period": 86400,
			"StartTime": start.Truncate(24 * time.Hour), "EndTime": w.sched.Now().Add(time.Minute),
		}, &metric); err != nil {
			t.Fatal(err)
		}
		if len(metric.Datapoints) == 0 {
			return 0
		}
		return metric.Datapoints[0].Sum
	}
	before := booted()
	send("Device.Reboot()")
	if after := booted(); after != before+1 {
		t.Errorf("%v restarts were heard of, then %v", before, after)
	}
}
