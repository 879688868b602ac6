package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetstep/fleetstep/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fleetstep": main})
}

// code N ARGS... runs fleetstep and wants that exit code.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: code N [args]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("fleetstep", args[1:]...)
	got := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
		Setup: func(e *testscript.Env) error {
			e.Setenv("AWS_REGION", "us-east-1")
			e.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			return nil
		},
	})
}

func TestBrokerURL(t *testing.T) {
	for endpoint, want := range map[string]string{
		"abc-ats.iot.us-east-1.amazonaws.com": "mqtts://abc-ats.iot.us-east-1.amazonaws.com:8883",
		"127.0.0.1:18883":                     "mqtts://127.0.0.1:18883",
		"127.0.0.1":                           "mqtts://127.0.0.1:8883",
		"::1":                                 "mqtts://[::1]:8883",
		"[::1]":                               "mqtts://[::1]:8883",
		"[::1]:18883":                         "mqtts://[::1]:18883",
	} {
		if got := brokerURL(endpoint); got != want {
			t.Errorf("%s: got %s, want %s", endpoint, got, want)
		}
	}
}

func TestEndpointsAreHostsWhereThePortIsAWSs(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8883": "127.0.0.1", "127.0.0.1:443": "127.0.0.1", "127.0.0.1:18883": "127.0.0.1:18883",
		"[::1]:8883": "::1", "[::1]:4430": "[::1]:4430",
	} {
		if got := dataEndpoint(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
		if url := brokerURL(dataEndpoint(address)); !strings.HasSuffix(address, ":443") && url != "mqtts://"+address {
			t.Errorf("%s: simulated devices connect to %s", address, url)
		}
	}
}

func TestFindLambdas(t *testing.T) {
	if got := findLambdas("here"); got != "here" {
		t.Errorf("got %s", got)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		t.Fatal(err)
	}
	if got, want := findLambdas(""), filepath.Join(filepath.Dir(self), "lambda"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// started is a local cloud of an empty account in this process.
func started(t *testing.T, dataDir string) (where readyLine, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var errs bytes.Buffer
	env := &cli.Env{Out: w, Err: &errs}
	root := cli.New(env)
	root.AddCommand(localCommand(env))
	root.SetArgs([]string{"local", "--template", "none", "--port", "0", "--mqtt-port", "0", "--mqtts-port", "0",
		"--data-dir", dataDir, "--region", "eu-west-1"})
	over := make(chan error, 1)
	go func() {
		err := root.ExecuteContext(ctx)
		_ = w.CloseWithError(io.EOF)
		over <- err
	}()
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil {
		cancel()
		t.Fatalf("%v: %v\n%s", err, <-over, errs.String())
	}
	if err := json.Unmarshal(line, &where); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return where, func() error {
		cancel()
		return <-over
	}
}

func TestTheLocalCloudSaysWhereItIs(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second time goes on with the same folder
		where, stop := started(t, dir)
		if where.Region != "eu-west-1" || where.Account != "123456789012" || where.AccessKeyID != "test" ||
			where.Stack != "" || where.DataDir != dir {
			t.Errorf("got %+v", where)
		}
		for scheme, url := range map[string]string{"http": where.Endpoint, "mqtt": where.MQTT, "mqtts": where.MQTTS} {
			address, ok := strings.CutPrefix(url, scheme+"://127.0.0.1:")
			if !ok {
				t.Errorf("%s is at %s", scheme, url)
				continue
			}
			c, err := net.Dial("tcp", "127.0.0.1:"+address)
			if err != nil {
				t.Error(err)
				continue
			}
			_ = c.Close()
		}
		if pool, err := rootCAs(where.CA); err != nil || pool == nil {
			t.Errorf("CA: %v", err)
		}
		var out bytes.Buffer
		env := &cli.Env{Out: &out, Err: io.Discard, Load: func(context.Context) (aws.Config, error) {
			return aws.Config{
				Region: where.Region, BaseEndpoint: &where.Endpoint,
				Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
			}, nil
		}}
		root := cli.New(env)
		root.SetArgs([]string{"job", "list", "--json"})
		if err := root.ExecuteContext(t.Context()); err != nil || out.String() != "[]\n" {
			t.Errorf("job list: %v, %q", err, out.String())
		}
		if err := stop(); err != nil {
			t.Errorf("stopped with %v", err)
		}
	}
}
