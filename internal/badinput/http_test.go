package badinput

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// atLeast is how many rows each entrance has at least.
const atLeast = 25

const account = "123456789012"

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// row is a bad input. Headers are sent and signed, After is sent in the place of what was signed. Sign is how it is
// signed, if not as it should be.
type row struct {
	Name, Call, Body, Want, Sign string
	Says                         string // what the message contains
	Headers, After               map[string]string
}

// rows reads the corpus of an entrance.
func rows(t *testing.T, entrance string) (list []row) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", entrance+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r row
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil || r.Name == "" || r.Want == "" || seen[r.Name] {
			t.Fatalf("%s: %v in %s", entrance, err, lines.Text())
		}
		seen[r.Name] = true
		r.Body, r.Call = repeat(r.Body), repeat(r.Call)
		for _, m := range []map[string]string{r.Headers, r.After} {
			for k, v := range m {
				m[k] = repeat(v)
			}
		}
		list = append(list, r)
	}
	if len(list) < atLeast {
		t.Errorf("%s has %d bad inputs, want %d at least", entrance, len(list), atLeast)
	}
	return list
}

var repeated = regexp.MustCompile(`\{\{(.+?)\*([0-9]+)\}\}`)

// repeat writes out {{text*count}}.
func repeat(s string) string {
	return repeated.ReplaceAllStringFunc(s, func(m string) string {
		p := repeated.FindStringSubmatch(m)
		n, err := strconv.Atoi(p[2])
		if err != nil {
			panic(err)
		}
		return strings.Repeat(p[1], n)
	})
}

// world is a cloud with one of everything in it.
type world struct {
	t       *testing.T
	cloud   *localcloud.Cloud
	handler http.Handler
	db      *store.DB
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: store.Memory()}
	var err error
	w.cloud, err = localcloud.New(localcloud.Config{
		Scheduler: scheduler.NewVirtual(1, start), Store: w.db, Account: account, Region: "us-east-1",
		Endpoint: "http://cloud.test", MQTTEndpoint: "broker.test",
		InProcess: func(context.Context, *localcloud.Cloud, localcloud.Function,
			localcloud.Identity) (localcloud.Handler, error) {
			return nil, fmt.Errorf("no function runs here")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.handler = w.cloud.Handler()
	type in = map[string]any
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["states.amazonaws.com",` +
		`"lambda.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
	role := "arn:aws:iam::" + account + ":role/all"
	for _, c := range []struct {
		service, operation string
		in                 in
	}{
		{"iam", "CreateRole", in{"RoleName": "all", "AssumeRolePolicyDocument": trust}},
		{"dynamodb", "CreateTable", in{"TableName": "tbl", "BillingMode": "PAY_PER_REQUEST",
			"AttributeDefinitions": []in{{"AttributeName": "k", "AttributeType": "S"}},
			"KeySchema":            []in{{"AttributeName": "k", "KeyType": "HASH"}}}},
		{"dynamodb", "PutItem", in{"TableName": "tbl", "Item": in{"k": in{"S": "a"}}}},
		{"sfn", "CreateStateMachine", in{"name": "m", "roleArn": role,
			"definition": `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`}},
		{"sqs", "CreateQueue", in{"QueueName": "q"}},
		{"sns", "CreateTopic", in{"Name": "t"}},
		{"iot", "CreateThing", in{"thingName": "a"}},
		{"lambda", "CreateFunction", in{"FunctionName": "f", "Role": role, "Runtime": "provided.al2023",
			"Handler": "bootstrap", "Code": in{"S3Bucket": "assets", "S3Key": "f.zip"}}},
		{"s3", "CreateBucket", in{"Bucket": "bucket"}},
		{"s3", "PutObject", in{"Bucket": "bucket", "Key": "key", "Body": []byte("body")}},
	} {
		if err := w.cloud.CallInto(t.Context(), w.cloud.Root(), c.service, c.operation, c.in, nil); err != nil {
			t.Fatalf("%s:%s: %v", c.service, c.operation, err)
		}
	}
	// Every update of the store is counted from here.
	w.db.CrashAt(1<<40, false, func(*store.DB) { t.Error("crashed") })
	return w
}

// play sends every row of an entrance, as it is made of one, and holds its answer; nothing may be written by any.
func (w *world) play(entrance string, request func(r row) *http.Request) {
	for _, r := range rows(w.t, entrance) {
		updates := w.db.UpdatesLeft()
		answer := httptest.NewRecorder()
		w.handler.ServeHTTP(answer, request(r))
		if got := fmt.Sprint(answer.Code, " ", errorCode(answer)); got != r.Want {
			body := answer.Body.String()
			w.t.Errorf("%s: %s: %s, want %s: %s", entrance, r.Name, got, r.Want, body[:min(len(body), 300)])
		}
		if !strings.Contains(html.UnescapeString(answer.Body.String()), r.Says) {
			w.t.Errorf("%s: %s: says %s, want %s", entrance, r.Name, answer.Body, r.Says)
		}
		if n := updates - w.db.UpdatesLeft(); n != 0 {
			w.t.Errorf("%s: %s: %d updates of the store", entrance, r.Name, n)
		}
	}
}

// errorCode is the code of an error in any protocol.
func errorCode(r *httptest.ResponseRecorder) string {
	code := r.Header().Get("X-Amzn-Errortype")
	var j struct {
		Type string `json:"__type"`
		Code string `json:"code"`
	}
	if err := json.Unmarshal(r.Body.Bytes(), &j); err == nil && code == "" {
		code = j.Type + j.Code
	}
	var x struct {
		Code  string
		Error struct{ Code string }
	}
	if err := xml.Unmarshal(r.Body.Bytes(), &x); err == nil && code == "" {
		code = x.Code + x.Error.Code
	}
	if code == "" { // CBOR
		code = string(regexp.MustCompile(`[A-Z][A-Za-z]+Exception`).Find(r.Body.Bytes()))
	}
	code, _, _ = strings.Cut(code, ":")
	return code[strings.LastIndexAny(code, "#")+1:]
}

// signed makes a request and signs it as the row says.
func (w *world) signed(service, method, path string, r row) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://cloud.test"+path, strings.NewReader(r.Body))
	if err != nil {
		w.t.Fatalf("%s: %v", r.Name, err)
	}
	for k, v := range r.Headers {
		req.Header.Set(k, v)
	}
	sum := sha256.Sum256([]byte(r.Body))
	hash := hex.EncodeToString(sum[:])
	credentials, region := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "us-east-1"
	how, changed := strings.CutSuffix(r.Sign, "path")
	how = strings.TrimSpace(how)
	switch how {
	case "key":
		credentials.AccessKeyID = "AKIANOBODY"
	case "secret":
		credentials.SecretAccessKey = "another"
	case "region":
		region = "eu-west-1"
	case "token":
		credentials.SessionToken = "token"
	case "body":
		hash = strings.Repeat("0", 64)
	case "unsigned":
		hash = "UNSIGNED-PAYLOAD"
		req.Header.Set("X-Amz-Content-Sha256", hash)
	}
	if service == "s3" && how != "presign" {
		req.Header.Set("X-Amz-Content-Sha256", hash)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	switch how {
	case "none":
	case "presign":
		address, headers, err := signer.PresignHTTP(w.t.Context(), credentials, req, "UNSIGNED-PAYLOAD",
			service, region, start)
		if err != nil {
			w.t.Fatal(err)
		}
		if req, err = http.NewRequestWithContext(w.t.Context(), method, address, nil); err != nil {
			w.t.Fatal(err)
		}
		for k := range headers {
			req.Header.Set(k, headers.Get(k))
		}
	default:
		if err := signer.SignHTTP(w.t.Context(), credentials, req, hash, service, region, start); err != nil {
			w.t.Fatal(err)
		}
	}
	if changed {
		req.URL.Path += "x"
	}
	for k, v := range r.After {
		req.Header.Set(k, v)
	}
	req.Header.Set("Content-Length", strconv.Itoa(len(r.Body)))
	req.RequestURI = req.URL.RequestURI()
	req.RemoteAddr = "127.0.0.1:1234"
	return req
}

// call takes "service METHOD /path" apart.
func call(r row) (service, method, path string) {
	f := strings.SplitN(r.Call, " ", 3)
	return f[0], f[1], f[2]
}

func TestTheWireRefusesBadInput(t *testing.T) {
	w := newWorld(t)
	w.play("wire", func(r row) *http.Request {
		service, method, path := call(r)
		return w.signed(service, method, path, r)
	})
}

var targets = map[string]string{"dynamodb": "DynamoDB_20120810", "states": "AWSStepFunctions", "sqs": "AmazonSQS",
	"logs": "Logs_20140328", "ssm": "AmazonSSM", "kms": "TrentService"}

// The call is a service's name for signing and an operation.
func TestAWSJSONRefusesBadInput(t *testing.T) {
	w := newWorld(t)
	w.play("awsjson", func(r row) *http.Request {
		service, operation, _ := strings.Cut(r.Call, " ")
		r.Headers = map[string]string{"X-Amz-Target": targets[service] + "." + operation,
			"Content-Type": "application/x-amz-json-1.0"}
		return w.signed(service, http.MethodPost, "/", r)
	})
}

func TestRESTJSONRefusesBadInput(t *testing.T) {
	w := newWorld(t)
	w.play("restjson", func(r row) *http.Request {
		service, method, path := call(r)
		return w.signed(service, method, path, r)
	})
}

func TestS3RefusesBadInput(t *testing.T) {
	w := newWorld(t)
	w.play("s3", func(r row) *http.Request {
		method, path, _ := strings.Cut(r.Call, " ")
		return w.signed("s3", method, path, r)
	})
}

var queryVersions = map[string]string{"sns": "2010-03-31", "iam": "2010-05-08", "cloudformation": "2010-05-15",
	"sts": "2011-06-15", "monitoring": "2010-08-01"}

// The call is a service, with another version of its API behind an @, and an operation.
func TestQueryRefusesBadInput(t *testing.T) {
	w := newWorld(t)
	w.play("query", func(r row) *http.Request {
		service, operation, _ := strings.Cut(r.Call, " ")
		service, version, ok := strings.Cut(service, "@")
		if !ok {
			version = queryVersions[service]
		}
		body := "Version=" + version
		if operation != "" {
			body = "Action=" + operation + "&" + body
		}
		r.Body = body + "&" + r.Body
		r.Headers = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
		return w.signed(service, http.MethodPost, "/", r)
	})
}

// The body is the template of a stack that is made.
func TestTemplatesAreRefused(t *testing.T) {
	w := newWorld(t)
	w.play("template", func(r row) *http.Request {
		r.Body = "Action=CreateStack&Version=" + queryVersions["cloudformation"] + "&StackName=" +
			url.QueryEscape(r.Call) + "&TemplateBody=" + url.QueryEscape(r.Body)
		r.Headers = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
		return w.signed("cloudformation", http.MethodPost, "/", r)
	})
}

// The body is the definition of a state machine that is made.
func TestDefinitionsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.play("asl", func(r row) *http.Request {
		body, err := json.Marshal(map[string]string{"name": r.Call, "definition": r.Body,
			"roleArn": "arn:aws:iam::" + account + ":role/all"})
		if err != nil {
			t.Fatal(err)
		}
		r.Body = string(body)
		r.Headers = map[string]string{"X-Amz-Target": targets["states"] + ".CreateStateMachine",
			"Content-Type": "application/x-amz-json-1.0"}
		return w.signed("states", http.MethodPost, "/", r)
	})
}
