package script

import (
	"slices"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// ADD: make objects, all or none. An object that has the unique keys is the one: it was
// there before, or an Add whose answer was lost has made it. The first request is a look
// in any case, whose answer shows that the agent listens.

type adding struct{ *turn }

func (s adding) open() event.Move { return s.look() }
func (s adding) lost() event.Move { return s.look() }

func (s adding) look() event.Move {
	var paths []string
	for _, o := range s.m.Task.Objects {
		if search := o.search(); search != "" {
			paths = append(paths, search)
		}
	}
	if len(paths) == 0 {
		paths = []string{device.Requests}
	}
	return s.get(forLook, paths...)
}

func (s adding) news(event.DeviceEvent) event.Move { return ignore }

func (s adding) answer(ev event.DeviceEvent) event.Move {
	a := ev.Answer
	if s.m.For == forLook {
		if a.Fault != nil {
			return refusal(*a.Fault)
		}
		return s.looked(a)
	}
	if f := device.Failed(a); f != nil {
		if f.Code == device.CodeDuplicate && !s.m.Duplicate && s.keyed() {
			s.m.Duplicate = true // somebody was quicker, or an Add of ours whose answer was lost
			return s.look()
		}
		return refusal(*f)
	}
	for at, r := range a.Results {
		if at < len(s.m.Adding) && len(r.Objects) > 0 {
			s.found(s.m.Adding[at], r.Objects[0], false)
		}
	}
	return s.made()
}

func (s adding) keyed() bool {
	return slices.ContainsFunc(s.m.Task.Objects, func(o object) bool { return !o.Keys.none() })
}

func (s adding) found(at int, path string, existed bool) {
	if s.m.Made == nil {
		s.m.Made = map[int]Object{}
	}
	s.m.Made[at] = Object{Path: path, Existed: existed}
}

// looked adds what a look did not show.
func (s adding) looked(a *event.Answer) event.Move {
	s.m.Adding = nil
	var add []device.Object
	for at, o := range s.m.Task.Objects {
		if _, made := s.m.Made[at]; made {
			continue
		}
		if row, ok := o.find(a); ok {
			s.found(at, row, !s.m.Changed)
			continue
		}
		if s.m.Changed && o.Keys.none() {
			return s.fail(event.DeviceNoReport,
				"no answer to the Add of %s, and no keys by which to look whether it was made", o.Path)
		}
		s.m.Adding = append(s.m.Adding, at)
		add = append(add, o.settings())
	}
	if len(add) == 0 {
		return s.made()
	}
	return s.change(forAdd, &device.Add{ID: s.id(forAdd), Objects: add, All: true})
}

func (s adding) made() event.Move {
	out := Objects{Objects: []Object{}}
	for at, o := range s.m.Task.Objects {
		made, ok := s.m.Made[at]
		if !ok {
			return s.fail(event.DeviceNoReport, "the device does not tell which object of %s it made", o.Path)
		}
		out.Objects = append(out.Objects, made)
	}
	return s.done(out)
}

// find is the path of the row that has the keys of an object.
func (o object) find(a *event.Answer) (path string, ok bool) {
	with := o.keyValues()
	if len(with) == 0 {
		return "", false
	}
	for _, row := range device.Rows(a, o.Path) {
		same := true
		for _, name := range with.names() {
			same = same && device.SameValue(row.Params[name], string(with[name]))
		}
		if same {
			return row.Path, true
		}
	}
	return "", false
}
