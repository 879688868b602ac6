package localcloud_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// faults are how each service words that the failure is its own. Sources: the
// errors of each service's API reference and its "Common errors" (2026-11).
var faults = map[string]awsapi.Word{
	"cloudformation":   {Code: "InternalFailure", Status: 500},
	"cloudwatch":       {Code: "InternalServiceError", Status: 500},
	"cloudwatchlogs":   {Code: "ServiceUnavailableException", Status: 500},
	"dynamodb":         {Code: "InternalServerError", Status: 500},
	"iam":              {Code: "ServiceFailure", Status: 500},
	"iot":              {Code: "InternalFailureException", Status: 500},
	"iotdataplane":     {Code: "InternalFailureException", Status: 500},
	"iotjobsdataplane": {Code: "ServiceUnavailableException", Status: 503},
	"lambda":           {Code: "ServiceException", Status: 500},
	"s3":               {Code: "InternalError", Status: 500},
	"sfn":              {Code: "InternalFailure", Status: 500},
	"sns":              {Code: "InternalError", Status: 500},
	"sqs":              {Code: "InternalFailure", Status: 500},
}

// reads are calls that read what furnish has made.
func (r *rig) reads(made map[string]string) []call {
	return []call{
		{"cloudformation", "DescribeStacks", nil},
		{"cloudformation", "ListStacks", nil},
		{"cloudwatch", "DescribeAlarms", nil},
		{"cloudwatch", "ListDashboards", nil},
		{"cloudwatch", "ListMetrics", in{"Namespace": "N"}},
		{"cloudwatchlogs", "DescribeLogGroups", nil},
		{"cloudwatchlogs", "DescribeLogStreams", in{"logGroupName": "g"}},
		{"cloudwatchlogs", "FilterLogEvents", in{"logGroupName": "g"}},
		{"cloudwatchlogs", "GetLogEvents", in{"logGroupName": "g", "logStreamName": "s"}},
		{"dynamodb", "BatchGetItem",
			in{"RequestItems": in{"table": in{"Keys": []in{{"k": in{"S": "0"}}, {"k": in{"S": "1"}}}}}}},
		{"dynamodb", "DescribeTable", in{"TableName": "table"}},
		{"dynamodb", "GetItem", in{"TableName": "table", "Key": in{"k": in{"S": "1"}}}},
		{"dynamodb", "ListTables", nil},
		{"dynamodb", "Query", in{"TableName": "table", "KeyConditionExpression": "k = :k",
			"ExpressionAttributeValues": in{":k": in{"S": "1"}}}},
		{"dynamodb", "Scan", in{"TableName": "table"}},
		{"dynamodb", "Scan", in{"TableName": "table", "IndexName": "index"}},
		{"iam", "GetRole", in{"RoleName": "all"}},
		{"iam", "ListRoles", nil},
		{"iam", "ListUsers", nil},
		{"iot", "DescribeThing", in{"thingName": "a"}},
		{"iot", "ListJobExecutionsForJob", in{"jobId": "j"}},
		{"iot", "ListJobExecutionsForThing", in{"thingName": "a"}},
		{"iot", "ListJobs", nil},
		{"iot", "ListThingGroups", nil},
		{"iot", "ListThings", nil},
		{"iot", "ListThingsInThingGroup", in{"thingGroupName": "g"}},
		{"iot", "ListTopicRules", nil},
		{"iotdataplane", "ListRetainedMessages", nil},
		{"iotjobsdataplane", "GetPendingJobExecutions", in{"thingName": "a"}},
		{"iotjobsdataplane", "DescribeJobExecution", in{"thingName": "a", "jobId": "$next"}},
		{"lambda", "ListFunctions", nil},
		{"s3", "ListObjectsV2", in{"Bucket": "bucket"}},
		{"s3", "GetBucketVersioning", in{"Bucket": "bucket"}},
		{"sfn", "DescribeExecution", in{"executionArn": made["execution"]}},
		{"sfn", "GetExecutionHistory", in{"executionArn": made["execution"]}},
		{"sfn", "ListActivities", nil},
		{"sfn", "ListExecutions", in{"stateMachineArn": made["machine"]}},
		{"sfn", "ListStateMachines", nil},
		{"sns", "ListSubscriptions", nil},
		{"sns", "ListTopics", nil},
		{"sqs", "GetQueueAttributes", in{"QueueUrl": made["queue"], "AttributeNames": []string{"All"}}},
		{"sqs", "ListQueues", nil},
	}
}

type in = map[string]any

type call struct {
	service, operation string
	in                 in
}

// furnish puts a few of everything into the cloud, by must.
func (r *rig) furnish(must func(service, operation string, in in) map[string]any) map[string]string {
	made := map[string]string{}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["states.amazonaws.com","iot.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
	all := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	for _, name := range []string{"all", "more"} {
		must("iam", "CreateRole", in{"RoleName": name, "AssumeRolePolicyDocument": trust})
		must("iam", "PutRolePolicy", in{"RoleName": name, "PolicyName": "p", "PolicyDocument": all})
		must("iam", "CreateUser", in{"UserName": name})
	}
	role := "arn:aws:iam::" + account + ":role/all"
	must("dynamodb", "CreateTable", in{"TableName": "table", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []in{{"AttributeName": "k", "AttributeType": "S"}},
		"KeySchema":            []in{{"AttributeName": "k", "KeyType": "HASH"}},
		"GlobalSecondaryIndexes": []in{{"IndexName": "index", "Projection": in{"ProjectionType": "ALL"},
			"KeySchema": []in{{"AttributeName": "k", "KeyType": "HASH"}}}}})
	for i := range 3 {
		must("dynamodb", "PutItem", in{"TableName": "table", "Item": in{"k": in{"S": fmt.Sprint(i)}}})
	}
	must("cloudwatchlogs", "CreateLogGroup", in{"logGroupName": "g"})
	must("cloudwatchlogs", "CreateLogStream", in{"logGroupName": "g", "logStreamName": "s"})
	now := r.sched.Now().UnixMilli()
	must("cloudwatchlogs", "PutLogEvents", in{"logGroupName": "g", "logStreamName": "s",
		"logEvents": []in{{"timestamp": now, "message": "one"}, {"timestamp": now, "message": "two"}}})
	must("cloudwatch", "PutMetricData", in{"Namespace": "N", "MetricData": []in{{"MetricName": "m", "Value": 1},
		{"MetricName": "n", "Value": 1}}})
	must("cloudwatch", "PutMetricAlarm", in{"AlarmName": "a", "Namespace": "N", "MetricName": "m", "Statistic": "Sum",
		"Period": 60, "EvaluationPeriods": 1,
		"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"})
	must("cloudwatch", "PutDashboard", in{"DashboardName": "d", "DashboardBody": `{"widgets":[]}`})
	must("iot", "CreateThingGroup", in{"thingGroupName": "g"})
	targets := []string{}
	for _, name := range []string{"a", "b", "c"} {
		must("iot", "CreateThing", in{"thingName": name})
		must("iot", "AddThingToThingGroup", in{"thingGroupName": "g", "thingName": name})
		targets = append(targets, "arn:aws:iot:us-east-1:"+account+":thing/"+name)
	}
	must("iot", "CreateJob", in{"jobId": "j", "targets": targets, "document": "{}"})
	r.sched.RunFor(120e9)
	must("iot", "CreateTopicRule", in{"ruleName": "r", "topicRulePayload": in{"sql": "SELECT * FROM 'x'",
		"actions": []in{{"republish": in{"roleArn": role, "topic": "y"}}}}})
	must("iotdataplane", "Publish", in{"topic": "kept", "payload": []byte("x"), "retain": true})
	must("s3", "CreateBucket", in{"Bucket": "bucket"})
	for _, key := range []string{"a", "b"} {
		must("s3", "PutObject", in{"Bucket": "bucket", "Key": key, "Body": []byte("x")})
	}
	machine := must("sfn", "CreateStateMachine", in{"name": "m", "roleArn": role, "definition": `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`})
	made["machine"], _ = machine["stateMachineArn"].(string)
	made["execution"], _ = must("sfn", "StartExecution", in{"stateMachineArn": made["machine"],
		"name": "e"})["executionArn"].(string)
	must("sfn", "StartExecution", in{"stateMachineArn": made["machine"], "name": "f"})
	must("sfn", "CreateActivity", in{"name": "act"})
	made["queue"], _ = must("sqs", "CreateQueue", in{"QueueName": "q"})["QueueUrl"].(string)
	must("sqs", "SendMessage", in{"QueueUrl": made["queue"], "MessageBody": "x"})
	topic := must("sns", "CreateTopic", in{"Name": "n"})
	must("sns", "Subscribe", in{"TopicArn": topic["TopicArn"], "Protocol": "sqs",
		"Endpoint": "arn:aws:sqs:us-east-1:" + account + ":q"})
	r.sched.RunFor(10e9)
	return made
}

// TestAReadErrorIsNeverAShorterAnswer: whichever read of the store fails, a call
// answers as if none had, because it did not need it, or with its service's
// own word for that; then nothing has changed, and the call succeeds once the
// store can be read.
func TestAReadErrorIsNeverAShorterAnswer(t *testing.T) {
	db := store.Memory()
	r := &rig{t: t, sched: scheduler.NewVirtual(1, start)}
	var err error
	r.cloud, err = localcloud.New(localcloud.Config{
		Scheduler: r.sched, Store: db, Account: account, Region: "us-east-1", Endpoint: "http://cloud.test",
		MQTTEndpoint: "broker.test",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	isFault := func(c call, at int, err error) {
		t.Helper()
		e := awsapi.AsError(err)
		if want := faults[c.service]; e.Code != want.Code || e.HTTPStatus() != want.Status {
			t.Errorf("%s:%s, read %d failed: %d %v, want %d %s", c.service, c.operation, at, e.HTTPStatus(), e,
				want.Status, want.Code)
		}
	}
	made := r.furnish(func(service, operation string, input in) map[string]any {
		for at := range 200 {
			var out map[string]any
			stop := db.FailReads(at)
			err := awsapi.CallInto(t.Context(), r.cloud.Door(), awsapi.RootOf(account), service, operation,
				input, &out)
			stop()
			if err == nil {
				return out
			}
			isFault(call{service, operation, input}, at, err)
		}
		t.Fatalf("%s:%s does not succeed", service, operation)
		return nil
	})
	root := awsapi.RootOf(account)
	answer := func(c call) (string, error) {
		out, err := r.cloud.Door().Call(t.Context(), root, c.service, c.operation, c.in)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), nil
	}
	for _, c := range r.reads(made) {
		t.Run(c.service+":"+c.operation, func(t *testing.T) {
			whole, err := answer(c)
			if err != nil {
				t.Fatal(err)
			}
			failed := 0
			for at := range 100 {
				stop := db.FailReads(at)
				got, err := answer(c)
				hits := stop()
				if err == nil {
					if got != whole {
						t.Errorf("read %d failed: %s\ninstead of %s", at, got, whole)
					}
					if hits == 0 {
						break
					}
					continue
				}
				failed++
				isFault(c, at, err)
			}
			if failed == 0 && !strings.Contains("DescribeStacks ListStacks GetBucketVersioning", c.operation) {
				t.Error("no read of it could be made to fail")
			}
		})
	}
	// What is left is asked for by tests and by people alone.
	before := r.cloud.Residue(t.Context())
	stop := db.FailReads(0)
	during := r.cloud.Residue(t.Context())
	if stop() > 0 && reflect.DeepEqual(before, during) {
		t.Errorf("residue %q although nothing could be read", during)
	}
}
