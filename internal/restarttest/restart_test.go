package restarttest

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestRestarts: whatever moments a cloud is killed at, the job goes on
// where it was and ends as it would have.
func TestRestarts(t *testing.T) {
	t.Parallel() // it mostly waits, as intruders do
	kills := int(number(t, "FLEETSTEP_RESTARTS", 5))
	devices, most, pace := 30, 1500*time.Millisecond, brisk
	if kills > 5 {
		// Half of the devices begin after a minute: there is something under way
		// at most kills.
		devices, most, pace.perMinute, pace.download = 100, 4500*time.Millisecond, 50, 20*time.Second
	}
	seed := number(t, "FLEETSTEP_RESTART_SEED", uint64(time.Now().UnixNano()%1_000_000))
	t.Logf("%d kills, %d devices; FLEETSTEP_RESTART_SEED=%d", kills, devices, seed)
	random := rand.New(rand.NewPCG(seed, 9))

	cloud, where := newCloud(t)
	c := newFleet(t, where, devices, os.Getenv("FLEETSTEP_RESTART_FAULTS"), seed, pace)
	began := time.Now()
	during := 0
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for i := range kills {
			// From the process's start on, so that some die before they are ready.
			time.Sleep(time.Duration(random.Int64N(int64(most))))
			p := c.agents.Progress()
			if p.Upgraded < devices {
				during++
			}
			cloud.kill()
			t.Logf("kill %d after %.1f s: %+v", i+1, time.Since(began).Seconds(), p)
			if err := cloud.start(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	c.create()
	<-killed
	cloud.ready()
	c.ended()
	t.Logf("ended after %.1f s; %d of %d kills came before the last device was upgraded", time.Since(began).
		Seconds(), during, kills)
	if kills > 5 && during < kills/2 {
		t.Errorf("only %d of %d kills came before the last device was upgraded", during, kills)
	}
	c.judge()
	c.clean()
}
