package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// operationStage is stage with the operations of operation_test.go.
func operationStage(t testing.TB) *world {
	t.Helper()
	operationStages.Lock()
	defer operationStages.Unlock()
	if operationStages.w != nil {
		return operationStages.w
	}
	ctx := context.Background()
	w := &world{sched: localcloud.NewVirtual(1, start), seed: 1, store: localcloud.NewMemoryStore(),
		template: withOperations(t)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.open(ctx))
	plan, err := w.plan(ctx)
	must(err)
	must(w.register(ctx, plan))
	w.sched.RunFor(time.Minute)
	operationStages.w = w
	return w
}

var operationStages struct {
	sync.Mutex
	w    *world
	calm time.Duration
}

// outlive plays a job of the operation every-task, with crashes.
func outlive(base *world, seed uint64, crashes []crash) (s *outage, err error) {
	w := &world{sched: localcloud.NewVirtual(seed, base.sched.Now()), seed: seed, store: base.store.Copy(),
		certificates: base.certificates, template: base.template}
	s = &outage{world: w, ctx: context.Background(), crashes: slices.Clone(crashes)}
	w.connected = func(l *link) {
		s.links = append(slices.DeleteFunc(s.links, func(l *link) bool { return l.closed }), l)
	}
	if err := s.start(); err != nil {
		return s, err
	}
	plan, err := w.plan(s.ctx)
	if err != nil {
		return s, err
	}
	if err := w.build(plan); err != nil {
		return s, err
	}
	w.fleet.Start()
	s.arm()
	if err := s.play(func() error {
		err := w.createOperation(s.ctx, crashJob, "every-task", `{"answerSeconds":120}`)
		if err != nil && strings.Contains(err.Error(), "ResourceAlreadyExistsException") {
			return nil
		}
		return err
	}); err != nil {
		return s, err
	}
	failures, err := cli.Failures(s.ctx, s.iot, crashJob, crashDevices)
	if err != nil {
		return s, err
	}
	var wrong []error
	for _, f := range failures {
		wrong = append(wrong, fmt.Errorf("%s ended with %s %s: %s", f.Thing, f.Status, f.Reason, f.Detail))
	}
	for _, f := range s.fleet.Facts() {
		// A command may be given again by the state machine's Retry, after its answer was
		// lost; a value that has come to be so is not written again.
		if f.Sets != 1 || f.Boots < 2 || f.Boots > 2+len(crashes) {
			wrong = append(wrong, fmt.Errorf("%+v", f))
		}
	}
	return s, errors.Join(wrong...)
}

// calm is how long the job takes without a crash.
func calm(base *world) (time.Duration, error) {
	operationStages.Lock()
	defer operationStages.Unlock()
	if operationStages.calm == 0 {
		s, err := outlive(base, 1, nil)
		if err != nil {
			return 0, err
		}
		operationStages.calm = s.took
	}
	return operationStages.calm, nil
}

// survived is outlive, in time.
func survived(base *world, seed uint64, crashes []crash) (*outage, error) {
	usual, err := calm(base)
	if err != nil {
		return nil, fmt.Errorf("without a crash: %w", err)
	}
	s, err := outlive(base, seed, crashes)
	limit := usual
	for _, c := range crashes {
		limit += c.down + patience
	}
	if err == nil && s.took > limit {
		err = fmt.Errorf("took %s, without crashes %s: something waited for its deadline", s.took, usual)
	}
	if err != nil {
		return s, fmt.Errorf("seed %d\n%s\n%w", seed, strings.Join(s.log, "\n"), err)
	}
	return s, nil
}

// TestAnOperationSurvivesACrashAtEachWrite: as TestAJobSurvivesACrashAtEachWrite, of an
// operation that is only a state machine and has one of each task.
func TestAnOperationSurvivesACrashAtEachWrite(t *testing.T) {
	base := operationStage(t)
	step := crashStep(179)
	for n := 1; ; n += step {
		for _, lost := range []bool{false, true} {
			s, err := survived(base, 1, []crash{{write: n, lost: lost}})
			if err != nil {
				t.Error(err)
				continue
			}
			if len(s.log) == 0 {
				if n < 300 {
					t.Errorf("the job makes %d writes only: this test looks at another one", n)
				}
				return
			}
		}
	}
}

func TestOperationsSurviveCrashes(t *testing.T) {
	base := operationStage(t)
	few(t, 10)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64Range(1, 1000).Draw(t, "seed")
		crashes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) crash {
			return crash{
				write: rapid.IntRange(1, 500).Draw(t, "write"), lost: rapid.Bool().Draw(t, "lost"),
				down: rapid.SampledFrom([]time.Duration{0, 2 * time.Second, 10 * time.Second}).Draw(t, "down"),
			}
		}), 1, 3).Draw(t, "crashes")
		if _, err := survived(base, seed, crashes); err != nil {
			t.Fatal(err)
		}
	})
}
