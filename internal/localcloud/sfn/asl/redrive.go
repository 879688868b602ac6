package asl

import (
	"encoding/json"
	"time"
)

// broken marks the branch whose error ended an execution.
const broken Phase = "broken"

// keepForRedrive remembers the execution as it is, with its inside, in case the error of
// this branch ends it: that is where a redrive goes on.
func (r *Run) keepForRedrive(b *Branch) { r.keepInPhase(b, broken) }

// keepInPhase remembers the execution with the branch in a phase.
func (r *Run) keepInPhase(b *Branch, phase Phase) {
	before := b.Phase
	b.Phase = phase
	if text, err := json.Marshal(r.snapshot.Root); err == nil {
		r.kept = text
	}
	b.Phase = before
	if phase == broken {
		b.Phase = Entering
	}
}

// Redrivable is the execution as it was before the error that ended it, for
// Redrive.
func (r *Run) Redrivable() (Snapshot, bool) {
	s := r.snapshot
	if r.kept != nil && r.Status == Failed {
		s.Root = &Branch{}
		if json.Unmarshal(r.kept, s.Root) != nil {
			return s, false
		}
	}
	return s, s.Root != nil
}

// Redrive goes on with an execution that has failed, from what Redrivable gave:
// states that were cut short are done again, what has succeeded is kept.
func Redrive(m *Machine, host Host, info Info, s Snapshot, record func(e *Event)) *Run {
	r := Resume(m, host, info, s)
	r.Record = record
	r.snapshot.Deadline = time.Time{}
	r.deadline()
	root := r.snapshot.Root
	id := r.append(root, s.Next-1, Event{Type: "ExecutionRedriven", RedriveCount: info.RedriveCount})
	var redriven []*Branch
	r.Branches(func(b *Branch) {
		if b.Phase != Apart && (b.Phase != Inside || b.MapRun != "") {
			redriven = append(redriven, b)
		}
	})
	for _, b := range redriven {
		if r.Status != Running || r.find(b.ID) != b {
			continue
		}
		if b.MapRun != "" && (b.Phase == Inside || b.Phase == Writing) {
			b.Cursor, b.before = id, id
			r.mapRedrive(b)
			continue
		}
		if b.Phase == Entering {
			r.queue = append(r.queue, b)
			continue
		}
		r.clearWait(b)
		b.Tries, b.Retries = nil, 0
		b.Cursor, b.before = id, id
		r.perform(b)
	}
	r.advance()
	return r
}
