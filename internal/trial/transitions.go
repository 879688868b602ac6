package trial

import (
	"iter"
	"math"
	"strings"
)

// Transitions counts the state transitions of executions, retries included, as
// AWS counts them. Executions in which a task failed for good were no upgrades,
// one that parks among them, and do not count for the average.
type Transitions struct{ sum, upgrades, all int }

// Add takes the types of the events of an execution that succeeded.
func (t *Transitions) Add(kinds iter.Seq[string]) {
	entered, tasks, scheduled, last, failed := 0, 0, 0, "", false
	for kind := range kinds {
		switch {
		case strings.HasSuffix(kind, "StateEntered"):
			entered++
			if kind == "TaskStateEntered" {
				tasks++
			}
		case kind == "TaskScheduled":
			scheduled++
		case kind == "TaskStateExited" && (last == "TaskFailed" || last == "TaskTimedOut"):
			failed = true
		}
		last = kind
	}
	n := entered + max(0, scheduled-tasks)
	if t.all += n; failed {
		return
	}
	t.sum += n
	t.upgrades++
}

// All are those of all executions that succeeded.
func (t *Transitions) All() int { return t.all }

// Each is the average of all executions that succeeded over so many upgrades, to two places; 0 of none.
func (t *Transitions) Each(upgrades int) float64 {
	return average(t.all, upgrades)
}

// PerUpgrade is the average so far, to two places; 0 of none.
func (t *Transitions) PerUpgrade() float64 {
	return average(t.sum, t.upgrades)
}

func average(sum, of int) float64 {
	if of == 0 {
		return 0
	}
	return math.Round(100*float64(sum)/float64(of)) / 100
}
