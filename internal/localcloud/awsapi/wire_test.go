//lint:file-ignore SA5008 the options of xml tags are awsapi's: see its package comment

package awsapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// The wire shapes of a few real operations, enough for the SDK to talk to.
type (
	putItemIn struct {
		TableName string                     `json:"TableName"`
		Item      map[string]json.RawMessage `json:"Item"`
		N         *int32                     `json:"N,omitempty"`
	}
	putItemOut struct {
		Attributes map[string]json.RawMessage `json:"Attributes,omitempty"`
	}
	callerOut struct {
		Account string `json:"Account"`
		Arn     string `json:"Arn"`
		UserID  string `json:"UserId"`
	}
	listThingsIn struct {
		MaxResults     *int   `json:"maxResults" query:"maxResults"`
		NextToken      string `json:"nextToken" query:"nextToken"`
		AttributeName  string `json:"attributeName" query:"attributeName"`
		UsePrefixValue bool   `json:"usePrefixAttributeValue" query:"usePrefixAttributeValue"`
	}
	listThingsOut struct {
		Things    []describeOut `json:"things"`
		NextToken string        `json:"nextToken,omitempty"`
	}
	createThingIn struct {
		ThingName        string `json:"thingName" uri:"thingName"`
		AttributePayload *struct {
			Attributes map[string]string `json:"attributes"`
		} `json:"attributePayload"`
	}
	invokeIn struct {
		FunctionName   string `json:"FunctionName" uri:"FunctionName"`
		InvocationType string `json:"InvocationType" header:"X-Amz-Invocation-Type"`
		Payload        []byte `json:"Payload" payload:"raw"`
	}
	invokeOut struct {
		StatusCode    int    `json:"StatusCode" status:"true"`
		FunctionError string `json:"FunctionError,omitempty" header:"X-Amz-Function-Error"`
		Payload       []byte `json:"Payload" payload:"raw"`
	}
	datum struct {
		MetricName string      `json:"MetricName"`
		Value      *float64    `json:"Value,omitempty"`
		Timestamp  *Time       `json:"Timestamp,omitempty"`
		Dimensions []dimension `json:"Dimensions,omitempty"`
		Values     []float64   `json:"Values,omitempty"`
	}
	dimension struct {
		Name  string `json:"Name"`
		Value string `json:"Value"`
	}
	putMetricIn struct {
		Namespace  string  `json:"Namespace"`
		MetricData []datum `json:"MetricData"`
	}
	empty_      struct{}
	listMetrics struct {
		Metrics []datum `json:"Metrics"`
	}
	statsOut struct {
		Label      string `json:"Label"`
		Datapoints []struct {
			Timestamp *Time    `json:"Timestamp"`
			Average   *float64 `json:"Average"`
		} `json:"Datapoints"`
	}
	publishIn struct {
		TopicArn          string                    `json:"TopicArn"`
		Message           string                    `json:"Message"`
		MessageAttributes map[string]attributeValue `json:"MessageAttributes" xml:",key=Name,value=Value"`
	}
	attributeValue struct {
		DataType    string `json:"DataType"`
		StringValue string `json:"StringValue"`
		BinaryValue []byte `json:"BinaryValue"`
	}
	publishOut struct {
		MessageID string `json:"MessageId"`
	}
	topicAttributesOut struct {
		Attributes map[string]string `json:"Attributes"`
	}
)

// cloud is a door with a few operations over HTTP and what they were given.
type cloud struct {
	door *Door
	url  string
	got  []any
	cfg  aws.Config
}

func record[In, Out any](c *cloud, name string, answer func(in *In) (*Out, error), options ...Option) Operation {
	return Op(name, func(_ context.Context, _ *Call, in *In) (*Out, error) {
		c.got = append(c.got, in)
		return answer(in)
	}, options...)
}

func newCloud(t testing.TB) *cloud {
	c := &cloud{door: New(Config{
		Scheduler: scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		Account:   "123456789012", Region: "us-east-1", MaxBody: 1 << 20,
	})}
	when := TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	c.door.Add(Service{ID: "dynamodb", Signing: "dynamodb", Prefix: "dynamodb", Target: "DynamoDB_20120810",
		Protocols: []Protocol{JSON10}, Unbuilt: []string{"DescribeLimits"}, Operations: []Operation{
			record(c, "PutItem", func(in *putItemIn) (*putItemOut, error) {
				if in.TableName == "missing" {
					return nil, &Error{Code: "ResourceNotFoundException", Message: "Requested resource not found"}
				}
				if in.TableName == "conflict" {
					return nil, &Error{Code: "ConditionalCheckFailedException",
						Message: "The conditional request failed", Fields: map[string]any{"Item": in.Item}}
				}
				return &putItemOut{Attributes: in.Item}, nil
			}),
		}})
	c.door.Add(Service{ID: "sts", Signing: "sts", Prefix: "sts", Protocols: []Protocol{Query},
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Version: "2011-06-15", Operations: []Operation{
			record(c, "GetCallerIdentity", func(*empty_) (*callerOut, error) {
				return &callerOut{"123456789012", "arn:aws:iam::123456789012:root", "A<B&C"}, nil
			}),
		}})
	c.door.Add(Service{ID: "sns", Signing: "sns", Prefix: "sns", Protocols: []Protocol{Query},
		Namespace: "http://sns.amazonaws.com/doc/2010-03-31/", Version: "2010-03-31", Unbuilt: []string{"Unsubscribe"},
		Operations: []Operation{
			record(c, "Publish", func(in *publishIn) (*publishOut, error) {
				if in.TopicArn == "missing" {
					return nil, Errorf("NotFound", "Topic does not exist").WithStatus(404)
				}
				return &publishOut{"m-1"}, nil
			}),
			record(c, "GetTopicAttributes", func(*empty_) (*topicAttributesOut, error) {
				return &topicAttributesOut{map[string]string{"TopicArn": "arn", "Policy": `{"a":"<b>"}`}}, nil
			}),
			record(c, "DeleteTopic", func(*empty_) (*empty_, error) { return nil, nil }),
			record(c, "TagResource", func(*empty_) (*empty_, error) { return nil, nil }, EmptyResult()),
		}})
	c.door.Add(Service{ID: "iot", Signing: "iot", Prefix: "iot", Protocols: []Protocol{RESTJSON},
		Operations: []Operation{
			record(c, "DescribeThing", func(in *describeIn) (*describeOut, error) {
				if in.ThingName == "missing" {
					return nil, &Error{Code: "ResourceNotFoundException", Message: "Thing missing cannot be found.",
						Status: 404, Fields: map[string]any{"resourceId": "missing"}}
				}
				return &describeOut{ThingName: in.ThingName, Version: 3, Created: when}, nil
			}, REST("GET", "/things/{thingName}")),
			record(c, "CreateThing", func(in *createThingIn) (*describeOut, error) {
				return &describeOut{ThingName: in.ThingName}, nil
			}, REST("POST", "/things/{thingName}")),
			record(c, "ListThings", func(in *listThingsIn) (*listThingsOut, error) {
				return &listThingsOut{Things: []describeOut{{ThingName: "a"}, {ThingName: "b"}}, NextToken: "n"}, nil
			}, REST("GET", "/things")),
		}})
	c.door.Add(Service{ID: "lambda", Signing: "lambda", Prefix: "lambda", Protocols: []Protocol{RESTJSON},
		Operations: []Operation{
			record(c, "Invoke", func(in *invokeIn) (*invokeOut, error) {
				return &invokeOut{StatusCode: 202, FunctionError: "Unhandled", Payload: in.Payload}, nil
			}, REST("POST", "/2015-03-31/functions/{FunctionName}/invocations")),
		}})
	c.door.Add(Service{ID: "cloudwatch", Signing: "monitoring", Prefix: "cloudwatch",
		Target: "GraniteServiceVersion20100801", Protocols: []Protocol{CBOR, JSON10, Query},
		Namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/", Version: "2010-08-01",
		Unbuilt: []string{"ListDashboards"}, Operations: []Operation{
			record(c, "PutMetricData", func(in *putMetricIn) (*empty_, error) { return nil, nil }),
			record(c, "ListMetrics", func(in *empty_) (*listMetrics, error) {
				return &listMetrics{[]datum{{MetricName: "m", Dimensions: []dimension{{"d", "v"}}}}}, nil
			}),
			record(c, "GetMetricStatistics", func(in *empty_) (*statsOut, error) {
				out := &statsOut{Label: "l"}
				out.Datapoints = append(out.Datapoints, struct {
					Timestamp *Time    `json:"Timestamp"`
					Average   *float64 `json:"Average"`
				}{when, aws.Float64(1.5)})
				return out, nil
			}),
		}})
	server := httptest.NewServer(c.door)
	t.Cleanup(server.Close)
	c.url = server.URL
	c.cfg = aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(c.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
	return c
}

func check(t *testing.T, err error, got, want any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %#v, want %#v", got, want)
	}
}

func checkCode(t *testing.T, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), message) {
		t.Fatalf("got %v, want %s: %s", err, code, message)
	}
}

func TestSDKSpeaksJSON(t *testing.T) {
	c := newCloud(t)
	client := dynamodb.NewFromConfig(c.cfg)
	item := map[string]ddbtypes.AttributeValue{"PK": &ddbtypes.AttributeValueMemberS{Value: "a<b"},
		"B": &ddbtypes.AttributeValueMemberB{Value: []byte{0, 1}}}
	out, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("t"), Item: item})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, out.Attributes, item)

	_, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("missing"), Item: item})
	if _, ok := errors.AsType[*ddbtypes.ResourceNotFoundException](err); !ok {
		t.Fatalf("got %v", err)
	}
	_, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("conflict"), Item: item})
	if e, ok := errors.AsType[*ddbtypes.ConditionalCheckFailedException](err); !ok ||
		!reflect.DeepEqual(e.Item, item) {
		t.Fatalf("got %v", err)
	}
	_, err = client.DescribeLimits(t.Context(), nil)
	checkCode(t, err, "NotImplemented", "dynamodb:DescribeLimits")
	_, err = client.ListGlobalTables(t.Context(), nil)
	checkCode(t, err, "UnknownOperationException", "")
}

func TestSDKSpeaksQuery(t *testing.T) {
	c := newCloud(t)
	who, err := sts.NewFromConfig(c.cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, *who.UserId, "A<B&C")

	topics := sns.NewFromConfig(c.cfg)
	out, err := topics.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String("x"),
		Message: aws.String("a=b&c d\n")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, *out.MessageId, "m-1")
	check(t, nil, c.got[len(c.got)-1].(*publishIn).Message, "a=b&c d\n")
	_, err = topics.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String("missing"), Message: aws.String("m")})
	checkCode(t, err, "NotFound", "Topic does not exist")
	attributes, err := topics.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: aws.String("x")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, attributes.Attributes, map[string]string{"TopicArn": "arn", "Policy": `{"a":"<b>"}`})
	_, err = topics.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: aws.String("x")})
	check(t, err, nil, nil)
	_, err = topics.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: aws.String("x")})
	checkCode(t, err, "NotImplemented", "sns:Unsubscribe")
	_, err = topics.OptInPhoneNumber(t.Context(), &sns.OptInPhoneNumberInput{PhoneNumber: aws.String("1")})
	checkCode(t, err, "InvalidAction", "OptInPhoneNumber")
}

// botocore looks for the result of an operation whose output is empty, and raises KeyError where there is none:
// "aws cloudformation deploy" ended so after it had deployed ('ExecuteChangeSetResult').
func TestQueryAnswersWithAnEmptyResult(t *testing.T) {
	c := newCloud(t)
	for name, want := range map[string]string{
		"TagResource": "/\"><TagResourceResult></TagResourceResult><ResponseMetadata>",
		"DeleteTopic": "/\"><ResponseMetadata>",
	} {
		status, body, _ := c.post(t, "/", "application/x-www-form-urlencoded",
			[]byte("Version=2010-03-31&Action="+name))
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

func TestSDKSpeaksRESTJSON(t *testing.T) {
	c := newCloud(t)
	client := iot.NewFromConfig(c.cfg)
	out, err := client.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: aws.String("a b/c:d")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, []any{*out.ThingName, out.Version}, []any{"a b/c:d", int64(3)})
	_, err = client.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: aws.String("missing")})
	if e, ok := errors.AsType[*iottypes.ResourceNotFoundException](err); !ok ||
		*e.Message != "Thing missing cannot be found." {
		t.Fatalf("got %v", err)
	}
	_, err = client.CreateThing(t.Context(), &iot.CreateThingInput{ThingName: aws.String("x"),
		AttributePayload: &iottypes.AttributePayload{Attributes: map[string]string{"a": "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	in := c.got[len(c.got)-1].(*createThingIn)
	check(t, nil, []any{in.ThingName, in.AttributePayload.Attributes["a"]}, []any{"x", "b"})
	list, err := client.ListThings(t.Context(), &iot.ListThingsInput{MaxResults: aws.Int32(7),
		UsePrefixAttributeValue: true, AttributeName: aws.String("a&b")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, []any{len(list.Things), strings.HasSuffix(*list.NextToken, "n")}, []any{2, true})
	check(t, nil, c.got[len(c.got)-1], &listThingsIn{MaxResults: aws.Int(7), AttributeName: "a&b",
		UsePrefixValue: true})
	_, err = client.CreateAuthorizer(t.Context(), &iot.CreateAuthorizerInput{AuthorizerName: aws.String("x"),
		AuthorizerFunctionArn: aws.String("y")})
	checkCode(t, err, "NotImplemented", "iot:CreateAuthorizer")

	invoked, err := lambda.NewFromConfig(c.cfg).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("arn:aws:lambda:us-east-1:123456789012:function:f"), InvocationType: "Event", Payload: []byte(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, []any{invoked.StatusCode, *invoked.FunctionError, string(invoked.Payload)}, []any{int32(202), "Unhandled", `{"a":1}`})
	check(t, nil, c.got[len(c.got)-1], &invokeIn{"arn:aws:lambda:us-east-1:123456789012:function:f", "Event", []byte(`{"a":1}`)})
}

func TestSDKSpeaksCBOR(t *testing.T) {
	c := newCloud(t)
	client := cloudwatch.NewFromConfig(c.cfg)
	when := time.Date(2026, 1, 2, 3, 4, 5, 250e6, time.UTC)
	data := cwtypes.MetricDatum{
		MetricName: aws.String("m"), Value: aws.Float64(2), Timestamp: &when,
		Dimensions: []cwtypes.Dimension{{Name: aws.String("d"), Value: aws.String("v")}}, Values: []float64{1, 2.5},
	}
	want := datum{MetricName: "m", Value: aws.Float64(2), Timestamp: TimeOf(when), Dimensions: []dimension{{"d", "v"}},
		Values: []float64{1, 2.5}}
	_, err := client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("n"),
		MetricData: []cwtypes.MetricDatum{data}})
	check(t, err, c.got[0], &putMetricIn{"n", []datum{want}})
	var many []cwtypes.MetricDatum
	for range 500 { // above 10 kB the SDK sends gzip
		many = append(many, data)
	}
	_, err = client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("n"),
		MetricData: many})
	check(t, err, len(c.got[1].(*putMetricIn).MetricData), 500)
	list, err := client.ListMetrics(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, *list.Metrics[0].Dimensions[0].Value, "v")
	stats, err := client.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("n"), MetricName: aws.String("m"), StartTime: &when, EndTime: &when,
		Period: aws.Int32(60),
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, []any{*stats.Datapoints[0].Average, stats.Datapoints[0].Timestamp.UTC()},
		[]any{1.5, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	_, err = client.ListDashboards(t.Context(), nil)
	checkCode(t, err, "NotImplemented", "cloudwatch:ListDashboards")
	_, err = client.ListTagsForResource(t.Context(),
		&cloudwatch.ListTagsForResourceInput{ResourceARN: aws.String("x")})
	checkCode(t, err, "UnknownOperationException", "")
}

// post sends a request by hand.
func (c *cloud) post(t *testing.T, path, contentType string, body []byte, headers ...string) (int, string,
	http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	b, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, string(b), w.Header
}

func TestQueryListsAndMaps(t *testing.T) {
	c := newCloud(t)
	form := url.Values{
		"Action": {"PutMetricData"}, "Version": {"2010-08-01"}, "Namespace": {"n"},
		"MetricData.member.1.MetricName": {"m"}, "MetricData.member.1.Value": {"2"},
		"MetricData.member.2.MetricName":                {"o"},
		"MetricData.member.2.Timestamp":                 {"2026-01-02T03:04:05Z"},
		"MetricData.member.2.Dimensions.member.1.Name":  {"d"},
		"MetricData.member.2.Dimensions.member.1.Value": {"v"},
		"MetricData.member.2.Values.member.2":           {"2.5"},
		"MetricData.member.2.Values.member.1":           {"1"},
	}
	status, body, _ := c.post(t, "/", "application/x-www-form-urlencoded; charset=utf-8", []byte(form.Encode()))
	if status != 200 || !strings.Contains(body,
		"<PutMetricDataResponse "+
			"xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><ResponseMetadata><RequestId>") {
		t.Fatalf("%d %s", status, body)
	}
	check(t, nil, c.got[0], &putMetricIn{"n", []datum{
		{MetricName: "m", Value: aws.Float64(2)},
		{MetricName: "o", Timestamp: TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
			Dimensions: []dimension{{"d", "v"}}, Values: []float64{1, 2.5}},
	}})
	form = url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "MessageAttributes.entry.1.Name": {"k"},
		"MessageAttributes.entry.1.Value.DataType":    {"Binary"},
		"MessageAttributes.entry.1.Value.BinaryValue": {"AAE="},
	}
	status, _, _ = c.post(t, "/", "application/x-www-form-urlencoded", []byte(form.Encode()))
	check(t, nil, status, 200)
	check(t, nil, c.got[1].(*publishIn).MessageAttributes,
		map[string]attributeValue{"k": {DataType: "Binary", BinaryValue: []byte{0, 1}}})
	status, _, _ = c.post(t, "/?"+form.Encode(), "", nil)
	check(t, nil, status, 200)
	status, body, _ = c.post(t, "/", "application/x-www-form-urlencoded",
		[]byte("Action=PutMetricData&Version=2010-08-01&MetricData.member.1.Value=x"))
	if status != 400 || !strings.Contains(body, "<Code>MalformedInput</Code>") {
		t.Fatalf("%d %s", status, body)
	}
}

func TestWrongInput(t *testing.T) {
	c := newCloud(t)
	target := []string{"X-Amz-Target", "DynamoDB_20120810.PutItem"}
	const json10 = "application/x-amz-json-1.0"
	for _, x := range []struct {
		body, want string
		headers    []string
		status     int
	}{
		{`{"TableName":7}`, `"message":"NUMBER_VALUE cannot be converted to String"`, target, 400},
		{`{"TableName":"t","N":"7"}`, `"message":"STRING_VALUE cannot be converted to Integer"`, target, 400},
		{`{"TableName"`, `"__type":"SerializationException"`, target, 400},
		{`{"TableName":"t","Unknown":{"a":[1]}}`, `{}`, target, 200},
		{``, `{}`, target, 200},
		{`{}`, `"__type":"UnknownOperationException"`, []string{"X-Amz-Target", "Nobody.PutItem"}, 400},
		{`{}`, `"__type":"UnknownOperationException"`, []string{"X-Amz-Target", "DynamoDB_20120810.Put"}, 400},
		{`not gzip`, `SerializationException`, append([]string{"Content-Encoding", "gzip"}, target...), 400},
		{strings.Repeat(" ", 2<<20), `RequestEntityTooLargeException`, target, 413},
	} {
		status, body, h := c.post(t, "/", json10, []byte(x.body), x.headers...)
		if status != x.status || !strings.Contains(body, x.want) || h.Get("X-Amzn-Requestid") == "" ||
			h.Get("Content-Type") != json10 {
			t.Errorf("%.40s: got %d %s %v", x.body, status, body, h)
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 4<<20))
	_ = z.Close()
	if status, body, _ := c.post(t, "/", json10, bomb.Bytes(), append([]string{"Content-Encoding", "gzip"},
		target...)...); status != 413 {
		t.Errorf("%d %s", status, body)
	}
	status, body, h := c.post(t, "/nowhere/at/all", "application/json", nil)
	if status != 404 || h.Get("X-Amzn-Errortype") != "UnknownOperationException" {
		t.Errorf("%d %s", status, body)
	}
}

func TestRoutes(t *testing.T) {
	none := func(context.Context, *Call, *empty_) (*empty_, error) { return nil, nil }
	s := &Service{ID: "x", Operations: []Operation{
		Op("GetObject", none, REST("GET", "/{Bucket}/{Key+}")),
		Op("GetObjectTagging", none, REST("GET", "/{Bucket}/{Key+}", "tagging")),
		Op("ListV2", none, REST("GET", "/{Bucket}?list-type=2")),
		Op("List", none, REST("GET", "/{Bucket}")),
		Op("ListBuckets", none, REST("GET", "/")),
		Op("Things", none, REST("GET", "/things")),
		Op("Job", none, REST("GET", "/things/{thing}/jobs/{job}")),
		Op("NextJob", none, REST("GET", "/things/{thing}/jobs/$next")),
		Op("Functions", none, REST("GET", "/2015-03-31/functions/")),
		Op("End", none, REST("GET", "/g/{a+}/end")),
	}}
	rt := newRouter(s)
	for target, want := range map[string]string{
		"/": "ListBuckets", "/b": "List", "/b/": "List", "/b?list-type=2": "ListV2", "/b?list-type=1": "List",
		"/b/k": "GetObject Bucket=b Key=k", "/b/a/b%2Fc/d": "GetObject Bucket=b Key=a/b/c/d",
		"/b/k?tagging": "GetObjectTagging",
		"/things":      "Things", "/things/t/jobs/j": "Job thing=t job=j", "/things/t/jobs/$next": "NextJob",
		"/things/t/jobs/%24next": "NextJob",
		"/2015-03-31/functions":  "Functions", "/2015-03-31/functions/": "Functions", "/g/a/b/end": "End a=a/b",
	} {
		r := httptest.NewRequest("GET", target, nil)
		got, labels := rt.find(r, r.URL.Query())
		name, rest, _ := strings.Cut(want, " ")
		if got == nil || got.name != name {
			t.Errorf("%s: got %v, want %s", target, got, name)
			continue
		}
		for _, l := range strings.Fields(rest) {
			if k, v, _ := strings.Cut(l, "="); labels[k] != v {
				t.Errorf("%s: %s is %q, want %q", target, k, labels[k], v)
			}
		}
	}
}

func TestXMLBodies(t *testing.T) {
	type rule struct {
		ID   string `json:"ID"`
		Days int    `json:"Days,omitempty"`
	}
	type doc struct {
		Rules []rule   `json:"Rules" xml:"Rule,flat"`
		Tags  []string `json:"TagSet"`
		On    bool     `json:"On"`
		At    *Time    `json:"At,omitempty"`
	}
	rapid.Check(t, func(t *rapid.T) {
		want := doc{
			Rules: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rule {
				return rule{rapid.StringMatching(`[ -~]*`).Draw(t, "id"), rapid.IntRange(0, 9).Draw(t, "days")}
			}), 1, 4).Draw(t, "rules"),
			Tags: rapid.SliceOfN(rapid.StringMatching(`[a-z<&]+`), 1, 3).Draw(t, "tags"),
			On:   rapid.Bool().Draw(t, "on"),
			At:   TimeOf(time.UnixMilli(rapid.Int64Range(1, 1e12).Draw(t, "at")).UTC()),
		}
		var b bytes.Buffer
		element(&b, "Doc", func() { xmlMembers(&b, reflect.ValueOf(want)) })
		var got doc
		if err := decodeXML(b.Bytes(), reflect.ValueOf(&got).Elem()); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %+v, want %+v", b.String(), got, want)
		}
	})
}

// FuzzRequest holds that any request is answered, and that an error of the
// input is the client's.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/", "application/x-amz-json-1.0", "DynamoDB_20120810.PutItem", "", `{"TableName":"t","Item":{"a":{"S":"b"}}}`)
	f.Add("POST", "/", "application/x-www-form-urlencoded", "", "",
		"Action=PutMetricData&Version=2010-08-01&MetricData.member.1.Dimensions.member.1.Name=x")
	f.Add("GET", "/things/a%2Fb?maxResults=3", "", "", "", "")
	f.Add("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", "application/cbor", "",
		"rpc-v2-cbor", "\xa1iNamespacean")
	f.Add("POST", "/2015-03-31/functions/f/invocations", "", "", "", "x")
	c := newCloud(f)
	f.Fuzz(func(t *testing.T, method, target, contentType, amzTarget, protocol, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			t.Skip()
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Method, r.URL = method, u
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Amz-Target", amzTarget)
		r.Header.Set("Smithy-Protocol", protocol)
		w := httptest.NewRecorder()
		c.door.ServeHTTP(w, r)
		c.got = nil
		if w.Code >= 500 && w.Code != 501 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
