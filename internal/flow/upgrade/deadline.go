package upgrade

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/statemachines"
)

// How often an execution enters a state at the most, see mostTries; Download as often as mostDownloads.
const (
	mostActivations = mostTries - 1     // it restarted before the image could start
	mostVerifies    = 2 + mostDownloads // overdue, each download; before the soak; after it
)

// mostTroubles is how many states of an upgrade may each use up the tries that AWS's troubles get: more than five
// hours of trouble in one upgrade. Counted for every state it would be two days, for which the longest job has no
// room beside three windows.
const mostTroubles = 8

// backsOff is how long the pauses of Backoff may take together, in seconds.
const backsOff = 10 + 60 + 180 + 300 + 3*600

// dayOfWindow is the longest wait for an activation window, that for its beginning
// and that for its end together: of one that has just ended.
const dayOfWindow = 24 * 60 * 60

// invocation is how long a function that fails may take, in seconds: its timeout in
// the stack. Only what waits for the device lasts as long as its state may.
const invocation = 30

// throttled is the error of an invocation for which Lambda has no concurrency left.
const throttled = "Lambda.TooManyRequestsException"

// wakes is how long after its time a parked attempt may be woken, in seconds: those of a
// minute are spread over it, and where they are too many they come in one of the next.
const wakes = 5 * 60

// retrier is a member of a state's Retry.
type retrier struct {
	ErrorEquals                                   []string
	IntervalSeconds, MaxAttempts, MaxDelaySeconds int
	BackoffRate                                   float64
}

// machine is how the state machine's states try again. Every member of Retry is
// written out there.
var machine = sync.OnceValues(func() (map[string][]retrier, error) {
	var document struct {
		States map[string]struct{ Retry []retrier }
	}
	if err := json.Unmarshal([]byte(statemachines.FirmwareUpgrade), &document); err != nil {
		return nil, fmt.Errorf("upgrade: state machine: %w", err)
	}
	states := map[string][]retrier{}
	for name, s := range document.States {
		states[name] = s.Retry
	}
	return states, nil
})

// ours reports whether a retrier is for what befalls AWS or our own functions. The others are for devices.
func (r retrier) ours() bool {
	return slices.ContainsFunc(r.ErrorEquals, func(name string) bool {
		return slices.Contains([]string{"Transient", throttled, "States.ALL"}, name)
	})
}

// lasts is how many seconds a state with a timeout may take because of its device, each retrier used up.
func lasts(retry []retrier, timeout int) int { return timeout + waits(retry, timeout, false) }

// troubled is how many seconds longer it may take because of AWS and our own functions.
func troubled(retry []retrier, timeout int) int { return waits(retry, timeout, true) }

// waits is how many seconds retriers take that are used up: their waits are drawn from zero to what is counted here.
func waits(retry []retrier, timeout int, ours bool) (seconds int) {
	for _, r := range retry {
		if r.ours() != ours {
			continue
		}
		try := timeout
		switch {
		case slices.Contains(r.ErrorEquals, "Transient"):
			try = min(timeout, invocation)
		case slices.Equal(r.ErrorEquals, []string{throttled}):
			try = 0 // the function does not even run
		}
		wait := float64(r.IntervalSeconds)
		for range r.MaxAttempts {
			seconds += try + int(math.Ceil(min(wait, float64(r.MaxDelaySeconds))))
			wait *= r.BackoffRate
		}
	}
	return seconds
}

// longest is how long an upgrade may take: every state as often as it may be entered, to its timeout, with all its
// retries for the device; and AWS's troubles, for which up to mostTroubles states and one report try in vain.
func longest(doc Document) (time.Duration, error) {
	retry, err := machine()
	if err != nil {
		return 0, err
	}
	t, steps := doc.Timeouts, stepTimeouts(doc)
	downloaded, activated := t.DownloadSeconds+t.RebootSeconds, t.RebootSeconds
	if doc.Activation.Mode == ActivateSeparate {
		downloaded = t.DownloadSeconds
	}
	parked := 0 // of each time that it is to activate
	if doc.Activation.Window != nil {
		activated += dayOfWindow
		// It asks, ends this lap, and looks before it asks in the next one.
		parked = lasts(retry["Activate"], steps.AnswerSeconds) + lasts(retry["Finalize"], steps.FinalizeSeconds) +
			lasts(retry["Inspect"], steps.AnswerSeconds)
	}
	lingers := 0 // of a soak
	if doc.soaks() {
		lingers = lasts(retry["Finalize"], steps.FinalizeSeconds) + wakes +
			lasts(retry["Inspect"], steps.AnswerSeconds)
	}
	reports := max(troubled(retry["Finalize"], steps.FinalizeSeconds),
		troubled(retry["FinalizeFailed"], steps.FinalizeSeconds))
	seconds := lasts(retry["Inspect"], steps.AnswerSeconds) +
		mostDownloads*(lasts(retry["Download"], steps.AnswerSeconds)+lasts(retry["AwaitReport"], downloaded)) +
		backsOff +
		mostActivations*(parked+lasts(retry["Activate"], steps.AnswerSeconds)+lasts(retry["AwaitReport"], activated)) +
		mostVerifies*lasts(retry["Verify"], steps.AnswerSeconds) +
		steps.SoakSeconds + lingers +
		lasts(retry["Rollback"], steps.RollbackSeconds) +
		steps.FinalizeSeconds +
		mostTroubles*troubled(retry["Inspect"], steps.AnswerSeconds) + reports
	return time.Duration(seconds) * time.Second, nil
}
