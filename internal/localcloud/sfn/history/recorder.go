package history

import (
	"iter"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// Recorder takes the events of a move, as JSON that is stored in parts. It is not safe for concurrent use.
type Recorder struct {
	// Events are those recorded, for the log, if they were to be kept.
	Events []asl.Event

	text  []byte // of all parts
	parts []part
}

// part is a stretch of a history under the id of its first event. Parts are kept small, as a page of a history reads
// whole parts.
type part struct {
	first int64
	from  int // in the text
}

const partSize = 64 << 10

// recorders keeps recorders for the next move. Few moves need more room than one part.
var recorders = sync.Pool{New: func() any { return &Recorder{text: make([]byte, 0, 8<<10)} }}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder { return recorders.Get().(*Recorder) }

// Release gives a recorder back whose parts are stored or not wanted.
func (r *Recorder) Release() {
	if cap(r.text) > 2*partSize {
		return
	}
	r.text, r.parts, r.Events = r.text[:0], r.parts[:0], nil
	recorders.Put(r)
}

// Add records an event. Each part is a JSON array, closed after each event.
func (r *Recorder) Add(e *asl.Event) {
	n := len(r.parts)
	if n == 0 || len(r.text)-r.parts[n-1].from > partSize {
		r.parts = append(r.parts, part{e.ID, len(r.text)})
		r.text = append(r.text, '[')
	} else {
		r.text[len(r.text)-1] = ','
	}
	r.text = append(Append(r.text, e), ']')
}

// Parts are the parts, each with the id of its first event. Their text is the recorder's.
func (r *Recorder) Parts() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for i, p := range r.parts {
			end := len(r.text)
			if i+1 < len(r.parts) {
				end = r.parts[i+1].from
			}
			if !yield(p.first, r.text[p.from:end]) {
				return
			}
		}
	}
}
