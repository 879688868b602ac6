package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetstep/fleetstep/internal/localcloud/entrance"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/limit"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// Limits of AWS IoT Core.
const (
	minKeepAlive  = 30
	maxKeepAlive  = 1200
	topicAliases  = 8
	maxPacketSize = 149504
	receiveMax    = 100
)

// helloTime is how long a client may take for TLS and CONNECT.
const helloTime = 30 * time.Second

// connackTime is how long a client may take to get its CONNACK.
const connackTime = 30 * time.Second

// farewellTime is how long a client may take to read why its connection ends.
const farewellTime = 10 * time.Second

// Config is what the broker needs.
type Config struct {
	Core      *iotdataplane.Service
	Scheduler *scheduler.Scheduler
	Log       *slog.Logger       // nil: nothing is logged
	Entrance  *entrance.Entrance // nil: one of its own
}

// Broker serves MQTT clients.
type Broker struct {
	core     *iotdataplane.Service
	sched    *scheduler.Scheduler
	log      *slog.Logger
	server   *mqtt.Server
	entrance *entrance.Entrance
	count    int

	mu    sync.RWMutex
	peers map[*mqtt.Client]*peer
}

// New returns a broker without listeners.
func New(c Config) (*Broker, error) {
	b := &Broker{core: c.Core, sched: c.Scheduler, log: c.Log, entrance: c.Entrance, peers: map[*mqtt.Client]*peer{}}
	if b.entrance == nil {
		b.entrance = entrance.New(c.Scheduler, entrance.Limits{})
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MinimumProtocolVersion = 4
	capabilities.MaximumQos = 1
	capabilities.ReceiveMaximum = receiveMax
	capabilities.TopicAliasMaximum = topicAliases
	capabilities.MaximumPacketSize = maxPacketSize
	capabilities.MaximumClientWritesPending = 1 // unused: peers write themselves
	capabilities.SubIDAvailable = 0
	b.server = mqtt.New(&mqtt.Options{
		Capabilities: capabilities, Logger: slog.New(slog.DiscardHandler),
		ClientNetReadBufferSize: 2 << 10, SysTopicResendInterval: 24 * 3600,
	})
	if err := b.server.AddHook(&hook{b: b}, nil); err != nil {
		return nil, err
	}
	return b, nil
}

// Listen serves clients that connect to l. Call it before Serve.
func (b *Broker) Listen(l net.Listener) error {
	return b.add(b.entrance.Listener("mqtt", l, helloTime))
}

func (b *Broker) add(l net.Listener) error {
	b.count++
	return b.server.AddListener(listeners.NewNet("listener-"+strconv.Itoa(b.count), listener{l}))
}

// alpn is the application protocol of MQTT with a client certificate: port 443 takes no
// other, other ports none as well.
// Source: AWS IoT developer guide, "Device communication protocols", read 2026-11-30.
const alpn = "x-amzn-mqtt-ca"

// ListenTLS serves clients over TLS. A client has to show a certificate; who
// it belongs to is for the core's Devices to say.
func (b *Broker) ListenTLS(l net.Listener, config *tls.Config) error {
	c := config.Clone()
	c.ClientAuth = max(c.ClientAuth, tls.RequireAnyClientCert)
	if len(c.NextProtos) == 0 {
		c.NextProtos = []string{alpn, "mqtt"}
	}
	if _, port, err := net.SplitHostPort(l.Addr().String()); err == nil && port == "443" {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != alpn {
				return fmt.Errorf("broker: port 443 takes MQTT by the application protocol %s alone", alpn)
			}
			return nil
		}
	}
	return b.add(tls.NewListener(b.entrance.Listener("mqtts", l, helloTime), c))
}

// Serve begins to accept connections and returns.
func (b *Broker) Serve() error { return b.server.Serve() }

// Close stops accepting and ends the connections; close the core first for the
// clients to be told why.
func (b *Broker) Close() error {
	b.mu.RLock()
	var open []*peer
	for _, p := range b.peers {
		open = append(open, p)
	}
	b.mu.RUnlock()
	slices.SortFunc(open, func(p, q *peer) int { return strings.Compare(p.client.ID, q.client.ID) })
	for _, p := range open {
		p.conn.Lost(context.Background(), iotdataplane.ReasonServerInitiated)
		p.client.Stop(packets.ErrServerShuttingDown)
	}
	return b.server.Close()
}

func (b *Broker) peer(cl *mqtt.Client) *peer {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.peers[cl]
}

// hook joins the library to the core.
type hook struct {
	mqtt.HookBase
	b *Broker
}

func (h *hook) ID() string { return "core" }

func (h *hook) Provides(what byte) bool {
	switch what {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnPacketRead,
		mqtt.OnPacketEncode:
		return true
	}
	return false
}

// OnConnect attaches a client to the core. What it returns as error has been
// answered.
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	b := h.b
	cl.Properties.Will = mqtt.Will{} // the core publishes wills
	code := packets.CodeSuccess
	guarded, ok := cl.Net.Conn.(*guard)
	if ok {
		if packet := guarded.take(); pk.ProtocolVersion == 5 {
			code = checkConnect(packet)
		}
	}
	if code == packets.CodeSuccess && malformed(pk) {
		code = packets.ErrMalformedPacket
	}
	if code != packets.CodeSuccess {
		if pk.ProtocolVersion < 5 {
			return code // MQTT 3.1.1 has no answer to it
		}
		return errors.Join(code, b.server.SendConnack(cl, code, false, nil))
	}
	b.keepAlive(cl)
	p := &peer{
		b: b, client: cl, version: cl.Properties.ProtocolVersion, maxSize: pk.Properties.MaximumPacketSize,
		free: map[uint16]uint64{},
		sent: limit.Bucket{Rate: b.core.Limits.Bytes},
	}
	var conn *iotdataplane.Connection
	var err error
	if entrance.TurnedAway(inner(cl.Net.Conn)) {
		err = b.core.Overcrowded(cl.ID)
	} else {
		conn, err = b.core.Attach(context.Background(), options(cl, pk), p)
	}
	if err != nil {
		if e := b.server.SendConnack(cl, connack(err, p.version), false, nil); e != nil {
			b.log.Debug("CONNACK not sent", "clientId", cl.ID, "error", e)
		}
		return err
	}
	p.conn = conn
	if ok {
		guarded.refuse = func(code packets.Code) { p.refuse(code, iotdataplane.ReasonClientError) }
	}
	b.mu.Lock()
	b.peers[cl] = p
	b.mu.Unlock()
	// The library does not tell of a client that is gone before its CONNACK.
	p.unanswered = b.sched.After(connackTime, "broker connack", func() {
		b.remove(cl)
		p.conn.Lost(context.Background(), iotdataplane.ReasonConnectionLost)
		cl.Stop(packets.ErrUnspecifiedError)
	})
	// The core has ended an older connection of the same ID; the library
	// must not do it again in its own way.
	b.server.Clients.Delete(cl.ID)
	return nil
}

// malformed reports what the library lets pass in a CONNECT: flags of a last will that is not there, and in MQTT
// 3.1.1 a password without a name [MQTT-3.1.2-22] and bytes behind the last field.
func malformed(pk packets.Packet) bool {
	c := pk.Connect
	if !c.WillFlag && c.WillQos != 0 {
		return true
	}
	if pk.ProtocolVersion >= 5 {
		return false
	}
	length := 12 + len(c.ClientIdentifier)
	if c.WillFlag {
		length += 4 + len(c.WillTopic) + len(c.WillPayload)
	}
	if c.UsernameFlag {
		length += 2 + len(c.Username)
	}
	if c.PasswordFlag {
		length += 2 + len(c.Password)
	}
	return length != pk.FixedHeader.Remaining || c.PasswordFlag && !c.UsernameFlag
}

// connack is the code that tells a client of a version why it is refused.
func connack(err error, version byte) packets.Code {
	r, ok := errors.AsType[*iotdataplane.Refusal](err)
	if !ok {
		r = &iotdataplane.Refusal{Code: iotdataplane.RefusedNotAuthorized}
	}
	switch r.Code {
	case iotdataplane.RefusedClientID:
		return packets.ErrClientIdentifierNotValid
	case iotdataplane.RefusedNotAuthorized:
		if version < 5 {
			return packets.ErrBadUsernameOrPassword // the library makes it return code 5
		}
		return packets.ErrNotAuthorized
	}
	if version < 5 {
		return packets.ErrServerUnavailable // return code 3: MQTT 3.1.1 knows no other
	}
	return packets.Code{Code: byte(r.Code), Reason: r.Message}
}

func (b *Broker) keepAlive(cl *mqtt.Client) {
	want := cl.State.Keepalive
	switch {
	case want == 0 || want > maxKeepAlive:
		cl.State.Keepalive = maxKeepAlive
	case want < minKeepAlive:
		cl.State.Keepalive = minKeepAlive
	}
	cl.State.ServerKeepalive = cl.State.Keepalive != want
}

func options(cl *mqtt.Client, pk packets.Packet) iotdataplane.Options {
	c := pk.Connect
	o := iotdataplane.Options{
		Hello: iotdataplane.Hello{ClientID: cl.ID, Username: string(c.Username), Password: c.Password,
			SourceIP: host(cl.Net.Remote)},
		Clean: c.Clean, ReceiveMaximum: int(pk.Properties.ReceiveMaximum),
	}
	if t, ok := inner(cl.Net.Conn).(*tls.Conn); ok {
		if certificates := t.ConnectionState().PeerCertificates; len(certificates) > 0 {
			o.Certificate = certificates[0]
		}
	}
	switch {
	case pk.ProtocolVersion == 5:
		o.SessionExpiry = time.Duration(pk.Properties.SessionExpiryInterval) * time.Second
	case !c.Clean:
		o.SessionExpiry = 7 * 24 * time.Hour // the core cuts it to what the account has
	}
	if c.WillFlag {
		o.Will = &iotdataplane.Message{Topic: c.WillTopic, Payload: c.WillPayload, QoS: c.WillQos,
			Retain: c.WillRetain}
		take(o.Will, c.WillProperties)
		o.WillDelay = time.Duration(c.WillProperties.WillDelayInterval) * time.Second
	}
	return o
}

func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

// take copies the properties of a PUBLISH or a will into a message.
func take(m *iotdataplane.Message, p packets.Properties) {
	m.PayloadFormat, m.ContentType, m.ResponseTopic = p.PayloadFormat, p.ContentType, p.ResponseTopic
	m.CorrelationData, m.MessageExpiry = p.CorrelationData, p.MessageExpiryInterval
	for _, u := range p.User {
		m.UserProperties = append(m.UserProperties, [2]string{u.Key, u.Val})
	}
}

// OnConnectAuthenticate allows what OnConnect has allowed.
func (h *hook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnSessionEstablished begins delivery, behind the CONNACK.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if p := h.b.peer(cl); p != nil {
		p.unanswered.Stop()
		p.conn.Resume()
	}
}

// remove takes a client from the table; nil if it is not there.
func (b *Broker) remove(cl *mqtt.Client) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[cl]
	delete(b.peers, cl)
	return p
}

// OnPacketEncode makes the CONNACK say what the core and AWS say.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type != packets.Connack {
		return pk
	}
	if pk.ReasonCode >= 0x80 && pk.ProtocolVersion != 5 {
		return refusal(pk)
	}
	p := h.b.peer(cl)
	if p == nil || pk.ReasonCode >= 0x80 {
		return pk
	}
	pk.SessionPresent = p.conn.SessionPresent()
	pk.Properties.TopicAliasMaximum = topicAliases
	pk.Properties.MaximumPacketSize = maxPacketSize
	pk.Properties.SubIDAvailable, pk.Properties.SubIDAvailableFlag = 0, true
	if expiry := uint32(p.conn.SessionExpiry() / time.Second); expiry != cl.Properties.Props.SessionExpiryInterval {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = expiry, true
	}
	return pk
}

// refusal is the CONNACK of MQTT 3.1.1 to a CONNECT that the library refuses; to one that breaks the protocol there is
// none, and the connection is closed.
func refusal(pk packets.Packet) packets.Packet {
	switch pk.Properties.ReasonString {
	case packets.ErrProtocolViolationProtocolVersion.Reason:
		pk.ReasonCode = packets.Err3UnsupportedProtocolVersion.Code
	case packets.ErrUnspecifiedError.Reason: // what it has for a session to keep under no name [MQTT-3.1.3-8]
		pk.ReasonCode = packets.Err3ClientIdentifierNotValid.Code
	default:
		return packets.Packet{} // cannot be written
	}
	return pk
}

// OnDisconnect tells the core why a connection is gone.
func (h *hook) OnDisconnect(cl *mqtt.Client, err error, _ bool) {
	b := h.b
	p := b.remove(cl)
	if p == nil {
		return
	}
	if have, ok := b.server.Clients.Get(cl.ID); ok && have == cl {
		b.server.Clients.Delete(cl.ID)
	}
	p.leaveRoom()
	ctx := context.Background()
	if p.left {
		p.conn.Leave(ctx, p.withWill)
		return
	}
	p.conn.Lost(ctx, reasonOf(err))
}

func reasonOf(err error) string {
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return iotdataplane.ReasonKeepAliveTimeout
	}
	if _, ok := errors.AsType[packets.Code](err); ok {
		return iotdataplane.ReasonClientError
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return iotdataplane.ReasonConnectionLost
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return iotdataplane.ReasonConnectionLost
	}
	return iotdataplane.ReasonClientError
}

// absorbed is a packet that the library passes over: the acknowledgement of
// nothing.
var absorbed = packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}}

// OnPacketRead answers everything about messages and subscriptions itself and
// leaves the library pings and the connection.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	p := h.b.peer(cl)
	if p == nil {
		return pk, nil // CONNECT
	}
	if p.refused {
		return absorbed, nil // until the DISCONNECT is written
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		p.publish(pk)
	case packets.Puback:
		p.acknowledged(pk.PacketID)
	case packets.Subscribe:
		p.subscribe(pk)
	case packets.Unsubscribe:
		p.unsubscribe(pk)
	case packets.Pubrec, packets.Pubrel, packets.Pubcomp: // QoS 2 is not supported
	case packets.Disconnect:
		p.left, p.withWill = true, pk.ReasonCode != 0
		if pk.Properties.SessionExpiryIntervalFlag {
			p.conn.SetSessionExpiry(time.Duration(pk.Properties.SessionExpiryInterval) * time.Second)
		}
		return pk, nil
	default:
		return pk, nil
	}
	return absorbed, nil
}
