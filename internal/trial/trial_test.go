package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

func TestTransitionsAreCountedAsAWSDoes(t *testing.T) {
	task := []string{"TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded",
		"TaskStateExited"}
	for name, c := range map[string]struct {
		executions [][]string
		want       float64
	}{
		"none": {nil, 0},
		"two tasks": {[][]string{slices.Concat([]string{"ExecutionStarted"}, task, task,
			[]string{"ExecutionSucceeded"})}, 2},
		"other states": {[][]string{slices.Concat(task, []string{"WaitStateEntered",
			"WaitStateExited", "SucceedStateEntered", "SucceedStateExited"})}, 3},
		"a retry more": {[][]string{slices.Concat([]string{"TaskStateEntered", "TaskScheduled",
			"TaskFailed"}, task[1:])}, 2},
		"averages":   {[][]string{task, slices.Concat(task, task)}, 1.5},
		"two places": {[][]string{task, task, slices.Concat(task, task)}, 1.33},
		"caught errors are no upgrades": {[][]string{slices.Concat(task, task), {"TaskStateEntered", "TaskScheduled",
			"TaskFailed", "TaskStateExited", "TaskStateEntered"}}, 2},
		"nor caught timeouts": {[][]string{task, {"TaskStateEntered", "TaskScheduled", "TaskTimedOut",
			"TaskStateExited"}}, 1},
	} {
		var n Transitions
		for _, kinds := range c.executions {
			n.Add(slices.Values(kinds))
		}
		if got := n.PerUpgrade(); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	// Staged devices have two executions each, and in each an error is caught: the park, or the way around Download.
	var staged Transitions
	for range 3 {
		staged.Add(slices.Values([]string{"TaskStateEntered", "TaskScheduled", "TaskFailed", "TaskStateExited",
			"TaskStateEntered"}))
	}
	if got := staged.Each(2); got != 3 {
		t.Errorf("staged: got %v, want 3", got)
	}
	if got := staged.Each(0); got != 0 {
		t.Errorf("of none: got %v", got)
	}
}

// deaf is a broker on which nothing ever comes.
type deaf struct{ refuses error }

func (d deaf) Connect(context.Context, simulator.Connection, simulator.Handler) (simulator.Session, error) {
	return session{}, d.refuses
}

type session struct{}

func (session) Publish(simulator.Publish) error { return nil }
func (session) Close(bool) error                { return nil }

// place is a World whose agents run a version from the start.
type place struct {
	version     string
	refuses     error // connections
	left        [][]string
	transitions float64
	calls       int64
	plan        Plan
}

func (p *place) Fleet(_ context.Context, plan Plan) (*simulator.Fleet, string, error) {
	p.plan = plan
	f, err := simulator.NewFleet(simulator.FleetConfig{
		Settings: simulator.Settings{Transport: deaf{p.refuses}, HTTP: http.DefaultClient, Version: p.version,
			Controller: plan.Controller,
			Subscriptions: []simulator.Subscription{{ID: "boot", NotifType: "Event", ReferenceList: "Device.Boot!",
				Enable: true}}},
		Things: plan.Things, Seed: plan.Seed, Faults: plan.Faults,
	})
	return f, "nothing", err
}

func (p *place) Residue(context.Context) ([]string, error) {
	if len(p.left) == 0 {
		return nil, nil
	}
	now := p.left[0]
	if len(p.left) > 1 {
		p.left = p.left[1:]
	}
	return now, nil
}

// Calls implements World: each time there are more.
func (p *place) Calls(context.Context) ([]Calls, error) {
	p.calls += 6
	return []Calls{{By: "fleetstep-finalize", Service: "lambda", Operation: "Invoke", Count: p.calls}}, nil
}

func (p *place) Transitions(context.Context, string) (Transitions, error) {
	var t Transitions
	for _, n := range []float64{math.Floor(p.transitions), math.Ceil(p.transitions)} {
		t.Add(slices.Values(slices.Repeat([]string{"PassStateEntered"}, int(n))))
	}
	return t, nil
}

// cloud answers what a demonstration asks of AWS, by operation.
type cloud struct {
	t       *testing.T
	answers map[string]string
	asked   []string
	put     int // bytes of the image
	scan    string
}

func (c *cloud) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	operation := r.Method + " " + r.URL.RequestURI()
	switch target := r.Header.Get("X-Amz-Target"); {
	case target != "":
		_, operation, _ = strings.Cut(target, ".")
	case bytes.HasPrefix(body, []byte("Action=")):
		operation, _, _ = strings.Cut(string(body[len("Action="):]), "&")
	}
	operation, _, _ = strings.Cut(operation, "?x-id")
	c.asked = append(c.asked, operation)
	w := httptest.NewRecorder()
	answer, ok := c.answers[operation]
	if !ok {
		c.t.Errorf("unexpected %s", operation)
		w.WriteHeader(400)
	}
	switch {
	case operation == "Scan":
		c.scan = string(body)
	case strings.HasPrefix(operation, "PUT /images/"):
		c.put = len(body)
	}
	_, _ = io.WriteString(w, answer)
	return w.Result(), nil
}

const stack = `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>fleetstep</StackName><Outputs>
<member><OutputKey>FirmwareBucketName</OutputKey><OutputValue>images</OutputValue></member>
<member><OutputKey>DevicePolicyName</OutputKey><OutputValue>fleetstep-device</OutputValue></member>
<member><OutputKey>ControllerEndpointId</OutputKey><OutputValue>self::fleetstep</OutputValue></member>
<member><OutputKey>TableName</OutputKey><OutputValue>table</OutputValue></member>
<member><OutputKey>StateMachineArn</OutputKey><OutputValue>arn:aws:states:us-east-1:123456789012:stateMachine:m</OutputValue></member>
</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`

// over is the account after a job of devices.
func over(t *testing.T, succeeded, failed int) *cloud {
	c := &cloud{t: t, answers: map[string]string{
		"DescribeStacks":                stack,
		"PUT /images/2.0.0/gateway.bin": "",
		"POST /2015-03-31/functions/fleetstep-create-job/invocations": `{"jobId":"fw-2","jobArn":"arn:job"}`,
		"GET /jobs/fw-2": fmt.Sprintf(
			`{"job":{"jobId":"fw-2","status":"COMPLETED","jobProcessDetails":{"numberOfSucceededThings":%d,"numberOfFailedThings":%d}}}`, succeeded, failed),
		"ListExecutions": `{"executions":[]}`,
		"Scan":           `{"Items":[]}`,
	}}
	for _, status := range []string{"FAILED", "REJECTED", "TIMED_OUT", "CANCELED", "REMOVED"} {
		c.answers["GET /jobs/fw-2/things?status="+status] = `{"executionSummaries":[]}`
	}
	return c
}

// failed adds a failure of the first devices.
func (c *cloud) failed(status, reason string, things ...string) {
	var list []string
	for _, thing := range things {
		list = append(list,
			`{"thingArn":"arn:aws:iot:us-east-1:123456789012:thing/`+thing+`","jobExecutionSummary":{"executionNumber":1}}`)
		c.answers["GET /things/"+thing+"/jobs/fw-2?executionNumber=1"] = fmt.Sprintf(
			`{"execution":{"status":%q,"statusDetails":{"detailsMap":{"reason":%q}}}}`, status, reason)
	}
	c.answers["GET /jobs/fw-2/things?status="+status] = `{"executionSummaries":[` + strings.Join(list, ",") + `]}`
}

// reached adds job executions of devices, for a list of all.
func (c *cloud) reached(status string, devices ...int) *cloud {
	const all = "GET /jobs/fw-2/things"
	list := strings.TrimSuffix(strings.TrimPrefix(c.answers[all], `{"executionSummaries":[`), "]}")
	for _, n := range devices {
		if list != "" {
			list += ","
		}
		list += fmt.Sprintf(`{"thingArn":"arn:aws:iot:us-east-1:123456789012:thing/%s","jobExecutionSummary":{"status":%q}}`,
			simulator.ThingName(n), status)
	}
	c.answers[all] = `{"executionSummaries":[` + list + "]}"
	return c
}

func play(t *testing.T, c *cloud, p *place, change func(*Config)) (out string, err error) {
	t.Helper()
	payload := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(payload,
		[]byte(`{"firmwareVersion":"2.0.0","targetArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/demo"}`),
		0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		endpoint := "https://cloud.example"
		cfg := Config{
			Env: &cli.Env{Out: &b, Now: time.Now, Sleep: func(ctx context.Context, d time.Duration) error {
				time.Sleep(d)
				return ctx.Err()
			}},
			AWS: aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: c,
				Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "")},
			Stack: "fleetstep", Devices: 3, Event: payload, Seed: 1, Image: 4096, Timeout: time.Minute, World: p,
		}
		if change != nil {
			change(&cfg)
		}
		err = Run(t.Context(), cfg)
		out = b.String()
	})
	return out, err
}

func TestAJobThatWentWell(t *testing.T) {
	c, p := over(t, 3, 0), &place{version: "2.0.0", transitions: 4.5}
	out, err := play(t, c, p, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], "SUMMARY ")
	var s Summary
	if err := json.Unmarshal([]byte(last), &s); !ok || err != nil {
		t.Fatalf("the last line is %s", lines[len(lines)-1])
	}
	if s.JobID != "fw-2" || s.Devices != 3 || s.Succeeded != 3 || s.PerUpgrade != (PerUpgrade{Transitions: 4.5,
		Invocations: 2}) ||
		strings.Contains(out, "PROBLEM") {
		t.Errorf("got %+v\n%s", s, out)
	}
	if c.put < 4096 || p.plan.Policy != "fleetstep-device" || p.plan.Group != "demo" ||
		p.plan.Controller != "self::fleetstep" || len(p.plan.Things) != 3 {
		t.Errorf("an image of %d bytes, %+v", c.put, p.plan)
	}
	for _, want := range []string{"CLAIM", "AWAIT#", "PENDING#", "NEWS#", `"ConsistentRead":true`} {
		if !strings.Contains(c.scan, want) {
			t.Errorf("the scan asks for no %s: %s", want, c.scan)
		}
	}
}

func TestASummaryOfOnesOwn(t *testing.T) {
	out, err := play(t, over(t, 3, 0), &place{version: "2.0.0"}, func(c *Config) {
		c.Summarize = func(_ context.Context, s Summary) (any, error) {
			return map[string]int{"mine": s.Succeeded}, nil
		}
	})
	if err != nil || !strings.HasSuffix(out, "SUMMARY {\"mine\":3}\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWhatWentWrongIsAProblem(t *testing.T) {
	first := simulator.ThingName(1)
	for name, c := range map[string]struct {
		cloud func() *cloud
		place place
		want  string
	}{
		"a healthy device failed": {func() *cloud {
			c := over(t, 2, 1)
			c.failed("FAILED", "Device.NoReport", first)
			return c
		}, place{version: "2.0.0"}, first + " is healthy and ended with FAILED Device.NoReport"},
		"success without the firmware": {func() *cloud {
			return over(t, 3, 0)
		}, place{version: "1.0.0"}, first + " is said to have succeeded and runs 1.0.0"},
		"a device was not reached": {func() *cloud {
			return over(t, 2, 0).reached("SUCCEEDED", 1, 2)
		}, place{version: "2.0.0"}, "the job reached 2 devices of 3 and is COMPLETED: no job execution for " +
			simulator.ThingName(3) + "\n"},
		"an execution is left": {func() *cloud {
			c := over(t, 3, 0)
			c.answers["ListExecutions"] = `{"executions":[{"name":"x","executionArn":"a","stateMachineArn":"m","startDate":1,"status":"RUNNING"}]}`
			return c
		}, place{version: "2.0.0"}, "left behind: open execution x"},
		"an item is left": {func() *cloud {
			c := over(t, 3, 0)
			c.answers["Scan"] = `{"Items":[{"PK":{"S":"DEVICE#rg-1"},"SK":{"S":"CLAIM"}}]}`
			return c
		}, place{version: "2.0.0"}, "left behind: item DEVICE#rg-1 CLAIM"},
		"a message is left": {func() *cloud {
			return over(t, 3, 0)
		}, place{version: "2.0.0", left: [][]string{{"queue dlq: 1 message"}}}, "left behind: queue dlq: 1 message"},
		"it does not end": {func() *cloud {
			c := over(t, 3, 0)
			c.answers["GET /jobs/fw-2"] = strings.Replace(c.answers["GET /jobs/fw-2"], "COMPLETED", "IN_PROGRESS", 1)
			return c
		}, place{version: "2.0.0"}, "the job is not over after 1m0s"},
		"it does not end on a device": {func() *cloud {
			c := over(t, 2, 0).reached("IN_PROGRESS", 2).reached("SUCCEEDED", 1, 3)
			c.answers["GET /jobs/fw-2"] = `{"job":{"jobId":"fw-2","status":"IN_PROGRESS","jobProcessDetails":` +
				`{"numberOfSucceededThings":2,"numberOfInProgressThings":1}}}`
			return c
		}, place{version: "2.0.0"}, "1 device is not done: " + simulator.ThingName(2) + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := play(t, c.cloud(), &c.place, nil)
			if !errors.Is(err, cli.ErrFailed) || !strings.Contains(out, "PROBLEM: "+c.want) ||
				!strings.Contains(out, "\nSUMMARY {") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// A job that is canceled by its abort criteria leaves devices that nobody told of it: they
// neither succeeded nor missed their fault.
func TestDevicesWithoutAJobExecutionAreCountedOnce(t *testing.T) {
	c := over(t, 1, 1).reached("SUCCEEDED", 1)
	c.failed("FAILED", "Download.Failed", simulator.ThingName(2))
	c.answers["GET /jobs/fw-2"] = strings.Replace(c.answers["GET /jobs/fw-2"], "COMPLETED", "CANCELED", 1)
	out, err := play(t, c, &place{version: "1.0.0"}, func(cfg *Config) {
		cfg.Devices, cfg.Faults = 8, "404@2,404@3"
	})
	if !errors.Is(err, cli.ErrFailed) {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		"PROBLEM: the job reached 2 devices of 8 and is CANCELED: no job execution for rg-000003, rg-000004, " +
			"rg-000005 and 3 more\n",
		"PROBLEM: rg-000001 is said to have succeeded and runs 1.0.0\n", // it is
		"  rg-000003 (fault 404): no job execution\n",
		`"models":{"reference":{"404":{"Download.Failed":1,"no job execution":1},` +
			`"healthy":{"no job execution":5,"success":1}}}`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s", want)
		}
	}
	// Beside these two, the fault that the simulated broker gave nobody a chance to show.
	if n := strings.Count(out, "PROBLEM: "); n != 3 || t.Failed() {
		t.Errorf("%d problems\n%s", n, out)
	}
}

func TestWhatIsUnderWayMaySettle(t *testing.T) {
	p := &place{version: "2.0.0", left: [][]string{{"an invocation"}, {"an invocation"}, nil}}
	if out, err := play(t, over(t, 3, 0), p, nil); err != nil || strings.Contains(out, "PROBLEM") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFaultsEndAsTheyShould(t *testing.T) {
	// The device of each fault is the one named.
	for name, c := range map[string]struct {
		faults         string
		status, reason string // "" is success
		problem        string
	}{
		"as expected":           {"wrong-endpoint-id@1", "FAILED", "Device.NoReport", ""},
		"without having had it": {"404@1", "FAILED", "Download.Failed", "(fault 404) never showed its fault"},
		"for another reason": {"404@1", "FAILED", "Device.NoReport",
			"(fault 404) ended with FAILED Device.NoReport"},
		"not at all":                  {"404@1", "", "", "(fault 404) ended with succeeded"},
		"well, as it should":          {"offline-at-start@1", "", "", ""},
		"badly, though it should not": {"offline-at-start@1", "FAILED", "Device.Offline", "expected success"},
		"without a reason": {"offline-at-start@1", "CANCELED", "",
			"(fault offline-at-start) ended with CANCELED"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := over(t, 3, 0)
			if c.status != "" {
				cloud = over(t, 2, 1)
				cloud.failed(c.status, c.reason, simulator.ThingName(1))
			}
			out, err := play(t, cloud, &place{version: "2.0.0"}, func(cfg *Config) { cfg.Faults = c.faults })
			if c.problem == "" && (err != nil || strings.Contains(out, "PROBLEM")) {
				t.Errorf("%v\n%s", err, out)
			}
			if c.problem != "" && (!errors.Is(err, cli.ErrFailed) || !strings.Contains(out, c.problem)) {
				t.Errorf("%v, want %s\n%s", err, c.problem, out)
			}
		})
	}
}

// Where the cloud loses messages a fault may end otherwise, if it says so. The summary
// counts by model and fault.
func TestFaultsOfModelsEndAsTheyShould(t *testing.T) {
	for name, c := range map[string]struct {
		reason    string
		disturbed bool
		problem   string
	}{
		"as declared":                     {"Device.NoReport", false, ""},
		"as declared, though disturbed":   {"Device.NoReport", true, ""},
		"as it may, since disturbed":      {"Device.Offline", true, ""},
		"as it may only where disturbed":  {"Device.Offline", false, "expected Device.NoReport"},
		"as it may not, though disturbed": {"Download.Failed", true, "expected Device.NoReport"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := over(t, 2, 1)
			cloud.failed("FAILED", c.reason, simulator.ThingName(1))
			out, err := play(t, cloud, &place{version: "2.0.0"}, func(cfg *Config) {
				cfg.Faults, cfg.Profiles, cfg.Disturbed = "wrong-endpoint-id@1", "boot-only@1,one-image@2", c.disturbed
			})
			counted := `"models":{"boot-only":{"wrong-endpoint-id":{"` + c.reason +
				`":1}},"one-image":{"healthy":{"success":1}},"reference":{"healthy":{"success":1}}}`
			if !strings.Contains(out, counted) {
				t.Errorf("the summary lacks %s\n%s", counted, out)
			}
			if c.problem == "" && (err != nil || strings.Contains(out, "PROBLEM")) ||
				c.problem != "" && (!errors.Is(err, cli.ErrFailed) || !strings.Contains(out, c.problem)) {
				t.Errorf("%v, want %q\n%s", err, c.problem, out)
			}
		})
	}
	_, err := play(t, over(t, 3, 0), &place{}, func(cfg *Config) {
		cfg.Faults, cfg.Profiles = "loses-oper-complete@1", "boot-only@1"
	})
	if cli.ExitCode(err) != 2 {
		t.Errorf("a fault that cannot take effect on its model: %v", err)
	}
}

func TestItEndsBeforeItBegins(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		place  place
		code   int
		want   string
	}{
		"no payload":      {func(c *Config) { c.Event = "/no/such/file" }, place{}, 1, "payload: "},
		"no JSON":         {func(c *Config) { c.Event = bad }, place{}, 1, "bad.json"},
		"unknown fault":   {func(c *Config) { c.Faults = "nonsense" }, place{}, 2, "nonsense"},
		"too many faults": {func(c *Config) { c.Faults = "404=4" }, place{}, 2, "4"},
		"nobody connects": {nil, place{refuses: errors.New("refused")}, 1,
			"only 0 of 3 agents could connect over nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := play(t, over(t, 3, 0), &c.place, c.change)
			if cli.ExitCode(err) != c.code || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("exit code %d, %v\n%s", cli.ExitCode(err), err, out)
			}
		})
	}
}

func TestResidueOverTheNetwork(t *testing.T) {
	answer := `["queue dlq: 1 message"]`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	n := network{&run{Config: Config{Inspect: s.URL + "/"}}}
	if got, err := n.Residue(t.Context()); err != nil || len(got) != 1 || got[0] != "queue dlq: 1 message" {
		t.Errorf("got %v, %v", got, err)
	}
	answer = `no JSON`
	if _, err := n.Residue(t.Context()); err == nil || !strings.Contains(err.Error(), s.URL) {
		t.Errorf("got %v", err)
	}
	if got, err := (network{&run{}}).Residue(t.Context()); err != nil || got != nil {
		t.Errorf("where there is nobody to ask: %v, %v", got, err)
	}
}

func TestTransitionsOverTheNetwork(t *testing.T) {
	c := &cloud{t: t, answers: map[string]string{
		"ListExecutions":      `{"executions":[{"name":"x","executionArn":"a","stateMachineArn":"m","startDate":1,"status":"SUCCEEDED"}]}`,
		"GetExecutionHistory": `{"events":[{"id":1,"timestamp":1,"type":"TaskStateEntered"},{"id":2,"timestamp":1,"type":"TaskScheduled"},{"id":3,"timestamp":1,"type":"TaskStateExited"}]}`,
	}}
	r := &run{clients: newClients(aws.Config{Region: "us-east-1", HTTPClient: c,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "")})}
	if got, err := (network{r}).Transitions(t.Context(), "m"); err != nil || got.PerUpgrade() != 1 || got.All() != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTheJobOfAnOperation(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*Config)
		success int
		problem string // "" for none
	}{
		"all succeed": {func(c *Config) { c.Operation = Operation{Name: "reboot"} }, 3, ""},
		"from a file": {func(c *Config) {
			c.Event = filepath.Join(t.TempDir(), "payload.json")
			text := `{"operation":"reboot","targets":["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"]}`
			if err := os.WriteFile(c.Event, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 3, ""},
		"a healthy one fails": {func(c *Config) { c.Operation = Operation{Name: "reboot"} }, 2,
			"is healthy and ended with"},
		"no JSON": {func(c *Config) { c.Operation = Operation{Name: "reboot", Input: "{"} }, 3, "--input"},
	} {
		t.Run(name, func(t *testing.T) {
			p, cloud := &place{version: "1.0.0"}, over(t, c.success, 3-c.success)
			if c.success < 3 {
				cloud.failed("FAILED", "Device.NoReport", simulator.ThingName(1))
			}
			out, err := play(t, cloud, p, c.change)
			switch {
			case c.problem == "" && (err != nil || !strings.Contains(out, "job fw-2: operation reboot") ||
				p.plan.Group != "demo"):
				t.Errorf("%v, group %q\n%s", err, p.plan.Group, out)
			case c.problem != "" && (err == nil || !strings.Contains(out+err.Error(), c.problem)):
				t.Errorf("%v\n%s", err, out)
			}
			if cloud.put != 0 {
				t.Errorf("an image of %d bytes", cloud.put)
			}
		})
	}
}

func TestPayloadsOfOperations(t *testing.T) {
	const machine = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:fleetstep-firmware-upgrade"
	b, err := Operation{Name: "reboot", Input: `{"bootSeconds": 20}`}.payload(machine, true)
	if want := `{"abort":{"criteriaList":[]},"input":{"bootSeconds":20},"operation":"reboot","rollout":{"maximumPerMinute":1000},` +
		`"targets":["arn:aws-cn:iot:cn-north-1:123456789012:thinggroup/demo"]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	if b, err = (Operation{Name: "reboot"}).payload(machine, false); err != nil || strings.Contains(string(b),
		"abort") {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := (Operation{Name: "reboot"}).payload("m", false); err == nil {
		t.Error("no ARN, and no error")
	}
}
