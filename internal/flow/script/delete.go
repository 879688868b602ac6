package script

import (
	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// DELETE: remove objects, all or none. What is not there any more is deleted. After a
// lost answer, what has the keys is deleted again; not so what is named by its instance
// number alone, which another object may have by then (captures, 11g).

type deleting struct{ *turn }

func (s deleting) open() event.Move { return s.look() }
func (s deleting) lost() event.Move { return s.look() }

func (s deleting) path(o object) string {
	if search := o.search(); search != "" {
		return search
	}
	return o.Path
}

func (s deleting) look() event.Move {
	var paths []string
	for _, o := range s.m.Task.Objects {
		paths = append(paths, s.path(o))
	}
	return s.get(forLook, paths...)
}

func (s deleting) news(event.DeviceEvent) event.Move { return ignore }

func (s deleting) answer(ev event.DeviceEvent) event.Move {
	a := ev.Answer
	if s.m.For == forLook {
		if a.Fault != nil {
			return refusal(*a.Fault)
		}
		return s.looked(a)
	}
	if f := device.Failed(a); f != nil {
		return refusal(*f)
	}
	for _, r := range a.Results {
		s.gone(r.Objects...)
	}
	return s.deleted()
}

func (s deleting) gone(paths ...string) {
	for _, path := range paths {
		s.m.Made = add(s.m.Made, Object{Path: path})
	}
}

func (s deleting) looked(a *event.Answer) event.Move {
	var again []string
	for _, o := range s.m.Task.Objects {
		there, concrete := o.there(a)
		switch {
		case !s.m.Changed:
		case !there:
			continue
		case concrete && o.Keys.none():
			return s.fail(event.DeviceNoReport,
				"no answer to the Delete of %s, and %s is there: it may be another by now", o.Path, o.Path)
		}
		again = append(again, s.path(o))
	}
	if len(again) == 0 {
		return s.deleted()
	}
	return s.change(forDelete, &device.Delete{ID: s.id(forDelete), Paths: again})
}

// there reports whether a look shows an object; concrete is whether its path names one.
func (o object) there(a *event.Answer) (there, concrete bool) {
	if !o.Keys.none() {
		_, there = o.find(a)
		return there, true
	}
	return device.Shows(a, o.Path)
}

func (s deleting) deleted() event.Move {
	out := Objects{Objects: []Object{}}
	for at := range len(s.m.Made) {
		out.Objects = append(out.Objects, s.m.Made[at])
	}
	return s.done(out)
}

func add(made map[int]Object, o Object) map[int]Object {
	if made == nil {
		made = map[int]Object{}
	}
	made[len(made)] = o
	return made
}
