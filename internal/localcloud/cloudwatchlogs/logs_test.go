package cloudwatchlogs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type metrics []string

func (m *metrics) PutEMF(_ context.Context, d []byte) { *m = append(*m, string(d)) }

func newCloud(t *testing.T) (call func(operation, in string) (string, error), s *scheduler.Scheduler, m *metrics) {
	t.Helper()
	s, m = scheduler.NewVirtual(1, start), &metrics{}
	svc := New(Config{Platform: platform.Platform{Scheduler: s, Store: store.Memory(), Account: "123456789012",
		Region: "us-east-1"}, Metrics: m})
	door := awsapi.New(awsapi.Config{Scheduler: s, Account: "123456789012", Region: "us-east-1"})
	door.Add(svc.API())
	return func(operation, in string) (string, error) {
		out, err := door.Call(t.Context(), awsapi.RootOf("123456789012"), "cloudwatchlogs", operation,
			json.RawMessage(in))
		if err != nil {
			return "", err
		}
		b, err := json.Marshal(out)
		return string(b), err
	}, s, m
}

func TestEventsAreReadBackInOrder(t *testing.T) {
	call, s, m := newCloud(t)
	must := func(operation, in string) string {
		t.Helper()
		out, err := call(operation, in)
		if err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
		return out
	}
	must("CreateLogGroup", `{"logGroupName":"/aws/lambda/f"}`)
	for _, st := range []string{"a", "b"} {
		must("CreateLogStream", `{"logGroupName":"/aws/lambda/f","logStreamName":"`+st+`"}`)
	}
	ms := start.UnixMilli()
	put := func(st string, lines ...string) {
		t.Helper()
		var e []map[string]any
		for i, l := range lines {
			e = append(e, map[string]any{"timestamp": ms + int64(i), "message": l})
		}
		b, _ := json.Marshal(map[string]any{"logGroupName": "/aws/lambda/f", "logStreamName": st, "logEvents": e})
		must("PutLogEvents", string(b))
	}
	put("a", "one", "two ERROR", `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[]},"x":1}`)
	put("b", "three ERROR here")
	if len(*m) != 1 {
		t.Errorf("metric documents: %v", *m)
	}
	texts := func(out string) (string, string, string) {
		var p struct {
			Events                                         []struct{ Message string }
			NextForwardToken, NextBackwardToken, NextToken string
		}
		if err := json.Unmarshal([]byte(out), &p); err != nil {
			t.Fatal(err)
		}
		var l []string
		for _, e := range p.Events {
			l = append(l, strings.Fields(e.Message)[0])
		}
		return strings.Join(l, ","), p.NextForwardToken + p.NextToken, p.NextBackwardToken
	}
	get := `{"logGroupName":"/aws/lambda/f","logStreamName":"a","startFromHead":true,"limit":2%s}`
	page, forward, _ := texts(must("GetLogEvents", fmt.Sprintf(get, "")))
	if page != "one,two" {
		t.Errorf("first page %q", page)
	}
	page, forward, back := texts(must("GetLogEvents", fmt.Sprintf(get, `,"nextToken":"`+forward+`"`)))
	if !strings.HasPrefix(page, `{"_aws"`) {
		t.Errorf("second page %q", page)
	}
	if page, same, _ := texts(must("GetLogEvents", fmt.Sprintf(get, `,"nextToken":"`+forward+`"`))); page != "" || same != forward {
		t.Errorf("past the end: %q, token %q then %q", page, forward, same)
	}
	if page, _, _ := texts(must("GetLogEvents", fmt.Sprintf(get, `,"nextToken":"`+back+`"`))); page != "one,two" {
		t.Errorf("back again: %q", page)
	}
	if page, _, _ := texts(must("FilterLogEvents", `{"logGroupName":"/aws/lambda/f","filterPattern":"ERROR -here"}`)); page != "two" {
		t.Errorf("filtered: %q", page)
	}
	if page, next, _ := texts(must("FilterLogEvents", `{"logGroupName":"/aws/lambda/f","filterPattern":"?one ?three","limit":1}`)); page != "one" || next == "" {
		t.Errorf("filtered page: %q %q", page, next)
	}
	must("PutRetentionPolicy", `{"logGroupName":"/aws/lambda/f","retentionInDays":1}`)
	s.RunFor(48 * time.Hour)
	if page, _, _ := texts(must("FilterLogEvents", `{"logGroupName":"/aws/lambda/f"}`)); page != "" {
		t.Errorf("after retention: %q", page)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	call, _, _ := newCloud(t)
	for _, r := range []struct{ operation, in, code string }{
		{"CreateLogGroup", `{"logGroupName":"a b"}`, "InvalidParameterException"},
		{"CreateLogStream", `{"logGroupName":"nosuch","logStreamName":"s"}`, "ResourceNotFoundException"},
		{"CreateLogGroup", `{"logGroupName":"g"}`, ""},
		{"CreateLogGroup", `{"logGroupName":"g"}`, "ResourceAlreadyExistsException"},
		{"CreateLogStream", `{"logGroupName":"g","logStreamName":"a:b"}`, "InvalidParameterException"},
		{"CreateLogStream", `{"logGroupName":"g","logStreamName":"s"}`, ""},
		{"CreateLogStream", `{"logGroupName":"g","logStreamName":"s"}`, "ResourceAlreadyExistsException"},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[]}`, "InvalidParameterException"},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":2,"message":"x"},{"timestamp":1,"message":"x"}]}`, "InvalidParameterException"},
		{"PutLogEvents", `{"logGroupName":"g","logStreamName":"t","logEvents":[{"timestamp":2,"message":"x"}]}`, "ResourceNotFoundException"},
		{"PutRetentionPolicy", `{"logGroupName":"g","retentionInDays":2}`, "InvalidParameterException"},
		{"GetLogEvents", `{"logGroupName":"g","logStreamName":"s","nextToken":"x"}`, "InvalidParameterException"},
		{"FilterLogEvents", `{"logGroupName":"g","filterPattern":"{ $.a = 1 }"}`, "NotImplemented"},
		{"StartQuery", `{}`, "NotImplemented"},
	} {
		if _, err := call(r.operation, r.in); awsapi.Code(err) != r.code {
			t.Errorf("%s %s: got %v, want %s", r.operation, r.in, err, r.code)
		}
	}
}

func FuzzFilterPattern(f *testing.F) {
	f.Add(`ERROR "two words" -debug ?a ?b`, "ERROR two words a")
	f.Fuzz(func(_ *testing.T, src, message string) {
		if p, err := parsePattern(src); err == nil {
			p.matches(message)
		}
	})
}
