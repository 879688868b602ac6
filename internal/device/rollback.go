package device

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Rollback: have the previous image started, and see it run. One step, since
// nothing but its end matters.

func (k *Talk) beginRollback(t event.Turn, m memory) (event.Move, error) {
	s := say{k, t, m}
	var move event.Move
	switch {
	case m.Upgrade.Document.Activation.NoRollback:
		move = event.Move{Done: map[string]string{"rollback": "not wanted"}, State: m.save()}
	case m.single():
		move = s.fail(event.RollbackFailed, "the device has one image only")
		move.State = m.save()
	case t.Tries[event.StepRollback] > 1:
		move = s.look(forLook)
		move.State = m.save()
	default:
		move = s.askRollback()
	}
	move.Commands = keys(t, event.StepRollback, m.Active.Path+usp.CommandActivate)
	return move, nil
}

func (s say) askRollback() event.Move {
	end := time.Duration(s.m.Upgrade.Document.Timeouts.RebootSeconds) * time.Second
	return s.command(s.m.Active.Path+usp.CommandActivate, s.key(), timeWindow(0, end))
}

func (s say) rollback(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindCommandComplete:
		if ev.Fault != nil {
			return s.fail(event.RollbackFailed, "%d %s", ev.Fault.Code, ev.Fault.Text)
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
		if accepted, f := answered(a); !accepted {
			if f.Code == busyCode {
				return event.Move{}
			}
			return s.fail(event.RollbackFailed, "%d %s", f.Code, f.Text)
		}
		return event.Move{} // taken; now it restarts
	}
	if why == forNothing {
		return ignore
	}
	if a.Fault != nil {
		return event.Move{}
	}
	v := see(a)
	if v.software == s.m.Previous && (v.active.Path == "" || v.active.Path == s.m.Active.Path) {
		return event.Move{Done: map[string]string{"rollback": "runs " + v.software}, Learnt: v.learnt()}
	}
	if _, busy := v.busy(usp.CommandActivate); !busy && (why == forLook || why == forReturn) && s.m.Sends < mostSends {
		return s.askRollback()
	}
	return event.Move{}
}
