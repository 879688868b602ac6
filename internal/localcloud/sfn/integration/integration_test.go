package integration

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

func resource(service, action string) asl.Resource {
	return asl.Resource{Kind: asl.Integration, Service: service, Action: action}
}

func TestResourcesLeadToOperations(t *testing.T) {
	for _, tt := range []struct {
		resource asl.Resource
		want     Target
	}{
		{resource("dynamodb", "getItem"), Target{"dynamodb", "GetItem", "DynamoDB", false, true}},
		{resource("dynamodb", "scan"), Target{"dynamodb", "Scan", "DynamoDB", false, false}},
		{resource("states", "startExecution"), Target{"sfn", "StartExecution", "StepFunctions", false, true}},
		{resource("batch", "submitJob"), Target{"batch", "SubmitJob", "Batch", false, false}},
		{resource("aws-sdk:dynamodb", "scan"), Target{"dynamodb", "Scan", "DynamoDb", true, true}},
		{asl.Resource{Kind: asl.Function}, Target{"lambda", "Invoke", "Lambda", false, true}},
	} {
		if got := TargetOf(tt.resource); got != tt.want {
			t.Errorf("%+v: got %+v, want %+v", tt.resource, got, tt.want)
		}
	}
}

func TestErrorsHaveTheNamesOfTheirIntegration(t *testing.T) {
	denied := awsapi.Errorf("AccessDeniedException", "no").WithStatus(400)
	for _, tt := range []struct {
		resource    asl.Resource
		err         error
		name, cause string // cause is part of it
	}{
		{resource("dynamodb", "getItem"), awsapi.Errorf("ResourceNotFoundException", "gone"),
			"DynamoDB.ResourceNotFoundException",
			"gone (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ResourceNotFoundException; Request ID: r"},
		{resource("dynamodb", "getItem"), awsapi.Errorf("ValidationException", "bad"),
			"DynamoDB.AmazonDynamoDBException", "bad"},
		{resource("dynamodb", "getItem"), denied, "DynamoDB.AmazonDynamoDBException", "no"},
		{resource("sns", "publish"), awsapi.Errorf("NotFound", "gone"), "SNS.NotFoundException",
			"Error Code: NotFound;"},
		{resource("sqs", "sendMessage"), awsapi.Errorf("MissingRequiredParameterException", "body"),
			"SQS.AmazonSQSException", "Error Code: MissingParameter;"},
		{resource("aws-sdk:sns", "publish"), awsapi.Errorf("NotFound", "gone"), "Sns.NotFoundException",
			"gone (Service: Sns, Status Code: 400, Request ID: r) (SDK Attempt Count: 1)"},
		{resource("aws-sdk:s3", "getObject"), awsapi.Errorf("NoSuchKey", "gone").WithStatus(404),
			"S3.NoSuchKeyException", "gone (Service: S3, Status Code: 404, Request ID: r, Extended Request ID: " +
				extendedRequestID("r") + ") (SDK Attempt Count: 1)"},
		{resource("aws-sdk:dynamodb", "scan"), denied, "DynamoDb.DynamoDbException", "no"},
		{resource("aws-sdk:cloudwatchlogs", "putLogEvents"), denied, "CloudWatchLogs.AccessDeniedException", "no"},
		{asl.Resource{Kind: asl.Function}, errors.New("broken"), "Lambda.InternalFailureException", "AWSLambda"},
	} {
		got := Failure(tt.resource, tt.err, "r")
		if !got.Failed || *got.Error != tt.name || !strings.Contains(*got.Cause, tt.cause) {
			t.Errorf("%+v, %v: got %s, %s", tt.resource, tt.err, *got.Error, *got.Cause)
		}
	}
	for payload, want := range map[string]string{
		`{"errorType":"Mine","errorMessage":"m"}`: "Mine", `{}`: "Lambda.Unknown", `text`: "Lambda.Unknown",
	} {
		if got := FunctionFailure([]byte(payload)); *got.Error != want || *got.Cause != payload {
			t.Errorf("%s: got %s, %s", payload, *got.Error, *got.Cause)
		}
	}
}

// TestCausesOfFunctionsThatFail: a function's ARN as Resource gives the error document as the function wrote it,
// lambda:invoke gives it without blanks. Both are recorded (error_handling, task_lambda and task_service_lambda).
func TestCausesOfFunctionsThatFail(t *testing.T) {
	const payload = `{"errorMessage": "m", "errorType": "Mine", "stackTrace": ["  File \"x\", line 2\n"]}`
	for want, got := range map[string]asl.Result{
		payload: FunctionFailure([]byte(payload)),
		`{"errorMessage":"m","errorType":"Mine","stackTrace":["  File \"x\", line 2\n"]}`: InvocationFailure([]byte(payload)),
		`not JSON`: InvocationFailure([]byte(`not JSON`)),
	} {
		if *got.Cause != want {
			t.Errorf("got %s, want %s", *got.Cause, want)
		}
	}
}

type wire struct {
	Name string
	Body []byte   `json:"body"`
	All  [][]byte `json:"all"`
	Deep *struct{ Data []byte }
	At   awsapi.Time

	KMSKeyARN string
	ETag      string
	ByName    map[string]wire
}

func parse(t *testing.T, text string) any {
	t.Helper()
	v, err := document.ParseString(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParameters(t *testing.T) {
	for _, tt := range []struct{ service, in, want string }{
		{"sqs", `{"MessageBody":{"a":1},"SdkHttpMetadata":{}}`, `{"MessageBody":"{\"a\":1}"}`},
		{"sns", `{"Message":"text"}`, `{"Message":"text"}`},
		{"sfn", `{"Input":[1],"Name":{}}`, `{"Input":"[1]","Name":{}}`},
		{"sfn", `{"Input":null,"Name":"n"}`, `{"Name":"n"}`},
		{"dynamodb", `{"Message":{}}`, `{"Message":{}}`},
		{"sqs", `[1]`, `[1]`},
	} {
		if got := document.Text(Target{Service: tt.service}.Parameters(parse(t, tt.in))); got != tt.want {
			t.Errorf("%s %s: got %s, want %s", tt.service, tt.in, got, tt.want)
		}
	}
	in := `{"Name":"n","Body":"hi","All":["a",{"b":1}],"Deep":{"Data":"x"},"Other":"o"}`
	// A text is its JSON, too: its quotes are sent (recorded by LocalStack on AWS, services, 6 November 2025).
	want := `{"Name":"n","Body":"ImhpIg==","All":["ImEi","eyJiIjoxfQ=="],"Deep":{"Data":"Ingi"},"Other":"o"}`
	if got := document.Text(Blobs(reflect.TypeFor[*wire](), parse(t, in))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestUploadsHaveWhatTheSDKAdds: recorded by LocalStack on AWS (services, 6 November 2025).
func TestUploadsHaveWhatTheSDKAdds(t *testing.T) {
	put := Target{Service: "s3", Operation: "PutObject", SDK: true}
	for in, want := range map[string]string{
		`{"Body":"InRleHQgZGF0YSI="}`: `{"Body":"InRleHQgZGF0YSI=","ChecksumCRC32":"KUmHvQ==",` +
			`"ContentType":"text/plain; charset=UTF-8"}`,
		`{"Body":"","ContentType":"image/png"}`: `{"Body":"","ContentType":"image/png","ChecksumCRC32":"AAAAAA=="}`,
		`{"Key":"k"}`:                           `{"Key":"k"}`,
	} {
		if got := document.Text(put.Uploaded(parse(t, in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	get := Target{Service: "s3", Operation: "GetObject", SDK: true}
	if got := document.Text(get.Uploaded(parse(t, `{"Body":""}`))); got != `{"Body":""}` {
		t.Error(got)
	}
}

func TestAnswersAreShown(t *testing.T) {
	out := &wire{Body: []byte("hi"), All: [][]byte{{0xff}}, At: awsapi.Time{Time: time.UnixMilli(1500)},
		KMSKeyARN: "k", ByName: map[string]wire{"URL": {ETag: "e"}}}
	in := parse(t, `{"Body":"aGk=","All":["/w=="],"At":1.5,"KMSKeyARN":"k","ByName":{"URL":{"ETag":"e"}}}`)
	for sdk, want := range map[bool]string{
		true: `{"Body":"hi","All":["/w=="],"At":"1970-01-01T00:00:01.500Z","KmsKeyARN":"k",` +
			`"ByName":{"URL":{"ETag":"e"}}}`,
		false: `{"Body":"aGk=","All":["/w=="],"At":"1970-01-01T00:00:01.500Z","KMSKeyARN":"k",` +
			`"ByName":{"URL":{"ETag":"e"}}}`,
	} {
		if got := document.Text(Target{Service: "s3", SDK: sdk}.Shown(reflect.ValueOf(out), in)); got != want {
			t.Errorf("sdk %v: got %s, want %s", sdk, got, want)
		}
	}
	o := &document.Object{}
	AddMetadata(o, Metadata{Length: 2, ContentType: "c", RequestID: "r", Connection: "Connection",
		Date:    time.Unix(0, 0).UTC(),
		Headers: [][2]string{{"X", "y"}}})
	want := `{"Connection":"keep-alive","Content-Length":"2","Content-Type":"c",` +
		`"Date":"Thu, 01 Jan 1970 00:00:00 GMT","x-amzn-RequestId":"r","X":"y"}`
	if got := document.Text(o); !strings.Contains(got, `"HttpHeaders":`+want+`,"HttpStatusCode":200`) {
		t.Errorf("got %s", got)
	}
	for payload, want := range map[string]string{"": "null", `{"a":1}`: `{"a":1}`, "text": `"text"`} {
		if got := Payload([]byte(payload)).Text(); got != want {
			t.Errorf("payload %q: got %s", payload, got)
		}
	}
}

func TestExecutionsAsResults(t *testing.T) {
	output, cause := `{"a":1}`, "why"
	e := Execution{ARN: "arn", Name: "n", MachineARN: "m", Status: "SUCCEEDED", Input: `{}`, Output: &output,
		Cause: &cause, Started: time.UnixMilli(1500), Stopped: time.UnixMilli(2500)}
	for name, tt := range map[string]struct{ got, want string }{
		"sync": {document.Text(e.Document(AsText, InMilliseconds)),
			`{"Cause":"why","ExecutionArn":"arn","Input":"{}","InputDetails":{"Included":true},"Name":"n",` +
				`"Output":"{\"a\":1}","OutputDetails":{"Included":true},"StartDate":1500,"StateMachineArn":"m",` +
				`"Status":"SUCCEEDED","StopDate":2500}`},
		"sync:2": {document.Text(e.Document(AsJSON, InISO8601)),
			`{"Cause":"why","ExecutionArn":"arn","Input":{},"InputDetails":{"Included":true},"Name":"n",` +
				`"Output":{"a":1},"OutputDetails":{"Included":true},"StartDate":"1970-01-01T00:00:01.500Z",` +
				`"StateMachineArn":"m","Status":"SUCCEEDED","StopDate":"1970-01-01T00:00:02.500Z"}`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", name, tt.got, tt.want)
		}
	}
	e.Redrive = &Redrive{2, "REDRIVABLE", ""}
	if got := document.Text(e.Document(AsText, InISO8601)); !strings.Contains(got,
		`"RedriveCount":2,"RedriveStatus":"REDRIVABLE","StartDate"`) {
		t.Errorf("got %s", got)
	}
}

// TestTypesOfAttributeValues: an SDK integration spells them as the SDK for Java does, and takes them so.
func TestTypesOfAttributeValues(t *testing.T) {
	const own = `{"Item":{"a":{"BOOL":true},"b":{"NULL":true},"SS":{"SS":["x"]},"m":{"M":{"BOOL":{"S":"t"},` +
		`"n":{"L":[{"BOOL":false},{"NS":["1"]}]}}}}}`
	const java = `{"Item":{"a":{"Bool":true},"b":{"Nul":true},"SS":{"Ss":["x"]},"m":{"M":{"BOOL":{"S":"t"},` +
		`"n":{"L":[{"Bool":false},{"Ns":["1"]}]}}}}}`
	out := struct{ Item json.RawMessage }{}
	for sdk, want := range map[bool]string{true: java, false: own} {
		target := Target{Service: "dynamodb", SDK: sdk}
		if got := document.Text(target.Shown(reflect.ValueOf(out), parse(t, own))); got != want {
			t.Errorf("sdk %v: got %s", sdk, got)
		}
		if got := document.Text(target.Parameters(parse(t, want))); got != own {
			t.Errorf("sdk %v: sent %s", sdk, got)
		}
	}
}

// TestHeadersAreThoseOfTheService as LocalStack recorded them on AWS (services, callback, 2023 to 2025).
func TestHeadersAreThoseOfTheService(t *testing.T) {
	for service, want := range map[string]string{
		"sqs": `{"connection":"keep-alive","Content-Length":"4","Content-Type":"application/x-amz-json-1.0"`,
		"sns": `{"connection":"keep-alive","Content-Length":"294","Content-Type":"text/xml"`,
		"dynamodb": `{"Connection":"keep-alive","Content-Length":"4","Content-Type":"application/x-amz-json-1.0",` +
			`"Date":"Thu, 01 Jan 1970 00:00:00 GMT","x-amzn-RequestId":"","Server":"Server","x-amz-crc32":"3632233996"`,
	} {
		o := &document.Object{}
		m := TargetOf(resource(service, "x")).MetadataOf([]byte("test"))
		m.Date = time.Unix(0, 0).UTC()
		AddMetadata(o, m)
		if got := document.Text(o); !strings.Contains(got, `"HttpHeaders":`+want) {
			t.Errorf("%s: %s", service, got)
		}
	}
	// AWS writes 1.796059747569E9 and 1.7960597475E9.
	for body, want := range map[string]int{`{"StartDate":1796059747.569}`: 30, `{"StartDate":1796059747.5}`: 28, `{}`: 2} {
		if got := TargetOf(resource("states", "startExecution")).MetadataOf([]byte(body)).Length; got != want {
			t.Errorf("%s: %d bytes", body, got)
		}
	}
}

// TestQueuesHaveAddresses: SQS is called where the queue is (recorded by LocalStack on AWS, error_handling, 2024).
func TestQueuesHaveAddresses(t *testing.T) {
	for in, want := range map[string]string{
		`{"QueueUrl":"nowhere"}`:           "Unable to execute HTTP request: nowhere: Name or service not known",
		`{"QueueUrl":"http://no-queue"}`:   "Unable to execute HTTP request: no-queue: Name or service not known",
		`{"QueueUrl":"https://sqs/1/q"}`:   "",
		`{"QueueUrl":"http://127.0.0.1"}`:  "",
		`{"MessageBody":"no address yet"}`: "",
	} {
		if got := TargetOf(resource("sqs", "sendMessage")).Unreachable(parse(t, in)); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
