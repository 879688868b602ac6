package limit_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/limit"
)

var start = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestABucketLetsItsRatePass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 1000).Draw(t, "rate")
		b := limit.Bucket{Rate: rate}
		now, passed := start, 0
		for range rapid.IntRange(1, 200).Draw(t, "attempts") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "pause")) * time.Millisecond)
			if n := rapid.IntRange(1, 20).Draw(t, "n"); b.Take(now, n) {
				passed += n
			}
		}
		if most := float64(rate)*now.Sub(start).Seconds() + float64(rate); float64(passed) > most+1e-6 {
			t.Fatalf("%d passed in %v at %d a second", passed, now.Sub(start), rate)
		}
	})
	b := limit.Bucket{Rate: 100}
	for i := range 100 {
		if !b.Take(start, 1) {
			t.Fatalf("number %d of the first second is refused", i)
		}
	}
	if b.Take(start, 1) || !b.Take(start.Add(10*time.Millisecond), 1) {
		t.Error("the 101st passes at once, or not after 10 ms")
	}
	if free := (&limit.Bucket{}); !free.Take(start, 1<<30) || free.Wait(start, 1<<30) != 0 {
		t.Error("without a rate something is held back")
	}
}

func TestWaitingKeepsTheRate(t *testing.T) {
	b := limit.Bucket{Rate: 1000}
	now := start
	for range 100 {
		now = now.Add(b.Wait(now, 500))
	}
	if took := now.Sub(start); took < 48*time.Second || took > 50*time.Second {
		t.Errorf("50,000 at 1,000 a second took %v", took)
	}
}

func TestAFloodIsSecondsInARow(t *testing.T) {
	var f limit.Flood
	for i, step := range []struct {
		at      time.Duration
		seconds int
		first   bool
	}{
		{0, 1, true}, {100 * time.Millisecond, 1, false}, {time.Second, 2, true}, {1900 * time.Millisecond, 2, false},
		{2 * time.Second, 3, true}, {4 * time.Second, 1, true}, {5 * time.Second, 2, true},
	} {
		if seconds, first := f.Beyond(start.Add(step.at)); seconds != step.seconds || first != step.first {
			t.Errorf("step %d: %d, %v; want %d, %v", i, seconds, first, step.seconds, step.first)
		}
	}
}

func TestOnceInAWhile(t *testing.T) {
	o := limit.Once{Every: time.Second}
	for i, step := range []struct {
		at   time.Duration
		name string
		pass bool
	}{
		{0, "a", true}, {0, "b", true}, {999 * time.Millisecond, "a", false}, {time.Second, "a", true},
		{1500 * time.Millisecond, "a", false},
		{1500 * time.Millisecond, "b", true}, {2 * time.Second, "b", false}, {2500 * time.Millisecond, "b", true},
		{time.Hour, "a", true},
	} {
		if pass := o.Pass(start.Add(step.at), step.name); pass != step.pass {
			t.Errorf("step %d, %s: %v", i, step.name, pass)
		}
	}
}
