package upgrade

import (
	"encoding/json"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Park: what an attempt that goes on later remembers of this execution. Its next one
// begins at Inspect, as each does.

// resumption is what a lap of an upgrade tells the next.
type resumption struct {
	// Staged is the path of the image that is complete and waits to be activated; ""
	// if there is none.
	Staged string `json:"staged,omitempty"`
	// Passes is how often it was activated in vain.
	Passes int `json:"passes,omitempty"`
}

func readResumption(in event.ExecutionInput) (r resumption, err error) {
	if len(in.Resume) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(in.Resume, &r); err != nil {
		return r, fmt.Errorf("upgrade: lap %d: what the lap before left: %w", in.Lap, err)
	}
	return r, nil
}

// park is the end of this lap.
func (s turn) park(staged bool) event.Park {
	r := resumption{Passes: s.m.Resumed.Passes}
	if staged {
		r = resumption{Staged: s.m.Target.Path, Passes: s.m.Passes}
	}
	b, err := json.Marshal(r)
	if err != nil {
		b = nil // unreachable: plain values only
	}
	return event.Park{Gated: s.m.Window != nil && (staged || !s.m.separate()), Resume: b}
}

// Hold is the end of a lap whose command a pause keeps from being sent.
func (f *Flow) Hold(t event.Turn) (event.Park, error) {
	var m memory
	if err := json.Unmarshal(t.State, &m); err != nil {
		return event.Park{}, fmt.Errorf("upgrade.Hold: step %s: memory: %w", t.Step, err)
	}
	return turn{f, t, m}.park(t.Step == Activate), nil
}
