package asl

import (
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// maxWait is how many seconds a Wait waits at most; an execution ends before.
const maxWait = 1 << 33

func (r *Run) wait(s *scope) *Failure {
	st, b := s.state, s.branch
	if f := s.narrow(); f != nil {
		return f
	}
	until := r.host.Now()
	switch {
	case st.seconds != nil:
		v, f := st.seconds.eval(s)
		if f != nil {
			return f
		}
		n, ok := document.Integer(v)
		if e, isExpression := st.seconds.(exprNode); isExpression && (!ok || n < 0) {
			if _, isNumber := document.Number(v); !isNumber {
				return e.wrongType(s, "number", v)
			}
			b.before = b.Cursor
			if ok {
				return s.evaluation("Seconds", "Seconds must be between 0 and %d but was: %d", maxSeconds, n)
			}
			return s.evaluation("Seconds", "The Seconds field cannot be parsed as an integer: %s", document.Text(v))
		}
		until = until.Add(time.Duration(min(n, maxWait)) * time.Second)
	case st.timestamp != nil:
		v, f := st.timestamp.eval(s)
		if f != nil {
			return f
		}
		text, ok := v.(string)
		t, valid := parseOffsetDateTime(text)
		if e, isExpression := st.timestamp.(exprNode); isExpression && !ok {
			return e.wrongType(s, "string", v)
		}
		if !valid {
			b.before = b.Cursor
			return s.evaluation("Timestamp",
				"The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: %s",
				text)
		}
		until = t
	case st.secondsPath != nil:
		p := st.secondsPath.path
		v, err := s.resolve(p)
		if err != nil {
			return s.runtime("The SecondsPath parameter does not reference an input value: %s", p.Source)
		}
		n, ok := document.Integer(v)
		if text, isText := v.(string); isText { // AWS takes a text for the number that it is
			var err error
			n, err = strconv.ParseInt(text, 10, 64)
			ok = err == nil
		}
		if !ok {
			return s.runtime("The SecondsPath parameter cannot be parsed as a long value: %s == %s",
				p.Source, plain(v))
		}
		if n < 0 || n > maxSeconds {
			if n < 0 {
				return s.runtime("The SecondsPath parameter references a negative value: %s == %d", p.Source, n)
			}
			return s.runtime("The SecondsPath parameter cannot be parsed as a long value: %s == %d", p.Source, n)
		}
		until = until.Add(time.Duration(min(n, maxWait)) * time.Second)
	case st.timestampPath != nil:
		p := st.timestampPath.path
		v, err := s.resolve(p)
		if err != nil {
			return s.runtime("The TimestampPath parameter does not reference an input value: %s", p.Source)
		}
		text, _ := v.(string)
		t, valid := parseOffsetDateTime(text)
		if !valid {
			return s.runtime("The TimestampPath parameter does not reference a valid ISO-8601 extended offset "+
				"date-time format string: %s == %s", p.Source, plain(v))
		}
		until = t
	}
	b.Phase, b.Wake = Waiting, until
	if !until.After(r.host.Now()) {
		r.clearWait(b)
		r.endWait(b)
	}
	return nil
}

// plain spells a value as messages do: strings without quotes.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return document.Text(v)
}

// endWait ends a Wait state.
func (r *Run) endWait(b *Branch) {
	s := r.scope(b)
	f := s.narrow()
	if f == nil {
		out := b.Input
		if s.state.inputPath != nil {
			out = ValueData(s.input)
		}
		f = r.exit(s, out, nil)
	}
	if f != nil {
		r.fail(b, f)
	}
}

// seconds evaluates a field such as TimeoutSeconds; 0 if it is not there.
func (n numberField) seconds(s *scope) (int64, *Failure) {
	if !n.set {
		return 0, nil
	}
	v, f := n.value(s)
	if f != nil {
		return 0, f
	}
	i, ok := document.Integer(v)
	if !ok || i < 1 || i > maxSeconds {
		if e, isExpression := n.node.(exprNode); isExpression {
			if i == 0 && ok {
				return 0, nil
			}
			if ok {
				return 0, s.evaluation(n.name, "%s must be between 0 and %d but was: %d", n.name, maxSeconds, i)
			}
			return 0, s.evaluation(n.name, "The %s field cannot be parsed as an integer: %s", n.name, plain(v)).
				orType(e, s, v)
		}
		return 0, s.runtime("The %sPath parameter cannot be parsed as a long value: %s == %s", n.name,
			n.path.Source, plain(v))
	}
	return i, nil
}

// orType prefers the message about a wrong type.
func (f *Failure) orType(e exprNode, s *scope, v any) *Failure {
	if _, ok := document.Number(v); !ok {
		return e.wrongType(s, "number", v)
	}
	return f
}

func (n numberField) value(s *scope) (any, *Failure) {
	if n.path != nil {
		return s.pathValue(n.path)
	}
	return n.node.eval(s)
}
