package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/topicrule"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/broker"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const account = "123456789012"

// devices admits everybody but client IDs that begin with "evil", and lets
// nobody publish below no/.
type devices struct{}

func (devices) Authenticate(_ context.Context, h iotdataplane.Hello) (iotdataplane.Principal, error) {
	p := iotdataplane.Principal{ID: "user-" + h.Username, ThingName: h.ClientID}
	if h.Certificate != nil {
		p.ID = h.Certificate.Subject.CommonName
	}
	return p, nil
}

func (devices) Authorize(_ context.Context, p iotdataplane.Principal, action, resource string) error {
	if strings.Contains(resource, ":client/evil") || strings.Contains(resource, "/no/") {
		return errors.New("denied")
	}
	return nil
}

type adapter struct{ *topicrule.Service }

func (a adapter) Prepare(m iotdataplane.Message) iotdataplane.Execution {
	if e := a.Service.Prepare(topicrule.Message(m)); e != nil {
		return e
	}
	return nil
}

type caller func(id awsapi.Identity, service, operation string, input any) error

func (c caller) Call(_ context.Context, id awsapi.Identity, service, operation string, input any) (any, error) {
	return &struct{}{}, c(id, service, operation, input)
}

type site struct {
	t      testing.TB
	sched  *scheduler.Scheduler
	core   *iotdataplane.Service
	rules  *topicrule.Service
	broker *broker.Broker
	addr   string
}

func open(t testing.TB, db *store.DB, call caller, more ...func(*broker.Broker)) *site {
	t.Helper()
	s := &site{t: t, sched: scheduler.NewReal()}
	var err error
	if s.rules, err = topicrule.New(topicrule.Config{Platform: platform.Platform{Scheduler: s.sched, Store: db,
		Account: account, Region: "us-east-1", Caller: call}}); err != nil {
		t.Fatal(err)
	}
	if s.core, err = iotdataplane.New(iotdataplane.Config{
		Platform: platform.Platform{Scheduler: s.sched, Store: db, Account: account, Region: "us-east-1"},
		Devices:  devices{}, Rules: adapter{s.rules},
	}); err != nil {
		t.Fatal(err)
	}
	if s.broker, err = broker.New(broker.Config{Core: s.core, Scheduler: s.sched}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if err := s.broker.Listen(l); err != nil {
		t.Fatal(err)
	}
	for _, f := range more {
		f(s.broker)
	}
	if err := s.broker.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.core.Close(context.Background())
		_ = s.broker.Close()
	})
	return s
}

func (s *site) rule(name, sql, action string) {
	s.t.Helper()
	door := awsapi.New(awsapi.Config{Scheduler: s.sched, Account: account, Region: "us-east-1"})
	door.Add(awsapi.Service{ID: "iot", Operations: s.rules.Operations()})
	_, err := door.Call(context.Background(), awsapi.RootOf(account), "iot", "CreateTopicRule", map[string]any{
		"ruleName": name,
		"topicRulePayload": map[string]any{
			"sql": sql, "awsIotSqlVersion": "2016-03-23", "actions": []any{rawJSON(action)},
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// client connects with MQTT 5 and sends what it receives to the channel.
func (s *site) client(conn net.Conn, id string, set func(*paho.Connect)) (*paho.Client, chan *paho.Publish,
	chan *paho.Disconnect, *paho.Connack) {
	s.t.Helper()
	got := make(chan *paho.Publish, 100)
	ended := make(chan *paho.Disconnect, 1)
	c := paho.NewClient(paho.ClientConfig{
		ClientID: id, Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			got <- p.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { ended <- d },
		OnClientError:      func(error) {},
	})
	cp := &paho.Connect{ClientID: id, KeepAlive: 60, CleanStart: true}
	if set != nil {
		set(cp)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ack, err := c.Connect(ctx, cp)
	if err != nil && ack == nil {
		s.t.Fatal(err)
	}
	return c, got, ended, ack
}

func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func receive[T any](t testing.TB, c chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came within 5 seconds")
		panic("unreachable")
	}
}

var ctx = context.Background()

func TestPropertiesPassBothWays(t *testing.T) {
	s := open(t, store.Memory(), nil)
	a, got, _, ack := s.client(s.dial(), "a", nil)
	if ack.Properties.TopicAliasMaximum == nil || *ack.Properties.TopicAliasMaximum != 8 ||
		ack.Properties.SubIDAvailable {
		t.Errorf("CONNACK %+v", ack.Properties)
	}
	if _, err := a.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "usp/v1/agent/a",
		QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	b, _, _, _ := s.client(s.dial(), "b", nil)
	life := uint32(60)
	alias := uint16(1)
	for i := range 2 {
		p := &paho.Publish{
			Topic: "usp/v1/agent/a", QoS: 1, Payload: fmt.Append(nil, i),
			Properties: &paho.PublishProperties{
				ContentType: "usp.msg", ResponseTopic: "usp/v1/controller/c/from/a", CorrelationData: []byte{0, 1},
				MessageExpiry: &life, TopicAlias: &alias, User: paho.UserProperties{{Key: "k", Value: "v"}},
			},
		}
		if i > 0 {
			p.Topic = "" // the alias says it
		}
		if _, err := b.Publish(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		p := receive(t, got)
		q := p.Properties
		if p.Topic != "usp/v1/agent/a" || string(p.Payload) != fmt.Sprint(i) || p.QoS != 1 ||
			q.ContentType != "usp.msg" || q.ResponseTopic != "usp/v1/controller/c/from/a" ||
			!bytes.Equal(q.CorrelationData, []byte{0, 1}) || q.MessageExpiry == nil || *q.MessageExpiry != 60 ||
			q.User.Get("k") != "v" {
			t.Errorf("got %+v %+v", p, q)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := open(t, store.Memory(), nil)
	c := paho.NewClient(paho.ClientConfig{Conn: s.dial()})
	ack, err := c.Connect(ctx, &paho.Connect{ClientID: "evil", KeepAlive: 60, CleanStart: true})
	if err == nil || ack == nil || ack.ReasonCode != 0x87 {
		t.Errorf("CONNACK %+v, %v", ack, err)
	}
	a, _, ended, _ := s.client(s.dial(), "a", nil)
	sub, err := a.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "x/no/y"},
		{Topic: "ok"}}})
	if sub == nil || sub.Reasons[0] != 0x87 || sub.Reasons[1] != 0 {
		t.Errorf("SUBACK %+v, %v", sub, err)
	}
	// A refused publish ends the connection.
	if _, err := a.Publish(ctx, &paho.Publish{Topic: "x/no/y", QoS: 0}); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, ended); d.ReasonCode != 0x87 {
		t.Errorf("DISCONNECT %x", d.ReasonCode)
	}
	p, ok, err := s.core.Connectivity("a")
	if err != nil || !ok || p.DisconnectReason != iotdataplane.ReasonAuthError {
		t.Errorf("presence %+v %v %v", p, ok, err)
	}
	b, _, ended, _ := s.client(s.dial(), "b", nil)
	if _, err := b.Publish(ctx, &paho.Publish{Topic: "big", Payload: make([]byte, iotdataplane.MaxPayload+1)}); err !=
		nil {
		t.Fatal(err)
	}
	if d := receive(t, ended); d.ReasonCode != 0x95 {
		t.Errorf("DISCONNECT %x", d.ReasonCode)
	}
}

func TestTakeoverTellsTheOldClient(t *testing.T) {
	s := open(t, store.Memory(), nil)
	_, _, ended, _ := s.client(s.dial(), "same", nil)
	second, got, _, _ := s.client(s.dial(), "same", nil)
	if d := receive(t, ended); d.ReasonCode != 0x8E {
		t.Errorf("DISCONNECT %x", d.ReasonCode)
	}
	if _, err := second.Subscribe(ctx,
		&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "t", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Publish(ctx, &paho.Publish{Topic: "t", QoS: 1, Payload: []byte("alive")}); err != nil {
		t.Fatal(err)
	}
	if string(receive(t, got).Payload) != "alive" {
		t.Error("the second connection does not work")
	}
}

func TestPersistentSessionOverTheNetwork(t *testing.T) {
	s := open(t, store.Memory(), nil)
	expiry := uint32(7200)
	keep := func(c *paho.Connect) {
		c.CleanStart = false
		c.Properties = &paho.ConnectProperties{SessionExpiryInterval: &expiry}
	}
	dev, _, _, ack := s.client(s.dial(), "dev", keep)
	if ack.SessionPresent || ack.Properties.SessionExpiryInterval == nil ||
		*ack.Properties.SessionExpiryInterval != 3600 {
		t.Errorf("CONNACK %+v %+v", ack, ack.Properties)
	}
	if _, err := dev.Subscribe(ctx,
		&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "to/dev", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	if err := dev.Disconnect(&paho.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	ctl, _, _, _ := s.client(s.dial(), "ctl", nil)
	for i := range 3 {
		if _, err := ctl.Publish(ctx, &paho.Publish{Topic: "to/dev", QoS: 1, Payload: fmt.Append(nil, i)}); err !=
			nil {
			t.Fatal(err)
		}
	}
	_, got, _, ack := s.client(s.dial(), "dev", keep)
	if !ack.SessionPresent {
		t.Error("the session is gone")
	}
	for i := range 3 {
		if p := receive(t, got); string(p.Payload) != fmt.Sprint(i) {
			t.Errorf("message %d is %q", i, p.Payload)
		}
	}
}

// TestUnacknowledgedMessageComesAgainMarked: what a client with a persistent
// session had and did not acknowledge when the process died comes once more, as a
// duplicate; what came while it was away comes as new, and what it acknowledged
// not at all.
func TestUnacknowledgedMessageComesAgainMarked(t *testing.T) {
	expiry := uint32(3600)
	keep := func(c *paho.Connect) {
		c.CleanStart = false
		c.Properties = &paho.ConnectProperties{SessionExpiryInterval: &expiry}
	}
	publish := func(s *site, text string) {
		t.Helper()
		ctl, _, _, _ := s.client(s.dial(), "ctl", nil)
		if _, err := ctl.Publish(ctx, &paho.Publish{Topic: "to/dev", QoS: 1, Payload: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	db := store.Memory()
	s := open(t, db, nil)
	// This client acknowledges the first message alone.
	got := make(chan *paho.Publish, 10)
	var dev *paho.Client
	dev = paho.NewClient(paho.ClientConfig{
		ClientID: "dev", Conn: s.dial(), EnableManualAcknowledgment: true, OnClientError: func(error) {},
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			if string(p.Packet.Payload) == "taken" {
				if err := dev.Ack(p.Packet); err != nil {
					t.Error(err)
				}
			}
			got <- p.Packet
			return true, nil
		}},
	})
	connect := &paho.Connect{ClientID: "dev", KeepAlive: 60}
	keep(connect)
	if _, err := dev.Connect(ctx, connect); err != nil {
		t.Fatal(err)
	}
	if _, err := dev.Subscribe(ctx,
		&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "to/dev", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	publish(s, "taken")
	publish(s, "had")
	for _, want := range []string{"taken", "had"} {
		if p := receive(t, got); string(p.Payload) != want || p.Duplicate() {
			t.Errorf("got %q, duplicate %v; want %q as new", p.Payload, p.Duplicate(), want)
		}
	}
	for began := time.Now(); len(s.core.Residue(ctx)) != 1 || !strings.Contains(s.core.Residue(ctx)[0],
		" 1 messages"); runtime.Gosched() {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("the acknowledged message is not forgotten: %q", s.core.Residue(ctx))
		}
	}

	s = open(t, db.Copy(), nil) // the process died
	if err := s.core.Start(ctx); err != nil {
		t.Fatal(err)
	}
	publish(s, "new")
	again, got, _, ack := s.client(s.dial(), "dev", keep)
	if !ack.SessionPresent {
		t.Error("the session is gone")
	}
	for _, want := range []struct {
		text      string
		duplicate bool
	}{{"had", true}, {"new", false}} {
		if p := receive(t, got); string(p.Payload) != want.text || p.Duplicate() != want.duplicate {
			t.Errorf("got %q, duplicate %v; want %+v", p.Payload, p.Duplicate(), want)
		}
	}
	if err := again.Disconnect(&paho.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); len(s.core.Residue(ctx)) > 0; runtime.Gosched() {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("left: %q", s.core.Residue(ctx))
		}
	}
}

// TestVersion311 speaks bytes.
func TestVersion311(t *testing.T) {
	s := open(t, store.Memory(), nil)
	conn := s.dial()
	r := bufio.NewReader(conn)
	say := func(b ...byte) {
		t.Helper()
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(want ...byte) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x, %v; want %x", got, err, want)
		}
	}
	connect := func(id string) []byte {
		return append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}, id...)
	}
	say(connect("old")...)
	hear(0x20, 2, 0, 0)
	say(0x82, 6, 0, 1, 0, 1, 't', 2) // QoS 2: no SUBACK
	say(0x82, 9, 0, 2, 0, 4, 'n', 'o', '/', 'x', 1)
	hear(0x90, 3, 0, 2, 0x80) // denied
	say(0x82, 6, 0, 3, 0, 1, 't', 1)
	hear(0x90, 3, 0, 3, 1)
	say(0x34, 6, 0, 1, 't', 0, 9, 'x') // QoS 2: no answer
	say(0x32, 6, 0, 1, 't', 0, 9, 'x') // QoS 1
	hear(0x40, 2, 0, 9)
	hear(0x32, 6, 0, 1, 't', 0, 1, 'x')
	say(0x40, 2, 0, 1)
	say(0xA2, 5, 0, 4, 0, 1, 't')
	hear(0xB0, 2, 0, 4)
	say(0xC0, 0)
	hear(0xD0, 0)
	say(0xE0, 0)
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection stays open after DISCONNECT")
	}
	conn = s.dial()
	r = bufio.NewReader(conn)
	say(connect("evil")...)
	hear(0x20, 2, 0, 5)
}

func TestMutualTLS(t *testing.T) {
	certificate, x := selfSigned(t, "thing-certificate")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, store.Memory(), nil, func(b *broker.Broker) {
		if err := b.ListenTLS(l, &tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
			t.Fatal(err)
		}
	})
	pool := x509.NewCertPool()
	pool.AddCert(x)
	conf := &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{certificate}}
	conn, err := tls.Dial("tcp", l.Addr().String(), conf)
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, ack := s.client(conn, "thing", nil)
	if ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %x", ack.ReasonCode)
	}
	p, _, err := s.core.Connectivity("thing")
	if err != nil || p.PrincipalIdentifier != "thing-certificate" || p.IPAddress != "127.0.0.1" {
		t.Errorf("presence %+v, %v", p, err)
	}
	conf.Certificates = nil
	if conn, err := tls.Dial("tcp", l.Addr().String(), conf); err == nil {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a client without certificate was admitted")
		}
	}
}

// at443 is a listener that says that its port is 443.
type at443 struct{ net.Listener }

func (at443) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

// On port 443 AWS IoT Core wants MQTT with a certificate to name its application protocol; on others it need not.
func TestPort443WantsItsApplicationProtocol(t *testing.T) {
	certificate, x := selfSigned(t, "thing-certificate")
	pool := x509.NewCertPool()
	pool.AddCert(x)
	for name, c := range map[string]struct {
		port443 bool
		offers  []string
		refused bool
	}{
		"443 with it": {true, []string{"x-amzn-mqtt-ca"}, false}, "443 with none": {true, nil, true},
		"443 with another": {true, []string{"mqtt"}, true}, "8883 with none": {false, nil, false},
		"8883 with it": {false, []string{"x-amzn-mqtt-ca"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := l.Addr().String()
			if c.port443 {
				l = at443{l}
			}
			s := open(t, store.Memory(), nil, func(b *broker.Broker) {
				if err := b.ListenTLS(l, &tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
					t.Fatal(err)
				}
			})
			conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "localhost",
				Certificates: []tls.Certificate{certificate}, NextProtos: c.offers})
			if c.refused {
				if err == nil { // TLS 1.3 tells with the first bytes that are read
					_, err = conn.Read(make([]byte, 1))
				}
				if err == nil || errors.Is(err, io.EOF) {
					t.Errorf("it was let in: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, ack := s.client(conn, "thing", nil); ack.ReasonCode != 0 {
				t.Errorf("CONNACK %x", ack.ReasonCode)
			}
		})
	}
}

func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, c
}

func TestPublishReachesLambda(t *testing.T) {
	type invocation struct {
		id    awsapi.Identity
		input string
	}
	got := make(chan invocation, 1)
	s := open(t, store.Memory(), func(id awsapi.Identity, service, operation string, input any) error {
		got <- invocation{id, fmt.Sprintf("%s:%s %s", service, operation, input)}
		return nil
	})
	s.rule("usp_message", uspMessage, `{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}}`)
	a, _, _, _ := s.client(s.dial(), "cpe-1", nil)
	if _, err := a.Publish(ctx, &paho.Publish{
		Topic: "usp/v1/controller/self::fleetstep/from/cpe-1", QoS: 1, Payload: []byte{0xff, 0},
		Properties: &paho.PublishProperties{ContentType: "usp.msg"},
	}); err != nil {
		t.Fatal(err)
	}
	i := receive(t, got)
	for _, want := range []string{`lambda:Invoke`, `Event`, `"record":"/wA="`, `"thingName":"cpe-1"`, `"clientId":"cpe-1"`, `"principal":"user-"`, `"contentType":"usp.msg"`} {
		if !strings.Contains(i.input, want) {
			t.Errorf("%s is not in %s", want, i.input)
		}
	}
	if i.id.Service != "iot.amazonaws.com" || i.id.SourceARN != "arn:aws:iot:us-east-1:123456789012:rule/usp_message" {
		t.Errorf("identity %+v", i.id)
	}
}

const uspMessage = `SELECT encode(*, 'base64') AS record, topic() AS topic, topic(6) AS thingName, clientid() AS clientId, principal() AS principal, timestamp() AS receivedAt, get_mqtt_property('content_type') AS contentType, get_mqtt_property('response_topic') AS responseTopic FROM 'usp/v1/controller/self::fleetstep/from/#'`

// BenchmarkPublishRuleAction is QoS 1 over TCP, durable, with the SELECT of the
// product's rule, to the call of the action.
func BenchmarkPublishRuleAction(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprint(clients, " clients"), func(b *testing.B) {
			db, err := store.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			var done atomic.Int64
			s := open(b, db, func(awsapi.Identity, string, string, any) error { done.Add(1); return nil })
			s.rule("usp_message", uspMessage, `{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}}`)
			const name = "usp/v1/controller/self::fleetstep/from/cpe-1"
			packet := append([]byte{0x32, byte(2 + len(name) + 2 + 64), 0, byte(len(name))}, name...)
			packet = append(packet, 0, 1)
			packet = append(packet, bytes.Repeat([]byte{0xff}, 64)...)
			var conns []net.Conn
			for i := range clients {
				c := s.dial()
				id := fmt.Sprintf("c%02d", i)
				if _, err := c.Write(append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0,
					byte(len(id))}, id...)); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
					b.Fatal(err)
				}
				conns = append(conns, c)
			}
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, c := range conns {
				n := b.N / clients
				if i == 0 {
					n += b.N % clients
				}
				const window = 100
				room := make(chan struct{}, window)
				wg.Add(2)
				go func() {
					defer wg.Done()
					w := bufio.NewWriterSize(c, 16<<10)
					for range n {
						select {
						case room <- struct{}{}:
						default:
							_ = w.Flush()
							room <- struct{}{}
						}
						_, _ = w.Write(packet)
					}
					_ = w.Flush()
				}()
				go func() {
					defer wg.Done()
					r := bufio.NewReader(c)
					ack := make([]byte, 4)
					for range n {
						if _, err := io.ReadFull(r, ack); err != nil {
							b.Error(err)
							return
						}
						<-room
					}
				}()
			}
			wg.Wait()
			for done.Load() < int64(b.N) {
				time.Sleep(100 * time.Microsecond)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
