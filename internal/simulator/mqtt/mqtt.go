// Package mqtt is the simulator's Transport over real connections of MQTT 5, or of
// 3.1.1 for agents that speak that (legacy.go): TCP with a user name, or TLS with a
// client certificate, one connection per agent and thousands per process.
//
// A connection subscribes the agent's topic at QoS 0 and has no last will and no
// session that outlives it, as real agents have it. Connect waits for the SUBACK
// (R-MQTT.17: without a subscription nothing may be published). Publish returns
// when the message is written; it does not wait for a PUBACK. Reconnecting is
// the agent's business. All methods are safe for concurrent use.
//
// Source: TR-369, section "MQTT Binding"; MQTT 5.0; MQTT 3.1.1; AWS IoT developer guide,
// "Device communication protocols" (ALPN), read 2026-11-30.
package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetstep/fleetstep/internal/simulator"
)

// Config says where the broker is and how agents prove who they are.
type Config struct {
	// Broker is tcp://host:port (or mqtt://) or tls://host:port (or mqtts://).
	// Over TLS to port 443 the application protocol (ALPN) x-amzn-mqtt-ca is asked
	// for, as AWS IoT Core wants it; on another port, with ?alpn=x-amzn-mqtt-ca.
	Broker string
	// Credentials are those of a client; nil: none.
	Credentials func(clientID string) (Credentials, error)
	RootCAs     *x509.CertPool // nil: the machine's
	KeepAlive   time.Duration  // 60 s
	Timeout     time.Duration  // 10 s: for connecting, and for a write
	// Dial replaces the network, for tests; TLS is not added to it.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Credentials of one client; empty fields are not sent.
type Credentials struct {
	Certificate        *tls.Certificate
	Username, Password string
}

// Transport opens connections to one broker.
type Transport struct {
	config  Config
	address string
	host    string
	tls     bool
	alpn    []string
}

// ALPN is the application protocol by which AWS IoT Core takes MQTT with a client
// certificate on port 443.
const ALPN = "x-amzn-mqtt-ca"

var _ simulator.Transport = (*Transport)(nil)

// New checks the configuration; it does not connect.
func New(c Config) (*Transport, error) {
	u, err := url.Parse(c.Broker)
	if err != nil {
		return nil, fmt.Errorf("mqtt: broker: %w", err)
	}
	t := &Transport{config: c, address: u.Host, host: u.Hostname()}
	port := u.Port()
	switch u.Scheme {
	case "tcp", "mqtt":
		if port == "" {
			port = "1883"
		}
	case "tls", "ssl", "mqtts":
		t.tls = true
		if port == "" {
			port = "8883"
		}
	default:
		return nil, fmt.Errorf("mqtt: broker %q: want tcp://host:port or tls://host:port", c.Broker)
	}
	if t.host == "" {
		return nil, fmt.Errorf("mqtt: broker %q has no host", c.Broker)
	}
	t.address = net.JoinHostPort(t.host, port)
	if name := u.Query().Get("alpn"); name != "" {
		t.alpn = []string{name}
	} else if port == "443" {
		t.alpn = []string{ALPN}
	}
	if len(t.alpn) > 0 && !t.tls {
		return nil, fmt.Errorf("mqtt: broker %q: an application protocol needs tls://", c.Broker)
	}
	if t.config.KeepAlive == 0 {
		t.config.KeepAlive = time.Minute
	}
	if t.config.Timeout == 0 {
		t.config.Timeout = 10 * time.Second
	}
	return t, nil
}

// Reach opens a connection without a client, and closes it: whether the broker is there, and shows a certificate of
// its host that the roots vouch for.
func (t *Transport) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.config.Timeout)
	defer cancel()
	conn, err := t.dial(ctx, Credentials{})
	if err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	return conn.Close()
}

// session is one connection.
type session struct {
	client  *paho.Client
	conn    net.Conn
	timeout time.Duration

	mu     sync.Mutex
	closed bool // by Close, or because the connection was lost
}

// Connect implements simulator.Transport.
func (t *Transport) Connect(ctx context.Context, c simulator.Connection,
	h simulator.Handler) (simulator.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, t.config.Timeout)
	defer cancel()
	var credentials Credentials
	if t.config.Credentials != nil {
		var err error
		if credentials, err = t.config.Credentials(c.ClientID); err != nil {
			return nil, fmt.Errorf("mqtt: credentials of %s: %w", c.ClientID, err)
		}
	}
	conn, err := t.dial(ctx, credentials)
	if err != nil {
		return nil, fmt.Errorf("mqtt: connect %s: %w", c.ClientID, err)
	}
	if c.MQTT311 {
		return t.connectLegacy(ctx, conn, c, credentials, h)
	}
	s := &session{conn: conn, timeout: t.config.Timeout}
	lost := func(err error) {
		if s.end() {
			h.Lost(errors.Join(err, unlessClosed(conn.Close())))
		}
	}
	s.client = paho.NewClient(paho.ClientConfig{
		Conn:          conn,
		PacketTimeout: t.config.Timeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			if s.open() {
				got := simulator.Publish{Topic: p.Packet.Topic, Payload: p.Packet.Payload, QoS: p.Packet.QoS}
				if props := p.Packet.Properties; props != nil {
					got.ContentType, got.ResponseTopic = props.ContentType, props.ResponseTopic
				}
				h.Received(got)
			}
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) {
			lost(fmt.Errorf("mqtt: disconnected by the broker, reason %d", d.ReasonCode))
		},
		OnClientError: lost,
	})

	var identity paho.UserProperties
	if c.EndpointID != "" {
		identity.Add("usp-endpoint-id", string(c.EndpointID)) // R-MQTT.13
	}
	receiveMaximum := uint16(20)
	connect := &paho.Connect{
		ClientID: c.ClientID, CleanStart: true, KeepAlive: uint16(t.config.KeepAlive / time.Second),
		Properties: &paho.ConnectProperties{ReceiveMaximum: &receiveMaximum, User: identity},
	}
	if credentials.Username != "" {
		connect.UsernameFlag, connect.Username = true, credentials.Username
	}
	if credentials.Password != "" {
		connect.PasswordFlag, connect.Password = true, []byte(credentials.Password)
	}
	// Until Connect returns, a lost connection is its error and not the handler's.
	fail := func(err error) (simulator.Session, error) {
		wasOpen := s.end()
		err = errors.Join(err, unlessClosed(conn.Close()))
		if !wasOpen {
			// Lost was called already: the caller has been told, and what it
			// gets here it will find closed.
			return s, nil
		}
		return nil, err
	}
	if ack, err := s.client.Connect(ctx, connect); err != nil {
		if ack != nil {
			err = fmt.Errorf("reason %d: %w", ack.ReasonCode, err)
		}
		return fail(fmt.Errorf("mqtt: connect %s: %w", c.ClientID, err))
	}
	sub := &paho.Subscribe{
		Properties:    &paho.SubscribeProperties{User: identity},
		Subscriptions: []paho.SubscribeOptions{{Topic: c.Topic, QoS: 0}},
	}
	if ack, err := s.client.Subscribe(ctx, sub); err != nil || len(ack.Reasons) > 0 && ack.Reasons[0] >= 0x80 {
		if err == nil {
			err = fmt.Errorf("reason %d", ack.Reasons[0])
		}
		err = fmt.Errorf("mqtt: %s subscribes %s: %w", c.ClientID, c.Topic, err)
		if e := s.client.Disconnect(&paho.Disconnect{}); e != nil {
			err = fmt.Errorf("%w; DISCONNECT: %w", err, e)
		}
		return fail(err)
	}
	return s, nil
}

func (t *Transport) dial(ctx context.Context, c Credentials) (net.Conn, error) {
	if t.config.Dial != nil {
		return t.config.Dial(ctx, t.address)
	}
	if !t.tls {
		return (&net.Dialer{}).DialContext(ctx, "tcp", t.address)
	}
	config := &tls.Config{ServerName: t.host, RootCAs: t.config.RootCAs, MinVersion: tls.VersionTLS12,
		NextProtos: t.alpn}
	if c.Certificate != nil {
		config.Certificates = []tls.Certificate{*c.Certificate}
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	return packets.NewThreadSafeConn(conn), nil
}

func (s *session) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed
}

// end tells whether the session was open until now.
func (s *session) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := !s.closed
	s.closed = true
	return was
}

// Publish implements simulator.Session.
func (s *session) Publish(p simulator.Publish) error {
	if !s.open() {
		return errors.New("mqtt: the session is closed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	_, err := s.client.PublishWithOptions(ctx, &paho.Publish{
		Topic: p.Topic, Payload: p.Payload, QoS: p.QoS,
		Properties: &paho.PublishProperties{ContentType: p.ContentType, ResponseTopic: p.ResponseTopic},
	}, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
	return err
}

// Close implements simulator.Session.
func (s *session) Close(clean bool) error {
	if !s.end() {
		return nil
	}
	var err error
	if clean {
		// Not by client.Disconnect, which waits for the handler, and that may be
		// who called.
		if _, err = (&paho.Disconnect{}).Packet().WriteTo(s.conn); err != nil {
			err = fmt.Errorf("mqtt: DISCONNECT: %w", err)
		}
	}
	end := unlessClosed(s.conn.Close())
	if !clean {
		return nil // it is to end as a power cut would have it, whatever the other side makes of it
	}
	return errors.Join(err, end)
}

// unlessClosed leaves out that a connection was closed before.
func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
