package trial

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/fleetstep/fleetstep/internal/cli"
)

// Operation is what a trial's job does to its devices where its payload comes from no
// file: one that is only ASL, of the devices of the group "demo".
type Operation struct {
	Name  string
	Input string // JSON; "" is {}
}

// upgrade is the operation of a payload that names none.
const upgrade = "firmware-upgrade"

// payload is create-job's, as far as a trial looks at it.
type payload struct {
	Operation                  string
	FirmwareVersion, TargetArn string
	Firmware                   struct{ Version string }
	Input                      struct{ Firmware struct{ Version string } }
	Targets                    []string
}

// readPayload reads the payload of a file, or makes that of an operation; machine is the
// ARN of a state machine of the stack, by which the account and region of a target are known.
func (r *run) readPayload(machine string) (err error) {
	from := r.Event
	if r.Operation.Name == "" {
		if r.payload, err = os.ReadFile(r.Event); err != nil {
			return fmt.Errorf("payload: %w", err)
		}
	} else {
		from = "of operation " + r.Operation.Name
		if r.payload, err = r.Operation.payload(machine, r.Faults != ""); err != nil {
			return cli.UsageError{Err: err}
		}
	}
	var p payload
	if err := json.Unmarshal(r.payload, &p); err != nil {
		return fmt.Errorf("payload %s: %w", from, err)
	}
	r.operation = p.Operation
	if r.operation == "" {
		r.operation = upgrade
	}
	r.version = p.FirmwareVersion + p.Firmware.Version + p.Input.Firmware.Version
	for _, arn := range append(p.Targets, p.TargetArn) {
		if _, name, ok := strings.Cut(arn, ":thinggroup/"); ok {
			r.group = name
		}
	}
	if r.machine = machine; r.operation != upgrade {
		r.machine = strings.TrimSuffix(machine, upgrade) + r.operation
	}
	return nil
}

// payload asks for the operation, of all devices at once. Where some are difficult it
// is not to end by that.
func (o Operation) payload(machine string, difficult bool) ([]byte, error) {
	input := json.RawMessage(o.Input)
	if o.Input == "" {
		input = json.RawMessage(`{}`)
	}
	if !json.Valid(input) {
		return nil, fmt.Errorf("--input: %s is no JSON", o.Input)
	}
	part := strings.Split(machine, ":") // arn:aws:states:region:account:...
	if len(part) < 6 {
		return nil, fmt.Errorf("the stack's state machine is %q, which is no ARN", machine)
	}
	p := map[string]any{
		"operation": o.Name, "input": input,
		"targets": []string{fmt.Sprintf("arn:%s:iot:%s:%s:thinggroup/demo", part[1], part[3], part[4])},
		"rollout": map[string]int{"maximumPerMinute": 1000},
	}
	if difficult {
		p["abort"] = map[string]any{"criteriaList": []any{}}
	}
	return json.Marshal(p)
}

// subject says what the job is about.
func (r *run) subject() string {
	if r.operation != upgrade {
		return "operation " + r.operation
	}
	return "firmware " + r.version
}
