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
		fault, profile := r.faults[i], r.profiles[i]
		expected := fault.On(profile)
		f, bad := failed[thing]
		name := "healthy"
		if fault != nil {
			name = "fault " + fault.Name
		}
		if profile != nil {
			name += ", profile " + profile.Name
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
			as := f.Reason == expected.Ends || r.Disturbed && expected.Allows(f.Reason)
			right = !bad && expected.Succeeds() || bad && f.Reason != "" && as
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
				f.Detail, expectation(expected)))
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

func expectation(o simulator.Outcome) string {
	if o.Succeeds() {
		return "success"
	}
	return o.Ends
}

// byModel counts how the devices ended; nil where nobody asked for models or faults.
func (r *run) byModel(failures []cli.Failure) map[string]map[string]map[string]int {
	if r.Faults == "" && r.Profiles == "" {
		return nil
	}
	ended := map[string]string{}
	for _, f := range failures {
		if ended[f.Thing] = f.Reason; f.Reason == "" {
			ended[f.Thing] = f.Status
		}
	}
	models := map[string]map[string]map[string]int{}
	for i, thing := range r.things {
		profile, fault, end := simulator.AllProfiles[0].Name, "healthy", "success"
		if r.profiles[i] != nil {
			profile = r.profiles[i].Name
		}
		if r.faults[i] != nil {
			fault = r.faults[i].Name
		}
		if reason, bad := ended[thing]; bad {
			end = reason
		}
		if models[profile] == nil {
			models[profile] = map[string]map[string]int{}
		}
		if models[profile][fault] == nil {
			models[profile][fault] = map[string]int{}
		}
		models[profile][fault][end]++
	}
	return models
}
