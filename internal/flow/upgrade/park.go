package upgrade

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Park: what an attempt that goes on later remembers of this execution. Its next one
// begins at Inspect, as each does.

// resumptionForm is the form in which this program writes resumptions. It reads those up
// to it.
const (
	resumptionForm = 2
	// plainResumption is the form of those without Soaking: a version that knows no other
	// goes on with them as this one does.
	plainResumption = 1
)

// resumption is what a lap of an upgrade tells the next.
type resumption struct {
	Form int `json:"v,omitempty"`
	// Staged is the path of the image that is complete and waits to be activated; ""
	// if there is none.
	Staged string `json:"staged,omitempty"`
	// Passes is how often it was activated in vain.
	Passes int `json:"passes,omitempty"`
	// Downloads is how often the device was told to download, Refused how many of these were not served.
	Downloads int `json:"downloads,omitempty"`
	Refused   int `json:"refused,omitempty"`
	// Soaking is what the steps have found of an upgrade that soaks: the next lap verifies
	// once more, and does nothing else.
	Soaking *results `json:"soaking,omitempty"`
}

// mostWait is how long an execution is kept open for a soak. A longer one is parked: open
// executions are an account's quota.
const mostWait = time.Hour

// soaks reports whether the attempt is parked for its soak.
func (d Document) soaks() bool { return d.soak() > mostWait }

func (d Document) soak() time.Duration { return time.Duration(d.Activation.SoakSeconds) * time.Second }

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
	r := resumption{Passes: s.m.Resumed.Passes, Downloads: s.m.Resumed.Downloads, Refused: s.m.Refused}
	switch {
	case staged:
		r = resumption{Staged: s.m.Target.Path, Passes: s.m.Passes}
	case s.t.Step == Download:
		r.Downloads = s.m.Passes
	}
	return event.Park{Gated: s.m.Window != nil && (staged || !s.m.separate()), Resume: r.save(plainResumption)}
}

func (r resumption) save(form int) json.RawMessage {
	r.Form = form
	b, err := json.Marshal(r)
	if err != nil {
		return nil // unreachable: plain values only
	}
	return b
}

// soak ends this lap with the wanted version running. The next one comes when it has run
// for long enough.
func (s turn) soak(v view) event.Move {
	r := resumption{Passes: s.m.Resumed.Passes, Soaking: s.m.Soaking}
	return event.Move{
		Park: &event.Park{
			Why: "soaks: runs " + v.software, Seconds: s.m.Document.Activation.SoakSeconds, Looks: true,
			Resume: r.save(resumptionForm),
		},
		Learnt: v.learnt(),
	}
}

// soaked goes on with an upgrade that has soaked while it was parked.
func (s turn) soaked() event.Move {
	b, err := json.Marshal(s.m.Resumed.Soaking)
	if err != nil {
		return s.fail(event.ControllerFailed, "what the lap before left: %s", err) // unreachable: plain values only
	}
	return event.Move{Failed: &event.Failure{Name: NextVerify, Detail: string(b)}}
}

// Hold is the end of a lap whose command a pause keeps from being sent.
func (f *Flow) Hold(t event.Turn) (park event.Park, ok bool, err error) {
	m, err := readMemory(t)
	if err != nil {
		return event.Park{}, false, fmt.Errorf("upgrade.Hold: %w", err)
	}
	return turn{f, t, m}.park(t.Step == Activate), true, nil
}
