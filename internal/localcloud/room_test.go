package localcloud_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TestNewWorkIsRefusedWhileTheDiskIsFull: in each service's own words, while
// reading and removing go on; what roles ask for is refused later; and all is
// taken again when there is room. The health says it before and during that.
func TestNewWorkIsRefusedWhileTheDiskIsFull(t *testing.T) {
	const mib, least = 1 << 20, 64 << 20
	var free atomic.Uint64
	free.Store(1 << 40)
	r := &rig{t: t, sched: scheduler.NewVirtual(1, start)}
	var err error
	r.cloud, err = localcloud.New(localcloud.Config{
		Scheduler: r.sched, Store: store.Memory(), Account: account, Region: "us-east-1",
		Endpoint: "http://cloud.test", MQTTEndpoint: "broker.test",
		MinFree: least, Free: func() (uint64, error) { return free.Load(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := r.furnish(r.must)
	root := awsapi.RootOf(account)
	session := awsapi.Identity{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/all/s", UserID: "x:s",
		RoleARN: "arn:aws:iam::" + account + ":role/all"}
	send := func(id awsapi.Identity, scope, method, path, target, contentType,
		body string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(awsapi.WithIdentity(t.Context(), id), method, path,
			strings.NewReader(body))
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/x/us-east-1/"+scope+"/aws4_request")
		if target != "" {
			req.Header.Set("X-Amz-Target", target)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		w := httptest.NewRecorder()
		r.cloud.Door().ServeHTTP(w, req)
		return w
	}
	const form, json10, json11 = "application/x-www-form-urlencoded", "application/x-amz-json-1.0",
		"application/x-amz-json-1.1"
	queue, err := json.Marshal(made["queue"])
	if err != nil {
		t.Fatal(err)
	}
	work := []struct {
		scope, method, path, target, contentType, body string
		refused                                        awsapi.Word // the zero Word: goes on
	}{
		{"dynamodb", "POST", "/", "DynamoDB_20120810.PutItem", json10, `{"TableName":"table","Item":{"k":{"S":"9"}}}`, awsapi.Word{Code: "ThrottlingException", Status: 400}},
		{"dynamodb", "POST", "/", "DynamoDB_20120810.Scan", json10, `{"TableName":"table"}`, awsapi.Word{}},
		{"dynamodb", "POST", "/", "DynamoDB_20120810.DeleteItem", json10, `{"TableName":"table","Key":{"k":{"S":"1"}}}`, awsapi.Word{}},
		{"states", "POST", "/", "AWSStepFunctions.StartExecution", json10, `{"stateMachineArn":"` + made["machine"] + `"}`, awsapi.Word{Code: "ThrottlingException", Status: 400}},
		{"states", "POST", "/", "AWSStepFunctions.ListStateMachines", json10, `{}`, awsapi.Word{}},
		{"sqs", "POST", "/", "AmazonSQS.SendMessage", json10, `{"QueueUrl":` + string(queue) + `,"MessageBody":"x"}`, awsapi.Word{Code: "RequestThrottled", Status: 400}},
		{"sqs", "POST", "/", "AmazonSQS.ReceiveMessage", json10, `{"QueueUrl":` + string(queue) + `}`, awsapi.Word{}},
		{"sns", "POST", "/", "", form, "Action=CreateTopic&Version=2010-03-31&Name=x", awsapi.Word{Code: "Throttled",
			Status: 429}},
		{"sns", "POST", "/", "", form, "Action=ListTopics&Version=2010-03-31", awsapi.Word{}},
		{"iam", "POST", "/", "", form, "Action=CreateUser&Version=2010-05-08&UserName=x",
			awsapi.Word{Code: "Throttling", Status: 400}},
		{"monitoring", "POST", "/", "", form, "Action=PutMetricData&Version=2010-08-01&Namespace=N",
			awsapi.Word{Code: "Throttling", Status: 400}},
		{"logs", "POST", "/", "Logs_20140328.CreateLogGroup", json11, `{"logGroupName":"x"}`, awsapi.Word{Code: "ThrottlingException", Status: 400}},
		{"iot", "POST", "/things/x", "", "application/json", `{}`, awsapi.Word{Code: "ThrottlingException", Status: 400}},
		{"iot", "GET", "/things", "", "", "", awsapi.Word{}},
		{"iotdata", "POST", "/topics/x", "", "", "x", awsapi.Word{Code: "ThrottlingException", Status: 429}},
		{"lambda", "POST", "/2015-03-31/functions/f/invocations", "", "", "{}",
			awsapi.Word{Code: "TooManyRequestsException", Status: 429}},
		{"s3", "PUT", "/bucket/x", "", "", "x", awsapi.Word{Code: "SlowDown", Status: 503}},
		{"s3", "PUT", "/another", "", "", "", awsapi.Word{Code: "SlowDown", Status: 503}},
		{"s3", "GET", "/bucket/a", "", "", "", awsapi.Word{}},
		{"s3", "DELETE", "/bucket/b", "", "", "", awsapi.Word{}},
	}
	try := func(id awsapi.Identity, full bool) {
		t.Helper()
		for _, w := range work {
			got := send(id, w.scope, w.method, w.path, w.target, w.contentType, w.body)
			throttled := strings.Contains(got.Body.String(), "Rate exceeded")
			if wants := full && w.refused.Code != ""; throttled != wants {
				t.Errorf("%d MiB free: %s %s %s %s: throttled %v, want %v: %d %s", free.Load()/mib, w.scope, w.method,
					w.path, w.target+w.body, throttled, wants, got.Code, got.Body)
			} else if wants && (got.Code != w.refused.Status ||
				!strings.Contains(got.Body.String()+got.Header().Get("X-Amzn-Errortype"), w.refused.Code)) {
				t.Errorf("%s %s %s: %d %s, want %d %s", w.scope, w.method, w.path, got.Code, got.Body,
					w.refused.Status, w.refused.Code)
			}
		}
	}
	health := func(status int, word string) {
		t.Helper()
		w := httptest.NewRecorder()
		r.cloud.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/_localcloud/health", nil))
		if w.Code != status || !strings.Contains(w.Body.String(), word) {
			t.Errorf("%d MiB free: health %d %s, want %d with %q", free.Load()/mib, w.Code, w.Body, status, word)
		}
	}
	try(root, false)
	health(200, `"ok"`)
	free.Store(100 * mib)
	try(root, false)
	health(200, "below 64 MiB new work is refused")
	big := httptest.NewRequestWithContext(awsapi.WithIdentity(t.Context(), root), "PUT", "/bucket/big",
		strings.NewReader("x"))
	big.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/x/us-east-1/s3/aws4_request")
	big.ContentLength = 50 * mib
	w := httptest.NewRecorder()
	if r.cloud.Door().ServeHTTP(w, big); w.Code != 503 {
		t.Errorf("an upload that would leave too little: %d %s", w.Code, w.Body)
	}
	free.Store(60 * mib)
	try(root, true)
	try(session, false)
	health(503, "new work is refused")
	free.Store(10 * mib)
	try(root, true)
	try(session, true)
	free.Store(200 * mib)
	try(root, false)
	health(200, `"ok"`)
}
