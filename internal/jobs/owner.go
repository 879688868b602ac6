package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Documents gives the documents of jobs.
type Documents interface {
	// Document is a job's; ErrNotFound.
	Document(ctx context.Context, id event.JobID) (json.RawMessage, error)
}

// Whose says whose a job is.
type Whose int

// The owners of a job.
const (
	Others Whose = iota // another stack's, or nobody's that we know
	Ours
	Unknown // it is gone, and nobody can tell any more
)

// mostKnown is how many jobs a Register remembers.
const mostKnown = 1000

// Register tells a stack's own jobs from those of others in the account: AWS IoT's events
// name a job, and nothing of its document. What a job is it stays, so that each is looked
// up once. It is safe for concurrent use.
type Register struct {
	documents Documents
	flows     event.Flows

	mu    sync.Mutex
	known map[event.JobID]Whose
}

// NewRegister is a register of the jobs that these flows are for.
func NewRegister(documents Documents, flows event.Flows) *Register {
	return &Register{documents: documents, flows: flows, known: map[event.JobID]Whose{}}
}

// Whose looks a job up.
func (r *Register) Whose(ctx context.Context, id event.JobID) (Whose, error) {
	r.mu.Lock()
	whose, known := r.known[id]
	r.mu.Unlock()
	if known {
		return whose, nil
	}
	document, err := r.documents.Document(ctx, id)
	switch _, ours := r.flows.OfDocument(document); {
	case errors.Is(err, ErrNotFound):
		return Unknown, nil
	case err != nil:
		return Unknown, fmt.Errorf("jobs.Whose: job %s: %w", id, err)
	case ours:
		whose = Ours
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= mostKnown {
		clear(r.known)
	}
	r.known[id] = whose
	return whose, nil
}
