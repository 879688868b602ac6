package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fleetstep/fleetstep/internal/event"
)

// cloud answers by "METHOD path?query". A list of answers is used up to its last
// one.
type cloud struct {
	t       *testing.T
	answers map[string][]answer
	asked   []string
	bodies  []string
}

type answer struct {
	status  int
	headers map[string]string
	body    string
}

func ok(bodies ...string) []answer {
	var list []answer
	for _, b := range bodies {
		list = append(list, answer{status: 200, body: b})
	}
	return list
}

func refused(status int, code, message string) []answer {
	return []answer{{status, map[string]string{"X-Amzn-Errortype": code}, `{"message":"` + message + `"}`}}
}

func (c *cloud) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	signing := "/us-east-1/iot/aws4_request"
	if strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") {
		signing = "/us-east-1/lambda/aws4_request"
	}
	k := r.Method + " " + r.URL.RequestURI()
	if operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions."); ok {
		k, signing = operation, "/us-east-1/states/aws4_request"
	}
	if a := r.Header.Get("Authorization"); !strings.Contains(a, signing) {
		c.t.Errorf("%s is signed as %s", r.URL.Path, a)
	}
	c.asked, c.bodies = append(c.asked, k), append(c.bodies, string(body))
	left := c.answers[k]
	if len(left) == 0 {
		c.t.Errorf("unexpected %s", k)
		left = refused(400, "InvalidRequestException", "unexpected")
	}
	if len(left) > 1 {
		c.answers[k] = left[1:]
	}
	w := httptest.NewRecorder()
	for name, v := range left[0].headers {
		w.Header().Set(name, v)
	}
	w.WriteHeader(left[0].status)
	_, _ = io.WriteString(w, left[0].body)
	return w.Result(), nil
}

// result is what a person sees of a command.
type result struct {
	out  string
	text string // of the error
	code int
	*cloud
}

type setup struct {
	answers  map[string][]answer
	in       string
	terminal bool
	load     error
	sleep    func(ctx context.Context) error
	states   func(definition string) event.Problems
}

func run(t *testing.T, s setup, args ...string) result {
	t.Helper()
	c := &cloud{t: t, answers: s.answers}
	var out, errs bytes.Buffer
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	env := &Env{
		In: strings.NewReader(s.in), Out: &out, Err: &errs, Terminal: s.terminal, States: s.states,
		Load: func(context.Context) (aws.Config, error) {
			return aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID",
				"secret", ""), HTTPClient: c}, s.load
		},
		Now: func() time.Time { return now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			now = now.Add(d)
			if s.sleep != nil {
				return s.sleep(ctx)
			}
			return nil
		},
	}
	root := New(env)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	if errs.Len() > 0 {
		t.Errorf("on standard error: %s", errs.String())
	}
	return result{out.String(), Explain(err), ExitCode(err), c}
}

func describe(status, comment, counts string) string {
	return fmt.Sprintf(`{"job":{"jobId":"fw-2","status":%q,"comment":%q,"targets":["arn:group"],"jobProcessDetails":{%s}}}`, status, comment, counts)
}

// list is a page of executions of a job, of "thing/number".
func list(next string, executions ...string) string {
	var s []string
	for _, e := range executions {
		thing, number, _ := strings.Cut(e, "/")
		s = append(s, `{"thingArn":"arn:aws:iot:us-east-1:123456789012:thing/`+thing+`","jobExecutionSummary":{"executionNumber":`+number+`}}`)
	}
	if next != "" {
		next = `,"nextToken":"` + next + `"`
	}
	return `{"executionSummaries":[` + strings.Join(s, ",") + `]` + next + `}`
}

func execution(status, reason, detail string) string {
	return fmt.Sprintf(`{"execution":{"status":%q,"statusDetails":{"detailsMap":{"reason":%q,"detail":%q}}}}`, status, reason, detail)
}

// account is a job with two failures, on two pages, and a rejection.
func account(describes ...string) map[string][]answer {
	a := map[string][]answer{
		"GET /jobs/fw-2":                                  ok(describes...),
		"GET /jobs/fw-2/things?status=FAILED":             ok(list("n", "rg-9/1")),
		"GET /jobs/fw-2/things?nextToken=n&status=FAILED": ok(list("", "rg-2/2")),
		"GET /jobs/fw-2/things?status=REJECTED":           ok(list("", "rg-5/1")),
		"GET /things/rg-9/jobs/fw-2?executionNumber=1":    ok(execution("FAILED", "Download.Failed", "7022 no route")),
		"GET /things/rg-2/jobs/fw-2?executionNumber=2":    ok(execution("FAILED", "Download.Failed", "404")),
		"GET /things/rg-5/jobs/fw-2?executionNumber=1":    ok(`{"execution":{"status":"REJECTED"}}`),
	}
	for _, status := range []string{"TIMED_OUT", "CANCELED", "REMOVED"} {
		a["GET /jobs/fw-2/things?status="+status] = ok(list(""))
	}
	return a
}

const failures = `
not upgraded, by reason:
     2  FAILED Download.Failed
     1  REJECTED 

THING  STATUS    REASON           DETAIL
rg-2   FAILED    Download.Failed  404
rg-5   REJECTED                   
rg-9   FAILED    Download.Failed  7022 no route
`

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"":                    "fleetstep [command]",
		"--help":              "AWS_ENDPOINT_URL",
		"help":                "fleetstep [command]",
		"job":                 "fleetstep job [command]",
		"job --help":          "Create, list, describe, watch, pause, resume and cancel jobs",
		"job create --help":   "--firmware-version 2.0.0 --target",
		"job list -h":         "--status IN_PROGRESS",
		"job describe --help": "fleetstep job describe JOB",
		"help job watch":      "fleetstep job watch JOB",
		"job cancel --help":   "--force also ends the workflows of devices at work",
	} {
		r := run(t, setup{}, strings.Fields(args)...)
		if r.code != 0 || !strings.Contains(r.out, want) || len(r.asked) > 0 {
			t.Errorf("%q: exit code %d, %s\n%s", args, r.code, r.text, r.out)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"nonsense":                        `unknown command "nonsense"`,
		"jop":                             `did you mean job?`,
		"job nonsense":                    `unknown command "nonsense"`,
		"job descrieb x":                  `did you mean describe?`,
		"--bad":                           "unknown flag: --bad (see fleetstep --help)",
		"job --bad":                       "unknown flag: --bad (see fleetstep job --help)",
		"job create":                      "give --file, or both --firmware-version and --target",
		"job create --firmware-version 2": "give --file, or both",
		"job create --target arn":         "give --file, or both",
		"job create -f x --target arn":    "--file excludes",
		"job create extra":                `fleetstep job create takes no argument "extra"`,
		"job create --file":               "flag needs an argument: --file",
		"job list extra":                  `takes no argument "extra"`,
		"job list --json=maybe":           "invalid argument",
		"job describe":                    "takes one argument, the job id",
		"job describe a b":                "takes one argument, the job id",
		"job describe a --failures many":  "invalid argument",
		"job watch":                       "takes one argument, the job id",
		"job watch a --json":              "unknown flag: --json",
		"job cancel":                      "takes one argument, the job id",
		"job pause a":                     "give --why",
		"job pause --why x":               "takes one argument, the job id",
		"stop-all":                        "give --why",
		"start-all now":                   `takes no argument "now"`,
		"job cancel a --comment":          "flag needs an argument: --comment",
	} {
		r := run(t, setup{}, strings.Fields(args)...)
		if r.code != 2 || !strings.Contains(r.text, want) || r.out != "" || len(r.asked) > 0 {
			t.Errorf("%q: exit code %d, %q, asked %v\n%s", args, r.code, r.text, r.asked, r.out)
		}
	}
}

const invoke = "POST /2015-03-31/functions/fleetstep-create-job/invocations"

const created = `{"jobId":"fw-2","jobArn":"arn:job","firmwareVersion":"2.0.0","targets":["arn:group"]}`

func TestJobCreate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(file, []byte(`{"from":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"flags": {[]string{"--firmware-version", "2.0.0", "--target", "arn:group"}, `{"firmwareVersion":"2.0.0","targetArn":"arn:group","upgradeTrigger":"IMMEDIATE"}`},
		"operation": {[]string{"--operation", "reboot", "--target", "a", "--allow-empty"},
			`{"operation":"reboot","input":{},"targets":["a"],"allowEmpty":true}`},
		"operation with input": {[]string{"--operation", "reboot", "--target", "a", "--input", `{"bootSeconds":20}`},
			`{"operation":"reboot","input":{"bootSeconds":20},"targets":["a"]}`},
		"window": {[]string{"--firmware-version", "2", "--target", "a", "--upgrade-trigger", "MAINTENANCE_WINDOW"}, `{"firmwareVersion":"2","targetArn":"a","upgradeTrigger":"MAINTENANCE_WINDOW"}`},
		"everything": {[]string{"--firmware-version", "2", "--target", "a", "--upgrade-trigger", "manual",
			"--target-selection", "CONTINUOUS", "--allow-empty"},
			`{"allowEmpty":true,"firmwareVersion":"2","targetArn":"a","targetSelection":"CONTINUOUS","upgradeTrigger":"manual"}`},
		"file":  {[]string{"--file", file}, `{"from":"file"}`},
		"stdin": {[]string{"-f", "-"}, `{"from":"stdin"}`},
	} {
		r := run(t, setup{answers: map[string][]answer{invoke: ok(created)}, in: `{"from":"stdin"}`}, append([]string{"job", "create"}, c.args...)...)
		if r.code != 0 || r.bodies[0] != c.want {
			t.Errorf("%s: exit code %d, %s, sent %v", name, r.code, r.text, r.bodies)
		}
		var got Created
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.JobID != "fw-2" || got.JobARN != "arn:job" {
			t.Errorf("%s: printed %s", name, r.out)
		}
	}
	r := run(t, setup{answers: map[string][]answer{"POST /2015-03-31/functions/other-create-job/invocations": ok(
		created)}},
		"job", "create", "--stack", "other", "-f", file)
	if r.code != 0 {
		t.Errorf("of another stack: %s", r.text)
	}
}

func TestJobCreateThenWatch(t *testing.T) {
	a := account(describe("COMPLETED", "", `"numberOfSucceededThings":2`))
	a[invoke] = ok(created)
	r := run(t, setup{answers: a}, "job", "create", "--firmware-version", "2", "--target", "a", "--watch")
	if want := "job fw-2\n    0s  COMPLETED 2/2: 0 queued, 0 in progress, 2 succeeded\n"; r.code != 0 ||
		r.out != want {
		t.Errorf("exit code %d, %s\n%s", r.code, r.text, r.out)
	}
}

func TestJobThatExisted(t *testing.T) {
	existed := strings.TrimSuffix(created, "}") + `,"existed":true,"status":"COMPLETED"}`
	r := run(t, setup{answers: map[string][]answer{invoke: ok(existed)}}, "job", "create", "--firmware-version", "2",
		"--target", "a")
	if r.code != 0 || !strings.Contains(r.out, `"existed": true`) || !strings.Contains(r.out, `"status": "COMPLETED"`) {
		t.Errorf("exit code %d, %s\n%s", r.code, r.text, r.out)
	}
	a := account(describe("COMPLETED", "", `"numberOfSucceededThings":2`))
	a[invoke] = ok(existed)
	r = run(t, setup{answers: a}, "job", "create", "--firmware-version", "2", "--target", "a", "--watch")
	if r.code != 0 || !strings.HasPrefix(r.out, "job fw-2 existed, COMPLETED\n") {
		t.Errorf("exit code %d, %s\n%s", r.code, r.text, r.out)
	}
}

// Nobody was upgraded, and nothing failed: that is neither 0 nor 1.
func TestNobodyInTheTarget(t *testing.T) {
	empty := []answer{{200, map[string]string{"X-Amz-Function-Error": "Unhandled"}, `{"errorType":"EmptyTarget","errorMessage":"no device is in the target"}`}}
	r := run(t, setup{answers: map[string][]answer{invoke: empty}}, "job", "create", "--firmware-version", "2",
		"--target", "a")
	if r.code != 3 || r.text != "EmptyTarget: no device is in the target" || r.out != "" {
		t.Errorf("exit code %d, %q\n%s", r.code, r.text, r.out)
	}
	r = run(t, setup{answers: account(describe("COMPLETED", "", ""))}, "job", "watch", "fw-2")
	if r.code != 3 || r.text != "job fw-2 is COMPLETED, and no device was in its target" {
		t.Errorf("exit code %d, %q\n%s", r.code, r.text, r.out)
	}
}

func TestJobCreateRefused(t *testing.T) {
	failed := func(body string) []answer {
		return []answer{{200, map[string]string{"X-Amz-Function-Error": "Unhandled"}, body}}
	}
	for name, c := range map[string]struct {
		answers []answer
		want    string
	}{
		"by the function": {failed(`{"errorType":"Payload.Invalid","errorMessage":"$.targets: 0; at least 1"}`), "Payload.Invalid: $.targets: 0; at least 1"},
		"without words":   {failed(`Killed`), "fleetstep-create-job failed: Killed"},
		"without a job":   {ok(`{}`), "fleetstep-create-job answered {}, which has no jobId"},
		"by no JSON":      {ok(`x`), "which has no jobId"},
		"not deployed": {refused(404, "ResourceNotFoundException", "Function not found"),
			"Lambda Invoke: ResourceNotFoundException: Function not found"},
	} {
		r := run(t, setup{answers: map[string][]answer{invoke: c.answers}}, "job", "create", "--firmware-version", "2",
			"--target", "a")
		if r.code != 1 || !strings.Contains(r.text, c.want) || r.out != "" {
			t.Errorf("%s: exit code %d, %q, %s", name, r.code, r.text, r.out)
		}
	}
	if r := run(t, setup{}, "job", "create", "--file", "/no/such/file"); r.code != 1 ||
		!strings.Contains(r.text, "/no/such/file") {
		t.Errorf("no file: exit code %d, %q", r.code, r.text)
	}
	if r := run(t, setup{load: errors.New("no region")}, "job", "create", "--firmware-version", "2", "--target",
		"a"); r.code != 1 || r.text != "no region" {
		t.Errorf("no configuration: exit code %d, %q", r.code, r.text)
	}
}

func TestJobList(t *testing.T) {
	pages := map[string][]answer{
		"GET /jobs":             ok(`{"jobs":[{"jobId":"fw-2","status":"IN_PROGRESS","createdAt":1795334400}],"nextToken":"n"}`),
		"GET /jobs?nextToken=n": ok(`{"jobs":[{"jobId":"fw-1","status":"COMPLETED","createdAt":1795248000,"completedAt":1795251600}]}`),
	}
	r := run(t, setup{answers: pages}, "job", "list")
	want := "JOB   STATUS       CREATED              COMPLETED\n" +
		"fw-2  IN_PROGRESS  2026-11-22 08:00:00  -\n" +
		"fw-1  COMPLETED    2026-11-21 08:00:00  2026-11-21 09:00:00\n"
	if r.code != 0 || r.out != want {
		t.Errorf("exit code %d, %s\n%s", r.code, r.text, r.out)
	}
	r = run(t, setup{answers: pages}, "job", "list", "--json")
	var jobs []struct{ JobId, Status string }
	if err := json.Unmarshal([]byte(r.out), &jobs); err != nil || len(jobs) != 2 || jobs[1].JobId != "fw-1" {
		t.Errorf("%v: %s", err, r.out)
	}
	r = run(t, setup{answers: map[string][]answer{"GET /jobs?status=CANCELED": ok(`{"jobs":[]}`)}}, "job", "list",
		"--status", "canceled", "--json")
	if r.code != 0 || r.out != "[]\n" {
		t.Errorf("of none: exit code %d, %s, %q", r.code, r.text, r.out)
	}
	r = run(t, setup{answers: map[string][]answer{"GET /jobs?status=X": refused(400, "InvalidRequestException",
		"no status")}}, "job", "list", "--status", "X")
	if r.code != 1 || r.text != "IoT ListJobs: InvalidRequestException: no status" {
		t.Errorf("exit code %d, %q", r.code, r.text)
	}
}

const ended = `"numberOfSucceededThings":7,"numberOfFailedThings":2,"numberOfRejectedThings":1`

func TestJobDescribe(t *testing.T) {
	r := run(t, setup{answers: account(describe("COMPLETED", "why not", ended))}, "job", "describe", "fw-2")
	want := "job       fw-2\nstatus    COMPLETED\ncomment   why not\n" +
		"devices   10: 0 queued, 0 in progress, 7 succeeded, 2 failed, 1 rejected\n" + failures
	if r.code != 0 || r.out != want {
		t.Errorf("exit code %d, %s\n%s\nwant\n%s", r.code, r.text, r.out, want)
	}
	r = run(t, setup{answers: account(describe("COMPLETED", "", ended))}, "job", "describe", "fw-2", "--json")
	var s State
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	if s.JobID != "fw-2" || s.Counts != (Counts{Succeeded: 7, Failed: 2, Rejected: 1}) || len(s.Failures) != 3 ||
		s.Failures[2] != (Failure{"rg-9", "FAILED", "Download.Failed", "7022 no route"}) {
		t.Errorf("got %s", r.out)
	}
	// No more is asked for than is shown.
	r = run(t, setup{answers: account(describe("COMPLETED", "", ended))}, "job", "describe", "fw-2", "--failures", "1")
	if r.code != 0 || !strings.Contains(r.out, "rg-9") || strings.Contains(r.out, "rg-2") || len(r.asked) != 3 {
		t.Errorf("asked %v\n%s", r.asked, r.out)
	}
	r = run(t, setup{answers: account(describe("COMPLETED", "", ended))}, "job", "describe", "fw-2", "--failures", "0")
	if r.code != 0 || strings.Contains(r.out, "not upgraded") || len(r.asked) != 1 {
		t.Errorf("asked %v\n%s", r.asked, r.out)
	}
	r = run(t, setup{answers: map[string][]answer{"GET /jobs/none": refused(404, "ResourceNotFoundException",
		"no such job")}}, "job", "describe", "none")
	if r.code != 1 || r.text != "IoT DescribeJob: ResourceNotFoundException: no such job" {
		t.Errorf("exit code %d, %q", r.code, r.text)
	}
}

// A device that failed and was added to the job again, or left it, has several
// executions: each is told as it ended.
func TestEachExecutionIsToldAsItEnded(t *testing.T) {
	a := account(describe("COMPLETED", "", ended))
	a["GET /jobs/fw-2/things?status=FAILED"] = ok(list("", "rg-2/1", "rg-2/2"))
	a["GET /jobs/fw-2/things?status=REJECTED"] = ok(list(""))
	a["GET /things/rg-2/jobs/fw-2?executionNumber=1"] = ok(execution("FAILED", "Device.Offline", ""))
	r := run(t, setup{answers: a}, "job", "describe", "fw-2", "--json")
	var s State
	if err := json.Unmarshal([]byte(r.out), &s); err != nil || len(s.Failures) != 2 ||
		s.Failures[0].Reason != "Device.Offline" || s.Failures[1].Reason != "Download.Failed" {
		t.Errorf("%v: %s", err, r.out)
	}
}

func TestJobWatchPrintsALineForEachChange(t *testing.T) {
	r := run(t, setup{answers: account(
		describe("IN_PROGRESS", "", `"numberOfQueuedThings":3`),
		describe("IN_PROGRESS", "", `"numberOfQueuedThings":3`),
		describe("IN_PROGRESS", "", `"numberOfQueuedThings":1,"numberOfInProgressThings":2`),
		describe("CANCELED", "", `"numberOfInProgressThings":1,"numberOfSucceededThings":2`), // not over yet
		describe("COMPLETED", "", `"numberOfSucceededThings":3`),
	)}, "job", "watch", "fw-2")
	want := "    0s  IN_PROGRESS 0/3: 3 queued, 0 in progress, 0 succeeded\n" +
		"    2s  IN_PROGRESS 0/3: 1 queued, 2 in progress, 0 succeeded\n" +
		"    3s  CANCELED 2/3: 0 queued, 1 in progress, 2 succeeded\n" +
		"    4s  COMPLETED 3/3: 0 queued, 0 in progress, 3 succeeded\n"
	if r.code != 0 || r.out != want {
		t.Errorf("exit code %d, %s\n%s", r.code, r.text, r.out)
	}
}

func TestJobWatchRedrawsOnATerminal(t *testing.T) {
	r := run(t, setup{terminal: true, answers: account(
		describe("SCHEDULED", "", ``),
		describe("IN_PROGRESS", "", `"numberOfQueuedThings":2,"numberOfSucceededThings":2`),
		describe("COMPLETED", "", `"numberOfSucceededThings":4`),
	)}, "job", "watch", "fw-2")
	empty, full := strings.Repeat("░", 32), strings.Repeat("█", 32)
	want := "\r\x1b[K" + empty + " 0/0  0 queued, 0 in progress, 0 succeeded  0s" +
		"\r\x1b[K" + full[:len(full)/2] + empty[:len(empty)/2] + " 2/4  2 queued, 0 in progress, 2 succeeded  1s" +
		"\r\x1b[K" + full + " 4/4  0 queued, 0 in progress, 4 succeeded  2s\n"
	if r.code != 0 || r.out != want {
		t.Errorf("exit code %d, %s\n%q\nwant\n%q", r.code, r.text, r.out, want)
	}
}

func TestJobWatchEndsWithTheFailures(t *testing.T) {
	r := run(t, setup{answers: account(describe("COMPLETED", "", ended))}, "job", "watch", "fw-2")
	if r.code != 1 || r.text != "" || !strings.HasSuffix(r.out, "1 rejected\n"+failures) {
		t.Errorf("exit code %d, %q\n%s", r.code, r.text, r.out)
	}
	// Nobody failed, and yet the job was stopped.
	a := account(describe("CANCELED", "", `"numberOfSucceededThings":7`))
	for k := range a {
		if strings.Contains(k, "/things?") {
			a[k] = ok(list(""))
		}
	}
	if r = run(t, setup{answers: a}, "job", "watch", "fw-2"); r.code != 1 || r.text != "" {
		t.Errorf("canceled: exit code %d, %q\n%s", r.code, r.text, r.out)
	}
}

func TestJobWatchMayBeInterrupted(t *testing.T) {
	s := setup{
		terminal: true, answers: account(describe("IN_PROGRESS", "", `"numberOfQueuedThings":1`)),
		sleep: func(context.Context) error { return context.Canceled },
	}
	if r := run(t, s, "job", "watch", "fw-2"); r.code != 130 || r.text != "interrupted" ||
		!strings.HasSuffix(r.out, "0s\n") {
		t.Errorf("exit code %d, %q, %q", r.code, r.text, r.out)
	}
	r := run(t, setup{answers: map[string][]answer{"GET /jobs/fw-2": refused(403, "AccessDeniedException",
		"not allowed")}}, "job", "watch", "fw-2")
	if r.code != 1 || r.text != "IoT DescribeJob: AccessDeniedException: not allowed" {
		t.Errorf("exit code %d, %q", r.code, r.text)
	}
}

func TestJobCancel(t *testing.T) {
	for args, c := range map[string]struct{ path, body string }{
		"":                    {"PUT /jobs/fw-2/cancel", `{}`},
		"--force":             {"PUT /jobs/fw-2/cancel?force=true", `{}`},
		"--comment x --force": {"PUT /jobs/fw-2/cancel?force=true", `{"comment":"x"}`},
	} {
		r := run(t, setup{answers: map[string][]answer{c.path: ok(`{"jobId":"fw-2"}`)}}, append([]string{"job", "cancel", "fw-2"}, strings.Fields(args)...)...)
		if r.code != 0 || r.out != "job fw-2 is being canceled; follow it with: fleetstep job watch fw-2\n" {
			t.Errorf("%s: exit code %d, %s, %s", args, r.code, r.text, r.out)
		}
		if b := r.bodies[0]; b != c.body && (b != "" || c.body != "{}") {
			t.Errorf("%s: sent %s", args, b)
		}
	}
	r := run(t, setup{answers: map[string][]answer{"PUT /jobs/fw-2/cancel": refused(409,
		"InvalidStateTransitionException", "it is COMPLETED")}}, "job", "cancel", "fw-2")
	if r.code != 1 || r.text != "IoT CancelJob: InvalidStateTransitionException: it is COMPLETED" {
		t.Errorf("exit code %d, %q", r.code, r.text)
	}
}

func TestPauseAndResume(t *testing.T) {
	const control = "POST /2015-03-31/functions/fleetstep-control/invocations"
	for args, c := range map[string]struct{ sent, answer, out string }{
		"job pause fw-2 --why x": {`"verb":"pause","jobId":"fw-2"`, `{"state":"PAUSED","changed":true,"rev":1,"why":"x"}`, "job fw-2 is paused: x\n"},
		"job resume fw-2":        {`"verb":"resume","jobId":"fw-2"`, `{"state":"RUNNING","changed":false,"rev":0}`, "job fw-2 was not paused\n"},
		"stop-all --why x":       {`"verb":"stop-all","why":"x"`, `{"state":"PAUSED","changed":true,"rev":1,"why":"x"}`, "everything is paused: x\n"},
		"start-all":              {`"verb":"start-all","why":""`, `{"state":"RUNNING","changed":true,"rev":2}`, "everything is resumed\n"},
		"start-all --json":       {`"verb":"start-all","why":""`, `{"state":"RUNNING","changed":true,"rev":2}`, "{\n  \"state\": \"RUNNING\",\n  \"changed\": true,\n  \"rev\": 2\n}\n"},
	} {
		r := run(t, setup{answers: map[string][]answer{control: ok(c.answer)}}, strings.Fields(args)...)
		if r.code != 0 || r.out != c.out || len(r.bodies) != 1 || !strings.Contains(r.bodies[0], c.sent) ||
			!strings.Contains(r.bodies[0], `"proof":"https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity`) ||
			strings.Contains(r.bodies[0], "secret") {
			t.Errorf("%s: exit code %d, %s\n%s\nsent %v", args, r.code, r.text, r.out, r.bodies)
		}
	}
	failed := answer{200, map[string]string{"X-Amz-Function-Error": "Unhandled"}, `{"errorType":"JobOver","errorMessage":"it is over"}`}
	r := run(t, setup{answers: map[string][]answer{control: {failed}}}, "job", "resume", "fw-2")
	if r.code != 1 || r.text != "JobOver: it is over" {
		t.Errorf("exit code %d, %q", r.code, r.text)
	}
}

func TestEnded(t *testing.T) {
	for _, c := range []struct {
		s    State
		want bool
	}{
		{State{Status: "IN_PROGRESS"}, false},
		{State{Status: "SCHEDULED"}, false},
		{State{Status: "COMPLETED"}, true},
		{State{Status: "CANCELED", Counts: Counts{InProgress: 1}}, false},
		{State{Status: "CANCELED", Counts: Counts{Queued: 1}}, false},
		{State{Status: "CANCELED", Counts: Counts{Canceled: 1}}, true},
	} {
		if got := c.s.Ended(); got != c.want {
			t.Errorf("%+v: %t", c.s, got)
		}
	}
	c := Counts{1, 2, 3, 4, 5, 6, 7, 8}
	if c.Total() != 36 || c.Done() != 33 || c.Unsuccessful() != 30 {
		t.Errorf("%d %d %d", c.Total(), c.Done(), c.Unsuccessful())
	}
	if want := "1 queued, 2 in progress, 3 succeeded, 4 failed, 5 rejected, 6 timed out, 7 canceled, 8 " +
		"removed"; c.String() != want {
		t.Errorf("got %s", c)
	}
}

// TestAFunctionThatDiedIsAskedAgain: its process was killed, or its time was up. What was asked may be asked twice.
func TestAFunctionThatDiedIsAskedAgain(t *testing.T) {
	failed := func(kind string) answer {
		return answer{200, map[string]string{"X-Amz-Function-Error": "Unhandled"},
			`{"errorType":"` + kind + `","errorMessage":"RequestId: 1 it ended"}`}
	}
	killed, late := failed("Runtime.ExitError"), failed("Sandbox.Timedout")
	made := answer{status: 200, body: `{"jobId":"fw-1","jobArn":"arn"}`}
	for _, c := range []struct {
		answers []answer
		code    int
		asked   int
	}{
		{[]answer{killed, made}, 0, 2}, {[]answer{late, killed, made}, 0, 3},
		{[]answer{killed, killed, killed, made}, 1, 3},
		{[]answer{failed("JobOver"), made}, 1, 1},
	} {
		r := run(t, setup{answers: map[string][]answer{invoke: c.answers}, in: "{}"}, "job", "create", "--file", "-")
		if r.code != c.code || len(r.asked) != c.asked {
			t.Errorf("%v: exit code %d after %d invocations: %s", c.answers, r.code, len(r.asked), r.text)
		}
		for _, body := range r.bodies {
			if body != r.bodies[0] {
				t.Errorf("it was asked %s, and then %s", r.bodies[0], body)
			}
		}
	}
}
