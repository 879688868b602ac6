package script

import (
	"slices"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// SET: write, all or none. After a lost answer it reads first: what has come to be so is
// not written again. One that undoes is let through where the owner is held (change in
// conversation.go).

type setting struct{ *turn }

func (s setting) paths() []string { return s.m.Task.Parameters.names() }

// objects are the parameters to write, by object, in the order of their paths.
func (s setting) objects() []device.Object {
	var out []device.Object
	for _, path := range s.paths() {
		object, name := device.SplitPath(path)
		at := slices.IndexFunc(out, func(o device.Object) bool { return o.Path == object })
		if at < 0 {
			at = len(out)
			out = append(out, device.Object{Path: object})
		}
		out[at].Settings = append(out[at].Settings, device.Setting{
			Param: name, Value: string(s.m.Task.Parameters[path]), Required: true,
		})
	}
	return out
}

func (s setting) open() event.Move {
	if s.t.Tries[s.t.Step] > 1 {
		return s.lost() // the try before may have written
	}
	return s.write()
}

func (s setting) lost() event.Move { return s.get(forLook, s.paths()...) }

func (s setting) write() event.Move {
	return s.change(forSet, &device.Set{ID: s.id(forSet), Objects: s.objects()})
}

func (s setting) news(event.DeviceEvent) event.Move { return ignore }

func (s setting) answer(ev event.DeviceEvent) event.Move {
	a := ev.Answer
	if s.m.For == forLook {
		if a.Fault == nil && s.written(a) {
			return s.done(Written{s.m.Task.Parameters.text()})
		}
		return s.write() // and hear from the device what is wrong
	}
	if f := device.Failed(a); f != nil {
		return refusal(*f)
	}
	for _, r := range a.Results {
		if len(r.Objects) == 0 { // a search that matched nothing is a success to the agent
			return refusal(event.Fault{Code: device.CodeObjectDoesNotExist, Text: r.Path +
				" matches nothing on the device"})
		}
	}
	return s.done(Written{s.m.Task.Parameters.text()})
}

// written reports whether a look shows the values that were to be written.
func (s setting) written(a *event.Answer) bool {
	for _, path := range s.paths() {
		found := device.Matching(a, path)
		if len(found) == 0 {
			return false
		}
		for _, have := range found {
			if !device.SameValue(have, string(s.m.Task.Parameters[path])) {
				return false
			}
		}
	}
	return true
}
