package trial

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// notReached is how a device ended that the job gave no execution: because it was canceled by its abort
// criteria, say, or because the device is not in its target.
const notReached = "no job execution"

// outcomes are how the devices of a job ended, by thing.
type outcomes struct {
	failed  map[string]cli.Failure
	missing map[string]bool // those without a job execution
	open    map[string]bool // those whose job execution is not over
}

// outcomes looks at the list of all job executions only if the counts do not tell that each device succeeded
// or is among the failures.
func (r *run) outcomes(ctx context.Context, s *cli.State, failures []cli.Failure) (*outcomes, error) {
	o := &outcomes{failed: map[string]cli.Failure{}, missing: map[string]bool{}, open: map[string]bool{}}
	for _, f := range failures {
		o.failed[f.Thing] = f
	}
	if s.Counts.Succeeded+len(o.failed) >= r.Devices {
		return o, nil
	}
	status := map[string]types.JobExecutionStatus{}
	pages := iot.NewListJobExecutionsForJobPaginator(r.iot, &iot.ListJobExecutionsForJobInput{JobId: &s.JobID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.ExecutionSummaries {
			if arn := aws.ToString(e.ThingArn); e.JobExecutionSummary != nil {
				status[arn[strings.LastIndexByte(arn, '/')+1:]] = e.JobExecutionSummary.Status
			}
		}
	}
	for _, thing := range r.things {
		switch _, bad := o.failed[thing]; {
		case bad:
		case status[thing] == "":
			o.missing[thing] = true
		case status[thing] == types.JobExecutionStatusQueued || status[thing] == types.JobExecutionStatusInProgress:
			o.open[thing] = true
		}
	}
	return o, nil
}

// some are the first of things that are in a set, and how many more there are.
func some(things []string, in map[string]bool) string {
	const shown = 3
	var names []string
	for _, thing := range things {
		if in[thing] && len(names) < shown {
			names = append(names, thing)
		}
	}
	list := strings.Join(names, ", ")
	if more := len(in) - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// judge lists the devices that did not end as they should, and prints the end of
// each device that failed or has a fault.
func (r *run) judge(s *cli.State, ended *outcomes, fleet *simulator.Fleet) []string {
	var problems []string
	if !s.Ended() {
		problems = append(problems, fmt.Sprintf("the job is not over after %s: %s, %s", r.Timeout,
			s.Status, s.Counts))
	}
	switch n := len(ended.open); {
	case n == 1:
		problems = append(problems, "1 device is not done: "+some(r.things, ended.open))
	case n > 1:
		problems = append(problems, fmt.Sprintf("%d devices are not done: %s", n, some(r.things, ended.open)))
	}
	if s.Counts.Total() != r.Devices || len(ended.missing) > 0 {
		problem := fmt.Sprintf("the job reached %d devices of %d and is %s", s.Counts.Total(), r.Devices, s.Status)
		if len(ended.missing) > 0 {
			problem += ": " + notReached + " for " + some(r.things, ended.missing)
		}
		problems = append(problems, problem)
	}
	facts := fleet.Facts()
	for i, thing := range r.things {
		fault, profile := r.faults[i], r.profiles[i]
		expected := fault.On(profile)
		f, bad := ended.failed[thing]
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
		switch {
		case ended.missing[thing]:
			outcome = notReached
		case ended.open[thing]:
			outcome = "not done"
		}
		if fault != nil || bad {
			r.printf("  %s (%s): %s", thing, name, outcome)
		}
		if ended.missing[thing] || ended.open[thing] {
			continue // told above, once for all of them
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
func (r *run) byModel(how *outcomes) map[string]map[string]map[string]int {
	if r.Faults == "" && r.Profiles == "" {
		return nil
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
		switch f, bad := how.failed[thing]; {
		case bad && f.Reason == "":
			end = f.Status
		case bad:
			end = f.Reason
		case how.missing[thing]:
			end = notReached
		case how.open[thing]:
			end = "not done"
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
