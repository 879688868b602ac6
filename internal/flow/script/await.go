package script

import (
	"strconv"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// AWAIT: wait for news that the device sends by itself, or for the device. Of news that
// came since the execution began it takes each once: Boot! or another event by its path,
// the latest of each; the change of a parameter.

type awaiting struct{ *turn }

func (s awaiting) needs() device.Subscription {
	if s.m.Task.ValueChange != "" {
		return device.ChangeOf(s.m.Task.ValueChange)
	}
	return device.NewsOf(s.m.Task.Event)
}

func (s awaiting) open() event.Move {
	if s.m.Task.Presence != "" {
		return s.done(News{At: s.t.Now.UTC()})
	}
	return s.subscribe()
}

func (s awaiting) lost() event.Move { return s.subscribe() }

func (s awaiting) answer(ev event.DeviceEvent) event.Move {
	if move, ready := s.subscribing(ev.Answer, s.needs()); !ready {
		return move
	}
	return s.wait()
}

func (s awaiting) news(ev event.DeviceEvent) event.Move {
	t := s.m.Task
	switch {
	case t.Presence != "" && ev.Kind == event.KindConnected:
		return s.done(News{At: ev.At})
	case t.ValueChange != "" && ev.Kind == event.KindValueChanged && ev.Path == t.ValueChange:
		if t.Value != nil && !device.SameValue(ev.Value, string(*t.Value)) {
			return ignore
		}
		return s.taken(ev, News{Path: ev.Path, Value: ev.Value, At: ev.At})
	case t.Event == "" || ev.Path != t.Event || !ev.Kind.Event():
		return ignore
	}
	params := parameters(ev)
	for _, name := range t.Where.names() {
		if !device.SameValue(params[name], string(t.Where[name])) {
			return ignore
		}
	}
	return s.taken(ev, News{Path: ev.Path, Parameters: params, At: ev.At})
}

// taken ends the task with news that no other takes.
func (s awaiting) taken(ev event.DeviceEvent, n News) event.Move {
	move := s.done(n)
	move.Takes = ev.ID
	return move
}

// parameters of an event, by their names in the data model.
func parameters(ev event.DeviceEvent) map[string]string {
	switch ev.Kind {
	case event.KindBooted:
		return map[string]string{
			"Cause": ev.Cause, "CommandKey": ev.CommandKey, "FirmwareUpdated": strconv.FormatBool(ev.FirmwareUpdated),
		}
	case event.KindTransferComplete:
		params := map[string]string{"Command": ev.CommandPath, "CommandKey": ev.CommandKey, "FaultCode": "0"}
		if ev.Fault != nil {
			params["FaultCode"], params["FaultString"] = strconv.Itoa(ev.Fault.Code), ev.Fault.Text
		}
		return params
	}
	return ev.Params
}
