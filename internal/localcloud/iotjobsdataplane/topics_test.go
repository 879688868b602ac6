package iotjobsdataplane

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// fake is an Executions that remembers what it was asked and answers the same.
type fake struct {
	asked string
	err   error
}

func (f *fake) Pending(_ context.Context, thing string) (inProgress, queued []Summary, err error) {
	f.asked = "pending " + thing
	return nil, []Summary{{JobID: "j", QueuedAt: 1, LastUpdatedAt: 2, VersionNumber: 1, ExecutionNumber: 1}}, f.err
}

func (f *fake) StartNext(_ context.Context, thing string, _ map[string]string, _ *int64) (*Execution, error) {
	f.asked = "start " + thing
	return &Execution{JobID: "j", Status: "IN_PROGRESS", JobDocument: `{"a":[1]}`}, f.err
}

func (f *fake) Describe(_ context.Context, thing, job string, _ int64, document bool) (*Execution, error) {
	f.asked = "describe " + thing + " " + job
	if job == "$next" {
		return nil, f.err
	}
	e := &Execution{JobID: job, Status: "QUEUED"}
	if document {
		e.JobDocument = `{"a":[1]}`
	}
	return e, f.err
}

func (f *fake) Update(_ context.Context, thing, job string, u Update) (State, string, error) {
	f.asked = "update " + thing + " " + job + " " + u.Status
	return State{Status: u.Status, StatusDetails: map[string]string{}, VersionNumber: 3}, "", f.err
}

func newService(f *fake) *Service {
	return New(Config{Platform: platform.Platform{Scheduler: scheduler.NewVirtual(1, time.Unix(1_700_000_000, 0)),
		Account: "123456789012", Region: "eu-west-1"}, Executions: f})
}

func TestTopicsReachTheirOperations(t *testing.T) {
	stale := Rejectf(VersionMismatch, "stale")
	stale.State = &State{Status: "QUEUED", StatusDetails: map[string]string{}, VersionNumber: 7}
	for _, tt := range []struct {
		topic, payload string
		err            error
		asked, reply   string // reply is "accepted {...}", "rejected {...}" or ""
	}{
		{"$aws/things/t/jobs/get", ``, nil, "pending t",
			`accepted {"inProgressJobs":[],"queuedJobs":[{"jobId":"j","queuedAt":1,"lastUpdatedAt":2,"versionNumber":1,"executionNumber":1}],"timestamp":1700000000}`},
		{"$aws/things/t/jobs/start-next", `{"clientToken":"c"}`, nil, "start t",
			`accepted {"execution":{"jobId":"j","status":"IN_PROGRESS","queuedAt":0,"lastUpdatedAt":0,"versionNumber":0,"executionNumber":0,"jobDocument":{"a":[1]}},"timestamp":1700000000,"clientToken":"c"}`},
		{"$aws/things/t/jobs/j/get", `{"includeJobDocument":false}`, nil, "describe t j",
			`accepted {"execution":{"jobId":"j","status":"QUEUED","queuedAt":0,"lastUpdatedAt":0,"versionNumber":0,"executionNumber":0},"timestamp":1700000000}`},
		{"$aws/things/t/jobs/$next/get", `{}`, nil, "describe t $next", `accepted {"timestamp":1700000000}`},
		{"$aws/things/t/jobs/j/update", `{"status":"FAILED"}`, nil, "update t j FAILED", `accepted {"timestamp":1700000000}`},
		{"$aws/things/t/jobs/j/update", `{"status":"FAILED","includeJobExecutionState":true}`, nil, "update t j FAILED",
			`accepted {"executionState":{"status":"FAILED","statusDetails":{},"versionNumber":3},"timestamp":1700000000}`},
		{"$aws/things/t/jobs/j/update", `{"status":"FAILED","clientToken":"c"}`, stale, "update t j FAILED",
			`rejected {"code":"VersionMismatch","message":"stale","clientToken":"c","timestamp":1700000000,"executionState":{"status":"QUEUED","statusDetails":{},"versionNumber":7}}`},
		{"$aws/things/t/jobs/j/update", `{"status":"FAILED"}`, errors.New("disk"), "update t j FAILED",
			`rejected {"code":"InternalError","message":"disk","timestamp":1700000000}`},
		{"$aws/things/t/jobs/j/update", `{"status":7}`, nil, "", `rejected {"code":"InvalidRequest",`},
		{"$aws/things/t/jobs/j/update", `{"status"`, nil, "", `rejected {"code":"InvalidJson",`},
		{"$aws/things/t/jobs/j/update", "{\"status\":\"\xff\"}", nil, "", `rejected {"code":"InvalidJson",`},
		{"$aws/things/t/jobs/nothing", `{}`, nil, "", `rejected {"code":"InvalidTopic",`},
		{"$aws/things/t/jobs/j/start-next", `{}`, nil, "", `rejected {"code":"InvalidTopic",`},
		{"$aws/things/t/jobs/a/b/get", `{}`, nil, "", `rejected {"code":"InvalidTopic",`},
		{"$aws/things/t/jobs/notify", `{}`, nil, "", ""},
		{"$aws/things/t/jobs/notify-next", `{}`, nil, "", ""},
		{"$aws/things/t/jobs/j/update/accepted", `{}`, nil, "", ""},
		{"$aws/things/t/shadow/get", `{}`, nil, "", ""},
		{"$aws/things//jobs/get", `{}`, nil, "", ""},
		{"things/t/jobs/get", `{}`, nil, "", ""},
	} {
		f := &fake{err: tt.err}
		got := ""
		handled := newService(f).Handle(t.Context(), tt.topic, []byte(tt.payload), func(topic string, payload []byte) {
			got = strings.TrimPrefix(topic, tt.topic+"/") + " " + string(payload)
		})
		if handled != (tt.reply != "") || !strings.HasPrefix(got, tt.reply) || strings.HasSuffix(tt.reply, "}") &&
			got != tt.reply || f.asked != tt.asked {
			t.Errorf("%s %s\n got %s (asked %q)\nwant %s (asked %q)", tt.topic, tt.payload, got, f.asked,
				tt.reply, tt.asked)
		}
	}
}

func TestRejectionsBecomeExceptions(t *testing.T) {
	for code, want := range map[string]string{
		InvalidRequest: "InvalidRequestException 400", InvalidStateTransition: "InvalidStateTransitionException 409",
		ResourceNotFound: "ResourceNotFoundException 404", VersionMismatch: "InvalidStateTransitionException 409",
		TerminalStateReached: "TerminalStateException 410", RequestThrottled: "ThrottlingException 429",
		InternalError: "ServiceUnavailableException 503",
	} {
		e := awsapi.AsError(exception(Rejectf(code, "m")))
		if name, status, _ := strings.Cut(want, " "); e.Code != name || status != itoa(e.HTTPStatus()) {
			t.Errorf("%s: got %s with %d, want %s", code, e.Code, e.HTTPStatus(), want)
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// FuzzHandle: a handled message gets exactly one answer, on the topic's
// accepted or rejected, in JSON with a timestamp; a rejected one has a code.
func FuzzHandle(f *testing.F) {
	f.Add("$aws/things/t/jobs/get", []byte(`{}`))
	f.Add("$aws/things/t/jobs/j/update", []byte(`{"status":"FAILED","expectedVersion":"3","statusDetails":{"a":"b"}}`))
	f.Add("$aws/things/t/jobs/$next/get", []byte(`{"clientToken":"x","includeJobDocument":true}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		x := &fake{}
		replies := 0
		handled := newService(x).Handle(t.Context(), topic, payload, func(on string, b []byte) {
			replies++
			var m map[string]any
			if err := json.Unmarshal(b, &m); err != nil || m["timestamp"] == nil {
				t.Fatalf("%q: answer %q: %v", topic, b, err)
			}
			switch strings.TrimPrefix(on, topic) {
			case "/accepted":
				if x.asked == "" {
					t.Fatalf("%q accepted, but nothing was asked", topic)
				}
			case "/rejected":
				if m["code"] == "" || m["code"] == nil {
					t.Fatalf("%q: no code in %q", topic, b)
				}
			default:
				t.Fatalf("%q answered on %q", topic, on)
			}
		})
		if handled != (replies == 1) {
			t.Fatalf("%q: handled %v with %d answers", topic, handled, replies)
		}
	})
}
