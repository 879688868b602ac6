package asl

import (
	"fmt"
	"math"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// maxDelay is the largest MaxDelaySeconds.
const maxDelay = 31622400

func (c *compiler) errorNames(v any, at string, last bool) []string {
	list := c.elements(v, at)
	var names []string
	for i, e := range list {
		name, ok := e.(string)
		if !ok {
			c.wrongType(fmt.Sprintf("%s[%d]", at, i), "STRING")
		}
		if name == "States.ALL" && (len(list) > 1 || !last) {
			c.fail(at, "States.ALL must appear alone and at end of list")
		}
		names = append(names, name)
	}
	return names
}

func (c *compiler) retriers(s *State, o *document.Object, at string) {
	v, ok := o.Get("Retry")
	if !ok {
		return
	}
	list, ok := v.([]any)
	if !ok {
		c.wrongType(at+"/Retry", "ARRAY")
		return
	}
	for i, e := range list {
		where := fmt.Sprintf("%s/Retry[%d]", at, i)
		r, ok := e.(*document.Object)
		if !ok {
			c.wrongType(where, "OBJECT")
			continue
		}
		out := &Retrier{Interval: 1, Attempts: 3, Backoff: 2}
		for _, m := range r.Members() {
			field := where + "/" + m.Name
			f, _ := document.Number(m.Value)
			n, _ := document.Integer(m.Value)
			switch m.Name {
			case "ErrorEquals":
				out.Errors = c.errorNames(m.Value, field, i == len(list)-1)
			case "IntervalSeconds":
				c.within(m.Value, field, true, 1, maxSeconds)
				out.Interval = f
			case "MaxAttempts":
				c.within(m.Value, field, true, 0, maxSeconds)
				out.Attempts = int(n)
			case "BackoffRate":
				c.within(m.Value, field, false, 1, math.MaxFloat64)
				out.Backoff = f
			case "MaxDelaySeconds":
				c.within(m.Value, field, true, 1, maxDelay)
				out.MaxDelay = f
			case "JitterStrategy":
				if m.Value != "FULL" && m.Value != "NONE" {
					c.notOneOf(field, "FULL", "NONE")
				}
				out.Full = m.Value == "FULL"
			case "Comment":
			default:
				c.unsupported(where, m.Name)
			}
		}
		if _, ok := r.Get("ErrorEquals"); !ok {
			c.fail(where, "These fields are required: [ErrorEquals]")
		}
		if out.MaxDelay > 0 && out.MaxDelay <= out.Interval {
			if _, ok := r.Get("IntervalSeconds"); ok {
				c.fail(where, "MaxDelaySeconds must be greater than IntervalSeconds")
			}
		}
		s.retry = append(s.retry, out)
	}
}

// delay is the wait before attempt n (from 1), in seconds, before jitter.
func (r *Retrier) delay(n int) float64 {
	d := r.Interval * math.Pow(r.Backoff, float64(n-1))
	if r.MaxDelay > 0 {
		d = math.Min(d, r.MaxDelay)
	}
	return math.Min(d, maxSeconds)
}

func (c *compiler) catchers(s *State, o *document.Object, at string) {
	v, ok := o.Get("Catch")
	if !ok {
		return
	}
	list, ok := v.([]any)
	if !ok {
		c.wrongType(at+"/Catch", "ARRAY")
		return
	}
	for i, e := range list {
		where := fmt.Sprintf("%s/Catch[%d]", at, i)
		r, ok := e.(*document.Object)
		if !ok {
			c.wrongType(where, "OBJECT")
			continue
		}
		out := &Catcher{}
		c.missing(r, where, "Next", "ErrorEquals")
		for _, m := range r.Members() {
			field := where + "/" + m.Name
			switch {
			case m.Name == "ErrorEquals":
				out.Errors = c.errorNames(m.Value, field, i == len(list)-1)
			case m.Name == "Next":
				out.Next = c.target(m.Value, field)
			case m.Name == "ResultPath" && !s.JSONata:
				out.resultPath = c.reference(r, where)
			case m.Name == "Output" && s.JSONata:
				c.withStatesMember("errorOutput", func() {
					out.output = c.jsonataTemplate(m.Value, field, "Catch["+fmt.Sprint(i)+"]/Output")
				})
			case m.Name == "Assign":
				c.withStatesMember("errorOutput", func() {
					out.assign, out.assignNames = c.assignment(r, s.JSONata, where, fmt.Sprintf("Catch[%d]/", i))
				})
			case m.Name == "Comment":
			case m.Name == "ResultPath" || m.Name == "Output":
				c.otherLanguage(where, m.Name, s.JSONata)
			default:
				c.unsupported(where, m.Name)
			}
		}
		s.catch = append(s.catch, out)
	}
}

// missing reports the fields that an object must have and has not. They are named in the order of a Java HashSet.
func (c *compiler) missing(o *document.Object, at string, names ...string) {
	var missing []string
	for _, name := range names {
		if _, ok := o.Get(name); !ok {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		c.fail(at, "These fields are required: [%s]", strings.Join(missing, ", "))
	}
}
