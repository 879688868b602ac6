package sfn

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/apimodel"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// integrations makes the calls of tasks through the Caller.
type integrations struct{ s *Service }

// optimized are the optimized integrations: service of the ARN to what the
// Caller and error names call it.
var optimized = map[string]struct {
	service string
	prefix  string // of error names
	label   string // Service in causes
	generic string // error of a code that the SDK behind it has no exception for
	actions map[string]bool
}{

	"lambda": {"lambda", "Lambda", "AWSLambda", "AWSLambdaException", map[string]bool{"invoke": true}},
	"dynamodb": {"dynamodb", "DynamoDB", "AmazonDynamoDBv2", "AmazonDynamoDBException",
		map[string]bool{"getItem": true, "putItem": true, "updateItem": true, "deleteItem": true}},
	"sns": {"sns", "SNS", "AmazonSNS", "AmazonSNSException", map[string]bool{"publish": true}},
	"sqs": {"sqs", "SQS", "AmazonSQS", "AmazonSQSException", map[string]bool{"sendMessage": true}},
	"states": {"sfn", "StepFunctions", "AWSStepFunctions", "AWSStepFunctionsException",
		map[string]bool{"startExecution": true}},
	"events": {"eventbridge", "EventBridge", "AmazonEventBridge", "AmazonEventBridgeException",
		map[string]bool{"putEvents": true}},
}

func (in *integrations) identity(ctx context.Context, t Task) (awsapi.Identity, error) {
	role := t.Role
	if t.RoleARN != "" {
		role = t.RoleARN
	}
	if in.s.Roles == nil {
		return awsapi.RootOf(in.s.Account), nil
	}
	return in.s.Roles.Assume(ctx, role, "states.amazonaws.com", t.MachineARN, in.s.sched.UUID()[:32])
}

// target says where a resource leads.
func target(r asl.Resource) (service, operation, prefix string, sdk bool) {
	operation = upperFirst(r.Action)
	if name, ok := strings.CutPrefix(r.Service, "aws-sdk:"); ok {
		if prefix = apimodel.Prefix(name); prefix == "" {
			prefix = upperFirst(name)
		}
		return name, operation, prefix, true
	}
	o, ok := optimized[r.Service]
	if r.Kind == asl.Function {
		return "lambda", "Invoke", "Lambda", false
	}
	if !ok {
		return r.Service, operation, upperFirst(r.Service), false
	}
	return o.service, operation, o.prefix, false
}

// failure names an error of a call as Step Functions does.
func (in *integrations) failure(t Task, err error) asl.Result {
	e := awsapi.AsError(err)
	service, _, prefix, sdk := target(t.Resource)
	code := e.Code
	status := e.HTTPStatus()
	id := in.s.sched.UUID()
	if sdk {
		if code == "ValidationException" || code == "" || unmodelled(code, service) {
			code = prefix
		}
		if !strings.HasSuffix(code, "Exception") {
			code += "Exception"
		}
		return asl.Failing(prefix+"."+code,
			fmt.Sprintf("%s (Service: %s, Status Code: %d, Request ID: %s) (SDK Attempt Count: 1)", e.Message, prefix,
				status, id))
	}
	o := optimized[t.Resource.Service]
	if t.Resource.Kind == asl.Function {
		o = optimized["lambda"]
	}
	label := o.label
	if label == "" {
		label = service
	}
	name := code
	switch {
	case code == "ValidationException" && service == "dynamodb", unmodelled(code, service) && o.generic != "":
		name = o.generic
	case !strings.HasSuffix(code, "Exception"):
		name += "Exception"
	}
	return asl.Failing(prefix+"."+name,
		fmt.Sprintf("%s (Service: %s; Status Code: %d; Error Code: %s; Request ID: %s; Proxy: null)", e.Message, label,
			status, code, id))
}

// unmodelled reports whether a denial is one for which the service's SDK has no
// exception, so that it has the name of any error of the service.
func unmodelled(code, service string) bool {
	return code == "AccessDenied" || code == "AccessDeniedException" && service != "cloudwatchlogs"
}

type invokeInput struct {
	FunctionName   string
	Payload        []byte `json:",omitempty"`
	InvocationType string `json:",omitempty"`
	Qualifier      string `json:",omitempty"`
	ClientContext  string `json:",omitempty"`
	LogType        string `json:",omitempty"`
}

type invokeOutput struct {
	StatusCode      int
	FunctionError   *string
	Payload         []byte
	ExecutedVersion *string
	LogResult       *string
}

func (in *integrations) invoke(ctx context.Context, id awsapi.Identity, input invokeInput) (*invokeOutput, error) {
	var out invokeOutput
	if err := awsapi.CallInto(ctx, in.s.Caller, id, "lambda", "Invoke", &input, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// functionError makes a failure of what a function returned.
func functionError(payload []byte) asl.Result {
	var e struct {
		ErrorType string `json:"errorType"`
	}
	if json.Unmarshal(payload, &e) != nil || e.ErrorType == "" {
		e.ErrorType = "Lambda.Unknown"
	}
	return asl.Failing(e.ErrorType, string(payload))
}

// function runs a task whose Resource is a function's ARN.
func (in *integrations) function(ctx context.Context, id awsapi.Identity, t Task) asl.Result {
	out, err := in.invoke(ctx, id, invokeInput{FunctionName: t.Resource.ARN, Payload: []byte(t.Input.Text())})
	if err != nil {
		return in.failure(t, err)
	}
	if out.FunctionError != nil && *out.FunctionError != "" {
		return functionError(out.Payload)
	}
	return asl.Result{Output: payloadData(out.Payload)}
}

func payloadData(payload []byte) *asl.Data {
	if len(payload) == 0 {
		return asl.ValueData(nil)
	}
	if d, err := asl.ParseData(string(payload)); err == nil {
		return d
	}
	return asl.ValueData(string(payload))
}

// lambda runs lambda:invoke.
func (in *integrations) lambda(ctx context.Context, id awsapi.Identity, t Task) asl.Result {
	o, ok := t.Input.Value().(*document.Object)
	if !ok {
		return asl.Failing("States.Runtime", "The parameters of lambda:invoke must be an object.")
	}
	input := invokeInput{}
	for _, m := range o.Members() {
		text, isText := m.Value.(string)
		switch m.Name {
		case "FunctionName":
			input.FunctionName = text
		case "Payload":
			// A string is the payload itself, not yet JSON of it.
			if isText {
				if _, err := document.ParseString(text); err != nil {
					return in.failure(t, awsapi.Errorf("InvalidRequestContentException",
						"Could not parse request body into json: Could not parse payload into json: %s",
						asl.JSONProblem(text, err)))
				}
				input.Payload = []byte(text)
			} else {
				input.Payload = []byte(document.Text(m.Value))
			}
		case "InvocationType":
			input.InvocationType = text
		case "Qualifier":
			input.Qualifier = text
		case "ClientContext":
			input.ClientContext = text
		case "LogType":
			input.LogType = text
		}
	}
	if input.Payload == nil {
		input.Payload = []byte("{}")
	}
	out, err := in.invoke(ctx, id, input)
	if err != nil {
		return in.failure(t, err)
	}
	if out.FunctionError != nil && *out.FunctionError != "" {
		return functionError(out.Payload)
	}
	result := &document.Object{}
	version := "$LATEST"
	if out.ExecutedVersion != nil {
		version = *out.ExecutedVersion
		result.Set("ExecutedVersion", *out.ExecutedVersion)
	}
	if out.LogResult != nil {
		result.Set("LogResult", *out.LogResult)
	}
	payload := payloadData(out.Payload)
	if len(out.Payload) == 0 {
		payload = asl.ValueData("")
	}
	result.Set("Payload", payload.Value())
	in.metadata(result, out.StatusCode, len(out.Payload), "application/json",
		[2]string{"X-Amz-Executed-Version", version}, [2]string{"x-amzn-Remapped-Content-Length", "0"},
		[2]string{"X-Amzn-Trace-Id", "root=1-" + strings.ReplaceAll(in.s.sched.UUID(), "-", "")[:32] + ";sampled=0"})
	result.Set("StatusCode", document.Int(int64(out.StatusCode)))
	return asl.Result{Output: asl.ValueData(result)}
}

// metadata adds what every optimized integration shows of the HTTP response.
func (in *integrations) metadata(o *document.Object, status, length int, contentType string, more ...[2]string) {
	if status == 0 {
		status = http.StatusOK
	}
	id := in.s.sched.UUID()
	date := in.s.sched.Now().Format(http.TimeFormat)
	headers := [][2]string{{"Connection", "keep-alive"}, {"Content-Length", strconv.Itoa(length)},
		{"Content-Type", contentType}, {"Date", date}, {"x-amzn-RequestId", id}}
	headers = append(headers, more...)
	all, one := &document.Object{}, &document.Object{}
	for _, h := range headers {
		all.Set(h[0], []any{h[1]})
		one.Set(h[0], h[1])
	}
	o.Set("SdkHttpMetadata", document.NewObject(
		document.Member{Name: "AllHttpHeaders", Value: all},
		document.Member{Name: "HttpHeaders", Value: one},
		document.Member{Name: "HttpStatusCode", Value: document.Int(int64(status))},
	))
	o.Set("SdkResponseMetadata", document.NewObject(document.Member{Name: "RequestId", Value: id}))
}

// textMembers are the members that may be given as JSON and are sent as text.
var textMembers = map[string][]string{
	"sns": {"Message"}, "sqs": {"MessageBody"}, "sfn": {"Input", "Output"},
}

// generic calls any operation of any service that the local cloud has.
func (in *integrations) generic(ctx context.Context, id awsapi.Identity, t Task) asl.Result {
	service, operation, _, sdk := target(t.Resource)
	if o, ok := optimized[t.Resource.Service]; !sdk && (!ok || !o.actions[t.Resource.Action]) {
		e := awsapi.NotBuilt("the service integration " + t.Resource.ARN)
		return asl.Failing("States.TaskFailed", e.Message)
	}
	input := t.Input.Value()
	if o, ok := input.(*document.Object); ok {
		for _, name := range textMembers[service] {
			if v, has := o.Get(name); has {
				if _, isText := v.(string); !isText {
					o = o.With(name, document.Text(v))
				}
			}
		}
		if service == "sqs" || service == "sns" {
			o = o.Without("SdkHttpMetadata")
		}
		input = o
	}
	if sdk && service != "dynamodb" {
		input = blobs(in.s.Caller, service, operation, input)
	}
	out, err := in.s.Caller.Call(ctx, id, service, operation, json.RawMessage(document.Text(input)))
	if err != nil {
		return in.failure(t, err)
	}
	b, err := awsapi.PascalJSON(out)
	if err != nil {
		return in.failure(t, err)
	}
	v, err := document.Parse(b)
	if err != nil {
		return in.failure(t, err)
	}
	o, ok := v.(*document.Object)
	if !ok {
		o = &document.Object{}
	}
	if p, ok := shown(reflect.ValueOf(out), o, sdk && service != "dynamodb").(*document.Object); ok {
		o = p
	}
	if !sdk {
		if service == "eventbridge" {
			if n, ok := o.Get("FailedEntryCount"); ok {
				if count, _ := document.Integer(n); count > 0 {
					return asl.Failing("EventBridge.FailedEntry", document.Text(o))
				}
			}
		}
		in.metadata(o, http.StatusOK, len(b), "application/x-amz-json-1.0")
	}
	return asl.Result{Output: asl.ValueData(o)}
}
