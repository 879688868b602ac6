package campaign

import (
	"github.com/fleetstep/fleetstep/internal/event"
)

// Numbers are how many devices stand where. Planned is those of the manifest that stand
// nowhere yet: with the others they are all.
type Numbers struct {
	Planned   int                     `json:"planned"`
	Admitted  int                     `json:"admitted"`
	Waiting   int                     `json:"waiting"`
	Running   int                     `json:"running"`
	Staged    int                     `json:"staged"`
	Succeeded int                     `json:"succeeded"`
	Failed    map[event.ErrorName]int `json:"failed,omitempty"`
	Held      int                     `json:"held"`
	Withdrawn int                     `json:"withdrawn"`
	Excluded  int                     `json:"excluded"`
}

// NumbersOf are those of one wave, or of all with wave -1, of so many devices.
func NumbersOf(t event.Tally, wave, size int) Numbers {
	n := Numbers{Planned: size}
	for p, count := range t {
		if wave >= 0 && p.Wave != wave {
			continue
		}
		n.Planned -= count
		switch p.State {
		case event.StandAdmitted:
			n.Admitted += count
		case event.StandWaiting:
			n.Waiting += count
		case event.StandRunning:
			n.Running += count
		case event.StandStaged:
			n.Staged += count
		case event.StandSucceeded:
			n.Succeeded += count
		case event.StandFailed:
			if n.Failed == nil {
				n.Failed = map[event.ErrorName]int{}
			}
			n.Failed[p.Error] += count
		case event.StandHeld:
			n.Held += count
		case event.StandWithdrawn:
			n.Withdrawn += count
		case event.StandExcluded:
			n.Excluded += count
		}
	}
	return n
}

// Failures is how many have failed.
func (n Numbers) Failures() (all int) {
	for _, count := range n.Failed {
		all += count
	}
	return all
}

// Over is how many have come to an end.
func (n Numbers) Over() int { return n.Succeeded + n.Failures() + n.Held + n.Withdrawn + n.Excluded }

// Open is how many have been admitted and have not come to an end.
func (n Numbers) Open() int { return n.Idle() + n.Running }

// Idle is how many of those are not at work.
func (n Numbers) Idle() int { return n.Admitted + n.Waiting + n.Staged }

// Total is all of them.
func (n Numbers) Total() int { return n.Planned + n.Open() + n.Over() }

// Sample is what a gate looks at.
func (n Numbers) Sample() Sample { return Sample{Succeeded: n.Succeeded, Failures: n.Failed} }

// mostOver is the share of a wave's devices, in percent, that must have come to an end
// for the wave to be over. The rest may be away for long; they are counted in it later.
const mostOver = 95

// IsStaged reports whether enough of all devices have their image, or have come to an end.
func (n Numbers) IsStaged() bool {
	return n.Planned <= 0 && 100*(n.Staged+n.Over()) >= mostOver*n.Total()
}

// IsOver reports whether enough of a wave has come to its end.
func (n Numbers) IsOver() bool { return n.Planned <= 0 && 100*n.Over() >= mostOver*n.Total() }
