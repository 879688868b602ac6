package restarttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/provision"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// TestIntruders: a registered device with a certificate of its own pretends, in
// every way there is, to be another while that one is upgraded. It knows all
// that can be guessed: names, endpoint ids, command keys, message ids. It is
// refused and counted, and the upgrades end as if it was not there.
func TestIntruders(t *testing.T) {
	t.Parallel()
	_, where := newCloud(t)
	c := newFleetOff(t, where, 3, "", 1, brisk)
	m := c.intruder("mallory", endpointOf)
	// One of whom the registry says nothing may be whom it likes, until that one
	// comes.
	unknown := c.intruder("trudy", nil)
	unknown.greet(usp.EndpointID(endpointOf(c.things[0])))
	for _, victim := range c.things {
		m.lie(victim) // before it ever said who it is itself
	}
	c.counted(metrics.Namespace+"/fleetstep", metrics.RefusedRecords, metrics.Reason, event.RefusedOwner)
	m.greet(usp.EndpointID(endpointOf("mallory")))
	c.until("trudy has the endpoint id of a device", func() (bool, string) {
		owner, err := c.owner(c.things[0])
		return owner == "trudy", fmt.Sprint(owner, err)
	})
	c.connect()
	c.until("the devices have their endpoint ids", func() (bool, string) {
		for _, thing := range c.things {
			if owner, err := c.owner(thing); owner != thing {
				return false, fmt.Sprint(thing, " ", owner, err)
			}
		}
		return true, ""
	})
	unknown.lie(c.things[0])
	unknown.session.Close(true)
	c.create()
	m.session.Close(true)
	for _, a := range m.attacks(c.things[0]) {
		if got := m.try(a, c.things[0]); got != "" {
			t.Errorf("mallory tries %s and gets %s", a.name, got)
		}
	}
	m.jobsOverHTTP(c.things[0])
	m.itself()
	rounds := 0
	c.until("the devices are upgraded", func() (bool, string) {
		rounds++
		for _, victim := range c.things {
			m.attack(victim)
		}
		p := c.agents.Progress()
		return p.Upgraded == len(c.things) && rounds > 1, fmt.Sprintf("%+v", p)
	})
	c.ended()
	c.judge()
	for _, f := range c.agents.Facts() {
		if f.Connects != 2 || f.Boots != 2 {
			t.Errorf("%s connected %d times and booted %d times; it was disturbed", f.Thing, f.Connects, f.Boots)
		}
	}
	for _, reason := range []string{event.RefusedOwner, event.RefusedSender} {
		c.counted(metrics.Namespace+"/fleetstep", metrics.RefusedRecords, metrics.Reason, reason)
	}
	for _, metric := range []string{"Connect.AuthError", "PublishIn.AuthError", "Subscribe.AuthError"} {
		c.counted("AWS/IoT", metric, "Protocol", "MQTT")
	}
	m.session.Close(true)
	c.clean()
}

// mallory is the intruder.
type mallory struct {
	*fleet
	name       string
	own        tls.Certificate
	controller usp.EndpointID
	session    simulator.Session // as itself
	ears       ears
	connected  time.Time // as itself, at the latest
}

// calm waits until it may connect as itself again: AWS IoT takes one connection
// a second of a client ID. Call what it returns once connected.
func (m *mallory) calm() (done func()) {
	time.Sleep(time.Until(m.connected.Add(1100 * time.Millisecond)))
	return func() { m.connected = time.Now() }
}

// intruder provisions one and connects it as itself.
func (c *fleet) intruder(name string, endpoint func(string) event.EndpointID) *mallory {
	c.t.Helper()
	provisioned, err := provision.Devices(c.t.Context(), c.iot, provision.Fleet{
		Things: []string{name}, Policy: c.where.Outputs["DevicePolicyName"], Endpoint: endpoint,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	m := &mallory{fleet: c, own: provisioned.Certificates[name], name: name,
		controller: usp.EndpointID(c.where.Outputs["ControllerEndpointId"])}
	m.itself()
	return m
}

// itself connects it as itself.
func (m *mallory) itself() {
	m.t.Helper()
	var err error
	if m.session, err = m.connect(m.own, m.name, m.name, &m.ears); err != nil {
		m.t.Fatalf("%s may be itself: %v", m.name, err)
	}
}

func (m *mallory) greet(as usp.EndpointID) {
	m.publish(usp.NewMQTTConnect(as, m.controller, usprecord.MQTTConnectRecord_V5, "usp/v1/agent/"+m.name))
}

// ears hear what a connection brings.
type ears struct{ lost chan error }

func (e *ears) Received(simulator.Publish) {}
func (e *ears) Lost(err error) {
	if e.lost != nil {
		e.lost <- err
	}
}

func (m *mallory) connect(certificate tls.Certificate, clientID, listensAs string,
	h simulator.Handler) (simulator.Session, error) {
	transport, err := mqtt.New(mqtt.Config{Broker: m.where.MQTTS, RootCAs: m.roots, Timeout: time.Minute,
		Credentials: func(string) (mqtt.Credentials, error) {
			return mqtt.Credentials{Certificate: &certificate}, nil
		}})
	if err != nil {
		m.t.Fatal(err)
	}
	if clientID == m.name {
		defer m.calm()()
	}
	return transport.Connect(m.t.Context(),
		simulator.Connection{ClientID: clientID, Topic: "usp/v1/agent/" + listensAs}, h)
}

func (m *mallory) topic(thing string) string {
	return usp.TopicTemplate("usp/v1/controller/{controller}/from/{thing}").Expand(thing, m.controller)
}

func (m *mallory) publish(r *usp.Record) {
	payload, err := r.Encode()
	if err == nil {
		err = m.session.Publish(simulator.Publish{Topic: m.topic(m.name), Payload: payload, QoS: 1,
			ContentType: usp.ContentType, ResponseTopic: "usp/v1/agent/" + m.name})
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// lies are records that would harm a device's upgrade if they were its own.
func (m *mallory) lies(victim string) []*usp.Record {
	endpoint := usp.EndpointID(endpointOf(victim))
	execution := event.ExecutionName(event.JobOwner(jobID), event.ThingName(victim), 1, 0)
	key := event.StepKey(execution, upgrade.Download, 1)
	download := usp.FirmwareImage(2) + usp.CommandDownload
	failure := usp.CommandFailure.Errorf("mallory was here")
	messages := []*uspmsg.Msg{
		usp.Notification{Kind: usp.KindOperationComplete, ID: "m1", SubscriptionID: "x", SendResp: true,
			Path: download, CommandKey: key, Failure: failure}.Message(),
		usp.Notification{Kind: usp.KindEvent, ID: "m2", SubscriptionID: "x", SendResp: true,
			Path: usp.EventTransferComplete, Params: usp.TransferComplete{
				Command: download, CommandKey: key, TransferType: "Download", FaultCode: failure.Code,
				FaultString: failure.Message,
			}.Params()}.Message(),
		usp.Notification{Kind: usp.KindEvent, ID: "m3", SubscriptionID: "x", SendResp: true,
			Path: usp.EventBoot, Params: usp.Boot{
				Cause: usp.CauseRemoteReboot, CommandKey: key, FirmwareUpdated: true,
			}.Params()}.Message(),
	}
	for _, step := range []event.Step{upgrade.Inspect, upgrade.Download, upgrade.Verify} {
		for _, ending := range []string{"look", "look@0", "operate"} {
			messages = append(messages,
				usp.NewError(event.MessagePrefix(execution, step, 1)+ending,
					usp.RequestDenied.Errorf("mallory was here")))
		}
	}
	records := []*usp.Record{usp.NewMQTTConnect(endpoint, m.controller, usprecord.MQTTConnectRecord_V5,
		"usp/v1/agent/"+m.name)}
	for _, message := range messages {
		records = append(records, usp.NewRecord(endpoint, m.controller, message))
	}
	return append(records, usp.NewDisconnect(endpoint, m.controller, usp.CommandFailure, "mallory was here"))
}

// lie says the lies on its own topic: from_id is another's.
func (m *mallory) lie(victim string) {
	for _, r := range m.lies(victim) {
		m.publish(r)
	}
}

// attack does all that an intruder can do, and wants it refused.
func (m *mallory) attack(victim string) {
	m.t.Helper()
	m.lie(victim)

	// The topic of another, on a connection that may be lost.
	heard := &ears{make(chan error, 1)}
	m.session.Close(false)
	session, err := m.connect(m.own, m.name, m.name, heard)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, r := range m.lies(victim) {
		payload, err := r.Encode()
		if err != nil {
			m.t.Fatal(err)
		}
		if session.Publish(simulator.Publish{Topic: m.topic(victim), Payload: payload, QoS: 1,
			ContentType: usp.ContentType}) != nil {
			break // disconnected already
		}
	}
	select {
	case <-heard.lost:
	case <-time.After(patience):
		m.t.Fatal("mallory publishes for another and stays connected")
	}
	m.itself()

	for what, try := range map[string]func() (simulator.Session, error){
		"another's client ID": func() (simulator.Session, error) { return m.connect(m.own, victim, victim, &ears{}) },
		"another's certificate": func() (simulator.Session, error) {
			return m.connect(m.certificates[victim], m.name, m.name, &ears{})
		},
		"another's topic to listen to": func() (simulator.Session,
			error) {
			return m.connect(m.own, m.name, victim, &ears{})
		},
		"a certificate of its own making": func() (simulator.Session, error) {
			return m.connect(forged(m.t, victim), victim, victim, &ears{})
		},
	} {
		session, err := try()
		if err != nil {
			continue
		}
		// A connection that was lost before it could be refused is none.
		if session.Publish(simulator.Publish{Topic: m.topic(m.name), Payload: []byte("x")}) == nil {
			m.t.Errorf("mallory connects with %s", what)
		}
		session.Close(false)
	}
	// Its last connection took the place of the one as itself.
	m.session.Close(false)
	m.itself()
}

// forged is a certificate that names a thing and that no CA has signed.
func forged(t *testing.T, thing string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: thing},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// owner is the thing that has a thing's endpoint id, "" for nobody.
func (c *fleet) owner(thing string) (string, error) {
	out, err := c.dynamodb.GetItem(c.t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String(c.where.Outputs["TableName"]), ConsistentRead: aws.Bool(true),
		Key: map[string]ddbtypes.AttributeValue{
			"PK": &ddbtypes.AttributeValueMemberS{Value: "ENDPOINT#" + string(endpointOf(thing))},
			"SK": &ddbtypes.AttributeValueMemberS{Value: "OWNER"},
		},
	})
	if err != nil {
		return "", err
	}
	owner, _ := out.Item["thing"].(*ddbtypes.AttributeValueMemberS)
	if owner == nil {
		return "", nil
	}
	return owner.Value, nil
}

// counted waits until a metric has counted something under a dimension.
func (c *fleet) counted(namespace, metric, dimension, value string) {
	c.t.Helper()
	c.until(metric+" of "+value+" is counted", func() (bool, string) {
		listed, err := c.metrics.ListMetrics(c.t.Context(), &cloudwatch.ListMetricsInput{
			Namespace: &namespace, MetricName: &metric,
			Dimensions: []types.DimensionFilter{{Name: &dimension, Value: &value}},
		})
		if err != nil {
			return false, err.Error()
		}
		var seen []string
		for _, x := range listed.Metrics {
			out, err := c.metrics.GetMetricStatistics(c.t.Context(), &cloudwatch.GetMetricStatisticsInput{
				Namespace: &namespace, MetricName: &metric, Dimensions: x.Dimensions,
				Statistics: []types.Statistic{types.StatisticSum},
				StartTime:  aws.Time(time.Now().Add(-time.Hour)),
				EndTime:    aws.Time(time.Now().Add(time.Minute)), Period: aws.Int32(60),
			})
			if err != nil {
				return false, err.Error()
			}
			for _, p := range out.Datapoints {
				if aws.ToFloat64(p.Sum) > 0 {
					return true, ""
				}
			}
			seen = append(seen, fmt.Sprint(len(out.Datapoints), " datapoints"))
		}
		return false, strings.Join(seen, ", ")
	})
}
