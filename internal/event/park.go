package event

import (
	"encoding/json"
	"fmt"
)

// Park ends an execution for now, where what the attempt waits for may be hours away:
// no execution is open meanwhile. The attempt goes on in another one, its next lap.
type Park struct {
	// Why is for those who look at the execution.
	Why string `json:"why,omitempty"`
	// Gated has the next lap begin in the attempt's window only.
	Gated bool `json:"gated,omitempty"`
	// Seconds is how long the next lap waits at least, where it is not gated.
	Seconds int `json:"seconds,omitempty"`
	// Looks says that the attempt has done to the device what it does, and only looks in
	// its next lap: no flag keeps it from that.
	Looks bool `json:"looks,omitempty"`
	// Stage says that the attempt waits for its campaign: its wave lets it go on.
	Stage bool `json:"stage,omitempty"`
	// Resume is what the flow tells itself for the next lap.
	Resume json.RawMessage `json:"resume,omitempty"`
}

// Park is the Park that travelled as what was caught; nil if that was another error.
func (c Caught) Park() (*Park, error) {
	if ErrorName(c.Error) != NextPark {
		return nil, nil
	}
	var p Park
	if err := json.Unmarshal([]byte(c.Cause), &p); err != nil {
		return nil, fmt.Errorf("%s: its cause: %w", NextPark, err)
	}
	return &p, nil
}

// Failure is a Park as it travels through the state machine: a signpost whose cause is
// the Park, for its Catch to read.
func (p Park) Failure() (Failure, error) {
	cause, err := json.Marshal(p)
	return Failure{Name: NextPark, Detail: string(cause)}, err
}
