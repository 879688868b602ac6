package badinput

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TestTheBrokerRefusesBadInput sends bytes (the body, in hexadecimal) to the plain MQTT port, at first or after a
// client has connected. The answer is what comes back, in hexadecimal, and whether the connection is closed; of a
// client of MQTT 3.1.1 that had connected ("then") only that it is, where it is; of MQTT 5 ("then5") the reason.
// Nobody hears of what was refused, and nothing is kept of a connection that never was.
func TestTheBrokerRefusesBadInput(t *testing.T) {
	db := store.Memory()
	cloud, err := localcloud.New(localcloud.Config{
		Scheduler: scheduler.NewReal(), Store: db, Account: account, Region: "us-east-1",
		Endpoint: "http://127.0.0.1:1", MQTTEndpoint: "127.0.0.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Clients of the plain port are the things whose names they have.
	type in = map[string]any
	ask := func(operation string, in in, out any) {
		t.Helper()
		if err := cloud.CallInto(t.Context(), cloud.Root(), "iot", operation, in, out); err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
	}
	var made struct{ CertificateArn string }
	ask("CreateKeysAndCertificate", in{"setAsActive": true}, &made)
	ask("CreatePolicy", in{"policyName": "all", "policyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
		`"Action":"iot:*","Resource":"*"}]}`}, nil)
	ask("AttachPolicy", in{"policyName": "all", "target": made.CertificateArn}, nil)
	all := rows(t, "mqtt")
	names := []string{"listens", "good"}
	for i := range all {
		names = append(names, fmt.Sprint("bad", i)) // a client may connect once a second
	}
	for _, name := range names {
		ask("CreateThing", in{"thingName": name}, nil)
		ask("AttachThingPrincipal", in{"thingName": name, "principal": made.CertificateArn}, nil)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.ServeMQTT(localcloud.Listeners{MQTT: listener}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := cloud.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	dial := func(wait time.Duration) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			err = c.SetDeadline(time.Now().Add(wait))
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// connected is a client of a clean session.
	connected5 := func(id string, wait time.Duration) net.Conn {
		t.Helper()
		c := dial(wait)
		packet := []byte{0x10, byte(13 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, byte(len(id))}
		send(t, c, append(packet, id...))
		head, err := hex.DecodeString(receive(t, c, 4)) // with a length of one byte
		if err != nil || head[0] != 0x20 || head[3] != 0 {
			t.Fatalf("%s is answered with %x, %v", id, head, err)
		}
		receive(t, c, int(head[1])-2)
		return c
	}
	connected := func(id string, wait time.Duration) net.Conn {
		t.Helper()
		c := dial(wait)
		packet := []byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}
		packet = append(packet, id...)
		send(t, c, packet)
		if got := receive(t, c, 4); got != "20020000" {
			t.Fatalf("%s is answered with %s", id, got)
		}
		return c
	}
	listens := connected("listens", time.Minute)
	defer func() { _ = listens.Close() }()
	send(t, listens, []byte{0x82, 6, 0, 1, 0, 1, '#', 0})
	if got := receive(t, listens, 5); got != "9003000100" {
		t.Fatalf("the subscription is answered with %s", got)
	}
	db.CrashAt(1<<40, false, func(*store.DB) { t.Error("crashed") })
	again := false
	for i := 0; i < len(all); i++ {
		r := all[i]
		bytes, err := hex.DecodeString(r.Body)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		wait := 10 * time.Second
		if strings.HasSuffix(r.Want, "open") {
			wait = time.Second / 2
		}
		c := dial(wait)
		switch r.Call {
		case "then":
			_ = c.Close()
			c = connected(fmt.Sprint("bad", i), wait)
		case "then5":
			_ = c.Close()
			c = connected5(fmt.Sprint("bad", i), wait)
		}
		updates := db.UpdatesLeft()
		_, _ = c.Write(bytes) // it may be closed before all is there
		answer, err := io.ReadAll(c)
		seen := hex.EncodeToString(answer)
		if strings.HasPrefix(r.Name, "MQTT 5") {
			seen = reason(answer)
		}
		got := strings.TrimSpace(seen + " closed")
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // only of a client that is served
			got = strings.TrimSpace(seen + " open")
		case r.Call == "then":
			got = "closed"
		case r.Call == "then5": // its end is told, and kept
		case updates != db.UpdatesLeft() && !again:
			again = true // what was written may be metrics, which are once a second
			_ = c.Close()
			i--
			continue
		case updates != db.UpdatesLeft():
			t.Errorf("%s: %d updates of the store", r.Name, updates-db.UpdatesLeft())
		}
		again = false
		if got != r.Want {
			t.Errorf("%s: %s, want %s", r.Name, got, r.Want)
		}
		_ = c.Close()
	}
	// Who behaves is served still, and has heard nothing else.
	good := connected("good", time.Minute)
	defer func() { _ = good.Close() }()
	send(t, good, []byte{0x30, 4, 0, 1, 'b', 'x'})
	if got := receive(t, listens, 6); got != "300400016278" {
		t.Errorf("at the end %s is heard", got)
	}
}

// reason is what a CONNACK or a DISCONNECT of MQTT 5 says, whose properties are for people.
func reason(b []byte) string {
	switch {
	case len(b) > 3 && b[0] == 0x20:
		return fmt.Sprintf("CONNACK %02x", b[3])
	case len(b) > 2 && b[0] == 0xe0:
		return fmt.Sprintf("DISCONNECT %02x", b[2])
	}
	return hex.EncodeToString(b)
}

func send(t *testing.T, c net.Conn, packet []byte) {
	t.Helper()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}
