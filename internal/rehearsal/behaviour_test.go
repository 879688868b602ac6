package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// What the record of behaviour is made of.
const (
	behaviourSeeds   = 20
	behaviourDevices = 30
	behaviourFile    = "testdata/behaviour.txt"
	// behaviourRewrite is the environment variable that has the record written
	// anew. Whoever does it says in the commit what changed, and why.
	behaviourRewrite = "REWRITE_BEHAVIOUR"
)

// TestUpgradesBehaveAsRecorded plays each seed with every fault and compares what
// became of each device with the record, line by line: the states its execution
// went through, the names of the errors on the way, the end of the execution, the
// status of its job execution, the version that it runs and the outcome that was
// published for it, without times. Digests cover the same and much more, but do
// not tell what changed.
func TestUpgradesBehaveAsRecorded(t *testing.T) {
	seeds := behaviourSeeds
	rewrite := os.Getenv(behaviourRewrite) != ""
	if testing.Short() && !rewrite {
		seeds = 4
	}
	lines := make([][]string, seeds)
	if !t.Run("seeds", func(t *testing.T) {
		for i := range lines {
			t.Run(fmt.Sprint(i+1), func(t *testing.T) {
				t.Parallel()
				lines[i] = behaviour(t, uint64(i+1))
			})
		}
	}) {
		return
	}
	now := slices.Concat(lines...)
	if rewrite {
		if err := os.MkdirAll(filepath.Dir(behaviourFile), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(behaviourFile, []byte(strings.Join(now, "\n")+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	record, err := os.ReadFile(behaviourFile)
	if err != nil {
		t.Fatal(err)
	}
	was := strings.Split(strings.TrimSuffix(string(record), "\n"), "\n")
	if len(was) != behaviourSeeds*behaviourDevices {
		t.Fatalf("%s has %d lines for %d devices", behaviourFile, len(was), behaviourSeeds*behaviourDevices)
	}
	different := 0
	for i, line := range now {
		if line == was[i] {
			continue
		}
		if different++; different <= 10 {
			t.Errorf("device behaves otherwise than recorded\n was %s\n now %s", was[i], line)
		}
	}
	if different > 10 {
		t.Errorf("%d devices of %d behave otherwise than recorded", different, len(now))
	}
}

// behaviour plays a seed and tells of each device in one line.
func behaviour(t *testing.T, seed uint64) (lines []string) {
	t.Helper()
	faults, err := simulator.ParseFaults("all")
	if err != nil {
		t.Fatal(err)
	}
	assigned, err := faults.Assign(behaviourDevices, seed)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := &outcomeDoor{published: map[string][]string{}}
	_, out, err := play(t, Config{
		Devices: behaviourDevices, Seed: seed, Faults: "all",
		opened: func(w *world) { outcomes.door, w.door = w.door, outcomes },
		over: func(ctx context.Context, w *world, job string) error {
			paths, err := w.paths(ctx)
			if err != nil {
				return err
			}
			for i, facts := range w.fleet.Facts() {
				fault := "healthy"
				if assigned[i] != nil {
					fault = assigned[i].Name
				}
				x, err := w.jobExecution(ctx, job, facts.Thing)
				if err != nil {
					return err
				}
				lines = append(lines, fmt.Sprintf("%d %s %s | %s | %s %s | %s | %s", seed, facts.Thing, fault,
					strings.Join(paths[facts.Thing], "; "), x.Status, x.StatusDetails.DetailsMap,
					facts.Version, strings.Join(outcomes.published[facts.Thing], "; ")))
			}
			return nil
		},
	})
	if err != nil && !errors.Is(err, cli.ErrFailed) {
		t.Fatalf("seed %d: %v\n%s", seed, err, out)
	}
	if len(outcomes.published) == 0 {
		t.Fatalf("seed %d: no outcome was seen", seed)
	}
	return lines
}

// outcomeDoor notes what is published on topics.
type outcomeDoor struct {
	door
	published map[string][]string // by thing
}

// Direct implements door.
func (d *outcomeDoor) Direct(ctx context.Context, id localcloud.Identity, service, operation string, input, out any) (
	bool, error) {
	if in, ok := input.(*sns.PublishInput); ok {
		var o map[string]any
		if err := json.Unmarshal([]byte(aws.ToString(in.Message)), &o); err != nil {
			return true, fmt.Errorf("a message that is no JSON object: %w", err)
		}
		thing, _ := o["thingName"].(string)
		for _, name := range []string{"seconds", "thingName", "jobId"} {
			delete(o, name)
		}
		b, err := json.Marshal(o) // with its members in order
		if err != nil {
			return true, err
		}
		attributes := []string{}
		for name, v := range in.MessageAttributes {
			attributes = append(attributes, name+"="+aws.ToString(v.StringValue))
		}
		slices.Sort(attributes)
		d.published[thing] = append(d.published[thing], aws.ToString(in.Subject)+" "+string(b)+" "+
			strings.Join(attributes, " "))
	}
	return d.door.Direct(ctx, id, service, operation, input, out)
}

// paths are, by thing, what its executions went through: states as they are
// entered, and in parentheses the errors of their tasks.
func (w *world) paths(ctx context.Context) (map[string][]string, error) {
	machines, err := w.raw(ctx, "sfn", "ListStateMachines", map[string]any{})
	if err != nil {
		return nil, err
	}
	var list struct {
		StateMachines []struct{ StateMachineArn string }
	}
	if err := json.Unmarshal(machines, &list); err != nil {
		return nil, err
	}
	paths := map[string][]string{}
	for _, m := range list.StateMachines {
		var executions []localcloud.Execution
		for e, err := range w.cloud.Executions(ctx, m.StateMachineArn) {
			if err != nil {
				return nil, err
			}
			executions = append(executions, e)
		}
		slices.SortFunc(executions, func(a, b localcloud.Execution) int { return strings.Compare(a.Name, b.Name) })
		for _, e := range executions {
			thing, path, err := w.path(ctx, e)
			if err != nil {
				return nil, err
			}
			paths[thing] = append(paths[thing], path)
		}
	}
	return paths, nil
}

// path reads an execution's history.
func (w *world) path(ctx context.Context, e localcloud.Execution) (thing, path string, err error) {
	var b bytes.Buffer
	for event, err := range w.cloud.History(ctx, e.ExecutionARN) {
		if err != nil {
			return "", "", err
		}
		raw, err := json.Marshal(event)
		if err != nil {
			return "", "", err
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return "", "", err
		}
		for name, raw := range members {
			if !strings.HasSuffix(name, "EventDetails") {
				continue
			}
			var details struct{ Name, Error, Input string }
			if json.Unmarshal(raw, &details) != nil {
				continue // this event's details are of another form, and tell no path
			}
			switch {
			case event.Type == "ExecutionStarted":
				var in struct{ ThingName string }
				if err := json.Unmarshal([]byte(details.Input), &in); err != nil {
					return "", "", err
				}
				thing = in.ThingName
			case strings.HasSuffix(event.Type, "StateEntered"):
				fmt.Fprintf(&b, "%s ", details.Name)
			case strings.HasPrefix(event.Type, "Task") && details.Error != "":
				fmt.Fprintf(&b, "(%s) ", details.Error)
			case details.Error != "":
				fmt.Fprintf(&b, "%s %s ", event.Type, details.Error)
			}
		}
	}
	return thing, b.String() + e.Status, nil
}

// jobExecution is one as AWS IoT has it.
type jobExecution struct {
	Status          string
	ExecutionNumber int
	StatusDetails   struct{ DetailsMap map[string]string }
}

// jobExecution describes a device's of a job; one that is not there is empty.
func (w *world) jobExecution(ctx context.Context, job, thing string) (jobExecution, error) {
	var out struct{ Execution jobExecution }
	err := w.call(ctx, "iot", "DescribeJobExecution", map[string]any{"thingName": thing, "jobId": job}, &out)
	if err != nil && localcloud.ErrorCode(err) != "ResourceNotFoundException" {
		return jobExecution{}, err
	}
	return out.Execution, nil
}
