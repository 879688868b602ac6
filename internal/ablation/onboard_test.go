package ablation

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/rehearsal"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// arrivals is the rehearsal whose story needs every permission that has to do with devices
// that appear. The second device has the job outlast the story.
var arrivals = rehearsal.Config{Devices: 2, Seed: 7, Faults: "never-returns@2", Onboard: true}

// ofArrivals reports whether a resource is for devices that appear alone.
func ofArrivals(id string) bool { return strings.HasPrefix(id, "DeviceOnboarding") }

func TestWithEveryStatementDevicesAreOnboarded(t *testing.T) {
	t.Parallel()
	o := play(t, template(t), arrivals, false, appearing)
	if len(o.denied) > 0 || len(o.said) > 0 || o.err != nil {
		t.Errorf("%v\n%s\n%s", o.err, o.all(), o.printed)
	}
}

// newcomer is a device that was never seen before, and answers as it is told to.
type newcomer struct {
	s     stage
	thing string
	conn  *iotdataplane.Connection

	certificate *x509.Certificate
	answer      func(request *uspmsg.Msg) *uspmsg.Msg // nil: it says nothing
}

const uspController = usp.EndpointID("self::fleetstep")

func (n *newcomer) endpoint() usp.EndpointID { return simulator.EndpointIDOf("012345", n.thing) }

func (n *newcomer) say(ctx context.Context, r *usp.Record) error {
	payload, err := r.Encode()
	if err != nil {
		return err
	}
	return n.conn.Submit(ctx, iotdataplane.Message{
		Topic: "usp/v1/controller/" + string(uspController) + "/from/" + n.thing, Payload: payload, QoS: 1,
	}, nil)
}

func (n *newcomer) greet(ctx context.Context) error {
	return n.say(ctx, usp.NewMQTTConnect(n.endpoint(), uspController, usprecord.MQTTConnectRecord_V5,
		"usp/v1/agent/"+n.thing))
}

// appear connects, and greets.
func (n *newcomer) appear(ctx context.Context) error {
	if n.certificate == nil {
		var err error
		if n.certificate, err = n.s.provision(ctx, n.thing, nil); err != nil {
			return err
		}
	}
	var err error
	n.conn, err = n.s.cloud.Devices().Connect(ctx, iotdataplane.Client{
		Options: iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: n.thing, Certificate: n.certificate,
			SourceIP: "127.0.0.1"}, Clean: true},
		OnMessage: func(_ *iotdataplane.Connection, m iotdataplane.Message) {
			record, err := usp.DecodeRecord(m.Payload)
			if n.answer == nil || err != nil || record.Message == nil {
				return
			}
			if answer := n.answer(record.Message); answer != nil {
				n.s.sched.Go("newcomer", func() { _ = n.say(ctx, usp.NewRecord(n.endpoint(), uspController, answer)) })
			}
		},
		OnEnd: func(string) {},
	})
	if err != nil {
		return err
	}
	results, err := n.conn.Subscribe(ctx, iotdataplane.Subscription{Filter: "usp/v1/agent/" + n.thing})
	if err := errors.Join(append(results, err)...); err != nil {
		return err
	}
	return n.greet(ctx)
}

// onboarding waits until an execution for the device is where it should be.
func (n *newcomer) onboarding(ctx context.Context, status string) error {
	arn := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-device-onboarding"
	return n.s.until(ctx, "the "+status+" onboarding of "+n.thing, func() (bool, error) {
		var out struct {
			Executions []struct{ Name, Status string }
		}
		err := n.s.call(ctx, "sfn", "ListExecutions", map[string]any{"stateMachineArn": arn}, &out)
		for _, e := range out.Executions {
			if strings.Contains(e.Name, n.thing) && e.Status == status {
				return true, err
			}
		}
		return false, err
	})
}

// appearing is what happens to devices that appear, beside what they are asked.
func appearing(ctx context.Context, s stage) error {
	if _, err := s.physical(ctx, "MessageSource"); err != nil {
		return err
	}
	refuses := &newcomer{s: s, thing: "refuses", answer: func(request *uspmsg.Msg) *uspmsg.Msg {
		return usp.NewError(usp.ID(request), usp.RequestDenied.Errorf("not now"))
	}}
	if err := refuses.appear(ctx); err != nil {
		return err
	}
	if err := refuses.onboarding(ctx, "FAILED"); err != nil {
		return err
	}
	// One says nothing, and greets again while it is asked; then a job wants it.
	mute := &newcomer{s: s, thing: "mute"}
	if err := mute.appear(ctx); err != nil {
		return err
	}
	if err := mute.onboarding(ctx, "RUNNING"); err != nil {
		return err
	}
	if err := mute.greet(ctx); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 90*time.Second); err != nil {
		return err
	}
	if err := s.create(ctx, "wants-mute", mute.thing, nil); err != nil {
		return err
	}
	if err := mute.onboarding(ctx, "ABORTED"); err != nil {
		return err
	}
	// Of another a job is left while it is away.
	flaky := &newcomer{s: s, thing: "flaky"}
	if err := flaky.appear(ctx); err != nil {
		return err
	}
	if err := flaky.onboarding(ctx, "RUNNING"); err != nil {
		return err
	}
	flaky.conn.Leave(ctx, false)
	if err := s.sched.Sleep(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := s.create(ctx, "wants-flaky", flaky.thing, nil); err != nil {
		return err
	}
	if err := s.execution(ctx, "wants-flaky", flaky.thing, "QUEUED"); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 10*time.Second); err != nil {
		return err
	}
	if err := flaky.appear(ctx); err != nil {
		return err
	}
	if err := flaky.onboarding(ctx, "ABORTED"); err != nil {
		return err
	}
	for _, n := range []*newcomer{mute, flaky} {
		if err := s.execution(ctx, "wants-"+n.thing, n.thing, "FAILED"); err != nil {
			return err
		}
	}
	for _, n := range []*newcomer{mute, flaky, refuses} {
		n.conn.Leave(ctx, false)
	}
	return s.sched.Sleep(ctx, 30*time.Second)
}
