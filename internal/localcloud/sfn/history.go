package sfn

import (
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// recorder takes the events of a move as they are stored, as JSON.
type recorder struct {
	text  []byte // of all parts
	parts []part
	kept  []asl.Event // for the log
}

// part is a stretch of a history under the id of its first event. Parts are
// kept small, as a page of a history reads whole parts.
type part struct {
	first int64
	from  int // in the text
}

const partSize = 64 << 10

// recorders keeps recorders for the next move. Few moves need more room than
// one part.
var recorders = sync.Pool{New: func() any { return &recorder{text: make([]byte, 0, 8<<10)} }}

// release gives a recorder back whose parts are stored or not wanted.
func (r *recorder) release() {
	if cap(r.text) > 2*partSize {
		return
	}
	r.text, r.parts, r.kept = r.text[:0], r.parts[:0], nil
	recorders.Put(r)
}

// store writes the parts.
func (r *recorder) store(tx *store.Tx, k key) error {
	for i, p := range r.parts {
		end := len(r.text)
		if i+1 < len(r.parts) {
			end = r.parts[i+1].from
		}
		if err := history.Put(tx, r.text[p.from:end], k.Machine, k.Name, store.Number(uint64(p.first))); err != nil {
			return err
		}
	}
	return nil
}

// record sends a run's events to a recorder.
func (s *Service) record(rec *executionRecord, rev *revisionRecord, run *asl.Run) *recorder {
	out := recorders.Get().(*recorder)
	keep := s.Logs != nil && rev != nil && rev.Logging != nil && rev.Logging.Level != "OFF"
	run.Record = func(e *asl.Event) {
		if keep {
			out.kept = append(out.kept, *e)
		}
		if rec.Type == express {
			return
		}
		// Each part is a JSON array, closed after each event.
		n := len(out.parts)
		if n == 0 || len(out.text)-out.parts[n-1].from > partSize {
			out.parts = append(out.parts, part{e.ID, len(out.text)})
			out.text = append(out.text, '[')
		} else {
			out.text[len(out.text)-1] = ','
		}
		out.text = append(appendEvent(out.text, e), ']')
	}
	return out
}
