package localcloud_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const account = "123456789012"

type rig struct {
	t     *testing.T
	sched *scheduler.Scheduler
	cloud *localcloud.Cloud
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, sched: scheduler.NewVirtual(1, time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))}
	var err error
	r.cloud, err = localcloud.New(localcloud.Config{
		Scheduler: r.sched, Store: store.Memory(), Account: account, Region: "us-east-1",
		Endpoint: "http://cloud.test", MQTTEndpoint: "broker.test",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) must(service, operation string, in map[string]any) map[string]any {
	r.t.Helper()
	var out map[string]any
	if err := awsapi.CallInto(r.t.Context(), r.cloud.Door(), awsapi.RootOf(account), service, operation, in,
		&out); err != nil {
		r.t.Fatalf("%s:%s: %v", service, operation, err)
	}
	return out
}

// role makes a role that Step Functions may assume, with one policy.
func (r *rig) role(name, document string) string {
	r.t.Helper()
	r.must("iam", "CreateRole", map[string]any{"RoleName": name, "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"states.amazonaws.com"},"Action":"sts:AssumeRole"}]}`})
	r.must("iam", "PutRolePolicy", map[string]any{"RoleName": name, "PolicyName": "p", "PolicyDocument": document})
	return "arn:aws:iam::" + account + ":role/" + name
}

const (
	allowsNothing = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeInstances","Resource":"*"}]}`
	deniesAll     = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"},{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

// Denials as AWS documents them ("Troubleshoot access denied error messages", IAM
// User Guide), and where a service has words of its own as its users quote them:
// the action of SNS and SQS, the resource of S3 and CloudWatch, the status.
func TestDenialsReadAsOnAWS(t *testing.T) {
	r := newRig(t)
	r.role("poor", allowsNothing)
	r.role("barred", deniesAll)
	const (
		poor   = "User: arn:aws:sts::123456789012:assumed-role/poor/s is not authorized to perform: "
		barred = "User: arn:aws:sts::123456789012:assumed-role/barred/s is not authorized to perform: "
		here   = ":us-east-1:123456789012:"
	)
	implicit := func(action, resource string) string {
		return poor + action + " on resource: " + resource + " because no identity-based policy allows the " +
			action + " action"
	}
	form := func(values ...string) string {
		v := url.Values{}
		for i := 0; i < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return v.Encode()
	}
	for _, row := range []struct {
		scope, method, path, target, body string
		role                              string
		status                            int
		code, message                     string
	}{
		{"dynamodb", "POST", "/", "DynamoDB_20120810.PutItem", `{"TableName":"t","Item":{"PK":{"S":"a"}}}`, "poor",
			400, "AccessDeniedException", implicit("dynamodb:PutItem", "arn:aws:dynamodb"+here+"table/t")},
		{"dynamodb", "POST", "/", "DynamoDB_20120810.PutItem", `{"TableName":"t","Item":{"PK":{"S":"a"}}}`, "barred",
			400, "AccessDeniedException", barred + "dynamodb:PutItem on resource: arn:aws:dynamodb" + here +
				"table/t with an explicit deny in an identity-based policy"},
		{"dynamodb", "POST", "/", "DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"t","Key":{"PK":{"S":"a"}}}}]}`, "poor",
			400, "AccessDeniedException", implicit("dynamodb:DeleteItem", "arn:aws:dynamodb"+here+"table/t")},
		{"states", "POST", "/", "AWSStepFunctions.StartExecution", `{"stateMachineArn":"arn:aws:states` + here + `stateMachine:m"}`, "poor",
			400, "AccessDeniedException", implicit("states:StartExecution", "arn:aws:states"+here+"stateMachine:m")},
		{"states", "POST", "/", "AWSStepFunctions.StopExecution", `{"executionArn":"arn:aws:states` + here + `execution:m:e"}`, "poor",
			400, "AccessDeniedException", implicit("states:StopExecution", "arn:aws:states"+here+"execution:m:e")},
		{"logs", "POST", "/", "Logs_20140328.CreateLogStream", `{"logGroupName":"g","logStreamName":"s"}`, "poor",
			400, "AccessDeniedException", implicit("logs:CreateLogStream", "arn:aws:logs"+here+
				"log-group:g:log-stream:s")},
		{"lambda", "POST", "/2015-03-31/functions/f/invocations", "", `{}`, "poor",
			403, "AccessDeniedException", implicit("lambda:InvokeFunction", "arn:aws:lambda"+here+"function:f")},
		{"iot", "GET", "/endpoint?endpointType=iot:Data-ATS", "", "", "poor",
			403, "AccessDeniedException", implicit("iot:DescribeEndpoint", "*")},
		{"iot", "GET", "/things/rg-1", "", "", "poor",
			403, "AccessDeniedException", implicit("iot:DescribeThing", "arn:aws:iot"+here+"thing/rg-1")},
		{"sqs", "POST", "/", "AmazonSQS.SendMessage", `{"QueueUrl":"http://cloud.test/123456789012/q","MessageBody":"a"}`, "poor",
			403, "AccessDenied", implicit("sqs:sendmessage", "arn:aws:sqs"+here+"q")},
		{"sns", "POST", "/", "", form("Action", "Publish", "Version", "2010-03-31", "TopicArn", "arn:aws:sns"+here+"t",
			"Message", "a"), "poor",
			403, "AuthorizationError", implicit("SNS:Publish", "arn:aws:sns"+here+"t")},
		{"monitoring", "POST", "/", "", form("Action", "PutMetricData", "Version", "2010-08-01", "Namespace", "N",
			"MetricData.member.1.MetricName", "m", "MetricData.member.1.Value", "1"), "poor",
			403, "AccessDenied", poor +
				"cloudwatch:PutMetricData because no identity-based policy allows the cloudwatch:PutMetricData " +
				"action"},
		{"monitoring", "POST", "/", "", form("Action", "DescribeAlarms", "Version", "2010-08-01",
			"AlarmNames.member.1", "a"), "poor", 403, "AccessDenied",
			implicit("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch"+here+"alarm:*")},
		{"iam", "POST", "/", "", form("Action", "GetRole", "Version", "2010-05-08", "RoleName", "poor"), "poor",
			403, "AccessDenied", implicit("iam:GetRole", "arn:aws:iam::123456789012:role/poor")},
		{"sts", "POST", "/", "", form("Action", "AssumeRole", "Version", "2011-06-15", "RoleArn",
			"arn:aws:iam::123456789012:role/barred", "RoleSessionName", "session"), "poor",
			403, "AccessDenied", poor + "sts:AssumeRole on resource: arn:aws:iam::123456789012:role/barred"},
		{"s3", "GET", "/bucket/2.0.0/gateway.bin", "", "", "poor",
			403, "AccessDenied", implicit("s3:GetObject", `"arn:aws:s3:::bucket/2.0.0/gateway.bin"`)},
		{"s3", "GET", "/bucket/2.0.0/gateway.bin?versionId=1", "", "", "poor",
			403, "AccessDenied", implicit("s3:GetObjectVersion", `"arn:aws:s3:::bucket/2.0.0/gateway.bin"`)},
	} {
		t.Run(row.scope+" "+row.target+" "+row.path, func(t *testing.T) {
			req := httptest.NewRequestWithContext(awsapi.WithIdentity(t.Context(), awsapi.Identity{
				Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + row.role + "/s",
				UserID: "AROA:s", RoleARN: "arn:aws:iam::" + account + ":role/" + row.role,
			}), row.method, "http://cloud.test"+row.path, strings.NewReader(row.body))
			req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/x/us-east-1/"+row.scope+"/aws4_request")
			switch {
			case row.target != "":
				req.Header.Set("X-Amz-Target", row.target)
				req.Header.Set("Content-Type", "application/x-amz-json-1.0")
				if row.scope == "logs" {
					req.Header.Set("Content-Type", "application/x-amz-json-1.1")
				}
			case strings.HasPrefix(row.body, "Action="), strings.Contains(row.body, "&"):
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			w := httptest.NewRecorder()
			r.cloud.Handler().ServeHTTP(w, req)
			code, message := spoken(t, w)
			if w.Code != row.status || code != row.code || message != row.message {
				t.Errorf("got  %d %s %q\nwant %d %s %q", w.Code, code, message, row.status, row.code, row.message)
			}
		})
	}
}

// spoken reads an error in any of the protocols.
func spoken(t *testing.T, w *httptest.ResponseRecorder) (code, message string) {
	t.Helper()
	body := w.Body.Bytes()
	if strings.Contains(w.Header().Get("Content-Type"), "xml") {
		var out struct {
			Code, Message string
			Error         struct{ Code, Message string }
		}
		if err := xml.Unmarshal(body, &out); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return out.Code + out.Error.Code, out.Message + out.Error.Message
	}
	var out struct {
		Type    string `json:"__type"`
		Message string
	}
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if code = w.Header().Get("X-Amzn-Errortype"); code == "" {
		code = out.Type
	}
	return code[strings.LastIndex(code, "#")+1:], out.Message
}

// And in the history of an execution, as Step Functions quotes them.
func TestDenialsInExecutionHistories(t *testing.T) {
	r := newRig(t)
	role := r.role("poor", allowsNothing)
	const here = ":us-east-1:123456789012:"
	for i, row := range []struct {
		resource, parameters string
		err, words, tail     string
	}{
		{"arn:aws:states:::lambda:invoke", `{"FunctionName":"f"}`,
			"Lambda.AWSLambdaException", implied("lambda:InvokeFunction", "arn:aws:lambda"+here+"function:f"),
			"(Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException; Request ID: ID; Proxy: null)"},
		{"arn:aws:lambda" + here + "function:f", `{}`,
			"Lambda.AWSLambdaException", implied("lambda:InvokeFunction", "arn:aws:lambda"+here+"function:f"),
			"(Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException; Request ID: ID; Proxy: null)"},
		{"arn:aws:states:::dynamodb:putItem", `{"TableName":"t","Item":{"PK":{"S":"a"}}}`,
			"DynamoDB.AmazonDynamoDBException", implied("dynamodb:PutItem", "arn:aws:dynamodb"+here+"table/t"),
			"(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: AccessDeniedException; Request ID: ID; " +
				"Proxy: null)"},
		{"arn:aws:states:::sns:publish", `{"TopicArn":"arn:aws:sns` + here + `t","Message":"a"}`,
			"SNS.AuthorizationErrorException", implied("SNS:Publish", "arn:aws:sns"+here+"t"),
			"(Service: AmazonSNS; Status Code: 403; Error Code: AuthorizationError; Request ID: ID; Proxy: null)"},
		{"arn:aws:states:::sqs:sendMessage", `{"QueueUrl":"http://cloud.test/123456789012/q","MessageBody":"a"}`,
			"SQS.AmazonSQSException", implied("sqs:sendmessage", "arn:aws:sqs"+here+"q"),
			"(Service: AmazonSQS; Status Code: 403; Error Code: AccessDenied; Request ID: ID; Proxy: null)"},
		{"arn:aws:states:::aws-sdk:dynamodb:getItem", `{"TableName":"t","Key":{"PK":{"S":"a"}}}`,
			"DynamoDb.DynamoDbException", implied("dynamodb:GetItem", "arn:aws:dynamodb"+here+"table/t"),
			"(Service: DynamoDb, Status Code: 400, Request ID: ID) (SDK Attempt Count: 1)"},
	} {
		t.Run(row.resource, func(t *testing.T) {
			definition := fmt.Sprintf(`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":%q,"Parameters":%s,"End":true}}}`, row.resource, row.parameters)
			machine := r.must("sfn", "CreateStateMachine", map[string]any{"name": fmt.Sprint("m", i),
				"definition": definition, "roleArn": role})["stateMachineArn"]
			execution := r.must("sfn", "StartExecution", map[string]any{"stateMachineArn": machine})["executionArn"]
			r.sched.RunFor(time.Second)
			for _, event := range r.must("sfn", "GetExecutionHistory",
				map[string]any{"executionArn": execution})["events"].([]any) {
				e := event.(map[string]any)
				details, ok := e["taskFailedEventDetails"].(map[string]any)
				if !ok {
					details, ok = e["lambdaFunctionFailedEventDetails"].(map[string]any)
				}
				if !ok {
					continue
				}
				cause := sessions.ReplaceAllString(requestID.ReplaceAllString(details["cause"].(string),
					"Request ID: ID"), "role/poor/s")
				if details["error"] != row.err || cause != row.words+" "+row.tail {
					t.Errorf("got  %v: %s\nwant %s: %s %s", details["error"], cause, row.err, row.words, row.tail)
				}
				return
			}
			t.Error("nothing failed")
		})
	}
}

var (
	requestID = regexp.MustCompile(`Request ID: [0-9a-f-]+`)
	sessions  = regexp.MustCompile(`role/poor/[^ ]+`)
)

func implied(action, resource string) string {
	return "User: arn:aws:sts::123456789012:assumed-role/poor/s is not authorized to perform: " + action +
		" on resource: " + resource +
		" because no identity-based policy allows the " + action + " action"
}

// An alarm that may not publish says so in its history.
func TestDenialInAnAlarmsHistory(t *testing.T) {
	r := newRig(t)
	topic := r.must("sns", "CreateTopic", map[string]any{"Name": "t"})["TopicArn"].(string)
	r.must("sns", "SetTopicAttributes", map[string]any{"TopicArn": topic, "AttributeName": "Policy",
		"AttributeValue": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"sns:Publish","Resource":"` + topic + `"}]}`})
	r.must("cloudwatch", "PutMetricAlarm", map[string]any{
		"AlarmName": "a", "Namespace": "N", "MetricName": "m", "Statistic": "Sum", "Period": 60,
		"EvaluationPeriods": 1, "Threshold": 1,
		"ComparisonOperator": "GreaterThanThreshold", "AlarmActions": []string{topic},
	})
	r.must("cloudwatch", "SetAlarmState", map[string]any{"AlarmName": "a", "StateValue": "ALARM",
		"StateReason": "a drill"})
	r.sched.RunFor(time.Second)
	b, err := json.Marshal(r.must("cloudwatch", "DescribeAlarmHistory", map[string]any{"AlarmName": "a",
		"HistoryItemType": "Action"}))
	if want := "CloudWatch Alarms is not authorized to perform: SNS:Publish on resource: " + topic; err != nil ||
		!strings.Contains(string(b), want) {
		t.Errorf("%s, %v\nwant %s", b, err, want)
	}
}
