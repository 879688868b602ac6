package badinput

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TestMain lets the test's own binary be a function's bootstrap, which tells where its Runtime API is and leaves the
// rest to the test.
func TestMain(m *testing.M) {
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		file := os.Getenv("ADDRESS")
		err := os.WriteFile(file+".new", []byte(api), 0o600)
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			panic(err)
		}
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// TestTheRuntimeAPIRefusesBadInput plays a function's runtime at fault, while it has an invocation. The call is a
// method and a path below /2018-06-01/runtime, or, behind a "!", one without the secret of the environment; ID is the
// invocation's. The invocation ends as if nothing had been.
func TestTheRuntimeAPIRefusesBadInput(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "f"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "f", "bootstrap")); err != nil {
		t.Fatal(err)
	}
	db := store.Memory()
	cloud, err := localcloud.New(localcloud.Config{
		Scheduler: scheduler.NewReal(), Store: db, Account: account, Region: "us-east-1",
		Endpoint: "http://127.0.0.1:1", MQTTEndpoint: "127.0.0.1", AssetDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := cloud.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	type in = map[string]any
	call := func(service, operation string, in in, out any) error {
		return cloud.CallInto(t.Context(), cloud.Root(), service, operation, in, out)
	}
	file := filepath.Join(dir, "address")
	role := "arn:aws:iam::" + account + ":role/f"
	for _, err := range []error{
		call("iam", "CreateRole", in{"RoleName": "f", "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{` +
			`"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}, nil),
		call("lambda", "CreateFunction", in{"FunctionName": "f", "Role": role, "Runtime": "provided.al2023",
			"Timeout": 60, "Handler": "bootstrap", "Code": in{"S3Bucket": "assets", "S3Key": "f.zip"},
			"Environment": in{"Variables": in{"ADDRESS": file}}}, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	type answer struct {
		Payload       []byte
		FunctionError string
		err           error
	}
	ended := make(chan answer, 1)
	go func() {
		var a answer
		a.err = call("lambda", "Invoke", in{"FunctionName": "f", "Payload": []byte(`{"n":1}`)}, &a)
		ended <- a
	}()
	var address []byte
	for began := time.Now(); address == nil; time.Sleep(5 * time.Millisecond) {
		if address, err = os.ReadFile(file); err != nil && time.Since(began) > 20*time.Second {
			t.Fatal(err)
		}
	}
	host, secret, _ := strings.Cut(string(address), "/")
	const root = "/2018-06-01/runtime"
	send := func(method, path, body string, headers map[string]string) *httptest.ResponseRecorder {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range headers {
			req.Header.Set(k, v)
			if k == "Host" {
				req.Host = v
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		got := httptest.NewRecorder()
		got.Code = resp.StatusCode
		for k := range resp.Header {
			got.Header().Set(k, resp.Header.Get(k))
		}
		if _, err := io.Copy(got.Body, resp.Body); err != nil {
			t.Fatal(err)
		}
		return got
	}
	next := send(http.MethodGet, "/"+secret+root+"/invocation/next", "", nil)
	id := next.Header().Get("Lambda-Runtime-Aws-Request-Id")
	if next.Code != 200 || id == "" || next.Body.String() != `{"n":1}` {
		t.Fatalf("the invocation is %d %q %s", next.Code, id, next.Body)
	}
	db.CrashAt(1<<40, false, func(*store.DB) { t.Error("crashed") })
	for _, r := range rows(t, "runtime") {
		method, path, _ := strings.Cut(strings.ReplaceAll(r.Call, "ID", id), " ")
		if rest, ok := strings.CutPrefix(path, "!"); ok {
			path = rest
		} else {
			path = "/" + secret + root + path
		}
		updates := db.UpdatesLeft()
		got := send(method, path, r.Body, r.Headers)
		code := ""
		if i := strings.Index(got.Body.String(), `"errorType":"`); i >= 0 {
			code, _, _ = strings.Cut(got.Body.String()[i+len(`"errorType":"`):], `"`)
		}
		if answered := strings.TrimSpace(fmt.Sprint(got.Code, " ", code)); answered != r.Want {
			t.Errorf("%s: %s, want %s: %s", r.Name, answered, r.Want, got.Body)
		}
		if n := updates - db.UpdatesLeft(); n != 0 {
			t.Errorf("%s: %d updates of the store", r.Name, n)
		}
	}
	// One that is cut off is nobody's.
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST /%s%s/invocation/%s/response HTTP/1.1\r\nHost: %s\r\n"+
		"Content-Length: 100\r\n\r\n{", secret, root, id, host); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if got := send(http.MethodPost, "/"+secret+root+"/invocation/"+id+"/response", `"well"`, nil); got.Code != 202 {
		t.Errorf("the answer is taken with %d %s", got.Code, got.Body)
	}
	if a := <-ended; a.err != nil || a.FunctionError != "" || string(a.Payload) != `"well"` {
		t.Errorf("the invocation ended with %s %s, %v", a.FunctionError, a.Payload, a.err)
	}
}
