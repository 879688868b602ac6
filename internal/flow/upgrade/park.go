package upgrade

import (
	"encoding/json"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Park: what an attempt that goes on later remembers of this execution. Its next one
// begins at Inspect, as each does.

// resumptionForm is the form in which this program writes resumptions. It reads those up
// to it.
const resumptionForm = 1

// resumption is what a lap of an upgrade tells the next.
type resumption struct {
	Form int `json:"v,omitempty"`
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
	return r, event.CheckForm(fmt.Sprintf("what the lap before lap %d left", in.Lap), r.Form, resumptionForm)
}

// park is the end of this lap.
func (s turn) park(staged bool) event.Park {
	r := resumption{Passes: s.m.Resumed.Passes}
	if staged {
		r = resumption{Staged: s.m.Target.Path, Passes: s.m.Passes}
	}
	r.Form = resumptionForm
	b, err := json.Marshal(r)
	if err != nil {
		b = nil // unreachable: plain values only
	}
	return event.Park{Gated: s.m.Window != nil && (staged || !s.m.separate()), Resume: b}
}

// Hold is the end of a lap whose command a pause keeps from being sent.
func (f *Flow) Hold(t event.Turn) (event.Park, error) {
	m, err := readMemory(t)
	if err != nil {
		return event.Park{}, fmt.Errorf("upgrade.Hold: %w", err)
	}
	return turn{f, t, m}.park(t.Step == Activate), nil
}
