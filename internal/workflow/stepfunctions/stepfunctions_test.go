package stepfunctions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowsfn "github.com/fleetstep/fleetstep/internal/workflow/stepfunctions"
)

const (
	machine   = "arn:aws:states:us-east-1:123456789012:stateMachine:fleetstep-reboot"
	execution = "arn:aws:states:us-east-1:123456789012:execution:fleetstep-reboot:x"
	secret    = event.TaskToken("AQCsecretTOKEN==")
)

// states is Step Functions: a list of answers to each operation, the last of
// which stays, and what it was asked.
type states struct {
	t       *testing.T
	answers map[string][]answer
	asked   []string
	bodies  []map[string]any
}

type answer struct {
	status int
	body   string
}

func (s *states) Do(r *http.Request) (*http.Response, error) {
	if a := r.Header.Get("Authorization"); !strings.Contains(a, "/us-east-1/states/aws4_request") {
		s.t.Errorf("signed as %s", a)
	}
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions.")
	if !ok || r.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		s.t.Errorf("headers %v", r.Header)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(b, &body); err != nil {
		return nil, err
	}
	s.asked, s.bodies = append(s.asked, operation), append(s.bodies, body)
	left := s.answers[operation]
	if len(left) == 0 {
		s.t.Errorf("unexpected %s %s", operation, b)
		return nil, errors.New("unexpected")
	}
	if len(left) > 1 {
		s.answers[operation] = left[1:]
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(left[0].status)
	_, _ = io.WriteString(w, left[0].body)
	return w.Result(), nil
}

func newClient(t *testing.T, answers map[string][]answer) (*workflowsfn.Client, *states) {
	s := &states{t: t, answers: answers}
	api := sfn.NewFromConfig(aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(
		"AKID", "secret", ""), HTTPClient: s})
	return workflowsfn.New(api, map[event.Operation]string{"reboot": machine}), s
}

func ok(body string) []answer { return []answer{{200, body}} }

func refused(code string) []answer {
	return []answer{{400, `{"__type":"com.amazonaws.swf.service.v2.model#` + code + `","message":"` + code +
		`: because"}`}}
}

func TestTasksAreResumedByTheirTokens(t *testing.T) {
	c, s := newClient(t, map[string][]answer{"SendTaskSuccess": ok(`{}`), "SendTaskFailure": ok(`{}`)})
	if err := c.Succeed(t.Context(), secret, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if b := s.bodies[0]; b["taskToken"] != string(secret) || b["output"] != `{"a":1}` {
		t.Errorf("sent %v", b)
	}
	if err := c.Fail(t.Context(), secret, event.Failure{Name: "Reboot.Failed", Detail: "7022"}); err != nil {
		t.Fatal(err)
	}
	if b := s.bodies[1]; b["taskToken"] != string(secret) || b["error"] != "Reboot.Failed" || b["cause"] != "7022" {
		t.Errorf("sent %v", b)
	}
}

func TestADeadTokenIsToldApart(t *testing.T) {
	for code, dead := range map[string]bool{"TaskTimedOut": true, "TaskDoesNotExist": true, "InvalidToken": false,
		"AccessDeniedException": false} {
		// AWS quotes what it refuses: "Value '...' at 'taskToken' failed to satisfy constraint".
		quoting := []answer{{400, `{"__type":"` + code + `","message":"Value '` + string(secret) +
			`' at 'taskToken' failed to satisfy constraint"}`}}
		c, _ := newClient(t, map[string][]answer{"SendTaskSuccess": quoting, "SendTaskFailure": refused(code)})
		for op, err := range map[string]error{
			"Succeed": c.Succeed(t.Context(), secret, 1), "Fail": c.Fail(t.Context(), secret,
				event.Failure{Name: event.DeviceBusy}),
		} {
			if err == nil || errors.Is(err, workflow.ErrDeadToken) != dead {
				t.Errorf("%s, %s: got %v", op, code, err)
			}
			if strings.Contains(err.Error(), string(secret)) {
				t.Errorf("%s, %s: the token is in %v", op, code, err)
			}
		}
	}
}

func TestATaskSaysWhetherItIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		answer        []answer
		alive, failed bool
	}{
		"waits":          {ok(`{}`), true, false},
		"closed":         {refused("TaskTimedOut"), false, false},
		"unknown":        {refused("TaskDoesNotExist"), false, false},
		"nobody's token": {refused("InvalidToken"), false, true},
		"not allowed":    {refused("AccessDeniedException"), false, true},
	} {
		client, s := newClient(t, map[string][]answer{"SendTaskHeartbeat": c.answer})
		err := client.Alive(t.Context(), secret)
		if (err == nil) != c.alive || (err != nil && !errors.Is(err, workflow.ErrDeadToken)) != c.failed ||
			s.bodies[0]["taskToken"] != string(secret) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%s: the token is in %v", name, err)
		}
	}
}

// Executions are started by an alias, and are named without it.
func TestExecutionsAreNamedWithoutTheirAlias(t *testing.T) {
	const execution = "arn:aws:states:us-east-1:123456789012:execution:fleetstep-reboot:x"
	in := event.ExecutionInput{Execution: "x", Operation: "reboot"}
	for name, c := range map[string]struct {
		machine, answered string
		failed            bool
	}{
		"by the machine":   {machine, execution, false},
		"by an alias":      {machine + ":live", execution, false},
		"by a version":     {machine + ":3", execution, false},
		"answered another": {machine + ":live", execution + "y", true},
		"no machine":       {"arn:aws:lambda:us-east-1:123456789012:function:f", execution, true},
		"no ARN":           {"live", execution, true},
	} {
		s := &states{t: t, answers: map[string][]answer{
			"StartExecution":    ok(`{"executionArn":"` + c.answered + `","startDate":1}`),
			"DescribeExecution": ok(`{"status":"RUNNING"}`), "StopExecution": ok(`{}`),
		}}
		api := sfn.NewFromConfig(aws.Config{Region: "us-east-1", HTTPClient: s,
			Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "")})
		client := workflowsfn.New(api, map[event.Operation]string{"reboot": c.machine})
		if _, err := client.Start(t.Context(), in); (err != nil) != c.failed {
			t.Errorf("%s: %v", name, err)
		}
		if c.failed {
			continue
		}
		x, err := client.Look(t.Context(), "reboot", "x")
		if err != nil || !x.Running || !x.Known {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
		if err := client.Stop(t.Context(), "reboot", "x", event.Failure{Name: event.JobCanceled}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.bodies[0]["stateMachineArn"] != c.machine || s.bodies[1]["executionArn"] != execution ||
			s.bodies[2]["executionArn"] != execution {
			t.Errorf("%s: asked %v", name, s.bodies)
		}
	}
}

// Executions that somebody stopped are those of a page that were stopped lately, with whose they are.
func TestStoppedExecutionsAreListedWithWhoseTheyAre(t *testing.T) {
	since := time.Unix(1000, 0)
	in, err := json.Marshal(event.ExecutionInput{Owner: event.JobOwner("fw-2"), ThingName: "rg-1", Execution: "x"})
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(string(in))
	if err != nil {
		t.Fatal(err)
	}
	item := func(name string, stopped int) string {
		return fmt.Sprintf(`{"executionArn":%q,"name":%q,"status":"ABORTED","startDate":1,"stopDate":%d}`,
			strings.TrimSuffix(execution, "x")+name, name, stopped)
	}
	c, s := newClient(t, map[string][]answer{
		"ListExecutions": ok(`{"executions":[` + item("y", 999) + "," + item("x", 1000) + "," + item("z", 1001) + `]}`),
		"DescribeExecution": {{200, `{"status":"ABORTED","input":` + string(input) + `}`},
			{200, `{"status":"ABORTED","input":"7"}`}},
	})
	got, err := c.StoppedSince(t.Context(), since)
	want := []workflow.Stop{{Thing: "rg-1", Owner: event.JobOwner("fw-2"), Execution: "x"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if len(s.asked) != 3 || s.bodies[0]["stateMachineArn"] != machine || s.bodies[0]["statusFilter"] != "ABORTED" {
		t.Errorf("asked %v %v", s.asked, s.bodies)
	}

	c, _ = newClient(t, map[string][]answer{"ListExecutions": refused("StateMachineDoesNotExist")})
	if got, err := c.StoppedSince(t.Context(), since); err != nil || got != nil {
		t.Errorf("of a machine that is not there yet: %+v, %v", got, err)
	}
	c, _ = newClient(t, map[string][]answer{"ListExecutions": refused("AccessDeniedException")})
	if got, err := c.StoppedSince(t.Context(), since); err == nil || got != nil {
		t.Errorf("of a machine that may not be listed: %+v, %v", got, err)
	}
}

func TestThrottledCallsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttled := refused("ThrottlingException")[0]
		c, s := newClient(t, map[string][]answer{"SendTaskSuccess": {throttled, throttled, {200, `{}`}}})
		if err := c.Succeed(t.Context(), secret, 1); err != nil || len(s.asked) != 3 {
			t.Errorf("got %v after %v", err, s.asked)
		}
	})
}

// AWS takes 32,768 characters; a character is never cut in two.
func TestLongCausesAreCut(t *testing.T) {
	c, s := newClient(t, map[string][]answer{"SendTaskFailure": ok(`{}`), "StopExecution": ok(`{}`)})
	f := event.Failure{Name: event.DeviceRefused, Detail: "x" + strings.Repeat("ä", 40000)}
	if err := c.Fail(t.Context(), secret, f); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context(), "reboot", "x", f); err != nil {
		t.Fatal(err)
	}
	for i, b := range s.bodies {
		cause, _ := b["cause"].(string)
		if n := utf8.RuneCountInString(cause); n == 0 || n > 32768 || !strings.HasPrefix(f.Detail, cause) {
			t.Errorf("%s: a cause of %d characters, ending in %q", s.asked[i], n, cause[max(0, len(cause)-4):])
		}
	}
}

func TestStart(t *testing.T) {
	in := event.NewExecutionInput(event.JobOwner("fw-2"), "rg-1", 1, "reboot",
		event.Plan{Document: json.RawMessage(`{"a":1}`), Timeouts: json.RawMessage(`{}`)})
	in.Execution = "x"
	describe := func(status string) []answer {
		return ok(`{"executionArn":"` + execution + `","startDate":1,"status":"` + status + `"}`)
	}
	exists := refused("ExecutionAlreadyExists")
	for name, c := range map[string]struct {
		answers map[string][]answer
		want    error // nil: none; other: any but those of workflow
	}{
		"new": {map[string][]answer{"StartExecution": ok(`{"executionArn":"` + execution + `","startDate":1}`)}, nil},
		"runs already": {map[string][]answer{"StartExecution": exists,
			"DescribeExecution": describe("RUNNING")}, nil},
		"to be redriven": {map[string][]answer{"StartExecution": exists,
			"DescribeExecution": describe("PENDING_REDRIVE")}, nil},
		"is over": {map[string][]answer{"StartExecution": exists,
			"DescribeExecution": describe("FAILED")}, workflow.ErrPlayed},
		"cannot be looked at": {map[string][]answer{"StartExecution": exists,
			"DescribeExecution": refused("AccessDeniedException")}, errOther},
		"is not to be seen yet": {map[string][]answer{"StartExecution": exists,
			"DescribeExecution": refused("ExecutionDoesNotExist")}, errOther},
		"refused": {map[string][]answer{"StartExecution": refused("ExecutionLimitExceeded")}, errOther},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, s := newClient(t, c.answers)
			began, err := client.Start(t.Context(), in)
			if err == nil && began.Unix() != 1 {
				t.Errorf("%s: it runs since %s", name, began)
			}
			if c.want == errOther {
				if err == nil || errors.Is(err, workflow.ErrPlayed) {
					t.Errorf("%s: got %v", name, err)
				}
			} else if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			b := s.bodies[0]
			var sent event.ExecutionInput
			if err := json.Unmarshal([]byte(b["input"].(string)), &sent); err != nil || !reflect.DeepEqual(sent, in) ||
				b["name"] != "x" || b["stateMachineArn"] != machine {
				t.Errorf("%s: sent %v", name, b)
			}
			if len(s.bodies) > 1 && s.bodies[1]["executionArn"] != execution {
				t.Errorf("%s: looked at %v", name, s.bodies[1])
			}
		})
	}
}

var errOther = errors.New("any other error")

func TestLook(t *testing.T) {
	running, over := workflow.ExecutionStatus{Known: true, Running: true}, workflow.ExecutionStatus{Known: true}
	stopped := func(f event.Failure) workflow.ExecutionStatus {
		return workflow.ExecutionStatus{Known: true, Stopped: &f}
	}
	for answered, want := range map[string]workflow.ExecutionStatus{
		`{"status":"RUNNING"}`:                         running,
		`{"status":"PENDING_REDRIVE"}`:                 running,
		`{"status":"SUCCEEDED"}`:                       over,
		`{"status":"FAILED","error":"E"}`:              over,
		`{"status":"TIMED_OUT"}`:                       over,
		`{"status":"ABORTED","error":"E","cause":"c"}`: stopped(event.Failure{Name: "E", Detail: "c"}),
		`{"status":"ABORTED"}`:                         stopped(event.Failure{}),
	} {
		c, _ := newClient(t, map[string][]answer{"DescribeExecution": ok(answered)})
		if got, err := c.Look(t.Context(), "reboot", "x"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", answered, got, err, want)
		}
	}
	c, _ := newClient(t, map[string][]answer{"DescribeExecution": refused("ExecutionDoesNotExist")})
	if got, err := c.Look(t.Context(), "reboot", "x"); got.Known || got.Running || err != nil {
		t.Errorf("none: %+v, %v", got, err)
	}
	c, _ = newClient(t, map[string][]answer{"DescribeExecution": refused("InvalidArn")})
	if _, err := c.Look(t.Context(), "reboot", "x"); err == nil || !strings.Contains(err.Error(), "execution x") {
		t.Errorf("got %v", err)
	}
}

func TestEveryOperationHasItsMachine(t *testing.T) {
	c, s := newClient(t, nil)
	in := event.NewExecutionInput(event.JobOwner("fw-2"), "rg-1", 1, "another", event.Plan{})
	_, status := c.Look(t.Context(), "another", "x")
	_, started := c.Start(t.Context(), in)
	for op, err := range map[string]error{
		"Start": started, "Look": status, "Stop": c.Stop(t.Context(), "another", "x",
			event.Failure{}),
	} {
		if err == nil || !strings.Contains(err.Error(), `"another"`) || len(s.asked) != 0 {
			t.Errorf("%s: got %v after %v", op, err, s.asked)
		}
	}
}

func TestStop(t *testing.T) {
	f := event.Failure{Name: event.JobCanceled, Detail: "AWS IoT says so"}
	c, s := newClient(t, map[string][]answer{"StopExecution": ok(`{"stopDate":1}`)})
	if err := c.Stop(t.Context(), "reboot", "x", f); err != nil {
		t.Fatal(err)
	}
	if b := s.bodies[0]; b["executionArn"] != execution || b["error"] != "Job.Canceled" || b["cause"] != f.Detail {
		t.Errorf("sent %v", b)
	}
	c, _ = newClient(t, map[string][]answer{"StopExecution": refused("ExecutionDoesNotExist")})
	if err := c.Stop(t.Context(), "reboot", "x", f); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
	c, _ = newClient(t, map[string][]answer{"StopExecution": refused("AccessDeniedException")})
	if err := c.Stop(t.Context(), "reboot", "x", f); err == nil {
		t.Error("a refusal is not passed on")
	}
}
