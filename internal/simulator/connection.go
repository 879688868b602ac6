package simulator

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// What a connection is like where nothing is lost by chance: versions, sleep, and a
// router that forgets.

// versions are the protocol versions that the agent names.
func (a *Agent) versions() string {
	if a.p.Versions == "" {
		return usp.SupportedVersions
	}
	return a.p.Versions
}

// encode writes a record in the agent's version of the protocol.
func (a *Agent) encode(r *usp.Record) ([]byte, error) {
	if a.p.Versions != "" {
		r.Version = a.p.Versions[strings.LastIndexByte(a.p.Versions, ',')+1:]
	}
	if !a.p.Later {
		return r.Encode()
	}
	if h := r.Message.GetHeader(); h != nil {
		h.ProtoReflect().SetUnknown(unknownFields)
	}
	payload, err := r.Encode()
	return append(payload, unknownFields...), err
}

// unknownFields are two fields that no version has.
var unknownFields = func() []byte {
	b := protowire.AppendTag(nil, 1900, protowire.BytesType)
	b = protowire.AppendString(b, "of a later version")
	return protowire.AppendVarint(protowire.AppendTag(b, 1901, protowire.VarintType), 7)
}()

// whileConnected is what an agent does by the clock on a new connection.
func (a *Agent) whileConnected() {
	connection := a.connection
	if a.has(DropsIdle) {
		a.keepAliveLater(connection)
	}
	if a.p.Sleeps {
		a.sleepLater(connection, a.s.Timing.Awake)
	}
}

// connectionForgotten tells whether a router on the way has forgotten the connection, as fault
// nat-drops-idle has it until the agent has learnt to ping more often.
func (a *Agent) connectionForgotten() bool {
	return a.has(DropsIdle) && a.forgot < mostForgotten && a.session != nil &&
		a.s.Clock.Now().Sub(a.traffic) > a.s.Timing.Idle
}

const mostForgotten = 5

var errForgotten = errors.New("the connection is forgotten on the way")

// keepAliveLater is the ping of MQTT, by which the agent learns that a connection is
// forgotten.
func (a *Agent) keepAliveLater(connection int) {
	if a.forgot == mostForgotten {
		return
	}
	a.after(a.s.Timing.Ping, func() {
		if a.connection != connection || a.session == nil {
			return
		}
		if !a.connectionForgotten() {
			a.traffic = a.s.Clock.Now()
			a.keepAliveLater(connection)
			return
		}
		a.fires(DropsIdle)
		a.forgot++
		a.closeSession(a.session, false)
		a.reconnect(a.backoff())
	})
}

// sleepLater ends the connection after a while, unless a command runs, and wakes the
// agent after a longer one.
func (a *Agent) sleepLater(connection int, awake time.Duration) {
	a.after(awake, func() {
		switch {
		case a.connection != connection || a.session == nil:
		case len(a.requests) > 0 || a.activating || a.rebootFor != nil || len(a.waiting) > 0 && awake > time.Minute:
			a.sleepLater(connection, time.Minute)
		default:
			a.closeSession(a.session, false)
			a.reconnect(a.s.Timing.Asleep)
		}
	})
}
