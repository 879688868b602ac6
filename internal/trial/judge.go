package trial

import (
	"fmt"
	"strings"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// judge lists the devices that did not end as they should, and prints the end of
// each device that failed or has a fault.
func (r *run) judge(s *cli.State, failures []cli.Failure, fleet *simulator.Fleet) []string {
	var problems []string
	if !s.Ended() {
		problems = append(problems, fmt.Sprintf("the job is not over after %s: %s, %s", r.Timeout,
			s.Status, s.Counts))
	}
	if s.Counts.Total() != r.Devices {
		problems = append(problems, fmt.Sprintf("the job reached %d devices of %d", s.Counts.Total(), r.Devices))
	}
	failed := map[string]cli.Failure{}
	for _, f := range failures {
		failed[f.Thing] = f
	}
	facts := fleet.Facts()
	for i, thing := range r.things {
		fault := r.faults[i]
		f, bad := failed[thing]
		name := "healthy"
		if fault != nil {
			name = "fault " + fault.Name
		}
		outcome := "succeeded"
		if bad {
			outcome = strings.TrimSpace(f.Status + " " + f.Reason)
		}
		if fault != nil || bad {
			r.printf("  %s (%s): %s", thing, name, outcome)
		}
		right := !bad
		if fault != nil {
			// A failure without a reason is none that was expected.
			right = !bad && fault.Succeeds() || bad && f.Reason != "" && fault.Expects(f.Reason)
			if r.operation != upgrade { // what faults lead to is known of upgrades only
				right = !bad || f.Reason != ""
			}
		}
		switch {
		case !right && fault == nil:
			problems = append(problems, fmt.Sprintf("%s is healthy and ended with %s: %s", thing,
				outcome, f.Detail))
		case !right:
			problems = append(problems, fmt.Sprintf("%s (%s) ended with %s %s; expected %s", thing, name, outcome,
				f.Detail, expectation(fault)))
		case r.operation != upgrade:
		case fault != nil && !facts[i].Fired:
			problems = append(problems, fmt.Sprintf("%s (%s) never showed its fault", thing, name))
		case f.Reason == "Verify.WrongVersion" && facts[i].Version != facts[i].Factory:
			problems = append(problems, fmt.Sprintf("%s (%s) was to go back, and runs %s", thing, name,
				facts[i].Version))
		case !bad && facts[i].Version != r.version:
			problems = append(problems, fmt.Sprintf("%s is said to have succeeded and runs %s", thing,
				facts[i].Version))
		}
	}
	return problems
}

func expectation(f *simulator.Fault) string {
	if f.Succeeds() {
		return "success"
	}
	return f.Ends
}
