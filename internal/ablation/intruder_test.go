package ablation

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/rehearsal"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

var s0 = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

const (
	intruder = "intruder"
	from     = "usp/v1/controller/self::fleetstep/from/"
)

// attack is something that an intruder tries on a connection of its own.
type attack struct {
	name string
	// At most one of these:
	as        string // connects under this client ID
	borrowed  bool   // connects with the victim's certificate
	forged    bool   // connects with a certificate that nobody registered
	subscribe string
	publish   string
	will      string // and is lost
	retain    bool   // with publish or will
	size      int    // of the payload; 0 is a record that would harm the victim
	// denied is the action that the denial names, and on what; "" if the broker
	// refuses it before it asks for permission.
	denied, on string
}

// attacks are all that a device could do with MQTT to be another.
func attacks(victim, job string) []attack {
	subscribe := func(filter string) attack {
		return attack{name: "subscribe to " + filter, subscribe: filter, denied: "iot:Subscribe",
			on: "topicfilter/" + filter}
	}
	publish := func(topic string) attack {
		return attack{name: "publish on " + topic, publish: topic, denied: "iot:Publish", on: "topic/" + topic}
	}
	list := []attack{
		{name: "another's client ID", as: victim, denied: "iot:Connect", on: "client/" + victim},
		{name: "a wildcard for a client ID", as: "*", denied: "iot:Connect", on: "client/*"},
		{name: "a client ID below its own", as: intruder + "/" + victim, denied: "iot:Connect",
			on: "client/" + intruder + "/" + victim},
		{name: "another's certificate", borrowed: true, denied: "iot:Connect", on: "client/" + intruder},
		{name: "a certificate of its own making", as: victim, forged: true, denied: "iot:Connect"},
		{name: "retained on its own topic", publish: from + intruder, retain: true, denied: "iot:RetainPublish",
			on: "topic/" + from + intruder},
		{name: "retained on another's topic", publish: "usp/v1/agent/" + victim, retain: true, denied: "iot:Publish",
			on: "topic/usp/v1/agent/" + victim},
		{name: "a last will on another's topic", will: from + victim, denied: "iot:Publish",
			on: "topic/" + from + victim},
		{name: "a retained last will for its own agent", will: "usp/v1/agent/" + intruder, retain: true,
			denied: "iot:Publish", on: "topic/usp/v1/agent/" + intruder},
		{name: "more than a message may hold", publish: from + intruder, size: iotdataplane.MaxPayload + 1},
		{name: "publish on a wildcard", publish: from + "+"},
		{name: "publish on all below", publish: from + "#"},
		subscribe("usp/v1/agent/" + victim), subscribe("usp/v1/agent/" + victim + "/#"), subscribe("usp/v1/agent/+"),
		subscribe("usp/v1/agent/#"), subscribe("#"), subscribe("+/v1/agent/" + victim),
		subscribe("$share/g/usp/v1/agent/" + victim), subscribe("$share/g/usp/v1/agent/" + intruder),
		subscribe(from + victim), subscribe("usp/v1/controller/#"),
		subscribe("$aws/things/" + victim + "/jobs/#"), subscribe("$aws/things/" + intruder + "/jobs/#"),
		subscribe("$aws/events/#"),
		publish(from + victim), publish(from + victim + "/reply-to=usp%2Fv1%2Fagent%2F" + intruder),
		publish("usp/v1/controller/self::other/from/" + intruder),
		publish("usp/v1/agent/" + victim), publish("usp/v1/agent/" + intruder),
		publish("$aws/things/" + victim + "/jobs/start-next"),
		publish("$aws/things/" + victim + "/jobs/" + job + "/update"),
		publish("$aws/things/" + intruder + "/jobs/get"),
		publish("$aws/things/" + victim + "/shadow/update"),
		publish("$aws/rules/fleetstep_usp_message/" + from + victim),
	}
	// These are closed to everybody, whatever a policy says.
	var reserved []attack
	for _, topic := range []string{
		"$aws/events/presence/disconnected/" + victim, "$aws/events/jobExecution/" + job + "/canceled",
		"$aws/things/" + victim + "/jobs/notify-next",
	} {
		reserved = append(reserved, attack{name: "publish on " + topic, publish: topic})
	}
	return append(list, reserved...)
}

// A device with a certificate and a thing of its own tries to be another, in the
// middle of that one's upgrade.
func TestIntruderIsRefusedAndCounted(t *testing.T) {
	t.Parallel()
	victim := simulator.ThingName(1)
	var expected []string
	// The second device keeps the job going while the intruder waits between its connections.
	o := play(t, infra.Template, rehearsal.Config{Devices: 3, Seed: 7, Faults: "slow-link@1,old-news@2"}, false,
		func(ctx context.Context, s stage) error {
			job, err := s.firstJob(ctx)
			if err != nil {
				return err
			}
			own, err := s.provision(ctx, intruder, map[string]string{"endpointId": "os::012345-intruder"})
			if err != nil {
				return err
			}
			if err := s.execution(ctx, job, victim, "IN_PROGRESS"); err != nil {
				return err
			}
			theirs, err := s.certificate(ctx, victim)
			if err != nil {
				return err
			}
			// The victim's word: its upgrade is over, and has failed.
			boot := usp.Notification{ID: "n", Kind: usp.KindEvent, Path: usp.EventBoot, SendResp: true,
				Params: usp.Boot{}.Params()}.Message()
			lie, err := usp.NewRecord(simulator.EndpointIDOf(simulator.OUI, victim), "self::fleetstep", boot).Encode()
			if err != nil {
				return err
			}
			list := attacks(victim, job)
			for _, a := range list {
				// AWS IoT lets a client ID connect once in a second.
				if err := s.sched.Sleep(ctx, time.Second); err != nil {
					return err
				}
				if err := s.attack(ctx, a, own, theirs, lie); err != nil {
					return fmt.Errorf("%s: %w", a.name, err)
				}
				client := cmp.Or(a.as, intruder)
				switch {
				case a.forged:
					expected = append(expected,
						"MQTT client "+client+" is not authorized to perform: iot:Connect because it shows no "+
							"active certificate")
				case a.denied != "":
					expected = append(expected,
						"MQTT client "+client+" is not authorized to perform: "+a.denied+" on resource: arn:aws:iot:"+
							region+":"+account+":"+a.on)
				}
			}
			// What it may say is said in its own name.
			if err := s.sched.Sleep(ctx, time.Second); err != nil {
				return err
			}
			conn, err := s.connect(ctx, intruder, own, func(string) {})
			if err != nil {
				return err
			}
			greeting, err := usp.NewMQTTConnect(simulator.EndpointIDOf(simulator.OUI, victim), "self::fleetstep",
				usprecord.MQTTConnectRecord_V5, "usp/v1/agent/"+victim).Encode()
			if err != nil {
				return err
			}
			hello, err := usp.NewMQTTConnect("os::012345-intruder", "self::fleetstep", usprecord.MQTTConnectRecord_V5,
				"usp/v1/agent/"+victim).Encode()
			if err != nil {
				return err
			}
			for _, record := range [][]byte{greeting, hello, lie} {
				if err := conn.Submit(ctx,
					iotdataplane.Message{Topic: from + intruder, Payload: record, QoS: 1,
						ResponseTopic: "usp/v1/agent/" + victim}, nil); err != nil {
					return fmt.Errorf("on its own topic: %w", err)
				}
				if err := s.sched.Sleep(ctx, time.Second); err != nil {
					return err
				}
			}
			for metric, dimension := range map[string]string{
				"Fleetstep/fleetstep RefusedRecords Reason":  "Owner",
				"Fleetstep/fleetstep RefusedRecords Reason ": "Sender",
				"AWS/IoT Connect.AuthError Protocol":         "MQTT", "AWS/IoT PublishIn.AuthError Protocol": "MQTT",
				"AWS/IoT Subscribe.AuthError Protocol": "MQTT",
			} {
				if err := s.counted(ctx, strings.Fields(metric), dimension); err != nil {
					return err
				}
			}
			return nil
		})
	if o.err != nil || len(o.said) > 0 || o.summary.Succeeded != 3 {
		t.Errorf("%v\n%s\n%s", o.err, o.all(), o.printed)
	}
	slices.Sort(expected)
	expected = slices.Compact(expected)
	slices.Sort(o.denied)
	for _, line := range expected {
		if !slices.Contains(o.denied, line) {
			t.Errorf("not counted: %s", line)
		}
	}
	for _, line := range o.denied {
		if !slices.Contains(expected, line) {
			t.Errorf("denied: %s", line)
		}
	}
}

// attack makes one, and wants it refused.
func (s stage) attack(ctx context.Context, a attack, own, theirs *x509.Certificate, lie []byte) error {
	payload := lie
	if a.size > 0 {
		payload = make([]byte, a.size)
	}
	certificate := own
	switch {
	case a.borrowed:
		certificate = theirs
	case a.forged:
		certificate = &x509.Certificate{Raw: append(slices.Clone(theirs.Raw), 0)}
	}
	var will *iotdataplane.Message
	if a.will != "" {
		will = &iotdataplane.Message{Topic: a.will, Payload: payload, QoS: 1, Retain: a.retain}
	}
	conn, err := s.cloud.Devices().Connect(ctx, iotdataplane.Client{
		Options: iotdataplane.Options{
			Hello: iotdataplane.Hello{ClientID: cmp.Or(a.as, intruder), Certificate: certificate,
				SourceIP: "127.0.0.1"}, Clean: true, Will: will,
		},
		OnMessage: func(_ *iotdataplane.Connection, m iotdataplane.Message) {}, OnEnd: func(string) {},
	})
	if a.as != "" || a.borrowed {
		if err == nil {
			conn.Leave(ctx, false)
		}
		return refused(err)
	}
	if err != nil {
		return err
	}
	defer conn.Leave(ctx, false)
	switch {
	case a.will != "":
		conn.Lost(ctx, iotdataplane.ReasonConnectionLost)
		return nil
	case a.subscribe != "":
		results, err := conn.Subscribe(ctx, iotdataplane.Subscription{Filter: a.subscribe})
		if err != nil {
			return err
		}
		return refused(results[0])
	}
	return refused(conn.Submit(ctx, iotdataplane.Message{Topic: a.publish, Payload: payload, QoS: 1, Retain: a.retain},
		nil))
}

func refused(err error) error {
	if err == nil {
		return errors.New("it was not refused")
	}
	if _, ok := errors.AsType[*iotdataplane.Refusal](err); !ok {
		return fmt.Errorf("it was not refused but failed: %w", err)
	}
	return nil
}

// certificate is a thing's.
func (s stage) certificate(ctx context.Context, thing string) (*x509.Certificate, error) {
	var principals struct{ Principals []string }
	if err := s.call(ctx, "iot", "ListThingPrincipals", map[string]string{"thingName": thing},
		&principals); err != nil {
		return nil, err
	}
	_, id, _ := strings.Cut(principals.Principals[0], ":cert/")
	var out struct {
		CertificateDescription struct{ CertificatePem string }
	}
	if err := s.call(ctx, "iot", "DescribeCertificate", map[string]string{"certificateId": id}, &out); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(out.CertificateDescription.CertificatePem))
	if block == nil {
		return nil, errors.New("no certificate of " + thing)
	}
	return &x509.Certificate{Raw: block.Bytes}, nil
}

// counted waits until a metric, its namespace, name and dimension, has counted
// something.
func (s stage) counted(ctx context.Context, metric []string, value string) error {
	return s.until(ctx, strings.Join(metric, " ")+"="+value, func() (bool, error) {
		var out struct{ Datapoints []struct{ Sum float64 } }
		now := s.sched.Now()
		err := s.call(ctx, "cloudwatch", "GetMetricStatistics", map[string]any{
			"Namespace": metric[0], "MetricName": metric[1],
			"Dimensions": []any{map[string]string{"Name": metric[2], "Value": value}},
			"Statistics": []string{"Sum"}, "Period": 60, "StartTime": now.Add(-time.Hour),
			"EndTime": now.Add(time.Minute),
		}, &out)
		return slices.ContainsFunc(out.Datapoints, func(d struct{ Sum float64 }) bool { return d.Sum > 0 }), err
	})
}
