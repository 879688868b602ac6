// Package line is agentdoctor's Line over AWS IoT Core, with an operator's credentials
// and nothing but AWS's APIs: records go out by the data plane's Publish, and come in over
// MQTT, by a certificate that may subscribe to the one topic of the device and nothing
// else. Open makes certificate and policy, Close removes them.
//
// Source: AWS IoT Core developer guide, "AWS IoT Core policies".
package line

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"github.com/fleetstep/fleetstep/internal/agentdoctor"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Config says whose line it is. All but RootCAs is needed.
type Config struct {
	IoT  *iot.Client
	Data *iotdataplane.Client
	Name string // of client, certificate and policy: what nobody else uses
	Thing,
	AgentTopic, // where the agent listens
	ControllerTopic string // where it speaks, without what an agent of MQTT 3.1.1 appends
	Legacy bool        // it speaks MQTT 3.1.1
	MQTT   mqtt.Config // Broker and RootCAs
}

// Line is an agentdoctor.Line.
type Line struct {
	Config
	heard chan agentdoctor.Heard
	lost  chan error
	undo  []func(context.Context) error
}

var _ agentdoctor.Line = (*Line)(nil)

// Open connects. What was made is removed by Close, and if it fails.
func Open(ctx context.Context, c Config) (*Line, error) {
	l := &Line{Config: c, heard: make(chan agentdoctor.Heard, 1000), lost: make(chan error, 1)}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.Close(context.WithoutCancel(ctx)))
	}
	return l, nil
}

func (l *Line) open(ctx context.Context) error {
	certificate, arn, err := l.certificate(ctx)
	if err != nil {
		return err
	}
	parts := strings.SplitN(arn, ":cert/", 2) // arn:aws:iot:region:account
	// An agent of MQTT 3.1.1 speaks a level below, and which one it is may not be known
	// yet. For AWS IoT a/# is not a.
	filters := []string{l.ControllerTopic, l.ControllerTopic + "/#"}
	type statement struct {
		Effect, Action string
		Resource       []string
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []statement{
		{"Allow", "iot:Connect", []string{parts[0] + ":client/" + l.Name + "-*"}},
		{"Allow", "iot:Subscribe", []string{parts[0] + ":topicfilter/" + filters[0],
			parts[0] + ":topicfilter/" + filters[1]}},
		{"Allow", "iot:Receive", []string{parts[0] + ":topic/" + l.ControllerTopic,
			parts[0] + ":topic/" + l.ControllerTopic + "/*"}},
	}})
	if err != nil {
		return err
	}
	if _, err := l.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: &l.Name,
		PolicyDocument: aws.String(string(policy))}); err != nil {
		return fmt.Errorf("create a policy: %w", err)
	}
	l.undo = append(l.undo, func(ctx context.Context) error {
		_, err := l.IoT.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: &l.Name})
		return err
	})
	if _, err := l.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: &l.Name, Target: &arn}); err != nil {
		return fmt.Errorf("attach a policy: %w", err)
	}
	l.undo = append(l.undo, func(ctx context.Context) error {
		_, err := l.IoT.DetachPolicy(ctx, &iot.DetachPolicyInput{PolicyName: &l.Name, Target: &arn})
		return err
	})
	l.MQTT.Credentials = func(string) (mqtt.Credentials, error) {
		return mqtt.Credentials{Certificate: certificate}, nil
	}
	transport, err := mqtt.New(l.MQTT)
	if err != nil {
		return err
	}
	for i, filter := range filters {
		session, err := transport.Connect(ctx, simulator.Connection{ClientID: fmt.Sprintf("%s-%d", l.Name, i+1),
			Topic: filter}, (*handler)(l))
		if err != nil {
			return err
		}
		l.undo = append(l.undo, func(context.Context) error { return session.Close(true) })
	}
	return nil
}

// certificate makes one whose key never leaves this process.
func (l *Line) certificate(ctx context.Context) (*tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: l.Name}}, key)
	if err != nil {
		return nil, "", err
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	made, err := l.IoT.CreateCertificateFromCsr(ctx, &iot.CreateCertificateFromCsrInput{
		CertificateSigningRequest: aws.String(string(request)), SetAsActive: true})
	if err != nil {
		return nil, "", fmt.Errorf("create a certificate: %w", err)
	}
	l.undo = append(l.undo, func(ctx context.Context) error {
		if _, err := l.IoT.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: made.CertificateId,
			NewStatus: types.CertificateStatusInactive}); err != nil {
			return err
		}
		_, err := l.IoT.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: made.CertificateId})
		return err
	})
	block, _ := pem.Decode([]byte(aws.ToString(made.CertificatePem)))
	if block == nil {
		return nil, "", errors.New("the certificate that was made is not in PEM")
	}
	certificate := &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
	return certificate, aws.ToString(made.CertificateArn), nil
}

// Close ends the connection and removes what Open made, the newest first.
func (l *Line) Close(ctx context.Context) error {
	var errs []error
	for i := len(l.undo) - 1; i >= 0; i-- {
		errs = append(errs, l.undo[i](ctx))
	}
	l.undo = nil
	return errors.Join(errs...)
}

// AtWork reports whether there is the policy of another's line. An operator who may not know takes it for one.
func (l *Line) AtWork(ctx context.Context, name string) bool {
	_, err := l.IoT.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &name})
	_, gone := errors.AsType[*types.ResourceNotFoundException](err)
	return !gone
}

// Send implements agentdoctor.Line.
func (l *Line) Send(ctx context.Context, record []byte) error {
	in := &iotdataplane.PublishInput{Topic: &l.AgentTopic, Payload: record, Qos: 1}
	if l.Legacy {
		in.Topic = aws.String(usp.JoinReplyTo(l.AgentTopic, l.ControllerTopic))
	} else {
		in.ContentType, in.ResponseTopic = aws.String(usp.ContentType), &l.ControllerTopic
	}
	_, err := l.Data.Publish(ctx, in)
	return err
}

// Receive implements agentdoctor.Line.
func (l *Line) Receive(ctx context.Context, most time.Duration) (agentdoctor.Heard, bool, error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case h := <-l.heard:
		return h, true, nil
	case err := <-l.lost:
		return agentdoctor.Heard{}, false, fmt.Errorf("the connection to the broker was lost: %w", err)
	case <-timer.C:
		return agentdoctor.Heard{}, false, nil
	case <-ctx.Done():
		return agentdoctor.Heard{}, false, ctx.Err()
	}
}

// handler is the end of a Line that the broker sees.
type handler Line

// Received implements simulator.Handler.
func (h *handler) Received(p simulator.Publish) {
	select {
	case h.heard <- agentdoctor.Heard{Topic: p.Topic, Payload: p.Payload}:
	default:
		h.Lost(errors.New("the device says too much at once"))
	}
}

// Lost implements simulator.Handler.
func (h *handler) Lost(err error) {
	select {
	case h.lost <- err:
	default: // it is known
	}
}
