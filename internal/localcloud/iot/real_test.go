package iot

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotjobsdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// channelPublisher hands topics on.
type channelPublisher chan string

func (p channelPublisher) Publish(_ context.Context, topic string, _ []byte) error {
	p <- topic
	return nil
}

// TestDevicesInParallel runs a job in real time over a store on disk: devices
// report at once, and the next process finds the job completed.
func TestDevicesInParallel(t *testing.T) {
	const things = 40
	dir := t.TempDir()
	open := func(p Publisher) (*Service, func()) {
		t.Helper()
		db, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		sched := scheduler.NewReal()
		s, err := New(Config{Platform: platform.Platform{Scheduler: sched, Store: db, Account: testAccount,
			Region: testRegion}, Publisher: p})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s, func() {
			if err := sched.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	sent := make(channelPublisher, 1000)
	s, closeAll := open(sent)
	c := &cloud{t: t, iot: s}
	c.useDoor(s)
	c.events("JOB")
	c.groupOf("all", "gw", things)
	c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thinggroup/all")+`"],"document":"{}"}`)
	var devices sync.WaitGroup
	for topic := range sent {
		if thing, ok := strings.CutSuffix(strings.TrimPrefix(topic, "$aws/things/"), "/jobs/notify-next"); ok &&
			strings.HasPrefix(thing, "gw-") {
			devices.Go(func() {
				for _, status := range []string{"IN_PROGRESS", "SUCCEEDED"} {
					_, _, err := s.Jobs().Update(t.Context(), thing, "j", iotjobsdataplane.Update{Status: status})
					// notify-next comes again at the end
					if err != nil && !strings.Contains(err.Error(), "SUCCEEDED to") {
						t.Errorf("%s: %v", thing, err)
					}
				}
			})
		}
		if topic == "$aws/events/job/j/completed" {
			break
		}
	}
	devices.Wait()
	closeAll()
	s, closeAll = open(sent)
	defer closeAll()
	c.useDoor(s)
	c.wantCounts("j", fmt.Sprintf("COMPLETED Succeeded=%d", things))
}
