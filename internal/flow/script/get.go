package script

import "github.com/fleetstep/fleetstep/internal/event"

// GET: read. Asking again changes nothing.

type getting struct{ *turn }

func (s getting) open() event.Move { return s.get(forGet, s.m.Task.Paths...) }
func (s getting) lost() event.Move { return s.open() }

func (s getting) news(event.DeviceEvent) event.Move { return ignore }

func (s getting) answer(ev event.DeviceEvent) event.Move {
	a := ev.Answer
	if a.Fault != nil {
		return refusal(*a.Fault)
	}
	if !s.m.Task.AllowPartial {
		for _, path := range s.m.Task.Paths {
			if f, missing := a.Missing[path]; missing {
				return event.Move{Failed: event.Refusal(f.Code, path+": "+f.Text)}
			}
		}
	}
	got := Got{Parameters: a.Params, Missing: a.Missing}
	if got.Parameters == nil {
		got.Parameters = map[string]string{}
	}
	return s.done(got)
}
