package sfn

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	"lambda":   {"lambda", "Lambda", "AWSLambda", "AWSLambdaException", map[string]bool{"invoke": true}},
	"dynamodb": {"dynamodb", "DynamoDB", "AmazonDynamoDBv2", "AmazonDynamoDBException", map[string]bool{"getItem": true, "putItem": true, "updateItem": true, "deleteItem": true}},
	"sns":      {"sns", "SNS", "AmazonSNS", "AmazonSNSException", map[string]bool{"publish": true}},
	"sqs":      {"sqs", "SQS", "AmazonSQS", "AmazonSQSException", map[string]bool{"sendMessage": true}},
	"states":   {"sfn", "StepFunctions", "AWSStepFunctions", "AWSStepFunctionsException", map[string]bool{"startExecution": true}},
	"events":   {"eventbridge", "EventBridge", "AmazonEventBridge", "AmazonEventBridgeException", map[string]bool{"putEvents": true}},
}

// Call implements Tasks.
func (in *integrations) Call(ctx context.Context, t Task) Answer {
	if t.Reader {
		return Answer{Result: in.read(ctx, t)}
	}
	if t.Writer {
		return Answer{Result: in.write(ctx, t)}
	}
	id, err := in.identity(ctx, t)
	if err != nil {
		return Answer{Result: in.failure(t, err)}
	}
	switch {
	case t.Resource.Kind == asl.Function:
		return Answer{Result: in.function(ctx, id, t)}
	case t.Resource.Service == "lambda" && t.Resource.Action == "invoke":
		return Answer{Result: in.lambda(ctx, id, t)}
	case t.Resource.Service == "states" && t.Resource.Action == "startExecution":
		return in.startExecution(ctx, id, t)
	}
	return Answer{Result: in.generic(ctx, id, t)}
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

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
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
		return asl.Failing(prefix+"."+code, fmt.Sprintf("%s (Service: %s, Status Code: %d, Request ID: %s) (SDK Attempt Count: 1)", e.Message, prefix, status, id))
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
	return asl.Failing(prefix+"."+name, fmt.Sprintf("%s (Service: %s; Status Code: %d; Error Code: %s; Request ID: %s; Proxy: null)", e.Message, label, status, code, id))
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
					return in.failure(t, awsapi.Errorf("InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: %s", asl.JSONProblem(text, err)))
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
	headers := [][2]string{{"Connection", "keep-alive"}, {"Content-Length", strconv.Itoa(length)}, {"Content-Type", contentType}, {"Date", date}, {"x-amzn-RequestId", id}}
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
		input = in.blobs(service, operation, input)
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

// blobs turns parameters that are blobs, which are given as text or JSON, into
// base64 as the operation reads them.
func (in *integrations) blobs(service, operation string, v any) any {
	door, ok := in.s.Caller.(interface {
		Lookup(id string) *awsapi.Service
	})
	if !ok {
		return v
	}
	svc := door.Lookup(service)
	if svc == nil {
		return v
	}
	op, ok := svc.Operation(operation)
	if !ok {
		return v
	}
	return blobsOf(op.Input(), v)
}

func blobsOf(t reflect.Type, v any) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && t != reflect.TypeFor[json.RawMessage]():
		text, ok := v.(string)
		if !ok {
			text = document.Text(v)
		}
		return base64.StdEncoding.EncodeToString([]byte(text))
	case t.Kind() == reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return v
		}
		out := make([]any, len(list))
		for i, e := range list {
			out[i] = blobsOf(t.Elem(), e)
		}
		return out
	case t.Kind() == reflect.Struct:
		o, ok := v.(*document.Object)
		if !ok {
			return v
		}
		out := &document.Object{}
		for _, m := range o.Members() {
			w := m.Value
			for _, f := range reflect.VisibleFields(t) {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "" {
					name = f.Name
				}
				if strings.EqualFold(name, m.Name) && !f.Anonymous {
					w = blobsOf(f.Type, w)
					break
				}
			}
			out.Set(m.Name, w)
		}
		return out
	}
	return v
}

// shown is an output as SDK integrations show it: times in ISO 8601 and, with
// blobs set, blobs that are text as text. The value d is the output's JSON.
func shown(v reflect.Value, d any, blobs bool) any {
	for (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || d == nil {
		return d
	}
	switch v.Kind() {
	case reflect.Struct:
		if at, ok := v.Interface().(awsapi.Time); ok {
			return timestamp(at.Time)
		}
		o, ok := d.(*document.Object)
		if !ok {
			return d
		}
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.Anonymous || !f.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			name = upperFirst(name)
			if w, ok := o.Get(name); ok {
				if e := shown(v.FieldByIndex(f.Index), w, blobs); !document.Equal(e, w) {
					o = o.With(name, e)
				}
			}
		}
		return o
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if text, ok := d.(string); ok && blobs && v.Type() != reflect.TypeFor[json.RawMessage]() && utf8.Valid(v.Bytes()) {
				if raw, err := base64.StdEncoding.DecodeString(text); err == nil && string(raw) == string(v.Bytes()) {
					return string(raw)
				}
			}
			return d
		}
		list, ok := d.([]any)
		if !ok || len(list) != v.Len() {
			return d
		}
		out := make([]any, len(list))
		for i := range list {
			out[i] = shown(v.Index(i), list[i], blobs)
		}
		return out
	}
	return d
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// startExecution runs states:startExecution in all its patterns.
//
// An execution without a name gets one that follows from the task, so that a
// call made again after a restart does not start a second one.
func (in *integrations) startExecution(ctx context.Context, id awsapi.Identity, t Task) Answer {
	if o, ok := t.Input.Value().(*document.Object); ok {
		if _, named := o.Get("Name"); !named {
			name := derivedName(t)
			t.Input = asl.ValueData(o.With("Name", name))
			machine, _ := o.Get("StateMachineArn")
			arn, _ := machine.(string)
			if machineName, _, err := in.s.machineName(arn); err == nil {
				k := key{machineName, name}
				if rec, _, _, err := in.s.load(k); err == nil && rec != nil {
					return in.started(t, rec)
				}
			}
		}
	}
	res := in.generic(ctx, id, t)
	if res.Failed || t.Resource.Pattern == asl.Request || t.Resource.Pattern == asl.Callback {
		return Answer{Result: res}
	}
	o, _ := res.Output.Value().(*document.Object)
	v, _ := o.Get("ExecutionArn")
	arn, _ := v.(string)
	return Answer{Result: res, Job: arn}
}

// derivedName is a name in the form of a UUID for what a task starts.
func derivedName(t Task) string {
	h := sha256.Sum256([]byte(t.ExecutionARN + "\x00" + t.Branch + "\x00" + strconv.Itoa(t.Attempt)))
	s := hex.EncodeToString(h[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// started answers for an execution that the task had started before.
func (in *integrations) started(t Task, rec *executionRecord) Answer {
	o := document.NewObject(document.Member{Name: "ExecutionArn", Value: rec.ARN},
		document.Member{Name: "StartDate", Value: timestamp(rec.Started)})
	in.metadata(o, http.StatusOK, 0, "application/x-amz-json-1.0")
	a := Answer{Result: asl.Result{Output: asl.ValueData(o)}}
	if t.Resource.Pattern == asl.Sync || t.Resource.Pattern == asl.Sync2 {
		a.Job = rec.ARN
	}
	return a
}

// jobResult is the result of a .sync task: the execution as DescribeExecution
// shows it.
func jobResult(rec *executionRecord, machineARN string, p asl.Pattern) asl.Result {
	o := &document.Object{}
	text := func(name string, v *string) {
		if v != nil {
			o.Set(name, *v)
		}
	}
	payload := func(name string, v *string) {
		if v == nil {
			return
		}
		if p == asl.Sync2 {
			if parsed, err := document.ParseString(*v); err == nil {
				o.Set(name, parsed)
			}
		} else {
			o.Set(name, *v)
		}
		o.Set(name+"Details", document.NewObject(document.Member{Name: "Included", Value: true}))
	}
	text("Cause", rec.Cause)
	text("Error", rec.Error)
	o.Set("ExecutionArn", rec.ARN)
	payload("Input", &rec.Input)
	o.Set("Name", rec.name())
	payload("Output", rec.Output)
	o.Set("StartDate", document.Int(rec.Started.UnixMilli()))
	o.Set("StateMachineArn", machineARN)
	o.Set("Status", rec.Status)
	o.Set("StopDate", document.Int(rec.Stopped.UnixMilli()))
	if rec.Status == asl.Succeeded {
		return asl.Result{Output: asl.ValueData(o)}
	}
	return asl.Failing("States.TaskFailed", document.Text(o))
}
