package mqtt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	server "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// watcher is what the broker sees.
type watcher struct {
	server.HookBase
	news chan packets.Packet // CONNECT, PUBLISH; PINGRESP stands for a closed connection

	mu      sync.Mutex
	connect map[string]packets.Packet
}

func (*watcher) ID() string { return "watcher" }
func (*watcher) Provides(b byte) bool {
	switch b {
	case server.OnConnect, server.OnConnectAuthenticate, server.OnACLCheck, server.OnPublished, server.OnDisconnect:
		return true
	}
	return false
}

// Everybody may do everything.
func (*watcher) OnConnectAuthenticate(*server.Client, packets.Packet) bool { return true }
func (*watcher) OnACLCheck(*server.Client, string, bool) bool              { return true }

func (w *watcher) OnConnect(_ *server.Client, p packets.Packet) error {
	w.mu.Lock()
	w.connect[p.Connect.ClientIdentifier] = p
	w.mu.Unlock()
	return nil
}

func (w *watcher) OnPublished(c *server.Client, p packets.Packet) {
	if !c.Net.Inline {
		w.news <- p
	}
}

func (w *watcher) OnDisconnect(*server.Client, error, bool) {
	w.news <- packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingresp}}
}

// start runs a broker on a port of its own.
func start(t *testing.T, secure *tls.Config) (*server.Server, *watcher, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	s := server.New(&server.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	w := &watcher{news: make(chan packets.Packet, 1000), connect: map[string]packets.Packet{}}
	for _, err := range []error{s.AddHook(w, nil), s.AddListener(listeners.NewNet("t", listener)), s.Serve()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, w, address
}

// next waits for the next record of a device that is not a repeat.
func (w *watcher) next(t *testing.T) (*usp.Record, packets.Packet) {
	t.Helper()
	for {
		select {
		case p := <-w.news:
			if p.FixedHeader.Type != packets.Publish {
				continue
			}
			r, err := usp.DecodeRecord(p.Payload)
			if err != nil {
				t.Fatal(err)
			}
			return r, p
		case <-time.After(20 * time.Second):
			t.Fatal("nothing more comes from the device")
		}
	}
}

// One device over a real broker and a real HTTP server, from its first record to
// its boot into the new image.
func TestUpgradeOverRealMQTT(t *testing.T) {
	for name, legacy := range map[string]bool{"5": false, "3.1.1": true} {
		t.Run(name, func(t *testing.T) { upgradeOverRealMQTT(t, legacy) })
	}
}

func upgradeOverRealMQTT(t *testing.T, legacy bool) {
	image := simulator.MakeImage("2.0.0", 300_000, 1)
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(image)
	}))
	defer files.Close()
	broker, w, address := start(t, nil)
	transport, err := mqtt.New(mqtt.Config{Broker: "tcp://" + address,
		Credentials: func(string) (mqtt.Credentials, error) {
			return mqtt.Credentials{Username: "device", Password: "secret"}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := simulator.NewFleet(simulator.FleetConfig{
		Devices: 1,
		Settings: simulator.Settings{
			Transport: transport, HTTP: files.Client(), Controller: "self::fleetstep", PublishQoS: 1,
			Profile: simulator.Profile{MQTT311: legacy},
			Subscriptions: []simulator.Subscription{
				{ID: "boot", NotifType: usp.KindEvent, ReferenceList: "Device.Boot!", Enable: true, Persistent: true},
				{ID: "done", NotifType: usp.KindOperationComplete,
					ReferenceList: "Device.DeviceInfo.FirmwareImage.*.Download()", Enable: true, Persistent: true},
			},
			Timing: simulator.Timing{Boot: 50 * time.Millisecond, BeforeReboot: 50 * time.Millisecond,
				ConnectRetry: 20 * time.Millisecond, ForceReconnect: 20 * time.Millisecond},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	fleet.Start()
	defer fleet.Stop()

	r, p := w.next(t)
	if r.MQTTConnect == nil || r.MQTTConnect.GetSubscribedTopic() != "usp/v1/agent/rg-000001" ||
		r.From != "os::012345-rg-000001" {
		t.Fatalf("first record %+v", r)
	}
	topic, contentType, responseTopic := "usp/v1/controller/self::fleetstep/from/rg-000001", "usp.msg",
		"usp/v1/agent/rg-000001"
	if legacy {
		topic, contentType, responseTopic = topic+"/reply-to=usp%2Fv1%2Fagent%2Frg-000001", "", ""
	}
	if p.TopicName != topic || p.Properties.ContentType != contentType ||
		p.Properties.ResponseTopic != responseTopic || p.FixedHeader.Retain || p.FixedHeader.Qos != 1 {
		t.Errorf("publish on %s with %+v", p.TopicName, p.Properties)
	}
	w.mu.Lock()
	connect := w.connect["rg-000001"]
	w.mu.Unlock()
	version := byte(5)
	if legacy {
		version = 4
	}
	if connect.Connect.WillFlag || string(connect.Connect.Username) != "device" ||
		connect.ProtocolVersion != version ||
		!legacy && !slices.Contains(connect.Properties.User, packets.UserProperty{Key: "usp-endpoint-id",
			Val: "os::012345-rg-000001"}) {
		t.Errorf("CONNECT %+v", connect)
	}
	if r, _ = w.next(t); usp.Type(r.Message) != "NOTIFY" {
		t.Fatalf("second record %v", r.Message)
	}

	sum := sha256.Sum256(image)
	m := usp.NewOperate("op-1", "Device.DeviceInfo.FirmwareImage.2.Download()", "job-1", true, map[string]string{
		"URL": files.URL + "/2.0.0.bin?X-Amz-Signature=1", "AutoActivate": "true", "CheckSumAlgorithm": "SHA-256",
		"CheckSum": hex.EncodeToString(sum[:]),
	})
	payload, err := usp.NewRecord("self::fleetstep", "os::012345-rg-000001", m).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Publish("usp/v1/agent/rg-000001", payload, false, 0); err != nil {
		t.Fatal(err)
	}
	if r, _ = w.next(t); usp.Type(r.Message) != "OPERATE_RESP" {
		t.Fatalf("answer %v", r.Message)
	}
	r, _ = w.next(t)
	if n, ok := usp.ReadNotify(r.Message); !ok || n.Kind != usp.KindOperationComplete || n.Failure != nil ||
		n.CommandKey != "job-1" {
		t.Fatalf("completion %v", r.Message)
	}
	if r, _ = w.next(t); r.MQTTConnect == nil {
		t.Fatalf("after the boot %+v", r)
	}
	r, _ = w.next(t)
	n, _ := usp.ReadNotify(r.Message)
	if boot, err := usp.ReadBoot(n.Params); err != nil || !boot.FirmwareUpdated || boot.CommandKey != "job-1" {
		t.Fatalf("Boot! %+v %v", boot, err)
	}
	if facts := fleet.Facts()[0]; facts.Version != "2.0.0" || facts.Downloads != 1 {
		t.Errorf("%+v", facts)
	}

	// The broker throws it out: it comes back by itself.
	if client, ok := broker.Clients.Get("rg-000001"); ok {
		_ = broker.DisconnectClient(client, packets.ErrServerShuttingDown)
	}
	if r, _ = w.next(t); r.MQTTConnect == nil {
		t.Fatalf("after the reconnect %+v", r)
	}

	// It is told to reconnect, in a message that arrives on that connection.
	if legacy { // at QoS 1, which the subscription lowers to 0
		if err := broker.Publish("usp/v1/agent/rg-000001/x", []byte("no record"), false, 1); err != nil {
			t.Fatal(err)
		}
	}
	payload, err = usp.NewRecord("self::fleetstep", "os::012345-rg-000001",
		usp.NewOperate("op-2", "Device.MQTT.Client.1.ForceReconnect()", "", true, nil)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Publish("usp/v1/agent/rg-000001", payload, false, 0); err != nil {
		t.Fatal(err)
	}
	if r, _ = w.next(t); usp.Type(r.Message) != "OPERATE_RESP" {
		t.Fatalf("answer %v", r.Message)
	}
	if r, _ = w.next(t); r.MQTTConnect == nil {
		t.Fatalf("after the reconnect on demand %+v", r)
	}
}

// listener is a Handler that keeps what it hears.
type listener struct {
	lost     chan error
	received chan simulator.Publish
}

func (l *listener) Lost(err error)               { l.lost <- err }
func (l *listener) Received(p simulator.Publish) { l.received <- p }

func TestTLSWithAClientCertificate(t *testing.T) {
	ca, caKey := certificate(t, "ca", nil, nil)
	serverCert, serverKey := certificate(t, "127.0.0.1", ca, caKey)
	deviceCert, deviceKey := certificate(t, "rg-000001", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	_, w, address := start(t, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{serverCert.Raw}, PrivateKey: serverKey}},
		ClientCAs:    pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	config := mqtt.Config{Broker: "tls://" + address, RootCAs: pool,
		Credentials: func(string) (mqtt.Credentials, error) {
			return mqtt.Credentials{Certificate: &tls.Certificate{Certificate: [][]byte{deviceCert.Raw},
				PrivateKey: deviceKey}}, nil
		}}
	transport, err := mqtt.New(config)
	if err != nil {
		t.Fatal(err)
	}
	h := &listener{make(chan error, 1), make(chan simulator.Publish, 1)}
	session, err := transport.Connect(context.Background(), simulator.Connection{ClientID: "rg-000001",
		EndpointID: "os::012345-rg-000001", Topic: "in"}, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Publish(simulator.Publish{Topic: "in", Payload: []byte("x"), ContentType: "usp.msg",
		ResponseTopic: "out"}); err != nil {
		t.Fatal(err)
	}
	if p := <-h.received; string(p.Payload) != "x" || p.ContentType != "usp.msg" || p.ResponseTopic != "out" ||
		p.Topic != "in" {
		t.Errorf("%+v", p)
	}
	if err := errors.Join(session.Close(false), session.Close(true)); err != nil {
		t.Error(err)
	}
	for p := range w.news {
		if p.FixedHeader.Type == packets.Pingresp { // the broker noticed
			break
		}
	}
	if err := session.Publish(simulator.Publish{Topic: "in"}); err == nil {
		t.Error("a closed session publishes")
	}
	select {
	case err := <-h.lost:
		t.Errorf("Lost after Close: %v", err)
	default:
	}

	// A clean end that the broker is not told of is an error.
	config.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1",
			Certificates: []tls.Certificate{
				{Certificate: [][]byte{deviceCert.Raw}, PrivateKey: deviceKey},
			}}}).DialContext(ctx, "tcp", address)
		return mute{conn}, err
	}
	if transport, err = mqtt.New(config); err != nil {
		t.Fatal(err)
	}
	if session, err = transport.Connect(context.Background(), simulator.Connection{ClientID: "rg-000001", Topic: "in"},
		h); err != nil {
		t.Fatal(err)
	}
	if err := session.Close(true); err == nil || !strings.Contains(err.Error(), "DISCONNECT: broken") {
		t.Errorf("got %v", err)
	}
	config.Dial = nil

	config.Credentials = nil
	transport, err = mqtt.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.Connect(context.Background(), simulator.Connection{ClientID: "rg-000002", Topic: "in"},
		h); err == nil {
		t.Error("a device without a certificate connects")
	}
}

// mute cannot send a DISCONNECT.
type mute struct{ net.Conn }

func (m mute) Write(b []byte) (int, error) {
	if len(b) > 0 && b[0]>>4 == packets.Disconnect {
		return 0, errors.New("broken")
	}
	return m.Conn.Write(b)
}

func certificate(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate,
	*ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: parent == nil,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// A broker on another port than 443 may be told the application protocol all the same.
func TestTheApplicationProtocolIsAskedFor(t *testing.T) {
	ca, caKey := certificate(t, "ca", nil, nil)
	serverCert, serverKey := certificate(t, "127.0.0.1", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	asked := make(chan []string, 2)
	secure := &tls.Config{NextProtos: []string{mqtt.ALPN},
		Certificates: []tls.Certificate{{Certificate: [][]byte{serverCert.Raw}, PrivateKey: serverKey}}}
	secure.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		asked <- h.SupportedProtos
		return nil, nil
	}
	_, _, address := start(t, secure)
	for query, want := range map[string][]string{"": nil, "?alpn=x-amzn-mqtt-ca": {"x-amzn-mqtt-ca"}} {
		for _, legacy := range []bool{false, true} {
			transport, err := mqtt.New(mqtt.Config{Broker: "mqtts://" + address + query, RootCAs: pool})
			if err != nil {
				t.Fatal(err)
			}
			h := &listener{make(chan error, 1), make(chan simulator.Publish, 1)}
			session, err := transport.Connect(t.Context(), simulator.Connection{ClientID: "rg-1", Topic: "in",
				MQTT311: legacy}, h)
			if err != nil {
				t.Fatal(err)
			}
			if got := <-asked; !slices.Equal(got, want) {
				t.Errorf("%q: asked for %q", query, got)
			}
			if err := session.Publish(simulator.Publish{Topic: "in", Payload: []byte("x"), QoS: 1}); err != nil {
				t.Fatal(err)
			}
			if p := <-h.received; string(p.Payload) != "x" {
				t.Errorf("%+v", p)
			}
			if err := errors.Join(session.Close(true), session.Close(false)); err != nil {
				t.Error(err)
			}
			if err := session.Publish(simulator.Publish{Topic: "in"}); err == nil {
				t.Error("a closed session publishes")
			}
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, broker := range []string{"", "host:1883", "http://host", "tcp://", "tls://:8883",
		"tcp://host:443", "tcp://host?alpn=x"} {
		if _, err := mqtt.New(mqtt.Config{Broker: broker}); err == nil {
			t.Errorf("broker %q is taken", broker)
		}
	}
	transport, err := mqtt.New(mqtt.Config{Broker: "tcp://nowhere", Dial: func(context.Context, string) (
		net.Conn, error) {
		a, b := net.Pipe()
		b.Close()
		return a, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := &listener{make(chan error, 1), nil}
	for _, legacy := range []bool{false, true} {
		if _, err := transport.Connect(context.Background(), simulator.Connection{ClientID: "x", Topic: "t",
			MQTT311: legacy}, h); err == nil {
			t.Error("a connection that ends at once is a session")
		}
	}
}
