package ablation

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/rehearsal"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
)

var s0 = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

// A device with a certificate and a thing of its own tries to be another.
func TestIntruderIsRefusedAndCounted(t *testing.T) {
	t.Parallel()
	victim := simulator.ThingName(1)
	o := play(t, infra.Template, rehearsal.Config{Devices: 3, Seed: 7, Faults: "slow-link@1"}, false, func(ctx context.Context, s stage) error {
		job, err := s.campaign(ctx)
		if err != nil {
			return err
		}
		certificate, err := s.provision(ctx, "intruder")
		if err != nil {
			return err
		}
		if err := s.execution(ctx, job, victim, "IN_PROGRESS"); err != nil {
			return err
		}
		connect := func(id string) (*iotdataplane.Connection, error) {
			return s.cloud.Devices().Connect(ctx, iotdataplane.Client{
				Options:   iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: id, Certificate: certificate, SourceIP: "127.0.0.1"}, Clean: true},
				OnMessage: func(*iotdataplane.Connection, iotdataplane.Message) {},
				OnEnd:     func(string) {},
			})
		}
		if _, err := connect(victim); err == nil {
			return errors.New("the intruder is connected as " + victim)
		}
		conn, err := connect("intruder")
		if err != nil {
			return err
		}
		// The victim's word: its upgrade is over, and has failed.
		boot := usp.Notification{ID: "n", Kind: usp.KindEvent, Path: usp.EventBoot, SendResp: true, Params: usp.Boot{}.Params()}.Message()
		record, err := usp.NewRecord(simulator.EndpointIDOf("012345", victim), "self::fleetstep", boot).Encode()
		if err != nil {
			return err
		}
		say := func(thing string) error {
			return conn.Submit(ctx, iotdataplane.Message{Topic: "usp/v1/controller/self::fleetstep/from/" + thing, Payload: record, QoS: 1}, nil)
		}
		if err := say("intruder"); err != nil {
			return fmt.Errorf("on its own topic: %w", err)
		}
		_ = say(victim) // refused, and the connection may be over
		return s.until(ctx, "the count of refused records", func() (bool, error) {
			var out struct{ Metrics []struct{ MetricName string } }
			err := s.call(ctx, "cloudwatch", "ListMetrics", map[string]any{"Namespace": "Fleetstep", "MetricName": "RefusedRecords"}, &out)
			return len(out.Metrics) > 0, err
		})
	})
	if o.err != nil || len(o.said) > 0 || o.summary.Succeeded != 3 {
		t.Errorf("%v\n%s\n%s", o.err, o.all(), o.printed)
	}
	for _, want := range []string{
		"MQTT client " + victim + " is not authorized to perform: iot:Connect ",
		"MQTT client intruder is not authorized to perform: iot:Publish on resource: arn:aws:iot:us-east-1:123456789012:topic/usp/v1/controller/self::fleetstep/from/" + victim,
	} {
		if !strings.Contains(o.all(), want) {
			t.Errorf("not counted: %s\n%s", want, o.all())
		}
	}
	if len(o.denied) != 2 {
		t.Errorf("denied:\n%s", strings.Join(o.denied, "\n"))
	}
}

// provision makes a thing with a certificate that has the stack's device policy.
func (s stage) provision(ctx context.Context, thing string) (*x509.Certificate, error) {
	policy, err := s.physical(ctx, "DevicePolicy")
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1 << 40), Subject: pkix.Name{CommonName: thing}, NotBefore: s0.AddDate(-1, 0, 0), NotAfter: s0.AddDate(20, 0, 0),
	}
	der, err := x509.CreateCertificate(s.sched, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	var made struct{ CertificateArn string }
	if err := s.call(ctx, "iot", "RegisterCertificateWithoutCA", map[string]any{
		"certificatePem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "status": "ACTIVE",
	}, &made); err != nil {
		return nil, err
	}
	for operation, in := range map[string]map[string]any{
		"CreateThing":  {"thingName": thing},
		"AttachPolicy": {"policyName": policy, "target": made.CertificateArn},
	} {
		if err := s.call(ctx, "iot", operation, in, nil); err != nil {
			return nil, err
		}
	}
	return &x509.Certificate{Raw: der}, s.call(ctx, "iot", "AttachThingPrincipal", map[string]any{"thingName": thing, "principal": made.CertificateArn}, nil)
}
