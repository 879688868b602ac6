package simulator

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// BenchmarkIdleAgents makes connected agents with the usual three Subscriptions
// and tells what one costs in memory while it does nothing.
func BenchmarkIdleAgents(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fleet, err := NewFleet(FleetConfig{Devices: b.N, Seed: 1, Settings: Settings{
		Clock: &stillClock{}, Transport: silence{}, HTTP: http.DefaultClient, Controller: "self::fleetstep",
		Subscriptions: upgradeSubscriptions,
	}})
	if err != nil {
		b.Fatal(err)
	}
	fleet.Start()
	for _, a := range fleet.agents {
		a.do(func() {
			for id := range a.waiting { // every Boot! is answered
				a.handleNotifyResp(id)
			}
		})
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/agent")
	runtime.KeepAlive(fleet)
}

// BenchmarkGet is one request and its answer.
func BenchmarkGet(b *testing.B) {
	fleet, err := NewFleet(FleetConfig{Devices: 1, Settings: Settings{
		Clock: &stillClock{}, Transport: silence{}, HTTP: http.DefaultClient, Controller: "self::fleetstep",
	}})
	if err != nil {
		b.Fatal(err)
	}
	fleet.Start()
	a := fleet.agents[0]
	payload, err := usp.NewRecord("self::fleetstep", a.id.EndpointID, usp.NewGet("1", 0, usp.DeviceInfo,
		usp.Requests)).Encode()
	if err != nil {
		b.Fatal(err)
	}
	l := &link{a, a.connection}
	b.ReportAllocs()
	for b.Loop() {
		l.Received(Publish{Payload: payload})
	}
}
