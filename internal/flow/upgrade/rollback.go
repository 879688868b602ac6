package upgrade

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Rollback: have the previous image started, and see it run. One step, since
// nothing but its end matters.

func (f *Flow) beginRollback(t event.Turn, m memory) (event.Move, error) {
	s := turn{f, t, m}
	var move event.Move
	switch {
	case m.Document.Activation.NoRollback:
		move = event.Move{Done: map[string]string{"rollback": "not wanted"}, State: m.save()}
	case m.single():
		move = s.fail(RollbackFailed, "the device has one image only")
		move.State = m.save()
	case t.Tries[Rollback] > 1:
		move = s.look(forLook)
		move.State = m.save()
	default:
		move = s.askRollback()
	}
	move.Commands = keys(t, Rollback, m.Active.Path+commandActivate)
	return move, nil
}

func (s turn) askRollback() event.Move {
	end := time.Duration(s.m.Document.Timeouts.RebootSeconds) * time.Second
	s.m.Blocked = nil
	return s.command(s.m.Active.Path+commandActivate, s.timeWindow(0, end), nil)
}

func (s turn) rollback(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindCommandComplete:
		if ev.Fault != nil && !s.last(ev) {
			return ignore // old
		}
		if ev.Fault != nil {
			return s.faulted(ev)
		}
		return s.look(forRestart)
	case event.KindConnected:
		if !s.returned(ev) {
			return ignore
		}
		return s.look(forReturn)
	case event.KindBooted:
		if !s.returned(ev) {
			return ignore
		}
		return s.look(forRestart)
	case event.KindAnswer:
	default:
		return ignore
	}
	a := ev.Answer
	why := s.purpose(a)
	if why == forCommand {
		if accepted, f := device.Taken(a); !accepted {
			if again, ok := s.plain(f, turn.askRollback); ok {
				return again
			}
			switch {
			case f.Code == device.CodeBusy:
				return event.Move{}
			case s.mayBoot(f):
				return s.boot(s.m.Active.Path, f)
			}
			return s.fail(RollbackFailed, "%d %s", f.Code, f.Text)
		}
		return event.Move{} // taken; now it restarts
	}
	if why == forNothing {
		return s.superseded()
	}
	if why == forBank {
		return s.booting(a)
	}
	if a.Fault != nil {
		return event.Move{}
	}
	v := viewOf(a)
	if v.software == s.m.Previous && (v.active.Path == "" || v.active.Path == s.m.Active.Path) {
		return event.Move{Done: map[string]string{"rollback": "runs " + v.software}, Learnt: v.learnt()}
	}
	// No command outlives a restart, and one that was sent may be lost (11c): what is
	// not under way is asked for again, until the step's deadline.
	if _, busy := v.busy(commandActivate, anybodys); busy || s.m.Sends >= mostSends {
		return event.Move{}
	}
	if s.m.Fault != nil && s.m.Faults > mostFaults {
		return s.failWith(v, RollbackFailed, "%d %s (%d times; runs %s)", s.m.Fault.Code, s.m.Fault.Text, s.m.Faults,
			v.software)
	}
	return s.askRollback()
}
