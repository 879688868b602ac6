package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	runtimepkg "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TestMain lets the test's own binary be a function's bootstrap.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		if d, err := time.ParseDuration(os.Getenv("STARTS_AFTER")); err == nil {
			time.Sleep(d)
		}
		runtime.Start(handle)
		return
	}
	os.Exit(m.Run())
}

type request struct {
	Do string `json:"do"`
}

// handle does what the request says.
func handle(ctx context.Context, r request) (map[string]string, error) {
	fmt.Println("asked to", r.Do)
	switch r.Do {
	case "fail":
		return nil, messages.InvokeResponse_Error{Type: "Device.Refused", Message: "code 7002"}
	case "exit":
		os.Exit(3)
	case "hang":
		<-make(chan struct{})
	case "print late":
		go func() {
			time.Sleep(20 * time.Millisecond) // the answer is away by then
			fmt.Println("printed late")
		}()
	case "print much":
		line := strings.Repeat("x", 9_999) + "\n"
		for range 4 << 10 { // 40 MB
			fmt.Print(line)
		}
	case "print one line":
		for range 400 {
			fmt.Print(strings.Repeat("y", 1000))
		}
		fmt.Println()
	case "write a file":
		fmt.Println("at work")
		time.Sleep(200 * time.Millisecond)
		return nil, os.WriteFile(os.Getenv("OWN"), nil, 0o600)
	case "leave a child", "leave a child of its own session":
		child := exec.Command("sleep", "600")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: r.Do != "leave a child"}
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Println("child", child.Process.Pid, ".")
		<-make(chan struct{})
	case "eat":
		var eaten [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 512 {
				b[i] = 1
			}
			eaten = append(eaten, b)
			if len(eaten) > 64 { // a gibibyte, should nobody stop it
				select {}
			}
			time.Sleep(10 * time.Millisecond)
		}
	case "env":
		return map[string]string{"key": os.Getenv("AWS_ACCESS_KEY_ID"), "own": os.Getenv("OWN"),
			"endpoint": os.Getenv("AWS_ENDPOINT_URL"), "pid": fmt.Sprint(os.Getpid()),
			"api": os.Getenv("AWS_LAMBDA_RUNTIME_API")}, nil
	}
	return map[string]string{"did": r.Do}, nil
}

const account = "123456789012"

// world is everything around the service, faked.
type world struct {
	mu    sync.Mutex
	calls []string          // "service:operation input" in order
	seen  func(call string) // may be nil
}

func (w *world) Call(_ context.Context, _ awsapi.Identity, service, operation string, input any) (any, error) {
	b, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, service+":"+operation+" "+string(b))
	if w.seen != nil {
		w.seen(w.calls[len(w.calls)-1])
	}
	if operation == "GetQueueUrl" {
		return map[string]string{"QueueUrl": "http://127.0.0.1/q"}, nil
	}
	return map[string]string{}, nil
}

func (w *world) find(beginning string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for _, c := range w.calls {
		if strings.HasPrefix(c, beginning) {
			found = append(found, c)
		}
	}
	return found
}

func (w *world) Assume(_ context.Context, role, _, _, session string) (awsapi.Identity, error) {
	if strings.HasSuffix(role, "untrusting") {
		return awsapi.Identity{}, awsapi.Errorf("AccessDenied", "no")
	}
	return awsapi.Identity{Account: account, ARN: role + "/" + session, RoleARN: role}, nil
}

func (w *world) Issue(context.Context, awsapi.Identity, time.Duration) (string, string, string, error) {
	return "ASIATEST", "secret", "token", nil
}

type cloud struct {
	*world
	t    *testing.T
	s    *scheduler.Scheduler
	svc  *Service
	door *awsapi.Door
}

func newCloud(t *testing.T, s *scheduler.Scheduler, db *store.DB, executor Executor) *cloud {
	t.Helper()
	c := &cloud{world: &world{}, t: t, s: s}
	if p, ok := executor.(*Process); ok {
		p.c.Credentials = c.world
	}
	c.svc = New(Config{
		Platform: platform.Platform{Scheduler: s, Store: db, Account: account, Region: "us-east-1", Caller: c.world},
		Roles:    c.world, Executor: executor, Assets: func(key string) (string, bool) {
			return strings.CutSuffix(key, ".zip")
		},
	})
	c.door = awsapi.New(awsapi.Config{Scheduler: s, Account: account, Region: "us-east-1"})
	c.door.Add(c.svc.API())
	if err := c.svc.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cloud) call(operation string, input any) (any, error) {
	return c.door.Call(c.t.Context(), awsapi.RootOf(account), "lambda", operation, input)
}

func (c *cloud) must(operation string, input any) any {
	c.t.Helper()
	out, err := c.call(operation, input)
	if err != nil {
		c.t.Fatalf("%s: %v", operation, err)
	}
	return out
}

func (c *cloud) create(members map[string]any) {
	c.t.Helper()
	in := map[string]any{
		"FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn:aws:iam::" +
			account + ":role/r",
		"Code": map[string]string{"S3Bucket": "assets", "S3Key": "f.zip"}, "Timeout": 30,
	}
	for k, v := range members {
		in[k] = v
	}
	c.must("CreateFunction", in)
}

func (c *cloud) invoke(do string) *invokeOut {
	c.t.Helper()
	return c.must("Invoke", &invokeIn{FunctionName: "f", LogType: "Tail", Payload: []byte(`{"do":"` + do + `"}`)}).(*invokeOut)
}

// processCloud runs this test binary as the function f.
func processCloud(t *testing.T) *cloud {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "f"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "f", "bootstrap")); err != nil {
		t.Fatal(err)
	}
	s := scheduler.NewReal()
	c := newCloud(t, s, store.Memory(), NewProcess(ProcessConfig{Scheduler: s, Region: "us-east-1",
		Endpoint: "http://127.0.0.1:1", AssetDir: dir, MaxEnvironments: 4}))
	t.Cleanup(func() {
		c.svc.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestProcessRunsABootstrap(t *testing.T) {
	c := processCloud(t)
	c.create(map[string]any{"Environment": map[string]any{"Variables": map[string]string{"OWN": "mine"}}})
	out := c.invoke("env")
	var env map[string]string
	if err := json.Unmarshal(out.Payload, &env); err != nil {
		t.Fatal(err)
	}
	if env["key"] != "ASIATEST" || env["own"] != "mine" || env["endpoint"] != "http://127.0.0.1:1" {
		t.Errorf("environment: %v", env)
	}
	tail, err := base64.StdEncoding.DecodeString(out.LogResult)
	if err != nil || !strings.Contains(string(tail), "START RequestId") ||
		!strings.Contains(string(tail), "REPORT RequestId") {
		t.Errorf("log tail: %q", tail)
	}
	if out = c.invoke("fail"); out.FunctionError != "Unhandled" || !strings.Contains(string(out.Payload), `"errorType":"Device.Refused"`) {
		t.Errorf("failure: %s %s", out.FunctionError, out.Payload)
	}
	var again map[string]string
	if err := json.Unmarshal(c.invoke("env").Payload, &again); err != nil || again["pid"] != env["pid"] {
		t.Errorf("the environment was not used again: %v then %v", env, again)
	}
	if logs := c.find("cloudwatchlogs:PutLogEvents"); len(logs) == 0 || strings.Contains(strings.Join(logs, ""),
		"secret") {
		t.Errorf("logs: %q", logs)
	}
}

func TestLinesPrintedAfterTheAnswerAreLogged(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	late := make(chan string, 1)
	c.seen = func(call string) {
		if strings.Contains(call, "printed late") {
			late <- call
		}
	}
	c.invoke("print late")
	select {
	case call := <-late:
		started := c.find("cloudwatchlogs:PutLogEvents")[0]
		stream := func(call string) string {
			var in putLogEvents
			if err := json.Unmarshal([]byte(call[strings.Index(call, "{"):]), &in); err != nil ||
				in.LogStreamName == "" {
				t.Errorf("the call %s has no stream: %v", call, err)
			}
			return in.LogStreamName
		}
		if stream(call) != stream(started) {
			t.Errorf("one environment has two streams: %s and %s", stream(call), stream(started))
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the line never reached the log")
	}
}

// printed are the lines that the log group has got.
func (c *cloud) printed() (lines []string) {
	c.t.Helper()
	for _, call := range c.find("cloudwatchlogs:PutLogEvents ") {
		var in putLogEvents
		if err := json.Unmarshal([]byte(call[strings.Index(call, "{"):]), &in); err != nil {
			c.t.Fatal(err)
		}
		size := 0
		for _, e := range in.LogEvents {
			size += len(e.Message) + eventOverhead
			lines = append(lines, e.Message)
		}
		if size > 1<<20 || len(in.LogEvents) > 10_000 {
			c.t.Errorf("a batch has %d events of %d bytes", len(in.LogEvents), size)
		}
	}
	return lines
}

func TestWhatAFunctionPrintsIsBounded(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	if out := c.invoke("print much"); out.FunctionError != "" {
		t.Fatalf("got %s", out.Payload)
	}
	kept, lines, told := 0, 0, ""
	for _, line := range c.printed() {
		if strings.HasPrefix(line, "xxx") {
			kept += len(line) + eventOverhead
			lines++
		}
		if strings.Contains(line, "platform.logsDropped") {
			told = line
		}
	}
	if kept < maxPrinted-20_000 || kept > maxPrinted {
		t.Errorf("%d bytes are kept, want nearly %d", kept, maxPrinted)
	}
	var dropped struct {
		Record struct{ DroppedBytes, DroppedRecords int }
	}
	// All of it was printed before the answer, and is told of before the end of the log.
	if err := json.Unmarshal([]byte(told), &dropped); err != nil || dropped.Record.DroppedRecords+lines != 4<<10 ||
		dropped.Record.DroppedBytes != dropped.Record.DroppedRecords*9_999 {
		t.Errorf("%d lines are kept, and dropped are %q: %v", lines, told, err)
	}
	if out := c.invoke("print one line"); out.FunctionError != "" {
		t.Fatalf("got %s", out.Payload)
	}
	var sizes []int
	for _, line := range c.printed() {
		if strings.HasPrefix(line, "yyy") {
			sizes = append(sizes, len(line))
		}
	}
	if !slices.Equal(sizes, []int{maxLine, 400_000 - maxLine}) {
		t.Errorf("a line of 400,000 bytes is logged as %v", sizes)
	}
}

func TestAKilledFunctionLeavesNoChildren(t *testing.T) {
	for _, do := range []string{"leave a child", "leave a child of its own session"} {
		t.Run(do, func(t *testing.T) {
			if do != "leave a child" && runtimepkg.GOOS != "linux" {
				t.Skip("the system does not tell whose such a process is")
			}
			testNoChildren(t, do)
		})
	}
}

func testNoChildren(t *testing.T, do string) {
	c := processCloud(t)
	c.create(map[string]any{"Timeout": 1})
	out := c.invoke(do)
	if !strings.Contains(string(out.Payload), "timed out") {
		t.Fatalf("got %s", out.Payload)
	}
	m := regexp.MustCompile(`child (\d+)`).FindStringSubmatch(strings.Join(c.printed(), "\n"))
	if m == nil {
		t.Fatalf("no child: %v", c.printed())
	}
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; runtimepkg.Gosched() {
		// It is nobody's child any more: it stays as a zombie where nobody collects those.
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(state), ") Z ") {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the child %d is there still: %s", pid, state)
		}
	}
}

func TestAFunctionHasNoMoreMemoryThanItsSize(t *testing.T) {
	if runtimepkg.GOOS != "linux" {
		t.Skip("the system does not tell how much memory a process has")
	}
	c := processCloud(t)
	c.create(map[string]any{"MemorySize": 200, "Timeout": 30})
	out := c.invoke("eat")
	if want := "Runtime exited with error: signal: killed"; !strings.Contains(string(out.Payload), want) {
		t.Fatalf("got %s, want %s", out.Payload, want)
	}
	report := c.report()
	for _, want := range []string{"Memory Size: 200 MB\tMax Memory Used: 200 MB\t",
		"Status: error\tError Type: Runtime.OutOfMemory"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report %q lacks %q", report, want)
		}
	}
	if out := c.invoke("work"); out.FunctionError != "" {
		t.Errorf("the next invocation failed: %s", out.Payload)
	}
}

// report is the last REPORT line.
func (c *cloud) report() (last string) {
	for _, line := range c.printed() {
		if strings.HasPrefix(line, "REPORT ") {
			last = line
		}
	}
	return last
}

func TestTheReportIsAsAWSWritesIt(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	number := `[0-9]+\.[0-9]{2} ms`
	head := `^REPORT RequestId: \S+\tDuration: ` + number + `\tBilled Duration: [0-9]+ ms\tMemory Size: 128 MB\t`
	if runtimepkg.GOOS == "linux" {
		head += `Max Memory Used: [1-9][0-9]* MB\t`
	}
	for _, step := range []struct{ do, want string }{
		{"work", head + `Init Duration: ` + number + `\t$`},
		{"fail", head + `$`},
		{"exit", head + `Status: error\tError Type: Runtime.ExitError\t$`},
	} {
		c.invoke(step.do)
		if got := c.report(); !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("%s: got %q, want %s", step.do, got, step.want)
		}
	}
}

// TestTheRuntimeAPIIsTheEnvironmentsOwn: another process that has found the port gets no invocation.
func TestTheRuntimeAPIIsTheEnvironmentsOwn(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	var env map[string]string
	if err := json.Unmarshal(c.invoke("env").Payload, &env); err != nil {
		t.Fatal(err)
	}
	host, secret, ok := strings.Cut(env["api"], "/")
	if !ok || len(secret) < 20 {
		t.Fatalf("the function has the address %q", env["api"])
	}
	const next = "/2018-06-01/runtime/invocation/next"
	for _, r := range []struct{ name, path, host string }{
		{"without the secret", next, host}, {"with another", "/" + strings.Repeat("A", len(secret)) + next, host},
		{"with a part of it", "/" + secret[:10] + next, host}, {"with the secret alone", "/" + secret, "rebound.test"},
		{"under another name", "/" + secret + next, "rebound.test"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+r.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = r.host
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", r.name, answer.Status)
		}
	}
	if out := c.invoke("work"); out.FunctionError != "" {
		t.Errorf("afterwards: %s", out.Payload)
	}
}

// TestAnEnvironmentStartsInTime: the first process that does not is ended after the limit, the second after the
// function's timeout, however slow they are.
func TestAnEnvironmentStartsInTime(t *testing.T) {
	c := processCloud(t)
	c.svc.Executor.(*Process).initLimit = 300 * time.Millisecond
	c.create(map[string]any{"Timeout": 1,
		"Environment": map[string]any{"Variables": map[string]string{"STARTS_AFTER": "10m"}}})
	if out := c.invoke("work"); !strings.Contains(string(out.Payload), "timed out after 1.00 seconds") {
		t.Errorf("got %s", out.Payload)
	}
	var starts []string
	for _, line := range c.printed() {
		if strings.HasPrefix(line, "INIT_REPORT ") {
			starts = append(starts, line[strings.Index(line, "\t"):])
		}
	}
	if !slices.Equal(starts, []string{"\tPhase: init\tStatus: timeout", "\tPhase: invoke\tStatus: timeout"}) {
		t.Errorf("got %q", starts)
	}
	if got := c.report(); !strings.Contains(got, "\tStatus: timeout\t") || strings.Contains(got, "Init Duration") ||
		!strings.Contains(got, "Duration: 10") {
		t.Errorf("the report: %q", got)
	}
}

func TestCloseEndsInvocationsThatRun(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		out, err := c.call("Invoke", &invokeIn{FunctionName: "f", Payload: []byte(`{"do":"hang"}`)})
		if err == nil && out.(*invokeOut).FunctionError == "" {
			t.Error("the invocation succeeded")
		}
	})
	for len(c.s.Pending()) < 3 { // until the process and its helpers run
		runtimepkg.Gosched()
	}
	c.svc.Close()
	wg.Wait()
}

// TestAFunctionOutlastsItsCaller: who calls a function and goes away has not ended it.
func TestAFunctionOutlastsItsCaller(t *testing.T) {
	c := processCloud(t)
	path := filepath.Join(t.TempDir(), "written")
	c.create(map[string]any{"Environment": map[string]any{"Variables": map[string]string{"OWN": path}}})
	c.invoke("work")                                                    // it has started
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond) // it works for longer
	defer leave()
	_, _ = c.door.Call(ctx, awsapi.RootOf(account), "lambda", "Invoke",
		&invokeIn{FunctionName: "f", Payload: []byte(`{"do":"write a file"}`)})
	if ctx.Err() == nil {
		t.Fatal("nobody went away")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if lines := strings.Join(c.find("cloudwatchlogs:PutLogEvents"), ""); strings.Count(lines, "REPORT") != 2 {
		t.Errorf("logged: %s", lines)
	}
}

func TestProcessThatExitsFailsTheInvocationOnly(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	if out := c.invoke("exit"); !strings.Contains(string(out.Payload), "Runtime.ExitError") {
		t.Errorf("got %s", out.Payload)
	}
	if out := c.invoke("work"); out.FunctionError != "" {
		t.Errorf("the next invocation failed: %s", out.Payload)
	}
}

func TestProcessThatHangsTimesOut(t *testing.T) {
	c := processCloud(t)
	c.create(map[string]any{"Timeout": 1})
	if out := c.invoke("hang"); !strings.Contains(string(out.Payload), "Sandbox.Timedout") ||
		!strings.Contains(string(out.Payload), "timed out after 1.00 seconds") {
		t.Errorf("got %s", out.Payload)
	}
	if out := c.invoke("work"); out.FunctionError != "" {
		t.Errorf("the next invocation failed: %s", out.Payload)
	}
}

func TestProcessServesMoreInvocationsThanEnvironments(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	var wg sync.WaitGroup
	pids := make([]string, 40)
	for i := range pids {
		wg.Go(func() {
			var env map[string]string
			if err := json.Unmarshal(c.invoke("env").Payload, &env); err != nil {
				t.Error(err)
			}
			pids[i] = env["pid"]
		})
	}
	wg.Wait()
	slices.Sort(pids)
	if n := len(slices.Compact(pids)); n > 4 {
		t.Errorf("%d environments ran, want at most 4", n)
	}
}

func TestWaitingForAnEnvironmentIsNoPartOfTheTimeout(t *testing.T) {
	c := processCloud(t)
	c.create(map[string]any{"Timeout": 1})
	var wg sync.WaitGroup
	for range 4 { // all there are
		wg.Go(func() { c.invoke("hang") })
	}
	for range 4 {
		wg.Go(func() {
			if out := c.invoke("work"); out.FunctionError != "" {
				t.Errorf("an invocation that waited failed: %s", out.Payload)
			}
		})
	}
	wg.Wait()
}

func TestStartingAProcessIsNoPartOfTheTimeout(t *testing.T) {
	c := processCloud(t)
	c.create(map[string]any{"Timeout": 1,
		"Environment": map[string]any{"Variables": map[string]string{"STARTS_AFTER": "1200ms"}}})
	if out := c.invoke("work"); out.FunctionError != "" {
		t.Errorf("the first invocation of a slow process failed: %s", out.Payload)
	}
}

func TestWaitingForAnEnvironmentIsNoConcurrency(t *testing.T) {
	c := processCloud(t)
	c.create(nil)
	c.must("PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 5})
	for range 4 { // all there are
		go func() { _, _ = c.call("Invoke", &invokeIn{FunctionName: "f", Payload: []byte(`{"do":"hang"}`)}) }()
	}
	executor := c.svc.Executor.(*Process)
	until := func(what string, is func() bool) {
		t.Helper()
		for began := time.Now(); !is(); runtimepkg.Gosched() {
			if time.Since(began) > time.Minute {
				t.Fatalf("never %s", what)
			}
		}
	}
	until("four environments", func() bool {
		executor.mu.Lock()
		defer executor.mu.Unlock()
		po := executor.pools["f"]
		return po != nil && po.count == 4
	})
	for n := range 10 {
		go func() {
			_, err := c.call("Invoke", &invokeIn{FunctionName: "f", Payload: []byte(`{"do":"work"}`)})
			if awsapi.Code(err) == "TooManyRequestsException" {
				t.Errorf("an invocation was throttled while %d wait and 4 run", n)
			}
		}()
		until("one more that waits", func() bool { return executor.Waiting("f") == n+1 })
	}
	if n := executor.Waiting(""); n != 10 {
		t.Errorf("%d invocations wait, want 10", n)
	}
}

func TestMissingBootstrapIsAFailureOfTheFunction(t *testing.T) {
	c := processCloud(t)
	c.create(map[string]any{"Code": map[string]string{"S3Bucket": "assets", "S3Key": "nothing.zip"}})
	if out := c.invoke("work"); !strings.Contains(string(out.Payload), "Runtime.InvalidEntrypoint") {
		t.Errorf("got %s", out.Payload)
	}
}

// handlerFunc is an in-process function.
type handlerFunc func(ctx context.Context, payload []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f(ctx, payload)
}

func virtualCloud(t *testing.T, db *store.DB, h handlerFunc) *cloud {
	t.Helper()
	s := scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return newCloud(t, s, db, &InProcess{Scheduler: s, New: func(_ context.Context, _ Function, _ awsapi.Identity,
		out io.Writer) (Handler, error) {
		return handlerFunc(func(ctx context.Context, payload []byte) ([]byte, error) {
			fmt.Fprintln(out, "in process")
			return h(ctx, payload)
		}), nil
	}})
}

func TestEventIsTriedThreeTimesThenGoesToTheDeadLetterQueue(t *testing.T) {
	var at []time.Duration
	var c *cloud
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c = virtualCloud(t, store.Memory(), func(context.Context, []byte) ([]byte, error) {
		at = append(at, c.s.Now().Sub(start))
		return nil, errors.New("broken")
	})
	c.create(map[string]any{"DeadLetterConfig": map[string]string{"TargetArn": "arn:aws:sqs:us-east-1:" +
		account + ":dlq"}})
	out := c.must("Invoke", &invokeIn{FunctionName: "f", InvocationType: "Event", Payload: []byte(`{"n":1}`)}).(*invokeOut)
	if out.StatusCode != 202 {
		t.Fatalf("status %d", out.StatusCode)
	}
	if r := c.svc.Residue(t.Context()); len(r) != 1 {
		t.Fatalf("residue: %v", r)
	}
	c.s.Run(nil)
	if got, want := fmt.Sprint(at), "[0s 1m0s 3m0s]"; got != want {
		t.Errorf("ran at %s, want %s", got, want)
	}
	if sent := c.find("sqs:SendMessage"); len(sent) != 1 || !strings.Contains(sent[0], `{\"n\":1}`) {
		t.Errorf("dead letters: %q", sent)
	}
	if r := c.svc.Residue(t.Context()); len(r) != 0 {
		t.Errorf("residue: %v", r)
	}
}

// TestThrottledEventIsTriedAfterEverLongerWaits: 1 s, 2 s, 4 s, and so on.
func TestThrottledEventIsTriedAfterEverLongerWaits(t *testing.T) {
	var c *cloud
	var at time.Duration
	c = virtualCloud(t, store.Memory(), func(context.Context, []byte) ([]byte, error) {
		at = c.s.Now().Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		return []byte("1"), nil
	})
	c.create(nil)
	c.must("PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 0})
	c.must("Invoke", &invokeIn{FunctionName: "f", InvocationType: "Event"})
	c.s.RunFor(70 * time.Second)
	c.must("DeleteFunctionConcurrency", map[string]any{"FunctionName": "f"})
	c.s.Run(nil)
	if want := (1 + 2 + 4 + 8 + 16 + 32 + 64) * time.Second; at != want {
		t.Errorf("ran after %s, want %s", at, want)
	}
}

// TestManyThrottledEventsComeOneAfterTheOther: of many that wait, each waits longer by a time of its own. Otherwise
// all would come at the same moment, and all but a few in vain, every time.
func TestManyThrottledEventsComeOneAfterTheOther(t *testing.T) {
	const events = 40
	var c *cloud
	ran := map[time.Time]int{}
	c = virtualCloud(t, store.Memory(), func(ctx context.Context, _ []byte) ([]byte, error) {
		ran[c.s.Now()]++
		return []byte("1"), c.s.Sleep(ctx, 100*time.Millisecond)
	})
	c.create(nil)
	c.must("PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 1})
	for range events {
		c.must("Invoke", &invokeIn{FunctionName: "f", InvocationType: "Event"})
	}
	began := c.s.Now()
	c.s.Run(nil)
	if took := c.s.Now().Sub(began); len(ran) != events || took > time.Minute {
		t.Errorf("%d of %d ran, each at its own moment, within %s", len(ran), events, took)
	}
	if left := len(c.svc.waiting); left != 0 {
		t.Errorf("%d functions are said to have throttled events", left)
	}
}

func TestEventSurvivesARestart(t *testing.T) {
	db := store.Memory()
	c := virtualCloud(t, db, func(context.Context, []byte) ([]byte, error) {
		t.Error("the first life ran the event")
		return nil, nil
	})
	c.create(nil)
	c.must("Invoke", &invokeIn{FunctionName: "f", InvocationType: "Event"})
	runs := 0
	second := virtualCloud(t, db, func(context.Context, []byte) ([]byte, error) { runs++; return nil, nil })
	second.s.Run(nil)
	if runs != 1 || len(second.svc.Residue(t.Context())) != 0 {
		t.Errorf("ran %d times, residue %v", runs, second.svc.Residue(t.Context()))
	}
}

func TestRequestsAreChecked(t *testing.T) {
	c := virtualCloud(t, store.Memory(), func(context.Context, []byte) ([]byte, error) { return []byte("1"), nil })
	c.create(nil)
	good := map[string]any{
		"FunctionName": "g", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn:aws:iam::" +
			account + ":role/r",
		"Code": map[string]string{"S3Bucket": "assets", "S3Key": "f.zip"},
	}
	for _, row := range []struct {
		name, operation string
		change          map[string]any
		code            string
	}{
		{"same name", "CreateFunction", map[string]any{"FunctionName": "f"}, "ResourceConflictException"},
		{"bad name", "CreateFunction", map[string]any{"FunctionName": "a b"}, "ValidationException"},
		{"role that does not trust Lambda", "CreateFunction",
			map[string]any{"Role": "arn:aws:iam::123456789012:role/untrusting"},
			"InvalidParameterValueException"},
		{"python", "CreateFunction", map[string]any{"Runtime": "python3.13"}, "NotImplemented"},
		{"image", "CreateFunction", map[string]any{"Code": map[string]string{"ImageUri": "x"}}, "NotImplemented"},
		{"no code", "CreateFunction", map[string]any{"Code": map[string]string{}}, "InvalidParameterValueException"},
		{"broken zip", "CreateFunction", map[string]any{"Code": map[string][]byte{"ZipFile": []byte("no zip")}},
			"InvalidParameterValueException"},
		{"memory", "CreateFunction", map[string]any{"MemorySize": 64}, "ValidationException"},
		{"timeout", "CreateFunction", map[string]any{"Timeout": 901}, "InvalidParameterValueException"},
		{"reserved variable", "CreateFunction",
			map[string]any{"Environment": map[string]any{"Variables": map[string]string{"AWS_REGION": "x"}}},
			"InvalidParameterValueException"},
		{"variable's name", "CreateFunction",
			map[string]any{"Environment": map[string]any{"Variables": map[string]string{"1A": "secret"}}},
			"ValidationException"},
		{"4 KB of variables", "CreateFunction",
			map[string]any{"Environment": map[string]any{
				"Variables": map[string]string{"AB": strings.Repeat("x", 4096-len(`{"AB":""}`)+1)}}},
			"InvalidParameterValueException"},
		{"unknown function", "Invoke", map[string]any{"FunctionName": "nosuch"}, "ResourceNotFoundException"},
		{"qualifier", "Invoke", map[string]any{"FunctionName": "f:7"}, "ResourceNotFoundException"},
		{"payload", "Invoke", map[string]any{"FunctionName": "f", "Payload": []byte("{")},
			"InvalidRequestContentException"},
		{"type", "Invoke", map[string]any{"FunctionName": "f", "InvocationType": "Maybe"},
			"InvalidParameterValueException"},
		{"async size", "Invoke", map[string]any{"FunctionName": "f", "InvocationType": "Event", "Payload": []byte(`"` + strings.Repeat("x", maxAsyncPayload) + `"`)}, "RequestTooLargeException"},
	} {
		in := map[string]any{}
		if row.operation == "CreateFunction" {
			for k, v := range good {
				in[k] = v
			}
		}
		for k, v := range row.change {
			in[k] = v
		}
		_, err := c.call(row.operation, in)
		if awsapi.Code(err) != row.code {
			t.Errorf("%s: got %v, want %s", row.name, err, row.code)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: what may be secret is told: %v", row.name, err)
		}
	}
	if left := c.must("ListFunctions", nil).(*listFunctionsOut); len(left.Functions) != 1 {
		t.Errorf("refused requests left functions behind: %d", len(left.Functions))
	}
}

func TestPermissionsFormAResourcePolicy(t *testing.T) {
	c := virtualCloud(t, store.Memory(), nil)
	c.create(nil)
	arn := "arn:aws:lambda:us-east-1:" + account + ":function:f"
	if doc, err := c.svc.resourcePolicy(arn); err != nil || doc != "" {
		t.Fatalf("policy before: %s", doc)
	}
	add := map[string]string{"FunctionName": arn, "StatementId": "rule", "Action": "lambda:InvokeFunction",
		"Principal": "iot.amazonaws.com", "SourceArn": "arn:aws:iot:::rule/r", "SourceAccount": account}
	c.must("AddPermission", add)
	if _, err := c.call("AddPermission", add); awsapi.Code(err) != "ResourceConflictException" {
		t.Errorf("second statement of that id: %v", err)
	}
	want := `{"Id":"default","Statement":[{"Sid":"rule","Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + arn +
		`","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:iot:::rule/r"},"StringEquals":{"AWS:SourceAccount":"` + account + `"}}}],"Version":"2012-10-17"}`
	if doc, err := c.svc.resourcePolicy(arn); err != nil || doc != want {
		t.Errorf("policy: %s", doc)
	}
	c.must("RemovePermission", map[string]string{"FunctionName": "f", "StatementId": "rule"})
	if _, err := c.call("GetPolicy", map[string]string{"FunctionName": "f"}); awsapi.Code(err) !=
		"ResourceNotFoundException" {
		t.Errorf("after removal: %v", err)
	}
}

func TestReservedConcurrencyThrottles(t *testing.T) {
	c := virtualCloud(t, store.Memory(), func(context.Context, []byte) ([]byte, error) { return []byte("1"), nil })
	c.create(nil)
	c.must("PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 0})
	_, err := c.call("Invoke", map[string]string{"FunctionName": "f"})
	if e, ok := errors.AsType[*awsapi.Error](err); !ok || e.Code != "TooManyRequestsException" ||
		e.HTTPStatus() != 429 {
		t.Fatalf("got %v", err)
	}
}
