package operation

import (
	"math"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// transitions is how many state transitions an execution may have at the most: each state
// and each retry is one, and the end is one. The machine has no loop. Retries of a function that Lambda
// throttles do not count: they come from what else the account does, and say nothing of the machine.
func (m machine) transitions() int {
	return int(m.heaviest(func(_ string, s state) float64 {
		n := 1.0
		for _, r := range s.Retry {
			if !r.throttled() {
				n += float64(r.attempts())
			}
		}
		for _, inner := range s.inner() {
			n += float64(inner.transitions())
		}
		return n
	})) + 1
}

// longest is how long an execution may take: each state to its timeout, with all its
// retries, on the longest way. input is the execution's.
func (m machine) longest(input map[string]any) (time.Duration, event.Problems) {
	var problems event.Problems
	take := func(name string, s state) float64 {
		var n float64
		var err error
		switch s.Type {
		case "Task":
			n, err = seconds(s.TimeoutSeconds, s.TimeoutSecondsPath, input)
			n = lasts(s.Retry, n)
		case "Wait":
			n, err = seconds(s.Seconds, s.SecondsPath, input)
		}
		if err != nil {
			problems = append(problems, event.Problem{Path: m.place(name), Allowed: "times that can be added up: " +
				err.Error()})
		}
		for _, inner := range s.inner() {
			d, more := inner.longest(input)
			n = max(n, d.Seconds())
			problems = append(problems, more...)
		}
		return n
	}
	n := m.heaviest(take)
	return time.Duration(math.Ceil(n)) * time.Second, problems.Sorted()
}

// invocation is how long a function that fails may take, in seconds: its timeout in the
// stack. Only what waits for the device lasts as long as its state may.
const invocation = 30

// lasts is how many seconds a state with a timeout may take, each retrier used up: its
// waits are drawn from zero to what is counted here.
func lasts(retry []retrier, timeout float64) float64 {
	n := timeout
	for _, r := range retry {
		try := timeout
		switch {
		case slices.Contains(r.ErrorEquals, "Transient"):
			try = min(timeout, invocation)
		case r.throttled():
			try = 0 // the function does not even run
		}
		wait := float64(orElse(r.IntervalSeconds, 1))
		most := math.Inf(1)
		if r.MaxDelaySeconds != nil {
			most = float64(*r.MaxDelaySeconds)
		}
		for range r.attempts() {
			n += try + math.Ceil(min(wait, most))
			wait *= orElse(r.BackoffRate, 2)
		}
	}
	return n
}

// heaviest is the largest sum of weights along a way from the beginning. Each state is
// weighed once.
func (m machine) heaviest(weigh func(name string, s state) float64) float64 {
	known := map[string]float64{}
	open := map[string]bool{}
	var from func(name string) float64
	from = func(name string) float64 {
		s, ok := m.States[name]
		if !ok || open[name] {
			return 0
		}
		if n, ok := known[name]; ok {
			return n
		}
		open[name] = true
		behind := 0.0
		for _, w := range s.ways() {
			behind = max(behind, from(w.to))
		}
		open[name] = false
		known[name] = weigh(name, s) + behind
		return known[name]
	}
	return from(m.StartAt)
}
