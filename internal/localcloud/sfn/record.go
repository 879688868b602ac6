package sfn

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"
)

// The form of an execution in the store: a byte 1 and then the members in the
// order of the struct. A string is its length and its bytes; one that may be
// absent has 0 for absent and its length plus one otherwise. A time is its
// nanoseconds since 1970 plus one, 0 for none. Numbers are varints. What few
// executions have comes last, as JSON. Folders of old hold all of an execution
// as JSON.
const executionForm = 1

// rareMembers are the members that few executions have.
type rareMembers struct {
	Child       *child         `json:"child,omitempty"`
	Redrives    []redriveToken `json:"redriveTokens,omitempty"`
	Synchronous bool           `json:"synchronous,omitempty"`
}

// AppendRecord implements store.Record.
func (r *executionRecord) AppendRecord(b []byte) []byte {
	if b == nil {
		b = make([]byte, 0, 160+len(r.Machine)+len(r.Name)+len(r.ARN)+len(r.Revision)+len(r.Input)+
			len(optional(r.Output))+len(optional(r.Cause)))
	}
	b = append(b, executionForm)
	w := recordWriter{b}
	w.text(r.Machine, r.Name, r.ARN, r.Revision)
	w.number(int64(r.Version))
	w.text(r.Alias, r.Type, r.Status)
	w.time(r.Started)
	w.time(r.Stopped)
	w.text(r.Input)
	w.optional(r.Output)
	w.optional(r.Error)
	w.optional(r.Cause)
	w.number(int64(r.RedriveCount))
	w.time(r.Redriven)
	w.text(r.TraceHeader)
	w.time(r.Order)
	if r.Child == nil && r.Redrives == nil && !r.Synchronous {
		return w.b
	}
	// Strings, numbers and times always encode.
	rest, _ := json.Marshal(rareMembers{r.Child, r.Redrives, r.Synchronous})
	return append(w.b, rest...)
}

// DecodeRecord implements store.Record.
func (r *executionRecord) DecodeRecord(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		type plain executionRecord
		return json.Unmarshal(b, (*plain)(r))
	}
	if len(b) == 0 || b[0] != executionForm {
		return errNotExecution
	}
	in := recordReader{rest: string(b[1:])}
	*r = executionRecord{Machine: in.text(), Name: in.text(), ARN: in.text(), Revision: in.text(),
		Version: int(in.number()), Alias: in.text(), Type: in.text(), Status: in.text(), Started: in.time(),
		Stopped: in.time(), Input: in.text(),
		Output: in.optional(), Error: in.optional(), Cause: in.optional(), RedriveCount: int(in.number()),
		Redriven:    in.time(),
		TraceHeader: in.text(), Order: in.time()}
	if in.bad {
		return errNotExecution
	}
	if in.rest == "" {
		return nil
	}
	var more rareMembers
	if err := json.Unmarshal([]byte(in.rest), &more); err != nil {
		return errNotExecution
	}
	r.Child, r.Redrives, r.Synchronous = more.Child, more.Redrives, more.Synchronous
	return nil
}

var errNotExecution = errors.New("sfn: not an execution's record")

func optional(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

type recordWriter struct{ b []byte }

func (w *recordWriter) number(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *recordWriter) text(list ...string) {
	for _, s := range list {
		w.b = append(binary.AppendUvarint(w.b, uint64(len(s))), s...)
	}
}

func (w *recordWriter) optional(s *string) {
	if s == nil {
		w.b = append(w.b, 0)
		return
	}
	w.b = append(binary.AppendUvarint(w.b, uint64(len(*s))+1), *s...)
}

func (w *recordWriter) time(t time.Time) {
	if t.IsZero() {
		w.number(0)
		return
	}
	n := t.UnixNano()
	if n >= 0 {
		n++
	}
	w.number(n)
}

// recordReader takes a record apart. The strings it gives share one copy of it.
type recordReader struct {
	rest string
	bad  bool
}

func (r *recordReader) uvarint() uint64 {
	var n uint64
	for i := range len(r.rest) {
		c := r.rest[i]
		if i == binary.MaxVarintLen64 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.bad, r.rest = true, ""
	return 0
}

func (r *recordReader) number() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *recordReader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *recordReader) text() string { return r.take(r.uvarint()) }

func (r *recordReader) optional() *string {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	s := r.take(n - 1)
	return &s
}

func (r *recordReader) time() time.Time {
	n := r.number()
	switch {
	case n == 0:
		return time.Time{}
	case n > 0:
		n--
	}
	return time.Unix(0, n).UTC()
}
