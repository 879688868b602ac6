package iotdataplane_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/internal/device"
	devicebroker "github.com/fleetstep/fleetstep/internal/device/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// broker is the IoT data plane: it keeps what was published, and answers from a
// list of status and error code.
type broker struct {
	t        *testing.T
	answers  []answer
	requests []*http.Request
	payloads [][]byte
}

type answer struct {
	status int
	code   string
}

func (b *broker) Do(r *http.Request) (*http.Response, error) {
	if a := r.Header.Get("Authorization"); !strings.Contains(a, "/us-east-1/iotdata/aws4_request") {
		b.t.Errorf("signed as %s", a)
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.requests, b.payloads = append(b.requests, r), append(b.payloads, payload)
	a := answer{status: 200}
	if n := len(b.answers); n > 0 {
		a = b.answers[min(len(b.requests), n)-1]
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Amzn-Errortype", a.code)
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, `{}`)
	return w.Result(), nil
}

var topics = device.Topics{Agent: "usp/v1/agent/{thing}", Controller: "usp/v1/controller/{controller}/from/{thing}"}

func send(t *testing.T, to event.DeviceState, m event.Outgoing, answers ...answer) (*broker, error) {
	b := &broker{t: t, answers: answers}
	url := "https://data.example"
	api := iotdataplane.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient: b, BaseEndpoint: &url,
	})
	return b, devicebroker.New(api, "self::fleetstep", topics, addresses).Send(t.Context(), "rg-1", to, m)
}

// addresses makes another address each time.
var addresses = &counting{}

type counting struct{ n int }

func (c *counting) Address(_ context.Context, f device.File) (string, error) {
	c.n++
	if f.Key == "" {
		return "", errors.New("no such file")
	}
	return fmt.Sprintf("https://%s.example/%s?signature=%d", f.Bucket, f.Key, c.n), nil
}

func request() device.Request {
	return &device.Get{ID: "m-1", Paths: []string{"Device.DeviceInfo.SoftwareVersion"}}
}

func TestSendPublishesARecord(t *testing.T) {
	const reply = "usp/v1/controller/self::fleetstep/from/rg-1"
	for name, c := range map[string]struct {
		to     event.DeviceState
		topic  string
		legacy bool
	}{
		"by the template": {event.DeviceState{Endpoint: "os::012345-1"}, "usp/v1/agent/rg-1", false},
		"where it says": {event.DeviceState{Endpoint: "os::012345-1", AgentTopic: "usp/v1/agent/rg-1/in"},
			"usp/v1/agent/rg-1/in", false},
		"MQTT 3.1.1": {event.DeviceState{Endpoint: "os::012345-1", Legacy: true},
			"usp/v1/agent/rg-1/reply-to=usp%2Fv1%2Fcontroller%2Fself::fleetstep%2Ffrom%2Frg-1", true},
	} {
		b, err := send(t, c.to, request())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := b.requests[0]
		if got := strings.TrimPrefix(r.URL.Path, "/topics/"); r.Method != http.MethodPost || got != c.topic {
			t.Errorf("%s: %s to %s, want %s", name, r.Method, got, c.topic)
		}
		q := r.URL.Query()
		if q.Get("qos") != "1" || q.Get("retain") == "true" {
			t.Errorf("%s: published with %v", name, q)
		}
		want := [2]string{usp.ContentType, reply}
		if c.legacy {
			want = [2]string{}
		}
		if got := [2]string{q.Get("contentType"), q.Get("responseTopic")}; got != want {
			t.Errorf("%s: properties %q, want %q", name, got, want)
		}
		var record usprecord.Record
		if err := proto.Unmarshal(b.payloads[0], &record); err != nil {
			t.Fatal(err)
		}
		if record.GetFromId() != "self::fleetstep" || record.GetToId() != "os::012345-1" ||
			len(record.GetNoSessionContext().GetPayload()) == 0 {
			t.Errorf("%s: record %v", name, &record)
		}
	}
}

func TestNothingIsSentToNobody(t *testing.T) {
	b, err := send(t, event.DeviceState{}, request())
	if err == nil || !strings.Contains(err.Error(), "rg-1") || len(b.requests) != 0 {
		t.Errorf("got %v after %d requests", err, len(b.requests))
	}
	b, err = send(t, event.DeviceState{Endpoint: "os::012345-1"}, "a text")
	if err == nil || len(b.requests) != 0 {
		t.Errorf("got %v after %d requests", err, len(b.requests))
	}
}

// A command that goes out again has an address of its own: the one before may have
// expired. The request that is sent holds none, before and after.
func TestEachSendingHasAnAddressOfItsOwn(t *testing.T) {
	to := event.DeviceState{Endpoint: "os::012345-1"}
	r := &device.Operate{ID: "m-1", Command: "Device.DeviceInfo.FirmwareImage.2.Download()",
		Files: map[string]device.File{"URL": {Bucket: "b", Key: "k"}}}
	seen := map[string]bool{}
	for range 3 {
		b, err := send(t, to, r)
		if err != nil {
			t.Fatal(err)
		}
		var record usprecord.Record
		if err := proto.Unmarshal(b.payloads[0], &record); err != nil {
			t.Fatal(err)
		}
		var message uspmsg.Msg
		if err := proto.Unmarshal(record.GetNoSessionContext().GetPayload(), &message); err != nil {
			t.Fatal(err)
		}
		address := message.GetBody().GetRequest().GetOperate().GetInputArgs()["URL"]
		if !strings.HasPrefix(address, "https://b.example/k?signature=") || len(r.Args) != 0 {
			t.Errorf("the argument is %q; the request holds %v", address, r.Args)
		}
		seen[address] = true
	}
	if len(seen) != 3 {
		t.Errorf("three sendings have the addresses %v", seen)
	}
	r.Files["URL"] = device.File{}
	if b, err := send(t, to, r); err == nil || len(b.requests) != 0 {
		t.Errorf("without an address: %v after %d requests", err, len(b.requests))
	}
}

func TestRefusalsArePassedOn(t *testing.T) {
	to := event.DeviceState{Endpoint: "os::012345-1"}
	b, err := send(t, to, request(), answer{403, "ForbiddenException"})
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) || api.ErrorCode() != "ForbiddenException" || len(b.requests) != 1 {
		t.Errorf("got %v after %d requests", err, len(b.requests))
	}
	synctest.Test(t, func(t *testing.T) {
		throttled := answer{429, "ThrottlingException"}
		b, err := send(t, to, request(), throttled, throttled, answer{status: 200})
		if err != nil || len(b.requests) != 3 {
			t.Errorf("got %v after %d requests", err, len(b.requests))
		}
	})
}

// A command that may have been published is not published again: a device runs it twice.
func TestACommandIsSentOnce(t *testing.T) {
	to := event.DeviceState{Endpoint: "os::012345-1"}
	command := &device.Operate{ID: "m-1", Command: "Device.Reboot()", Key: "k"}
	for name, c := range map[string]struct {
		m    event.Outgoing
		fate answer
		want int // requests
	}{
		"a command, with a failure":       {command, answer{500, "InternalFailureException"}, 1},
		"a command, unavailable":          {command, answer{503, "ServiceUnavailableException"}, 1},
		"a command, too many of them":     {command, answer{429, "ThrottlingException"}, 2},
		"another request, with a failure": {request(), answer{500, "InternalFailureException"}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, err := send(t, to, c.m, c.fate, answer{status: 200})
			if len(b.requests) != c.want || (err != nil) != (c.want == 1) {
				t.Errorf("%s: %d requests, %v; want %d", name, len(b.requests), err, c.want)
			}
		})
	}
}
