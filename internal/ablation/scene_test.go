package ablation

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"hash/fnv"
	"math/big"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// provision makes a thing with a certificate that has the stack's device policy.
func (s stage) provision(ctx context.Context, thing string, attributes map[string]string) (*x509.Certificate, error) {
	policy, err := s.physical(ctx, "DevicePolicy")
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	number := fnv.New32()
	_, _ = number.Write([]byte(thing))
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(1<<40 + uint64(number.Sum32())), Subject: pkix.Name{CommonName: thing},
		NotBefore: s0.AddDate(-1, 0, 0), NotAfter: s0.AddDate(20, 0, 0),
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
		"CreateThing":  {"thingName": thing, "attributePayload": map[string]any{"attributes": attributes}},
		"AttachPolicy": {"policyName": policy, "target": made.CertificateArn},
	} {
		if err := s.call(ctx, "iot", operation, in, nil); err != nil {
			return nil, err
		}
	}
	return &x509.Certificate{Raw: der}, s.call(ctx, "iot", "AttachThingPrincipal", map[string]any{"thingName": thing,
		"principal": made.CertificateArn}, nil)
}

// connect connects a client, which hands on the topics of what it hears.
func (s stage) connect(ctx context.Context, id string, certificate *x509.Certificate, heard func(topic string)) (
	*iotdataplane.Connection, error) {
	return s.cloud.Devices().Connect(ctx, iotdataplane.Client{
		Options: iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: id, Certificate: certificate,
			SourceIP: "127.0.0.1"}, Clean: true},
		OnMessage: func(_ *iotdataplane.Connection, m iotdataplane.Message) { heard(m.Topic) },
		OnEnd:     func(string) {},
	})
}

// pause keeps a function from running, as an account does that has reached its
// concurrency, until it is resumed.
func (s stage) pause(ctx context.Context, name string) (resume func() error, err error) {
	function := map[string]any{"FunctionName": stack + "-" + name, "ReservedConcurrentExecutions": 0}
	return func() error {
		return s.call(ctx, "lambda", "DeleteFunctionConcurrency", function, nil)
	}, s.call(ctx, "lambda", "PutFunctionConcurrency", function, nil)
}

// create creates a job of a name for a thing.
func (s stage) create(ctx context.Context, job, thing string, with map[string]any) error {
	in := payload(thing)
	in["jobId"] = job
	for k, v := range with {
		in[k] = v
	}
	return s.invoke(ctx, "create-job", "RequestResponse", in, nil)
}

func (s stage) cancel(ctx context.Context, job, thing string) error {
	return s.call(ctx, "iot", "CancelJobExecution", map[string]any{"jobId": job, "thingName": thing, "force": true},
		nil)
}

// mislabelled gives a device an image that is another version than its place in
// the bucket says. The device is to start it in a step of its own and to keep
// what it then runs; its report of the transfer comes before anybody waits for it.
func (s stage) mislabelled(ctx context.Context, first string) error {
	const job = "mislabelled"
	thing := simulator.ThingName(healthy)
	bucket, err := s.physical(ctx, "FirmwareBucket")
	if err != nil {
		return err
	}
	if err := s.execution(ctx, first, thing, "SUCCEEDED"); err != nil {
		return err
	}
	resume, err := s.pause(ctx, "await-firmware-report")
	if err != nil {
		return err
	}
	if err := s.create(ctx, job, thing, map[string]any{
		"firmware": map[string]any{"version": "3.0.0", "s3": map[string]string{"bucket": bucket,
			"key": "2.0.0/gateway.bin"}},
		"activation": map[string]any{"mode": "SEPARATE", "noRollback": true},
	}); err != nil {
		return err
	}
	if err := s.execution(ctx, job, thing, "IN_PROGRESS"); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := resume(); err != nil {
		return err
	}
	return s.execution(ctx, job, thing, "FAILED")
}

// late repeats the name of a device's next job execution when that is long over.
func (s stage) late(ctx context.Context, first string) error {
	thing := simulator.ThingName(damaged)
	document, err := s.document(ctx, first)
	if err != nil {
		return err
	}
	return s.notifyNext(ctx, thing, first, document)
}

// ours is an upgrade that fails for want of a function.
func (s stage) ours(ctx context.Context) error {
	const job = "ours"
	thing := simulator.ThingName(damaged)
	resume, err := s.pause(ctx, "await-firmware-report")
	if err != nil {
		return err
	}
	if err := s.create(ctx, job, thing, nil); err != nil {
		return err
	}
	if err := s.execution(ctx, job, thing, "CANCELED"); err != nil {
		return err
	}
	return resume()
}

// beginUpgrade makes a job of an upgrade.
func (s stage) beginUpgrade(ctx context.Context, job, thing string, answerSeconds int) error {
	return s.create(ctx, job, thing, map[string]any{"timeouts": map[string]int{
		"answerSeconds": answerSeconds, "downloadSeconds": 60, "rebootSeconds": 30,
	}})
}

// deaf is a device whose job executions are cancelled while nobody hears of it,
// so that each next one meets an owner who does not know that it is dead. The
// device speaks MQTT 3.1.1: it says where it listens in the topic. It never
// answers. In the end somebody stops its execution.
func (s stage) deaf(ctx context.Context, thing, machine string, begins func(ctx context.Context, job, thing string,
	answerSeconds int) error) error {
	certificate, err := s.provision(ctx, thing, nil)
	if err != nil {
		return err
	}
	controller := usp.EndpointID("self::fleetstep")
	listens := "usp/v1/agent/" + thing
	asked := 0
	heard := func(topic string) {
		if strings.HasPrefix(topic, listens+"/reply-to=") {
			asked++
		}
	}
	appear := func() (*iotdataplane.Connection, error) {
		conn, err := s.connect(ctx, thing, certificate, heard)
		if err != nil {
			return nil, err
		}
		for _, filter := range []string{listens, listens + "/#"} {
			results, err := conn.Subscribe(ctx, iotdataplane.Subscription{Filter: filter})
			if err := errors.Join(append(results, err)...); err != nil {
				return nil, err
			}
		}
		greeting, err := usp.NewMQTTConnect(simulator.EndpointIDOf("012345", thing), controller,
			usprecord.MQTTConnectRecord_V3_1_1, listens).Encode()
		if err != nil {
			return nil, err
		}
		topic := usp.JoinReplyTo("usp/v1/controller/"+string(controller)+"/from/"+thing, listens)
		return conn, conn.Submit(ctx, iotdataplane.Message{Topic: topic, Payload: greeting, QoS: 1}, nil)
	}
	conn, err := appear()
	if err != nil {
		return err
	}
	resume, err := s.pause(ctx, "handle-job-event")
	if err != nil {
		return err
	}
	begin := func(job string, answerSeconds int) error { return begins(ctx, job, thing, answerSeconds) }
	first, second, third := thing+"-1", thing+"-2", thing+"-3"
	if err := begin(first, 600); err != nil {
		return err
	}
	if err := s.execution(ctx, first, thing, "IN_PROGRESS"); err != nil {
		return err
	}
	if err := s.until(ctx, "a request to a device with MQTT 3.1.1", func() (bool, error) {
		return asked > 0, nil
	}); err != nil {
		return err
	}
	// The second is offered while the device is away, and starts as it appears.
	if err := s.cancel(ctx, first, thing); err != nil {
		return err
	}
	conn.Leave(ctx, false)
	if err := s.sched.Sleep(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := begin(second, 600); err != nil {
		return err
	}
	if err := s.execution(ctx, second, thing, "QUEUED"); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 15*time.Second); err != nil {
		return err
	}
	if conn, err = appear(); err != nil {
		return err
	}
	if err := s.execution(ctx, second, thing, "IN_PROGRESS"); err != nil {
		return err
	}
	// The third is offered while the device is there.
	if err := s.cancel(ctx, second, thing); err != nil {
		return err
	}
	if err := begin(third, 15); err != nil {
		return err
	}
	if err := s.execution(ctx, third, thing, "IN_PROGRESS"); err != nil {
		return err
	}
	// And finds out at its end that it is over.
	if err := s.cancel(ctx, third, thing); err != nil {
		return err
	}
	table, err := s.physical(ctx, "DeviceTable")
	if err != nil {
		return err
	}
	if err := s.until(ctx, "the end of the last upgrade", func() (bool, error) {
		var out struct{ Item json.RawMessage }
		err := s.call(ctx, "dynamodb", "GetItem", map[string]any{"TableName": table, "ConsistentRead": true,
			"Key": map[string]any{
				"PK": map[string]string{"S": "DEVICE#" + thing}, "SK": map[string]string{"S": "CLAIM"},
			}}, &out)
		return len(out.Item) == 0, err
	}); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := resume(); err != nil {
		return err
	}
	fourth := thing + "-4"
	if err := begin(fourth, 600); err != nil {
		return err
	}
	if err := s.stop(ctx, machine, fourth, thing); err != nil {
		return err
	}
	conn.Leave(ctx, false)
	return nil
}

// stop stops the execution that works on a job execution, which is cancelled then.
func (s stage) stop(ctx context.Context, machine, job, thing string) error {
	if err := s.execution(ctx, job, thing, "IN_PROGRESS"); err != nil {
		return err
	}
	of := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-" + machine
	if err := s.until(ctx, "an execution of "+machine, func() (bool, error) {
		var list struct {
			Executions []struct{ ExecutionArn string }
		}
		err := s.call(ctx, "sfn", "ListExecutions",
			map[string]any{"stateMachineArn": of, "statusFilter": "RUNNING"}, &list)
		for _, x := range list.Executions {
			if strings.Contains(x.ExecutionArn, job) {
				return true, s.call(ctx, "sfn", "StopExecution", map[string]any{"executionArn": x.ExecutionArn}, nil)
			}
		}
		return false, err
	}); err != nil {
		return err
	}
	return s.execution(ctx, job, thing, "CANCELED")
}
