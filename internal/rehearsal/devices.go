package rehearsal

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// world is where a rehearsal is played: a trial.World in virtual time.
type world struct {
	sched *localcloud.Scheduler
	seed  uint64
	store *localcloud.Store
	wire  bool // no direct calls
	logs  bool // kept
	// operations are the files of those beside the template's; nil is none.
	operations fs.FS
	fault      localcloud.Fault
	weather    localcloud.Weather
	quotas     localcloud.Quotas
	witness    func(*localcloud.Cloud, *localcloud.Scheduler)

	cloud    *localcloud.Cloud
	handler  http.Handler // the cloud's
	door     door         // for direct calls; nil: there are none
	template []byte       // of the stack; nil is infra.Template
	// For tests that end the cloud before its time: life grows when it dies,
	// firmware is how agents fetch images, connected hears of their connections.
	life      int
	firmware  simulator.HTTPClient
	zone      func(thing string) string
	connected func(*link)
	// For tests: invoked hears of each invocation of a function, by the folder of its code; configured changes what
	// its clients are made of; timing is the agents'.
	invoked    func(asset string, payload []byte)
	configured func(asset string, cfg *aws.Config)
	timing     simulator.Timing
	loses      func(simulator.Publish) bool // what an agent publishes, and nobody gets
	dark       bool                         // no agent can connect

	certificates map[string]*x509.Certificate // by thing
	fleet        *simulator.Fleet
	ended        *ending // what all executions came to, once it has been read
}

var _ trial.World = (*world)(nil)

// call calls an operation as the account's root.
func (w *world) call(ctx context.Context, service, operation string, in, out any) error {
	if err := w.cloud.CallInto(ctx, w.cloud.Root(), service, operation, in, out); err != nil {
		return fmt.Errorf("rehearsal: %s:%s: %w", service, operation, err)
	}
	return nil
}

// Fleet implements trial.World.
func (w *world) Fleet(ctx context.Context, p trial.Plan) (*simulator.Fleet, string, error) {
	if err := w.register(ctx, p); err != nil {
		return nil, "", err
	}
	err := w.build(p)
	return w.fleet, "calls in this process", err
}

// register makes AWS IoT know the things.
func (w *world) register(ctx context.Context, p trial.Plan) error {
	if p.Group != "" {
		if err := w.call(ctx, "iot", "CreateThingGroup", map[string]any{"thingGroupName": p.Group}, nil); err != nil {
			return err
		}
	}
	seed := sha256.Sum256(fmt.Appendf(nil, "device keys %d", w.seed))
	key := ed25519.NewKeyFromSeed(seed[:])
	w.certificates = make(map[string]*x509.Certificate, len(p.Things))
	for i, thing := range p.Things {
		if err := w.provision(ctx, p, thing, int64(i+1), key); err != nil {
			return err
		}
	}
	return nil
}

// build makes the agents.
func (w *world) build(p trial.Plan) (err error) {
	firmware := w.firmware
	if firmware == nil {
		firmware = client{handler: w.handler}
	}
	w.fleet, err = simulator.NewFleet(simulator.FleetConfig{
		Settings: simulator.Settings{
			Clock: clock{w.sched}, Transport: transport{w}, HTTP: firmware, PublishQoS: 1, Controller: p.Controller,
			AgentTopic: p.Topics.Agent, ControllerTopic: p.Topics.Controller,
			Zone: w.zone, Timing: w.timing,
		},
		Things: p.Things, Seed: p.Seed, Faults: p.Faults, Profiles: p.Profiles,
		StartWithin: time.Duration(len(p.Things)) * 5 * time.Millisecond,
	})
	return err
}

// provision makes a thing with a certificate of its own. All certificates have
// one key, which nothing depends on here: what counts is which of them a
// connection shows.
func (w *world) provision(ctx context.Context, p trial.Plan, thing string, number int64,
	key ed25519.PrivateKey) error {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: thing},
		NotBefore: start.AddDate(-1, 0, 0), NotAfter: start.AddDate(20, 0, 0),
	}
	der, err := x509.CreateCertificate(w.sched, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("rehearsal: certificate of %s: %w", thing, err)
	}
	w.certificates[thing] = &x509.Certificate{Raw: der}
	var made struct{ CertificateArn string }
	if err := w.call(ctx, "iot", "RegisterCertificateWithoutCA", map[string]any{
		"certificatePem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "status": "ACTIVE",
	}, &made); err != nil {
		return err
	}
	type step struct {
		operation string
		in        map[string]any
	}
	steps := []step{
		{"CreateThing", map[string]any{"thingName": thing, "attributePayload": map[string]any{
			"attributes": p.Attributes(thing),
		}}},
		{"AttachPolicy", map[string]any{"policyName": p.Policy, "target": made.CertificateArn}},
		{"AttachThingPrincipal", map[string]any{"thingName": thing, "principal": made.CertificateArn}},
	}
	if p.Group != "" {
		steps = append(steps, step{"AddThingToThingGroup", map[string]any{"thingName": thing,
			"thingGroupName": p.Group}})
	}
	for _, s := range steps {
		if err := w.call(ctx, "iot", s.operation, s.in, nil); err != nil {
			return err
		}
	}
	return nil
}

// Residue implements trial.World.
func (w *world) Residue(ctx context.Context) ([]string, error) { return w.cloud.Residue(ctx), nil }

// Calls implements trial.World.
func (w *world) Calls(context.Context) ([]trial.Calls, error) {
	var list []trial.Calls
	for _, c := range w.cloud.Calls() {
		list = append(list, trial.Calls(c))
	}
	return list, nil
}

// Transitions implements trial.World. The histories are read for the digest.
func (w *world) Transitions(ctx context.Context, machine string) (t trial.Transitions, err error) {
	end, err := w.ending(ctx)
	if err != nil {
		return t, err
	}
	return end.transitions[machine], nil
}

// clock is the agents' time.
type clock struct{ s *localcloud.Scheduler }

func (c clock) Now() time.Time { return c.s.Now() }
func (c clock) Go(f func())    { c.s.Go("agent", f) }
func (c clock) AfterFunc(d time.Duration, f func()) func() bool {
	return c.s.After(d, "agent", f).Stop
}

// transport attaches agents to the broker's core.
type transport struct{ w *world }

// Connect implements simulator.Transport.
func (t transport) Connect(ctx context.Context, c simulator.Connection,
	h simulator.Handler) (simulator.Session, error) {
	certificate := t.w.certificates[c.ClientID]
	if certificate == nil {
		return nil, fmt.Errorf("rehearsal: no certificate for %s", c.ClientID)
	}
	if t.w.dark {
		return nil, errors.New("rehearsal: there is no network")
	}
	l := &link{ctx: context.WithoutCancel(ctx), sched: t.w.sched, handler: h, topic: c.Topic, loses: t.w.loses}
	life := t.w.life
	conn, err := t.w.cloud.Connect(ctx, localcloud.MQTTClient{
		ID: c.ClientID, Certificate: certificate,
		Received: func(m localcloud.Message) {
			if !l.closed {
				h.Received(simulator.Publish{
					Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, ContentType: m.ContentType,
					ResponseTopic: m.ResponseTopic,
				})
			}
		},
		Ended: func(reason string) { l.lost("disconnected by the broker: " + reason) },
	})
	if err != nil {
		return nil, err
	}
	l.conn = conn
	err = conn.Subscribe(ctx, c.Topic)
	if err == nil && life != t.w.life {
		err = errors.New("rehearsal: the broker is gone")
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(true))
	}
	if t.w.connected != nil {
		t.w.connected(l)
	}
	return l, nil
}

// link is an agent's connection. One task runs at a time, so nothing is locked.
type link struct {
	ctx     context.Context
	sched   *localcloud.Scheduler
	handler simulator.Handler
	topic   string // at which the agent listens
	loses   func(simulator.Publish) bool
	conn    *localcloud.MQTTConnection
	closed  bool
}

// lost ends a connection without the agent's doing.
func (l *link) lost(why string) {
	if l.closed {
		return
	}
	l.closed = true
	l.sched.Go("agent", func() { l.handler.Lost(errors.New("rehearsal: " + why)) })
}

// Publish implements simulator.Session.
func (l *link) Publish(p simulator.Publish) error {
	if l.loses != nil && l.loses(p) {
		return nil
	}
	return l.conn.Publish(l.ctx, localcloud.Message{
		Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, ContentType: p.ContentType, ResponseTopic: p.ResponseTopic,
	})
}

// cut ends a connection of which neither the agent nor the broker takes leave.
func (l *link) cut() {
	if !l.closed {
		l.lost("the network is gone")
		l.conn.Lose(l.ctx)
	}
}

// Close implements simulator.Session.
func (l *link) Close(clean bool) error {
	if l.closed {
		return nil
	}
	l.closed = true
	if clean {
		l.conn.Disconnect(l.ctx)
		return nil
	}
	l.conn.Lose(l.ctx)
	return nil
}
