package bench

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

const soakJob = "soak"

// fleet is things in a group, with a job over all of them, and those of them that are connected over MQTT.
type fleet struct {
	s       *soak
	address string
	devices []*device

	stop  atomic.Bool
	ended sync.WaitGroup

	published, asked                histogram // until the PUBACK; until the answer
	reconnected, commands, finished atomic.Int64
	accepted, throttled             atomic.Int64 // requests for what is pending
	rejected                        sync.Map     // code to *atomic.Int64
	late, lost                      atomic.Int64 // answers, connections
}

// deviceName is that of a connected device: every other one of the first things. A job gives a thousand things a
// minute their execution, in the order of their names; so half of them work through it, and half stay QUEUED.
func deviceName(i int) string { return thing(2 * i) }

// newFleet makes things in the cloud's own process, and connects devices.
func (s *soak) newFleet() *fleet {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	must(s.t, s.w.cloud.ServeMQTT(localcloud.Listeners{MQTT: listener}))
	f := &fleet{s: s, address: listener.Addr().String()}
	s.w.fillThings(s.things)
	s.w.ask("iot", "UpdateIndexingConfiguration", in{"thingIndexingConfiguration": in{
		"thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"}})
	s.table("telemetry", "", "")
	s.w.ask("iot", "CreateTopicRule", in{"ruleName": "telemetry", "topicRulePayload": in{
		"sql":              "SELECT topic(2) AS pk, timestamp() AS at, * FROM 'devices/+/telemetry'",
		"awsIotSqlVersion": "2016-03-23",
		"actions":          []in{{"dynamoDBv2": in{"roleArn": s.w.role, "putItem": in{"tableName": "telemetry"}}}}}})
	s.w.ask("iot", "CreatePolicy", in{"policyName": "device", "policyDocument": devicePolicy})
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	must(s.t, err)
	f.devices = make([]*device, s.devices)
	crowd(16, s.devices, func(i int64) {
		d := &device{f: f, name: deviceName(int(i))}
		f.devices[i] = d
		s.register(d.name, key)
		if err := d.connect(); err != nil {
			s.t.Errorf("%s: %v (each device needs two of the file descriptors that ulimit -n tells)", d.name, err)
		}
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
	s.w.ask("iot", "CreateJob", in{"jobId": soakJob,
		"targets":  []string{"arn:aws:iot:us-east-1:" + account + ":thinggroup/all"},
		"document": `{"operation":"install","files":["https://example.com/app-2.0.0"]}`})
	s.t.Cleanup(f.close)
	f.until("the first executions of the job", func() bool {
		_, have := f.progress()
		return have.NumberOfQueuedThings > 0
	})
	return f
}

// devicePolicy lets a device do what is its own.
const devicePolicy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
	{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":[
		"arn:aws:iot:*:*:topic/devices/${iot:Connection.Thing.ThingName}/*",
		"arn:aws:iot:*:*:topic/$aws/things/${iot:Connection.Thing.ThingName}/jobs/*"]},
	{"Effect":"Allow","Action":"iot:Subscribe","Resource":[
		"arn:aws:iot:*:*:topicfilter/devices/${iot:Connection.Thing.ThingName}/*",
		"arn:aws:iot:*:*:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/jobs/*"]}]}`

// register gives a thing a certificate of its own. All have one key, which nothing compares.
func (s *soak) register(name string, key *ecdsa.PrivateKey) {
	serial, err := crand.Int(crand.Reader, big.NewInt(math.MaxInt64))
	must(s.t, err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	must(s.t, err)
	var out struct{ CertificateARN string }
	must(s.t, s.w.cloud.CallInto(ctx, s.w.cloud.Root(), "iot", "RegisterCertificateWithoutCA", in{"status": "ACTIVE",
		"certificatePem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}, &out))
	s.w.ask("iot", "AttachThingPrincipal", in{"thingName": name, "principal": out.CertificateARN})
	s.w.ask("iot", "AttachPolicy", in{"policyName": "device", "target": out.CertificateARN})
}

// reconnects is after how many turns a device connects anew.
const reconnects = 60

// begin lets the devices take their turns: each tells of itself, and does a step of its job execution if it has one.
func (f *fleet) begin() {
	n := int64(len(f.devices))
	rate := float64(n) / f.s.turn.Seconds()
	f.ended.Go(func() {
		paced(8, math.MaxInt64, rate, func(k int64, _ time.Duration) bool {
			d, turn := f.devices[k%n], k/n
			if (turn+k%n)%reconnects == reconnects-1 {
				d.reconnect()
			} else {
				d.tell()
				d.work()
			}
			return !f.stop.Load()
		})
	})
}

// end holds that what the devices did is there.
func (f *fleet) end() {
	f.stop.Store(true)
	f.ended.Wait()
	t := f.s.t
	var status string
	var have progress
	f.until("what the devices finished", func() bool {
		status, have = f.progress()
		return have.NumberOfSucceededThings == f.finished.Load()
	})
	t.Logf("the job is %s: %+v", status, have)
	if status != "IN_PROGRESS" || have.NumberOfQueuedThings == 0 || have.NumberOfSucceededThings == 0 {
		t.Errorf("the job is %s: %+v", status, have)
	}
	f.until("what the devices told", func() bool { return f.told() == len(f.devices) })
	if n := f.lost.Load(); n > 0 {
		t.Errorf("%d connections of devices were lost", n)
	}
	if n := f.late.Load(); n > f.published.n.Load()/1000 && f.s.long >= time.Minute {
		t.Errorf("%d times a device had no answer within its turn of %s", n, f.s.turn)
	}
}

type progress struct{ NumberOfQueuedThings, NumberOfInProgressThings, NumberOfSucceededThings int64 }

// progress is how far the job is.
func (f *fleet) progress() (status string, have progress) {
	var out struct {
		Job struct {
			Status            string
			JobProcessDetails progress
		}
	}
	must(f.s.t, f.s.w.cloud.CallInto(ctx, f.s.w.cloud.Root(), "iot", "DescribeJob", in{"jobId": soakJob}, &out))
	return out.Job.Status, out.Job.JobProcessDetails
}

// told is how many devices the table has that the rule writes to.
func (f *fleet) told() (n int) {
	var token any
	for {
		var page struct {
			Count            int
			LastEvaluatedKey any
		}
		must(f.s.t, f.s.w.cloud.CallInto(ctx, f.s.w.cloud.Root(), "dynamodb", "Scan", in{"TableName": "telemetry",
			"Select": "COUNT", "ExclusiveStartKey": token}, &page))
		n += page.Count
		if token = page.LastEvaluatedKey; token == nil {
			return n
		}
	}
}

func (f *fleet) until(what string, is func() bool) {
	for began := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 5*time.Minute {
			f.s.t.Fatalf("%s: not after five minutes", what)
		}
	}
}

func (f *fleet) close() {
	f.stop.Store(true)
	f.ended.Wait()
	for _, d := range f.devices {
		d.mu.Lock()
		d.leaving = true
		_ = d.conn.Close()
		d.mu.Unlock()
	}
}

func (f *fleet) tell() {
	for _, row := range []struct {
		name string
		h    *histogram
	}{{"devices: PUBACK of a message", &f.published}, {"devices: answer about a job", &f.asked}} {
		f.s.t.Logf("%-36s %9d messages, 50 of 100 in %7s, 99 in %7s, 999 of 1000 in %7s", row.name, row.h.n.Load(),
			row.h.of(0.5), row.h.of(0.99), row.h.of(0.999))
	}
	f.s.t.Logf("devices connected anew %d times, received %d commands, finished %d job executions, "+
		"%d answers were late",
		f.reconnected.Load(), f.commands.Load(), f.finished.Load(), f.late.Load())
	f.rejected.Range(func(code, n any) bool {
		f.s.t.Logf("devices: %d requests about jobs were rejected: %s", n.(*atomic.Int64).Load(), code)
		return true
	})
}

// device is a connected device. It speaks as much of MQTT 3.1.1 as it needs, from one goroutine: thousands are in one
// process with the cloud.
type device struct {
	f    *fleet
	name string

	mu               sync.Mutex
	conn             net.Conn
	leaving          bool
	acknowledgements atomic.Int64
	id               uint16    // of the last packet
	told             time.Time // when the message was sent that has no PUBACK yet
	asked            time.Time // when the request about a job was sent that has no answer yet
	wanted           bool      // there is a job execution to be started
	job              string    // that it works at
	steps            int
}

// Types of packets, with their flags.
const (
	connectPacket    = 0x10
	connackPacket    = 0x20
	publishPacket    = 0x30
	pubackPacket     = 0x40
	subscribePacket  = 0x82
	subackPacket     = 0x90
	disconnectPacket = 0xe0
	qos1             = 0x02
)

// connect connects and subscribes, as a device of the jobs service does, and asks what there is to be done.
func (d *device) connect() error {
	conn, err := net.Dial("tcp", d.f.address)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 1024)
	hello := append(text("MQTT"), 4, 0x02, 0x04, 0xb0) // version, clean session, keep alive of 1200 s
	ask := binary.BigEndian.AppendUint16(nil, 1)
	for _, filter := range []string{"devices/" + d.name + "/commands", d.topic("notify-next"),
		d.topic("start-next/+"), d.topic("+/get/+"), d.topic("+/update/+")} {
		ask = append(append(ask, text(filter)...), 1)
	}
	answers := func(want byte) error {
		for {
			kind, body, err := readPacket(in)
			if err == nil && kind&0xf0 == publishPacket { // may come before the SUBACK; connect asks for all there is
				continue
			}
			if err == nil && (kind != want || body[len(body)-1] > 1) {
				err = fmt.Errorf("answered with % x % x", kind, body)
			}
			return err
		}
	}
	for _, step := range []func() error{
		func() error { return writePacket(conn, connectPacket, append(hello, text(d.name)...)) },
		func() error { return answers(connackPacket) },
		func() error { return writePacket(conn, subscribePacket, ask) },
		func() error { return answers(subackPacket) },
	} {
		if err := step(); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	d.mu.Lock()
	d.conn, d.leaving, d.told, d.asked, d.wanted, d.job = conn, false, time.Time{}, time.Time{}, true, ""
	d.mu.Unlock()
	go d.read(conn, in)
	return nil
}

// reconnect connects anew, unless an answer is still to come: what it has finished would not be counted.
func (d *device) reconnect() {
	d.mu.Lock()
	if !d.asked.IsZero() {
		d.mu.Unlock()
		return
	}
	d.leaving = true
	_ = writePacket(d.conn, disconnectPacket, nil)
	_ = d.conn.Close()
	d.mu.Unlock()
	if err := d.connect(); err != nil {
		d.f.s.t.Errorf("%s connects anew: %v", d.name, err)
		d.f.stop.Store(true)
		return
	}
	d.f.reconnected.Add(1)
}

func (d *device) topic(end string) string { return "$aws/things/" + d.name + "/jobs/" + end }

// publish sends a message of QoS 1; d.mu is held.
func (d *device) publish(topic, payload string) uint16 {
	if d.id++; d.id == 0 {
		d.id = 1
	}
	body := binary.BigEndian.AppendUint16(text(topic), d.id)
	if err := writePacket(d.conn, publishPacket|qos1, append(body, payload...)); err != nil && !d.leaving {
		d.f.lost.Add(1)
	}
	return d.id
}

// tell publishes what the device measures.
func (d *device) tell() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.told.IsZero() {
		d.f.late.Add(1)
	}
	d.told = time.Now()
	d.publish("devices/"+d.name+"/telemetry", `{"temperature":48,"uptime":86400,"load":[0.5,0.25,0.125]}`)
}

// jobSteps is after how many steps a job execution is done.
const jobSteps = 5

// work does a step of the device's job execution, or asks for one that it was told of.
func (d *device) work() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.asked.IsZero() {
		d.f.late.Add(1)
		return
	}
	switch {
	case d.job != "" && d.steps < jobSteps:
		d.publish(d.topic(d.job+"/update"), fmt.Sprintf(`{"status":"IN_PROGRESS","statusDetails":{"step":"%d"}}`,
			d.steps))
	case d.job != "":
		d.publish(d.topic(d.job+"/update"), `{"status":"SUCCEEDED"}`)
	case d.wanted:
		d.publish(d.topic("start-next"), `{}`)
	default:
		return
	}
	d.asked = time.Now()
}

// read takes what comes over a connection until it ends.
func (d *device) read(conn net.Conn, in *bufio.Reader) {
	for {
		kind, body, err := readPacket(in)
		d.mu.Lock()
		switch {
		case err != nil:
			if !d.leaving && d.conn == conn {
				d.f.lost.Add(1)
			}
			d.mu.Unlock()
			return
		case d.conn != conn:
		case kind == pubackPacket:
			d.acknowledged()
		case kind&0xf0 == publishPacket:
			d.received(kind, body)
		}
		d.mu.Unlock()
	}
}

// acknowledged counts what the device tells; d.mu is held. What it asks about jobs is acknowledged too, after it.
func (d *device) acknowledged() {
	d.acknowledgements.Add(1)
	if !d.told.IsZero() {
		d.f.published.add(time.Since(d.told))
		d.told = time.Time{}
	}
}

// received takes a message; d.mu is held.
func (d *device) received(kind byte, body []byte) {
	end := 2 + int(binary.BigEndian.Uint16(body))
	topic, payload := string(body[2:end]), body[end:]
	if kind&qos1 != 0 {
		if err := writePacket(d.conn, pubackPacket, payload[:2]); err != nil && !d.leaving {
			d.f.lost.Add(1)
		}
		payload = payload[2:]
	}
	_, what, ofJobs := strings.Cut(topic, "/jobs/")
	if !ofJobs {
		d.f.commands.Add(1)
		return
	}
	var m struct {
		Code      string
		Execution struct{ JobID string }
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		d.f.s.t.Errorf("%s: %v: %s", topic, err, payload)
	}
	switch what {
	case "get/accepted":
		d.f.accepted.Add(1)
		return
	case "get/rejected":
		if m.Code != "RequestThrottled" {
			d.f.s.t.Errorf("%s: %s", topic, payload)
		}
		d.f.throttled.Add(1)
		return
	case "notify-next":
		d.wanted = d.wanted || m.Execution.JobID != ""
		return
	}
	if !d.asked.IsZero() {
		d.f.asked.add(time.Since(d.asked))
		d.asked = time.Time{}
	}
	switch operation, answer := before(what); {
	case answer == "rejected":
		n, _ := d.f.rejected.LoadOrStore(m.Code, &atomic.Int64{})
		n.(*atomic.Int64).Add(1)
	case operation == "start-next":
		d.wanted, d.job, d.steps = false, m.Execution.JobID, 0
	case strings.HasSuffix(operation, "/update"):
		if d.steps++; d.steps > jobSteps {
			d.job = ""
			d.f.finished.Add(1)
		}
	}
}

// before takes the last level from a topic.
func before(topic string) (rest, last string) {
	i := strings.LastIndexByte(topic, '/')
	return topic[:i], topic[i+1:]
}

// text is a string as MQTT writes it.
func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func writePacket(to io.Writer, kind byte, body []byte) error {
	packet := binary.AppendUvarint([]byte{kind}, uint64(len(body)))
	_, err := to.Write(append(packet, body...))
	return err
}

func readPacket(from *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = from.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(from)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(from, body)
	return kind, body, err
}
