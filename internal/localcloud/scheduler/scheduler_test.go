package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// story runs a handful of tasks that sleep, wait for each other and draw
// random numbers, and returns what happened in order.
func story(seed uint64) string {
	s := NewVirtual(seed, epoch)
	var log []string
	say := func(format string, args ...any) {
		log = append(log, s.Now().Sub(epoch).String()+" "+fmt.Sprintf(format, args...))
	}
	gate := s.NewGate()
	for i := range 5 {
		s.Go(fmt.Sprint("walker ", i), func() {
			for j := range 3 {
				say("walker %d step %d", i, j)
				_ = s.Sleep(context.Background(), time.Duration(s.Rand().IntN(5))*time.Second)
			}
			if i == 2 {
				gate.Open()
			}
			_ = gate.Wait(context.Background())
			say("walker %d through the gate", i)
		})
	}
	s.Run(nil)
	return strings.Join(log, "\n")
}

func TestOneSeedIsOneRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		if a, b := story(seed), story(seed); a != b {
			t.Fatalf("seed %d gave two runs:\n%s\n\n%s", seed, a, b)
		}
	})
	if story(1) == story(2) {
		t.Fatal("seeds 1 and 2 gave the same order")
	}
}

func TestClockJumpsStraightToTheNextTimer(t *testing.T) {
	s := NewVirtual(1, epoch)
	var at []time.Duration
	for _, d := range []time.Duration{3 * time.Hour, time.Minute, 0} {
		s.After(d, "timer", func() { at = append(at, s.Now().Sub(epoch)) })
	}
	s.Run(nil)
	if got, want := fmt.Sprint(at), "[0s 1m0s 3h0m0s]"; got != want {
		t.Fatalf("timers fired at %s, want %s", got, want)
	}
}

func TestStoppedTimerNeverFires(t *testing.T) {
	s := NewVirtual(1, epoch)
	timer := s.After(time.Second, "stopped", func() { t.Error("fired") })
	if !timer.Stop() || timer.Stop() {
		t.Fatal("want the first Stop to succeed and the second not to")
	}
	s.Run(nil)
	if p := s.Pending(); len(p) != 0 {
		t.Fatalf("left over: %v", p)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := NewVirtual(1, epoch)
	var err error
	s.Go("waiter", func() {
		ctx, cancel := s.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		inner, cancelInner := s.WithCancel(ctx)
		defer cancelInner()
		err = s.NewGate().Wait(inner)
		if got := s.Now().Sub(epoch); got != time.Minute {
			t.Errorf("waited %s", got)
		}
		if ctx.Err() == nil {
			t.Error("the context has not ended")
		}
	})
	s.Run(nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		// The inner context has no error of its own: it reports its parent's.
		t.Fatalf("got %v", err)
	}
}

func TestWaitFromOutsideRunsTheLoop(t *testing.T) {
	s := NewVirtual(1, epoch)
	g := s.NewGate()
	s.After(time.Hour, "opener", g.Open)
	if err := g.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.NewGate().Wait(context.Background()); !errors.Is(err, ErrDeadlock) {
		t.Fatalf("got %v, want ErrDeadlock", err)
	}
}

func TestRealModeRunsTasksAndTimers(t *testing.T) {
	s := NewReal()
	g := s.NewGate()
	s.After(time.Millisecond, "opener", g.Open)
	if err := g.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := s.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.NewGate().Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	never := s.After(time.Hour, "never", func() {})
	if got := fmt.Sprint(s.Pending()); got != "[timer never]" {
		t.Fatalf("pending: %s", got)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if never.Stop() {
		t.Fatal("Close left a timer set")
	}
	s.Go("late", func() { t.Error("ran after Close") })
}

func TestUUIDsAreVersion4(t *testing.T) {
	for _, s := range []*Scheduler{NewReal(), NewVirtual(7, epoch)} {
		id := s.UUID()
		if len(id) != 36 || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) {
			t.Fatalf("not a version 4 UUID: %s", id)
		}
	}
}

// BenchmarkVirtual runs tasks of which each starts the next: one that only
// computes, and one that waits for a timer as well.
func BenchmarkVirtual(b *testing.B) {
	for name, wait := range map[string]bool{"task": false, "wait": true} {
		b.Run(name, func(b *testing.B) {
			s := NewVirtual(1, epoch)
			b.ReportAllocs()
			n := 0
			var run func()
			run = func() {
				if wait {
					_ = s.Sleep(b.Context(), time.Second)
				}
				if n++; n < b.N {
					s.Go("task", run)
				}
			}
			s.Go("task", run)
			s.Run(nil)
		})
	}
}

// TestIdsDecideNothing: one id more, or a larger deployment before, leaves what is drawn afterwards as it is.
func TestIdsDecideNothing(t *testing.T) {
	draws := func(ids, before int, anew bool) (all []uint64, ran []int, last string) {
		s := NewVirtual(7, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		for range before {
			s.Rand().Uint64()
			s.Go("before", func() {})
		}
		s.RunFor(time.Second)
		if anew {
			s.Anew(7)
		}
		for range ids {
			last = s.UUID()
		}
		for i := range 20 {
			all = append(all, s.Rand().Uint64())
			s.Go("after", func() { ran = append(ran, i) })
		}
		s.RunFor(time.Second)
		return all, ran, last
	}
	want, order, _ := draws(0, 0, false)
	if got, ran, _ := draws(3, 0, false); !slices.Equal(got, want) || !slices.Equal(ran, order) {
		t.Errorf("after three ids %v in the order %v, want %v in the order %v", got, ran, want, order)
	}
	if got, ran, _ := draws(3, 9, true); !slices.Equal(got, want) || !slices.Equal(ran, order) {
		t.Errorf("anew %v in the order %v, want %v in the order %v", got, ran, want, order)
	}
	if got, _, _ := draws(0, 9, false); slices.Equal(got, want) {
		t.Error("nine draws before make no difference: this test compares nothing")
	}
	if _, _, id := draws(1, 0, true); id != func() string { _, _, id := draws(1, 9, true); return id }() {
		t.Error("an id depends on what was drawn")
	}
}

// Nothing stays behind when a run is over: a goroutine that did would keep the scheduler, and all that its tasks were
// about. synctest fails a test that leaves goroutines.
func TestARunLeavesNoGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewVirtual(1, time.Unix(0, 0))
		done := 0
		for i := range 10 {
			s.Go("task", func() {
				_ = s.Sleep(t.Context(), time.Duration(i%3)*time.Second)
				done++
			})
		}
		s.RunFor(time.Second)
		s.Run(nil)
		if done != 10 {
			t.Errorf("%d tasks of 10 ended", done)
		}
	})
}
