package integration

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/apimodel"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// optimized are the optimized integrations, by the service in the ARN.
var optimized = map[string]struct {
	service string
	prefix  string // of error names
	label   string // Service in causes
	generic string // error of a code that the SDK behind it has no exception for
	actions map[string]bool
}{
	"lambda": {"lambda", "Lambda", "AWSLambda", "AWSLambdaException", map[string]bool{"invoke": true}},
	"dynamodb": {"dynamodb", "DynamoDB", "AmazonDynamoDBv2", "AmazonDynamoDBException", map[string]bool{
		"getItem": true, "putItem": true, "updateItem": true, "deleteItem": true}},
	"sns": {"sns", "SNS", "AmazonSNS", "AmazonSNSException", map[string]bool{"publish": true}},
	"sqs": {"sqs", "SQS", "AmazonSQS", "AmazonSQSException", map[string]bool{"sendMessage": true}},
	"states": {"sfn", "StepFunctions", "AWSStepFunctions", "AWSStepFunctionsException", map[string]bool{
		"startExecution": true}},
	"events": {"eventbridge", "EventBridge", "AmazonEventBridge", "AmazonEventBridgeException", map[string]bool{
		"putEvents": true}},
}

// Target is where a Resource leads.
type Target struct {
	Service, Operation string // as the caller of services knows them
	Prefix             string // of error names
	SDK                bool   // an AWS SDK integration, not an optimized one
	Supported          bool   // always so for an AWS SDK integration
}

// TargetOf says where a Resource leads.
func TargetOf(r asl.Resource) Target {
	t := Target{Service: r.Service, Operation: upperFirst(r.Action)}
	if name, ok := strings.CutPrefix(r.Service, "aws-sdk:"); ok {
		t.Service, t.Prefix, t.SDK, t.Supported = name, apimodel.Prefix(name), true, true
		if t.Prefix == "" {
			t.Prefix = upperFirst(name)
		}
		return t
	}
	if r.Kind == asl.Function {
		return Target{Service: "lambda", Operation: "Invoke", Prefix: "Lambda", Supported: true}
	}
	o, ok := optimized[r.Service]
	if !ok {
		t.Prefix = upperFirst(r.Service)
		return t
	}
	t.Service, t.Prefix, t.Supported = o.service, o.prefix, o.actions[r.Action]
	return t
}

// Member is a member of the API's model as parameters and results have it.
func (t Target) Member(name string) string {
	if t.SDK {
		return apimodel.SDK(t.Service)(name)
	}
	return apimodel.Optimized(name)
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
