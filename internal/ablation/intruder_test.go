package ablation

import (
	"context"
	"errors"
	"fmt"
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
		certificate, err := s.provision(ctx, "intruder", nil)
		if err != nil {
			return err
		}
		if err := s.execution(ctx, job, victim, "IN_PROGRESS"); err != nil {
			return err
		}
		connect := func(id string) (*iotdataplane.Connection, error) {
			return s.connect(ctx, id, certificate, func(string) {})
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
