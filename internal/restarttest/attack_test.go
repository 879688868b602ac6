package restarttest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// An attack is made on a connection of its own, which is MQTT 5 over mutual TLS.
type attack struct {
	name      string
	as        string // client ID; "" is its own
	resume    bool   // asks for the session that is there
	victims   bool   // shows the victim's certificate
	forged    bool   // shows one that no CA has signed
	none      bool   // shows none
	subscribe string
	publish   string
	will      string // and goes without a word
	retain    bool
	size      int
}

func (m *mallory) attacks(victim string) []attack {
	list := []attack{
		{name: "another's client ID", as: victim},
		{name: "another's session", as: victim, resume: true},
		{name: "another's certificate", victims: true},
		{name: "a certificate that names another", as: victim, forged: true},
		{name: "no certificate", as: victim, none: true},
		{name: "a retained message on its own topic", publish: m.topic(m.name), retain: true},
		{name: "a last will on another's topic", will: m.topic(victim)},
		{name: "a retained last will for another's agent", will: "usp/v1/agent/" + victim, retain: true},
		{name: "more than a message may hold", publish: m.topic(m.name), size: 128<<10 + 1},
	}
	for _, filter := range []string{
		"usp/v1/agent/" + victim, "usp/v1/agent/" + victim + "/#", "usp/v1/agent/+", "usp/v1/agent/#", "#",
		"$share/g/usp/v1/agent/" + victim,
		m.topic(victim), "usp/v1/controller/#", "$aws/things/" + victim + "/jobs/#",
		"$aws/things/" + victim + "/jobs/notify-next", "$aws/events/#",
	} {
		list = append(list, attack{name: "subscription to " + filter, subscribe: filter})
	}
	for _, topic := range []string{
		m.topic(victim), usp.JoinReplyTo(m.topic(victim), "usp/v1/agent/"+m.name), "usp/v1/agent/" + victim,
		"usp/v1/agent/" + m.name,
		"$aws/things/" + victim + "/jobs/start-next", "$aws/things/" + victim + "/jobs/" + jobID + "/update",
		"$aws/things/" + m.name + "/jobs/get",
		"$aws/things/" + victim + "/jobs/notify-next", "$aws/events/presence/disconnected/" + victim,
		"$aws/events/jobExecution/" + jobID + "/canceled",
		"$aws/rules/fleetstep_usp_message/" + m.topic(victim),
	} {
		list = append(list, attack{name: "a publish on " + topic, publish: topic})
	}
	return list
}

// try makes an attack and returns what it got away with, "" for nothing.
func (m *mallory) try(a attack, victim string) string {
	m.t.Helper()
	certificate := m.own
	switch {
	case a.victims:
		certificate = m.certificates[victim]
	case a.forged:
		certificate = forged(m.t, victim)
	}
	config := &tls.Config{RootCAs: m.roots, Certificates: []tls.Certificate{certificate}}
	if a.none {
		config.Certificates = nil
	}
	broker, err := url.Parse(m.where.MQTTS)
	if err != nil {
		m.t.Fatal(err)
	}
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: config}).
		DialContext(m.t.Context(), "tcp", broker.Host)
	if err != nil {
		if !a.forged && !a.none {
			m.t.Fatalf("%s: %v", a.name, err)
		}
		return ""
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	over := make(chan struct{}, 2)
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn, OnServerDisconnect: func(*paho.Disconnect) { over <- struct{}{} },
		OnClientError: func(error) { over <- struct{}{} },
	})
	lie, err := m.lies(victim)[1].Encode()
	if err != nil {
		m.t.Fatal(err)
	}
	if a.size > 0 {
		lie = make([]byte, a.size)
	}
	hello := &paho.Connect{ClientID: m.name, KeepAlive: 60, CleanStart: !a.resume}
	if a.as != "" {
		hello.ClientID = a.as
	}
	if a.will != "" {
		hello.WillMessage = &paho.WillMessage{Topic: a.will, Payload: lie, QoS: 1, Retain: a.retain}
	}
	done := m.calm()
	ack, err := client.Connect(ctx, hello)
	done()
	if err != nil {
		if a.as == "" && !a.victims {
			m.t.Fatalf("%s: connecting as itself: %v", a.name, err)
		}
		if ack != nil && ack.ReasonCode < 0x80 {
			return fmt.Sprintf("a connection, reason %#x", ack.ReasonCode)
		}
		return ""
	}
	switch {
	case a.as != "" || a.victims || a.forged || a.none:
		return "a connection"
	case a.will != "":
		return "" // what became of it shows in the victim's upgrade, and in the log
	case a.subscribe != "":
		ack, err := client.Subscribe(ctx,
			&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: a.subscribe, QoS: 1}}})
		if err == nil || ack != nil && ack.Reasons[0] < 0x80 {
			return "a subscription"
		}
		return ""
	}
	// It is the end of the connection that tells, not an acknowledgement that
	// never comes.
	message := &paho.Publish{Topic: a.publish, Payload: lie, QoS: 1, Retain: a.retain}
	if _, err := client.PublishWithOptions(ctx, message,
		paho.PublishOptions{Method: paho.PublishMethod_AsyncSend}); err != nil {
		return ""
	}
	select {
	case <-over:
		return ""
	case <-time.After(patience):
		return "a connection that survives"
	}
}

// jobsOverHTTP asks the jobs data plane for another's job executions without
// credentials of the account.
func (m *mallory) jobsOverHTTP(victim string) {
	m.t.Helper()
	for _, request := range []struct{ method, path, authorization string }{
		{http.MethodGet, "/things/" + victim + "/jobs", ""},
		{http.MethodGet, "/things/" + victim + "/jobs/$next", ""},
		{http.MethodPut, "/things/" + victim + "/jobs/$next", ""},
		{http.MethodPost, "/things/" + victim + "/jobs/" + jobID, ""},
		{http.MethodPost, "/things/" + victim + "/jobs/" + jobID,
			"AWS4-HMAC-SHA256 Credential=AKIDMALLORY/20260101/us-east-1/iot-jobs-data/aws4_request, " +
				"SignedHeaders=host;x-amz-date, Signature=00"},
	} {
		req, err := http.NewRequestWithContext(m.t.Context(), request.method, m.where.Endpoint+request.path,
			strings.NewReader(`{"status":"FAILED"}`))
		if err != nil {
			m.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if request.authorization != "" {
			req.Header.Set("Authorization", request.authorization)
			req.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			m.t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			m.t.Errorf("%s %s: %s %s", request.method, request.path, answer.Status, body)
		}
	}
}
