package iotdataplane_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
)

// BenchmarkClient is what one connected client with two subscriptions costs,
// and what a message to it costs, in virtual time.
func BenchmarkClient(b *testing.B) {
	w := newWorld(b)
	b.Run("connect", func(b *testing.B) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range b.N {
			id := fmt.Sprint("cpe-", i)
			c, err := w.svc.Connect(ctx,
				iotdataplane.Client{Options: iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: id}}})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Subscribe(ctx,
				iotdataplane.Subscription{Filter: "usp/v1/agent/" + id, QoS: 1},
				iotdataplane.Subscription{Filter: "$aws/things/" + id + "/jobs/notify-next", QoS: 1}); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		w.sched.RunFor(time.Second)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "heap-B/client")
	})
	b.Run("message", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if err := w.svc.Publish(ctx, iotdataplane.Message{Topic: "usp/v1/agent/cpe-0", Payload: []byte("x"),
				QoS: 1}); err != nil {
				b.Fatal(err)
			}
			w.sched.Run(nil)
		}
	})
}
