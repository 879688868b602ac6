package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

// world is what the commands of one script share.
type world struct {
	bin   string
	cloud *program
}

func theWorld(ts *testscript.TestScript) *world { return ts.Value(world{}).(*world) }

// patience is how long a program may take to start, to end, or to come to what
// a script waits for.
const patience = 60 * time.Second

// program is a program that runs beside a script.
type program struct {
	cmd    *exec.Cmd
	lines  chan string // of its standard output
	stderr bytes.Buffer
	ended  chan error
}

// run starts a program of the build in the script's environment.
func run(ts *testscript.TestScript, name string, args ...string) *program {
	p := &program{lines: make(chan string, 1000), ended: make(chan error, 1)}
	p.cmd = exec.Command(filepath.Join(theWorld(ts).bin, name), args...)
	p.cmd.Dir = ts.Getenv("WORK")
	for _, key := range []string{"PATH", "HOME", "WORK", "TMPDIR", "AWS_ENDPOINT_URL", "AWS_REGION",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"} {
		p.cmd.Env = append(p.cmd.Env, key+"="+ts.Getenv(key))
	}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	go func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			select {
			case p.lines <- s.Text():
			default: // nobody reads any more
			}
		}
		close(p.lines)
		p.ended <- p.cmd.Wait()
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill()
		for range p.lines {
		}
	})
	return p
}

// line waits for a line of output that matches.
func (p *program) line(ts *testscript.TestScript, want *regexp.Regexp) string {
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				err := <-p.ended
				ts.Fatalf("%s ended (%v) before it said %s: %s", strings.Join(p.cmd.Args, " "), err,
					want, p.stderr.String())
			}
			if want.MatchString(line) {
				return line
			}
		case <-timeout:
			ts.Fatalf("%s did not say %s in %s", strings.Join(p.cmd.Args, " "), want, patience)
		}
	}
}

// end sends a signal and waits.
func (p *program) end(ts *testscript.TestScript, sig os.Signal) error {
	ts.Check(p.cmd.Process.Signal(sig))
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		ts.Fatalf("%s did not end in %s after %s", strings.Join(p.cmd.Args, " "), patience, sig)
		return nil
	}
}

func cmdCloud(ts *testscript.TestScript, neg bool, args []string) {
	w := theWorld(ts)
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: cloud start|stop|kill")
	case args[0] == "start":
		w.start(ts, args[1:])
	case w.cloud == nil:
		ts.Fatalf("no local cloud runs")
	case args[0] == "stop":
		if err := w.cloud.end(ts, os.Interrupt); err != nil {
			ts.Fatalf("the local cloud ended with %v: %s", err, w.cloud.stderr.String())
		}
		w.cloud = nil
	case args[0] == "kill":
		_ = w.cloud.end(ts, syscall.SIGKILL)
		w.cloud = nil
	default:
		ts.Fatalf("usage: cloud start|stop|kill")
	}
}

// ready is the line that "fleetstep local" prints.
type ready struct {
	Endpoint, MQTTS, CA, Region, AccessKeyID string
	Outputs                                  map[string]string
}

func (w *world) start(ts *testscript.TestScript, flags []string) {
	w.cloud = run(ts, "fleetstep",
		append([]string{"local", "--port", "0", "--mqtt-port", "-1", "--mqtts-port", "0", "--data-dir",
			ts.MkAbs("data"), "--parameter", "OnboardingPerMinute=0"}, flags...)...)
	var r ready
	ts.Check(json.Unmarshal([]byte(w.cloud.line(ts, regexp.MustCompile(`^\{`))), &r))
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL": r.Endpoint, "AWS_REGION": r.Region, "AWS_ACCESS_KEY_ID": r.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": "test",
		"CA":                    r.CA, "BROKER": r.MQTTS,
	} {
		ts.Setenv(key, value)
	}
	for key, value := range r.Outputs {
		ts.Setenv(key, value)
	}
}

func cmdSimulate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: simulate N [flag...]")
	}
	flags := append([]string{"simulate", "--devices", args[0], "--broker", ts.Getenv("BROKER"), "--ca",
		ts.Getenv("CA")}, args[1:]...)
	run(ts, "fleetstep", flags...).line(ts, regexp.MustCompile(`^`+args[0]+` connected`))
}

func cmdAWS(ts *testscript.TestScript, neg bool, args []string) {
	status, answer := call(ts, args)
	_, _ = ts.Stdout().Write(answer)
	if failed := status >= 300; failed != neg {
		ts.Fatalf("HTTP status %d: %s", status, answer)
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "aws" {
		ts.Fatalf("usage: until REGEXP aws ...")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, answer := call(ts, args[2:])
		if want.Match(answer) {
			_, _ = ts.Stdout().Write(answer)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no match of %s in %s; last answer: %s", want, patience, answer)
		}
	}
}

// cmdTicks has the stack's clock tick, beside its schedule, until a command says what is wanted: a campaign goes on by
// the clock, once a minute.
func cmdTicks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ticks REGEXP fleetstep ...")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		if status, answer := call(ts, []string{"lambda", "POST:/2015-03-31/functions/fleetstep-tick/invocations",
			"{}"}); status >= 300 {
			ts.Fatalf("tick: HTTP status %d: %s", status, answer)
		}
		ts.Check(ts.Exec(args[1], args[2:]...))
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no match of %s in %s; last: %s", want, patience, ts.ReadFile("stdout"))
		}
	}
}

func cmdUsage(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command(filepath.Join(theWorld(ts).bin, "fleetstep"), args...)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); neg || !ok || exit.ExitCode() != 2 {
		ts.Fatalf("fleetstep %s: got %v, want exit status 2", strings.Join(args, " "), err)
	}
}

func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || (args[0] == args[1]) == neg {
		ts.Fatalf("got %q", args)
	}
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	r, err := regexp.Compile(args[1])
	ts.Check(err)
	found := r.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("no match of %s, with one group, in the output", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// call makes one signed request.
func call(ts *testscript.TestScript, args []string) (status int, answer []byte) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: aws SERVICE CALL [BODY]")
	}
	service, what := args[0], args[1]
	body := ""
	if len(args) == 3 {
		body = args[2]
		if name, ok := strings.CutPrefix(body, "@"); ok {
			body = ts.ReadFile(name)
		}
	}
	method, path, isREST := strings.Cut(what, ":")
	if !isREST {
		method, path = http.MethodPost, "/"
	}
	req, err := http.NewRequest(method, ts.Getenv("AWS_ENDPOINT_URL")+path, strings.NewReader(body))
	ts.Check(err)
	switch {
	case what == "FORM":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case !isREST:
		req.Header.Set("Content-Type", "application/x-amz-json-1.0")
		req.Header.Set("X-Amz-Target", what)
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	keys := aws.Credentials{AccessKeyID: ts.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: ts.Getenv("AWS_SECRET_ACCESS_KEY")}
	ts.Check(v4.NewSigner().
		SignHTTP(context.Background(), keys, req, hash, service, ts.Getenv("AWS_REGION"), time.Now()))
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(resp.Body)
	ts.Check(err)
	return resp.StatusCode, fmt.Appendf(nil, "%s\n", bytes.TrimRight(answer, "\n"))
}
