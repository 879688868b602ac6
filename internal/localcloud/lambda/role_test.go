package lambda

import (
	"context"
	"slices"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// grants allows "action resource" to roles, and everything to the root.
type grants []string

func (g grants) Authorize(_ context.Context, r awsapi.Request) error {
	if r.Identity.Root || slices.Contains(g, r.Action+" "+r.Resource) {
		return nil
	}
	return awsapi.Errorf("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s",
		r.Identity.ARN, r.Action, r.Resource).WithStatus(403)
}

// Lambda looks at the role when a function is made or changed, not when it first
// needs it.
func TestRoleMustAllowWhatLambdaDoesForTheFunction(t *testing.T) {
	const (
		queue    = "arn:aws:sqs:us-east-1:123456789012:dead"
		topic    = "arn:aws:sns:us-east-1:123456789012:dead"
		segments = "xray:PutTraceSegments *"
		records  = "xray:PutTelemetryRecords *"
		cannot   = "The provided execution role does not have permissions to call "
	)
	letters := func(arn string) map[string]any {
		return map[string]any{"DeadLetterConfig": map[string]string{"TargetArn": arn}}
	}
	tracing := map[string]any{"TracingConfig": map[string]string{"Mode": "Active"}}
	for _, row := range []struct {
		name   string
		wants  map[string]any
		grants grants
		denied string // "" is taken
	}{
		{"nothing asked for", nil, nil, ""},
		{"queue", letters(queue), grants{"sqs:SendMessage " + queue}, ""},
		{"queue without permission", letters(queue), nil, cannot + "SendMessage on SQS"},
		{"another queue's permission", letters(queue), grants{"sqs:SendMessage " + queue + "2"}, cannot +
			"SendMessage on SQS"},
		{"topic", letters(topic), grants{"sns:Publish " + topic}, ""},
		{"topic without permission", letters(topic), grants{"sqs:SendMessage " + topic}, cannot + "Publish on SNS"},
		{"tracing", tracing, grants{segments, records}, ""},
		{"tracing without segments", tracing, grants{records}, cannot + "PutTraceSegments on XRAY"},
		{"tracing without telemetry", tracing, grants{segments}, cannot + "PutTelemetryRecords on XRAY"},
		{"tracing that is passed on", map[string]any{"TracingConfig": map[string]string{"Mode": "PassThrough"}}, nil,
			""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := virtualCloud(t, store.Memory(), func(context.Context, []byte) ([]byte, error) {
				return []byte("1"), nil
			})
			c.door = awsapi.New(awsapi.Config{Scheduler: c.s, Account: account, Region: "us-east-1",
				Authorizer: row.grants})
			c.door.Add(c.svc.API())
			check := func(operation string, err error) {
				t.Helper()
				switch {
				case row.denied == "" && err != nil:
					t.Errorf("%s: %v", operation, err)
				case row.denied != "" && (awsapi.Code(err) != "InvalidParameterValueException" ||
					awsapi.AsError(err).Message != row.denied):
					t.Errorf("%s: %v, want %s", operation, err, row.denied)
				}
			}
			in := map[string]any{
				"FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn:aws:iam::" +
					account + ":role/r",
				"Code": map[string]string{"S3Bucket": "assets", "S3Key": "f.zip"},
			}
			c.must("CreateFunction", in)
			change := map[string]any{"FunctionName": "f"}
			in["FunctionName"] = "g"
			for k, v := range row.wants {
				in[k], change[k] = v, v
			}
			_, err := c.call("CreateFunction", in)
			check("CreateFunction", err)
			_, err = c.call("UpdateFunctionConfiguration", change)
			check("UpdateFunctionConfiguration", err)
		})
	}
}
