package sfn

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
)

// integrations makes the calls of tasks through the Caller.
type integrations struct{ s *Service }

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

// failure is an error of a call as Step Functions tells it.
func (in *integrations) failure(t Task, err error) asl.Result {
	return integration.Failure(t.Resource, err, in.s.sched.UUID())
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

// function runs a task whose Resource is a function's ARN.
func (in *integrations) function(ctx context.Context, id awsapi.Identity, t Task) asl.Result {
	out, err := in.invoke(ctx, id, invokeInput{FunctionName: t.Resource.ARN, Payload: []byte(t.Input.Text())})
	if err != nil {
		return in.failure(t, err)
	}
	if out.FunctionError != nil && *out.FunctionError != "" {
		return integration.FunctionFailure(out.Payload)
	}
	return asl.Result{Output: integration.Payload(out.Payload)}
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
			// A string is the payload itself, not yet JSON of it; null is none.
			if m.Value == nil {
				continue
			}
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
		return integration.InvocationFailure(out.Payload)
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
	payload := integration.Payload(out.Payload)
	if len(out.Payload) == 0 {
		payload = asl.ValueData("")
	}
	result.Set("Payload", payload.Value())
	trace := strings.ReplaceAll(in.s.sched.UUID(), "-", "")[:32]
	headers := [][2]string{
		{"X-Amz-Executed-Version", version}, {"x-amzn-Remapped-Content-Length", "0"},
		{"X-Amzn-Trace-Id", "root=1-" + trace + ";sampled=0"},
	}
	if out.LogResult != nil {
		headers = append(headers, [2]string{"X-Amz-Log-Result", *out.LogResult})
	}
	in.metadata(result, integration.Metadata{
		Status: out.StatusCode, Length: len(out.Payload), ContentType: "application/json", Connection: "Connection",
		Headers: headers,
	})
	result.Set("StatusCode", document.Int(int64(out.StatusCode)))
	return asl.Result{Output: asl.ValueData(result)}
}

// metadata adds what every optimized integration shows of the HTTP response.
func (in *integrations) metadata(o *document.Object, m integration.Metadata) {
	m.RequestID, m.Date = in.s.sched.UUID(), in.s.sched.Now()
	integration.AddMetadata(o, m)
}

// input is the type of an operation's input, nil if it is not known.
func (in *integrations) input(service, operation string) reflect.Type {
	door, ok := in.s.Caller.(interface {
		Lookup(id string) *awsapi.Service
	})
	if !ok {
		return nil
	}
	if svc := door.Lookup(service); svc != nil {
		if op, ok := svc.Operation(operation); ok {
			return op.Input()
		}
	}
	return nil
}

// generic calls any operation of any service that the local cloud has.
func (in *integrations) generic(ctx context.Context, id awsapi.Identity, t Task) asl.Result {
	target := integration.TargetOf(t.Resource)
	if !target.Supported {
		e := awsapi.NotBuilt("the service integration " + t.Resource.ARN)
		return asl.Failing("States.TaskFailed", e.Message)
	}
	if cause := target.Unreachable(t.Input.Value()); cause != "" {
		return asl.Failing(target.Prefix+".SdkClientException", cause)
	}
	input := target.Parameters(t.Input.Value())
	if t := in.input(target.Service, target.Operation); t != nil && target.Blobs() {
		input = target.Uploaded(integration.Blobs(t, input))
	}
	out, err := in.s.Caller.Call(ctx, id, target.Service, target.Operation, json.RawMessage(document.Text(input)))
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
	if p, ok := target.Shown(reflect.ValueOf(out), o).(*document.Object); ok {
		o = p
	}
	if !target.SDK {
		if target.Service == "eventbridge" {
			if n, ok := o.Get("FailedEntryCount"); ok {
				if count, _ := document.Integer(n); count > 0 {
					return asl.Failing("EventBridge.FailedEntry", document.Text(o))
				}
			}
		}
		in.metadata(o, target.MetadataOf(b))
	}
	return asl.Result{Output: asl.ValueData(o)}
}
