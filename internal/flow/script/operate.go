package script

import (
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// OPERATE: give a command, once, and wait for its end: the response of a synchronous
// command, OperationComplete of an asynchronous one, Boot! where that is its end. Before
// it is given, the agent is asked whether it will report the end; its answer shows that
// it listens. Whether a command was taken whose answer is lost, a look may tell: it is
// under way, or has restarted the device. If no look shows it, the task fails as
// Device.NoReport, and never gives it again; ten seconds are between its looks, as the command may
// come to the device after the first. Another try of the state goes on with it. After
// Device.NoReport the author's Retry looks once more, and then gives it again, with a key of
// its own. What shows then that the first one was carried out ends the task, too.

type operating struct{ *turn }

// needs are the Subscriptions without which the end is never heard of. A restart may be the
// end of any command, and what an AWAIT waits for later.
func (s operating) needs() []device.Subscription {
	boot := device.NewsOf(device.BootEvent)
	if s.m.Task.EndsWith != "" {
		return []device.Subscription{boot}
	}
	return []device.Subscription{boot, device.EndOf(s.m.Task.Command)}
}

// adopt goes on with the command that the try before gave, if it did: its function had
// failed, or its state ran out of time, and the command may be under way. Not where a look
// has shown no trace of it, or the device was busy: that try may have ended so, and this one
// be the Retry.
func (s operating) adopt() error {
	if len(s.t.Before) == 0 {
		return nil
	}
	was, err := readMemory(s.t.Step, s.t.Before)
	switch {
	case err != nil || was.Busy:
		return err
	case was.GivenAt.IsZero():
		s.m.Earlier = was.Earlier
	case was.Lost > 0:
		s.m.Earlier = &given{Key: was.Key, At: was.GivenAt, Booted: was.Booted}
	default:
		s.m.Key, s.m.GivenAt, s.m.Accepted, s.m.Output = was.Key, was.GivenAt, was.Accepted, was.Output
		s.m.Earlier = was.Earlier
	}
	return nil
}

func (s operating) open() event.Move {
	switch {
	case !s.m.GivenAt.IsZero():
		return s.trace()
	case s.m.Earlier != nil:
		return s.get(forNews, device.Subscriptions, device.Requests, device.UpTime)
	}
	return s.subscribe()
}

// retrace looks, before the command is given again, whether the one that the try before gave was
// carried out after all.
func (s operating) retrace(a *event.Answer) (move event.Move, found bool) {
	e := s.m.Earlier
	if s.m.For != forNews || e == nil || a.Fault != nil {
		return event.Move{}, false
	}
	for _, r := range device.RunningIn(a) {
		if r.Key == e.Key {
			s.takeUp()
			return s.underWay(), true
		}
	}
	if !e.Booted && restarted(a, s.m.SentAt, e.At) {
		s.takeUp()
		return s.wait(), true // for its Boot!
	}
	return event.Move{}, false
}

// earlier reports whether this task ends by news of the command that the try before gave. Until it is given
// again, any will do; then only what shows that it was carried out, as the second may do what the first did not.
func (s operating) earlier(ev event.DeviceEvent) bool {
	switch {
	case s.m.GivenAt.IsZero():
		return true
	case ev.Kind == event.KindBooted:
		return !s.m.Accepted || s.m.Task.EndsWith == endsWithBoot
	}
	return ev.Fault == nil
}

// takeUp makes the command of the try before that of this one.
func (s operating) takeUp() {
	s.m.Key, s.m.GivenAt, s.m.Booted, s.m.Earlier = s.m.Earlier.Key, s.m.Earlier.At, s.m.Earlier.Booted, nil
	s.m.Busy = false // with this one
}

// underWay is for a command that is found among those at work.
func (s operating) underWay() event.Move {
	s.m.Accepted = true
	if s.m.Task.EndsWith == endsWithResponse {
		return s.done(Operated{CommandKey: s.m.Key, Output: map[string]string{}})
	}
	return s.wait()
}

func (s operating) lost() event.Move {
	if s.m.GivenAt.IsZero() {
		return s.open()
	}
	return s.trace()
}

func (s operating) trace() event.Move { return s.get(forTrace, device.Requests, device.UpTime) }

func (s operating) give() event.Move {
	s.m.GivenAt = s.t.Now
	return s.change(forOperate, &device.Operate{
		ID: s.id(forOperate), Command: s.m.Task.Command, Key: s.m.Key, Args: s.m.Task.Arguments.text(),
	})
}

func (s operating) answer(ev event.DeviceEvent) event.Move {
	a := ev.Answer
	switch {
	case s.m.For == forTrace:
		return s.traced(a)
	case !s.m.GivenAt.IsZero():
		return ignore
	}
	if move, found := s.retrace(a); found {
		return move
	}
	if move, ready := s.subscribing(a, s.needs()...); !ready {
		return move
	}
	return s.give()
}

// operated takes the answer to the command, also when it comes late.
func (s operating) operated(ev event.DeviceEvent) event.Move {
	accepted, f := device.Taken(ev.Answer)
	switch {
	case s.m.GivenAt.IsZero(), s.m.Accepted:
		return ignore // of a copy: a command that comes twice runs twice, or is refused by 7005 (07a)
	case !accepted && f.Code == device.CodeBusy:
		s.m.Busy = true
		return s.trace()
	case !accepted:
		return refusal(f)
	}
	s.m.Accepted = true
	r := ev.Answer.Results[0]
	switch {
	case s.m.Task.EndsWith == endsWithResponse:
		return s.done(Operated{CommandKey: s.m.Key, Output: text(r.Output)})
	case r.Request == "" && s.m.Task.EndsWith == "":
		return s.done(Operated{CommandKey: s.m.Key, Output: text(r.Output)})
	case r.Request == "":
		s.m.Output = r.Output
	}
	return s.wait()
}

func (s operating) news(ev event.DeviceEvent) event.Move {
	switch e := s.m.Earlier; {
	case e == nil:
	case ev.CommandKey == e.Key:
		if s.earlier(ev) {
			s.takeUp()
		}
	case s.m.GivenAt.IsZero() && ev.Kind == event.KindBooted && ev.At.After(e.At):
		e.Booted = true // by something else: no Boot! of it is waited for
		return s.open()
	}
	if s.m.GivenAt.IsZero() {
		return ignore
	}
	switch ev.Kind {
	case event.KindCommandComplete:
		return s.completed(ev)
	case event.KindBooted:
		return s.booted(ev)
	}
	return ignore
}

func (s operating) completed(ev event.DeviceEvent) event.Move {
	switch {
	case ev.CommandKey != s.m.Key:
		return ignore
	case ev.Fault != nil:
		return event.Move{Failed: &event.Failure{
			Name: CommandFailed, Code: ev.Fault.Code, Detail: strconv.Itoa(ev.Fault.Code) + " " + ev.Fault.Text,
		}}
	case s.m.Task.EndsWith != endsWithBoot:
		return s.done(Operated{CommandKey: s.m.Key, Output: text(ev.Output)})
	}
	s.m.Accepted, s.m.Output = true, ev.Output
	return s.wait()
}

func (s operating) booted(ev event.DeviceEvent) event.Move {
	ours := ev.CommandKey == s.m.Key
	if !ours && !ev.At.After(s.m.GivenAt) {
		return ignore
	}
	if s.m.Task.EndsWith == endsWithBoot && (ours || s.m.Accepted) {
		move := s.done(Operated{CommandKey: s.m.Key, Output: text(s.m.Output), Boot: bootOf(ev)})
		move.Takes = ev.ID
		return move
	}
	if ours && s.m.Task.EndsWith == endsWithResponse {
		return s.done(Operated{CommandKey: s.m.Key, Output: text(s.m.Output)})
	}
	// It restarted by something else: what it was busy with it has forgotten, or goes on with
	// (07b, 07c). Or it restarted by a command of which is not known yet what is its end.
	s.m.Booted = true
	if ours && !s.m.Accepted {
		s.m.By = bootOf(ev)
	}
	return s.trace()
}

// settled is how long after a look the next is made, if there was no trace of the command. A look may overtake
// the command: AWS IoT stores it for a device that is away, and sends ten a second of what it has stored; a device
// takes a command, and begins with it later; and of a device that has just restarted, its end comes after Boot!.
const settled = 10 * time.Second

// traced looks for the command among those that are under way. Answers and news may
// overtake one another on their way to us, and the look may overtake the command, so that one look
// without a trace proves nothing, nor do two at once.
func (s operating) traced(a *event.Answer) event.Move {
	if a.Fault != nil {
		return refusal(*a.Fault)
	}
	for _, r := range device.RunningIn(a) {
		if e := s.m.Earlier; e != nil && r.Key == e.Key {
			s.takeUp()
		}
		if r.Key == s.m.Key {
			return s.underWay()
		}
	}
	if s.m.Busy {
		return s.fail(event.DeviceBusy, "%d: the device is busy with something else", device.CodeBusy)
	}
	taken := s.m.Task.EndsWith == endsWithBoot && s.m.Accepted
	if !s.m.Booted && (taken || restarted(a, s.m.SentAt, s.m.GivenAt)) {
		return s.wait() // for its Boot!, which it says until it is answered
	}
	if s.m.Lost == 0 && s.t.Now.Sub(s.m.SentAt) < settled {
		return event.Move{Later: true}
	}
	if s.m.Lost++; s.m.Lost < 2 {
		return s.trace()
	}
	if s.m.By != nil { // it was carried out, and nothing of it is at work
		return s.done(Operated{CommandKey: s.m.Key, Output: map[string]string{}, Boot: s.m.By})
	}
	return s.fail(event.DeviceNoReport, "%s was given, and nothing tells of its end", s.m.Task.Command)
}

// restarted reports whether a look that was sent at a time shows that the device has restarted since a command
// was given. It tells whole seconds, so that it may run for nearly one more. When its answer came says nothing: that
// may have waited for the device's next connection.
func restarted(a *event.Answer, sent, given time.Time) bool {
	up, err := strconv.ParseInt(a.Params[device.UpTime], 10, 64)
	return err == nil && time.Duration(up+1)*time.Second <= sent.Sub(given)
}

func bootOf(ev event.DeviceEvent) *Boot {
	return &Boot{Cause: ev.Cause, CommandKey: ev.CommandKey, FirmwareUpdated: ev.FirmwareUpdated, At: ev.At}
}

func text(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
