package simulator

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// Phase is what an agent is at.
type Phase string

// The phases. A device that is done with everything is Connected.
const (
	Off         Phase = "off" // not started, or for good
	Offline     Phase = "offline"
	Connected   Phase = "connected"
	Downloading Phase = "downloading"
	Rebooting   Phase = "rebooting"
)

// Facts are an agent's state as one who stands beside it would see it.
type Facts struct {
	Thing      string
	EndpointID usp.EndpointID
	Fault      string // name, empty if healthy
	Profile    string // name, empty if it has none of its own
	Phase      Phase
	Version    string // of the running image
	Factory    string // version it was made with

	Connects  int  // connections opened
	Boots     int  // times it booted, the first included
	Downloads int  // transfers begun
	Resumed   int  // of them those that went on where a restart had ended them
	Completed int  // transfers that ended well
	Operates  int  // commands it was given
	Sets      int  // times it was told to change parameters
	Refused   int  // records it dropped without an answer
	Unclean   int  // connections whose clean end the broker was not told of
	Fired     bool // its fault has taken effect
	Befallen  bool // so has the one that it was given later, by Befall

	Failure string // of the last command that failed, in its own words
}

// Upgraded tells whether the device runs another version than it was made with.
func (f Facts) Upgraded() bool { return f.Version != f.Factory }

// Agent is one simulated device. Use Start, once.
type Agent struct {
	s     *Settings
	p     *Profile
	id    Identity
	topic string // where it listens
	to    string // where the controller does

	later atomic.Pointer[Fault] // see Befall

	mu    sync.Mutex
	work  []func()
	busy  bool
	facts Facts
	// refusal is why the last connection could not be opened, nil once one is.
	refusal error

	// All below belongs to the queue: only functions given to do touch it.
	rng        *rand.Rand
	generation int // grows when power goes; timers and transfers of an earlier one are void
	connection int // grows with each connection
	attempts   int // connections that failed since the last that did not
	session    Session
	outbox     []outgoing // in order, until there is a session
	held       int        // messages that fault delay keeps back
	power      context.Context
	cut        context.CancelFunc
	booted     time.Time
	off        time.Time // when its power last went
	away       time.Time // until when it cannot connect; see Leave

	subscriptions []*subscription
	requests      []*request // rows of the Request table
	images        []image
	active        int // instance of the running image
	boot          int // instance to boot next
	running       ImageHeader
	lastVersion   string // at the boot before
	keepAlive     uint32 // as Device.MQTT.Client.1. says; nothing depends on it
	provisioning  string // as the controller's object says; neither does on this

	counters      map[usp.NotificationKind]int
	waiting       map[string]*unanswered // by message id
	pollingValues bool                   // a ValueChange poll is due
	rebootFor     *rebootReason          // as soon as everything is sent
	activate      *request               // to be reported after the boot
	// ended are the commands that the last restart has ended, activate among them, until a connection is there to
	// tell of them: what was not told before the next restart is told after that (11e2).
	ended     []*request
	activated *request
	// activating is set between the end of a download and the restart that it leads to.
	activating bool
	traffic    time.Time // fault nat-drops-idle: the last packet,
	forgot     int       // and how often the connection was forgotten
}

type rebootReason struct {
	cause, key, reason string
}

// outgoing is a message on its way out.
type outgoing struct {
	topic   string
	payload []byte
	failed  int // attempts to send it
}

// NewAgent makes an agent that is switched off.
func NewAgent(settings *Settings, id Identity) (*Agent, error) {
	s, err := settings.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := id.EndpointID.Validate(); err != nil {
		return nil, err
	}
	return newAgent(s, id), nil
}

func newAgent(s *Settings, id Identity) *Agent {
	if id.Serial == "" {
		id.Serial = id.Thing
	}
	a := &Agent{
		s: s, id: id,
		topic:  s.AgentTopic.Expand(id.Thing, s.Controller),
		to:     s.ControllerTopic.Expand(id.Thing, s.Controller),
		rng:    rand.New(rand.NewPCG(id.Seed, 0x5eed)),
		facts:  Facts{Thing: id.Thing, EndpointID: id.EndpointID, Phase: Off, Version: s.Version, Factory: s.Version},
		p:      &s.Profile,
		active: 1, boot: 1, lastVersion: s.Version, keepAlive: factoryKeepAlive,
	}
	if id.Fault != nil {
		a.facts.Fault = id.Fault.Name
	}
	if id.Profile != nil {
		a.p, a.facts.Profile = id.Profile, id.Profile.Name
	}
	a.images = make([]image, max(a.p.Images, 1))
	if a.p.Images == 0 {
		a.images = make([]image, 2)
	}
	for i := range a.images {
		a.images[i].status = usp.StatusNoImage
	}
	a.images[0] = image{name: "factory-image", header: ImageHeader{Version: s.Version, Boots: true},
		status: usp.StatusAvailable, available: true}
	return a
}

// downloadTarget is the image to download into: not the running one, where there is another.
func (a *Agent) downloadTarget() int {
	for i := range a.images {
		if i+1 != a.active {
			return i + 1
		}
	}
	return a.active
}

// now is the device's clock.
func (a *Agent) now() time.Time {
	if a.fires(WrongClock) {
		return time.Unix(0, 0).Add(a.s.Clock.Now().Sub(a.booted))
	}
	return a.s.Clock.Now()
}

// Start switches the agent on. A second call does nothing.
func (a *Agent) Start() {
	a.do(func() {
		if a.generation > 0 {
			return
		}
		a.generation = 1
		a.factoryReset()
		begin := func() {
			a.powerOn(rebootReason{cause: usp.CauseLocalFactoryReset, reason: "Unknown"})
			if a.has(BusyWithAnother) {
				a.beBusy()
			}
		}
		switch {
		case a.fires(OfflineAtStart):
			a.setPhase(Offline)
			a.after(a.s.Timing.OfflineAtStart, begin)
			return
		case a.p.Sleeps: // it wakes at a time of its own
			a.setPhase(Offline)
			a.after(a.between(0, a.s.Timing.Asleep), begin)
			return
		}
		begin()
	})
}

// Stop switches the agent off for good: its connection breaks, transfers end.
func (a *Agent) Stop() {
	a.do(func() {
		a.powerOff()
		a.setPhase(Off)
	})
}

// PowerCut switches it off in whatever it is doing, and on again after the time
// that a boot takes.
func (a *Agent) PowerCut() {
	a.do(func() {
		if a.Facts().Phase == Off {
			return
		}
		a.restart(rebootReason{cause: usp.CauseLocalReboot, reason: "Unknown"})
	})
}

// Leave takes the network away for that long: nothing comes or goes any more, and a second
// later the connection breaks. It connects again when the network is back, or later.
func (a *Agent) Leave(long time.Duration) {
	a.do(func() {
		a.away = a.s.Clock.Now().Add(long)
		connection := a.connection
		a.after(min(time.Second, long), func() {
			if a.session != nil && a.connection == connection {
				a.closeSession(a.session, false)
				a.reconnect(a.backoff())
			}
		})
	})
}

// unreachable tells whether it has no network.
func (a *Agent) unreachable() bool { return a.s.Clock.Now().Before(a.away) }

// Facts are the agent's as of now.
func (a *Agent) Facts() Facts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.facts
}

// do queues f and, if nobody else is at it, works the queue off. No lock is held
// while f runs, so f may call out, and callbacks may come back.
func (a *Agent) do(f func()) {
	a.mu.Lock()
	a.work = append(a.work, f)
	if a.busy {
		a.mu.Unlock()
		return
	}
	a.busy = true
	for len(a.work) > 0 {
		next := a.work[0]
		a.work = a.work[1:]
		a.mu.Unlock()
		next()
		a.mu.Lock()
	}
	a.busy, a.work = false, nil
	a.mu.Unlock()
}

// after calls f in the queue, unless the power goes first.
func (a *Agent) after(d time.Duration, f func()) (stop func() bool) {
	generation := a.generation
	return a.s.Clock.AfterFunc(d, func() {
		a.do(func() {
			if a.generation == generation {
				f()
			}
		})
	})
}

func (a *Agent) setFacts(change func(*Facts)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.facts)
}

func (a *Agent) setRefusal(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusal = err
}

// Refusal is why the agent's last connection could not be opened; nil if it could, or none was tried.
func (a *Agent) Refusal() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusal
}

func (a *Agent) setPhase(p Phase) { a.setFacts(func(f *Facts) { f.Phase = p }) }

// updatePhase works out the phase of an agent that has power.
func (a *Agent) updatePhase() {
	switch {
	case a.session == nil:
		a.setPhase(Offline)
	case a.downloads() > 0:
		a.setPhase(Downloading)
	default:
		a.setPhase(Connected)
	}
}

// between draws a duration from [low, high].
func (a *Agent) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(a.rng.Int64N(int64(high-low)+1))
}

// connect opens a connection, and another after a while if that fails.
func (a *Agent) connect() {
	if a.unreachable() {
		a.reconnect(a.away.Sub(a.s.Clock.Now()))
		return
	}
	a.connection++
	generation, connection := a.generation, a.connection
	ctx := a.power
	c := Connection{ClientID: a.id.Thing, EndpointID: a.id.EndpointID, Topic: a.topic}
	version := usprecord.MQTTConnectRecord_V5
	if a.p.MQTT311 {
		c.MQTT311, c.EndpointID, c.Topic = true, "", a.topic+"/#" // R-MQTT.15
		version = usprecord.MQTTConnectRecord_V3_1_1
	}
	a.s.Clock.Go(func() {
		session, err := a.s.Transport.Connect(ctx, c, &link{a, connection})
		a.do(func() {
			switch {
			case a.generation != generation || a.connection != connection:
				if err == nil {
					a.closeSession(session, false)
				}
			case err != nil:
				a.setRefusal(err)
				a.reconnect(a.backoff())
			default:
				a.setRefusal(nil)
				a.attempts, a.session, a.traffic = 0, session, a.s.Clock.Now()
				a.ended, a.activated = nil, nil
				a.setFacts(func(f *Facts) { f.Connects++ })
				a.updatePhase()
				// R-MTP.6: before any other record.
				hello := usp.NewMQTTConnect(a.id.EndpointID, a.s.Controller, version, a.topic)
				if payload, err := a.encode(hello); err == nil {
					a.publish(outgoing{topic: a.to, payload: payload, failed: 2}) // the next connection has its own
				}
				a.flush()
				a.whileConnected()
			}
		})
	})
}

// backoff is the wait before the next attempt: 1 to 2 times the base, 2 to 4
// times, and so on up to the maximum.
func (a *Agent) backoff() time.Duration {
	low := a.s.Timing.ConnectRetry << min(a.attempts, 9)
	a.attempts++
	return min(a.between(low, 2*low), a.s.Timing.MaxRetry)
}

func (a *Agent) reconnect(wait time.Duration) {
	a.session = nil
	a.connection++
	a.updatePhase()
	a.after(wait, a.connect)
}

// from is the sender that the agent's records name, but for its greeting: its
// endpoint ID, or with fault wrong-endpoint-id another's.
func (a *Agent) from() usp.EndpointID {
	if a.fires(WrongEndpointID) {
		return a.id.EndpointID + "-other"
	}
	return a.id.EndpointID
}

// link is an agent's end of one connection.
type link struct {
	agent      *Agent
	connection int
}

func (l *link) Received(p Publish) {
	l.agent.do(func() {
		if l.agent.connection != l.connection || l.agent.unreachable() {
			return
		}
		if l.agent.connectionForgotten() {
			l.agent.fires(DropsIdle)
			return
		}
		l.agent.traffic = l.agent.s.Clock.Now()
		l.agent.receive(p)
	})
}

func (l *link) Lost(error) {
	l.agent.do(func() {
		if l.agent.connection == l.connection {
			l.agent.reconnect(l.agent.backoff())
		}
	})
}

// send queues a record and sends what it can.
func (a *Agent) send(topic string, r *usp.Record) {
	if payload, err := a.encode(r); err == nil {
		a.outbox = append(a.outbox, outgoing{topic: topic, payload: payload})
		a.flush()
	}
}

// flush sends all that is queued, then reboots if that waited for it: a device
// does not reboot before everything is sent.
func (a *Agent) flush() {
	if a.session == nil {
		return
	}
	queued := a.outbox
	a.outbox = nil
	for i, out := range queued {
		if a.session == nil { // lost on the way
			a.outbox = append(a.outbox, queued[i:]...)
			return
		}
		if a.fires(Delay) {
			a.held++
			a.after(a.between(0, a.s.Timing.DelayFault), func() {
				a.held--
				if a.session == nil {
					a.outbox = append(a.outbox, out)
					return
				}
				a.publish(out)
				a.flush()
			})
			continue
		}
		a.publish(out)
	}
	if a.rebootFor != nil && a.held == 0 && a.session != nil {
		a.restart(*a.rebootFor)
	}
}

// publish sends one message. If that fails the connection is taken for lost, and
// the message is tried again on the next, three times at most.
func (a *Agent) publish(out outgoing) {
	if a.session == nil {
		return
	}
	p := Publish{
		Topic: out.topic, Payload: out.payload, QoS: a.s.PublishQoS,
		ContentType:   usp.ContentType, // R-MQTT.27
		ResponseTopic: a.topic,         // R-MQTT.22
	}
	if a.p.MQTT311 {
		p.Topic, p.ContentType, p.ResponseTopic = usp.JoinReplyTo(out.topic, a.topic), "", "" // R-MQTT.24
	}
	var err error
	if a.unreachable() {
		err = errForgotten
	}
	if a.connectionForgotten() { // its TCP finds out, and it says it again on the next connection
		a.fires(DropsIdle)
		a.forgot++
		err = errForgotten
	}
	a.traffic = a.s.Clock.Now()
	if err == nil && a.fires(Garbage) {
		noise := p
		noise.Payload = []byte("\xff\xfe this is no record")
		err = a.session.Publish(noise)
	}
	if err == nil {
		err = a.session.Publish(p)
	}
	if err == nil && a.fires(DuplicateAll) {
		err = a.session.Publish(p)
	}
	if err == nil {
		return
	}
	if out.failed++; out.failed < 3 {
		a.outbox = append(a.outbox, out)
	}
	a.closeSession(a.session, false)
	a.reconnect(a.backoff())
}

// closeSession closes a session.
func (a *Agent) closeSession(s Session, clean bool) {
	if err := s.Close(clean); err != nil {
		a.setFacts(func(f *Facts) { f.Unclean++ })
	}
}

// reboot restarts the device once everything is sent, now or after the next
// connect.
func (a *Agent) reboot(why rebootReason) {
	a.rebootFor = &why
	a.flush()
}

// restart takes the power away and gives it back after the time a boot takes.
func (a *Agent) restart(why rebootReason) {
	a.powerOff()
	a.setPhase(Rebooting)
	if a.startsNewImage() && (a.fires(NeverReturns) || len(a.images) == 1 && a.startFails()) {
		return
	}
	a.after(a.s.Timing.Boot, func() { a.powerOn(why) })
}

// powerOff ends all that is going on. What was not sent, or not answered, is
// lost; the Request table stays, for powerOn to report.
func (a *Agent) powerOff() {
	a.generation++
	a.connection++
	a.off = a.s.Clock.Now()
	if a.cut != nil {
		a.cut()
	}
	if a.session != nil {
		a.closeSession(a.session, false)
		a.session = nil
	}
	for _, u := range a.waiting {
		u.stop()
	}
	a.waiting, a.outbox, a.held, a.attempts, a.rebootFor, a.pollingValues = nil, nil, 0, 0, nil, false
	a.activating = false
	if a.ended != nil {
		a.requests, a.activate, a.ended, a.activated = a.ended, a.activated, nil, nil
	}
}

// powerOn boots: chooses the image, tells what happened, connects.
func (a *Agent) powerOn(why rebootReason) {
	a.power, a.cut = context.WithCancel(context.Background())
	a.booted = a.s.Clock.Now()
	a.counters = map[usp.NotificationKind]int{}
	a.setFacts(func(f *Facts) { f.Boots++ })
	a.setPhase(Offline)

	failure := a.bootImage()
	updated := a.running.Version != a.lastVersion
	a.lastVersion = a.running.Version
	a.setFacts(func(f *Facts) { f.Version = a.running.Version })
	if updated && a.firesOnce(FirstBootUnreported) {
		a.powerCut() // what it was to report after the boot, it reports after the next
		return
	}

	boot := usp.Notification{Kind: usp.KindEvent, Path: usp.EventBoot, Params: usp.Boot{
		Cause: why.cause, CommandKey: why.key, Reason: why.reason, FirmwareUpdated: updated,
		ParameterMap: a.bootParameters(),
	}.Params()}
	interrupted, activated := a.requests, a.activate
	a.requests, a.activate = nil, nil
	a.ended, a.activated = interrupted, activated
	if a.fires(Reorder) {
		a.reportAfterBoot(interrupted, activated, failure)
		a.notify(boot)
		a.dropVolatile()
	} else {
		a.notify(boot)
		a.dropVolatile() // Boot! still went to them
		a.reportAfterBoot(interrupted, activated, failure)
	}
	a.pollValueChanges()
	a.connect()
}

// reportAfterBoot completes what the reboot ended.
func (a *Agent) reportAfterBoot(interrupted []*request, activated *request, failure *usp.Error) {
	for _, r := range interrupted {
		switch {
		case r == activated:
			a.complete(r, failure)
		case r.foreign: // of no concern to this controller
		case r.download != nil && (a.p.Interrupted == Restarts || a.p.Interrupted == Resumes):
			a.requests = append(a.requests, r)
			a.download(r)
		case r.download != nil && a.p.Interrupted == Forgets:
			img := &a.images[r.image-1]
			*img = image{header: img.header, status: usp.StatusNoImage}
			if r.image != a.active {
				img.header = ImageHeader{}
			}
		default:
			if r.download != nil && a.p.Interrupted != Sticks {
				a.images[r.image-1].status = usp.StatusDownloadFailed
			}
			a.complete(r, usp.CommandFailure.Errorf("%s did not complete before reboot", r.command))
		}
	}
}
