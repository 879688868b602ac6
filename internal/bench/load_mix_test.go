package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// soak is a cloud that is asked of everything. Its clients do not repeat what is throttled.
type soak struct {
	extent
	t              *testing.T
	w              *world
	c              aws.Config
	dynamodb       *dynamodb.Client
	s3             *s3.Client
	sqs            *sqs.Client
	sfn, prepared  *sfn.Client
	iot            *iot.Client
	iotData        *iotdataplane.Client
	lambda         *lambda.Client
	machine, queue string
	mix            []call
	started        atomic.Int64 // executions
}

// once is a configuration whose clients are told that they are throttled.
func once(endpoint string) aws.Config {
	c := config(endpoint)
	c.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.Retryables = []retry.IsErrorRetryable{retry.NoRetryCanceledError{}, retry.RetryableConnectionError{}}
		})
	}
	return c
}

func newSoak(t *testing.T, x extent) *soak {
	w := newWorldOf(t, localcloud.DefaultQuotas)
	c := once(w.endpoint)
	s := &soak{extent: x, t: t, w: w, c: c, dynamodb: dynamodb.NewFromConfig(c), sqs: sqs.NewFromConfig(c),
		sfn: sfn.NewFromConfig(c), iot: iot.NewFromConfig(c), iotData: iotdataplane.NewFromConfig(c),
		lambda: lambda.NewFromConfig(c), s3: s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }),
		prepared: sfn.NewFromConfig(once(canned(t, "application/x-amz-json-1.0", cannedStart)))}
	s.mix = s.calls()
	s.machine = w.machine(tenStates())
	s.table("soak", "states", "state")
	_, err := s.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("soak")})
	must(t, err)
	queue, err := s.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("soak")})
	must(t, err)
	s.queue = *queue.QueueUrl
	crowd(16, x.items, func(i int64) { must(t, s.putItem(int(i), "READY")) })
	crowd(16, soakObjects, func(i int64) { must(t, s.putObject(int(i))) })
	return s
}

// table makes a table with the key "pk", and an index where it is named.
func (s *soak) table(name, index, attribute string) {
	text := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{text("pk")},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}}}
	if index != "" {
		in.AttributeDefinitions = append(in.AttributeDefinitions, text(attribute))
		in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{IndexName: &index,
			KeySchema:  []types.KeySchemaElement{{AttributeName: &attribute, KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll}}}
	}
	_, err := s.dynamodb.CreateTable(ctx, in)
	must(s.t, err)
}

// call is a kind of request with its share in the mix. do makes one; any number stands for one of what there is.
type call struct {
	share       int
	class, name string
	do          func(any int) error
}

// calls is the mix. Its shares are those of a thousand; those of AWS IoT are small, as their quotas are.
func (s *soak) calls() []call {
	of := func(i int) *string { return aws.String(thing(i % s.things)) }
	return []call{
		{240, "reads", "GetItem", func(i int) error {
			_, err := s.dynamodb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("soak"), Key: s.key(i)})
			return err
		}},
		{80, "reads", "Query", func(i int) error { return s.query(nil, "pk", "THING#"+strconv.Itoa(i%s.items)) }},
		{80, "reads", "Query of an index", func(i int) error {
			return s.query(aws.String("states"), "state", "READY"+strconv.Itoa(i%100))
		}},
		{111, "reads", "GetObject, 16 KiB", s.getObject},
		{40, "reads", "GetQueueUrl", func(int) error {
			_, err := s.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("soak")})
			return err
		}},
		{50, "reads", "DescribeThing", func(i int) error {
			_, err := s.iot.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: of(i)})
			return err
		}},
		{1, "reads", "ListThings, 100", func(i int) error {
			out, err := s.iot.ListThings(ctx, &iot.ListThingsInput{MaxResults: aws.Int32(100),
				AttributeName: aws.String("model"), AttributeValue: aws.String(fmt.Sprint("m", i%10))})
			return full(err, out, func() int { return len(out.Things) }, 100)
		}},
		{3, "reads", "ListThingsInThingGroup, 100", func(int) error {
			out, err := s.iot.ListThingsInThingGroup(ctx, &iot.ListThingsInThingGroupInput{
				ThingGroupName: aws.String("all"), MaxResults: aws.Int32(100)})
			return full(err, out, func() int { return len(out.Things) }, 100)
		}},
		{1, "reads", "SearchIndex, of a model", func(i int) error {
			return s.search("attributes.model:m", i%10, 100)
		}},
		{1, "reads", "SearchIndex, of a serial", func(i int) error {
			return s.search("attributes.serial:s", i%s.things, 1)
		}},
		{1, "reads", "SearchIndex, connected, of a model", func(i int) error {
			return s.search("connectivity.connected:true AND attributes.model:m", i%5*2, 1)
		}},
		{1, "reads", "DescribeJob", func(int) error {
			_, err := s.iot.DescribeJob(ctx, &iot.DescribeJobInput{JobId: aws.String(soakJob)})
			return err
		}},
		{1, "reads", "ListJobExecutionsForJob, 100", func(int) error {
			out, err := s.iot.ListJobExecutionsForJob(ctx, &iot.ListJobExecutionsForJobInput{
				JobId: aws.String(soakJob), MaxResults: aws.Int32(100), Status: iottypes.JobExecutionStatusQueued})
			return full(err, out, func() int { return len(out.ExecutionSummaries) }, 100)
		}},
		{1, "reads", "ListJobExecutionsForThing", func(i int) error {
			_, err := s.iot.ListJobExecutionsForThing(ctx, &iot.ListJobExecutionsForThingInput{ThingName: of(i)})
			return err
		}},
		{20, "reads", "GetPendingJobExecutions", func(i int) error { return s.pending(*of(i)) }},
		{100, "writes", "PutItem", func(i int) error { return s.putItem(i, []string{"READY", "BUSY"}[i%2]) }},
		{50, "writes", "UpdateItem", func(i int) error {
			_, err := s.dynamodb.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("soak"),
				Key: s.key(i), UpdateExpression: aws.String("ADD n :one"),
				ExpressionAttributeValues: map[string]types.AttributeValue{
					":one": &types.AttributeValueMemberN{Value: "1"}}})
			return err
		}},
		{40, "writes", "PutObject, 16 KiB", s.putObject},
		{20, "writes", "SendMessage", func(int) error {
			_, err := s.sqs.SendMessage(ctx,
				&sqs.SendMessageInput{QueueUrl: &s.queue, MessageBody: aws.String("news")})
			return err
		}},
		{20, "writes", "ReceiveMessage and DeleteMessage", s.takeMessage},
		{30, "writes", "StartExecution", func(int) error { return s.start() }},
		{10, "writes", "UpdateThing", func(i int) error { return s.updateThing(i % s.things) }},
		{20, "writes", "Publish", func(i int) error {
			_, err := s.iotData.Publish(ctx, &iotdataplane.PublishInput{Qos: 1, Payload: []byte(`{"report":"status"}`),
				Topic: aws.String("devices/" + deviceName(i%s.devices) + "/commands")})
			return err
		}},
		{79, "canned", "canned server", func(int) error {
			_, err := s.prepared.StartExecution(ctx, &sfn.StartExecutionInput{
				StateMachineArn: aws.String(cannedMachine), Input: aws.String(`{"n":1,"device":"rg-17"}`)})
			return err
		}},
	}
}

// full is the error of a page that has less than it should have.
func full[T any](err error, _ *T, entries func() int, want int) error {
	if err == nil && entries() < want {
		err = fmt.Errorf("%d entries, there should be %d", entries(), want)
	}
	return err
}

func (s *soak) key(i int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "THING#" + strconv.Itoa(i%s.items)}}
}

func (s *soak) putItem(i int, state string) error {
	item := s.key(i)
	item["state"] = &types.AttributeValueMemberS{Value: state + strconv.Itoa(i%100)}
	item["text"] = &types.AttributeValueMemberS{Value: "what a device says of itself, in a line of text"}
	_, err := s.dynamodb.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("soak"), Item: item})
	return err
}

func (s *soak) query(index *string, name, value string) error {
	_, err := s.dynamodb.Query(ctx, &dynamodb.QueryInput{TableName: aws.String("soak"), IndexName: index,
		KeyConditionExpression:    aws.String("#k = :v"),
		ExpressionAttributeNames:  map[string]string{"#k": name},
		ExpressionAttributeValues: map[string]types.AttributeValue{":v": &types.AttributeValueMemberS{Value: value}}})
	return err
}

const soakObjects = 100

var object = bytes.Repeat([]byte("0123456789abcdef"), 1<<10)

func objectKey(i int) *string { return aws.String(strconv.Itoa(i % soakObjects)) }

func (s *soak) putObject(i int) error {
	_, err := s.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("soak"), Key: objectKey(i),
		Body: bytes.NewReader(object)})
	return err
}

func (s *soak) getObject(i int) error {
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("soak"), Key: objectKey(i)})
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, out.Body)
	if err == nil && n != int64(len(object)) {
		err = fmt.Errorf("%d bytes", n)
	}
	return errors.Join(err, out.Body.Close())
}

func (s *soak) takeMessage(int) error {
	out, err := s.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &s.queue, MaxNumberOfMessages: 10})
	if err != nil {
		return err
	}
	for _, m := range out.Messages {
		if _, err := s.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &s.queue,
			ReceiptHandle: m.ReceiptHandle}); err != nil {
			return err
		}
	}
	return nil
}

func (s *soak) start() error {
	_, err := s.sfn.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &s.machine,
		Input: aws.String(`{"n":1,"device":"rg-17"}`)})
	if err == nil {
		s.started.Add(1)
	}
	return err
}

func (s *soak) search(query string, of, want int) error {
	out, err := s.iot.SearchIndex(ctx, &iot.SearchIndexInput{QueryString: aws.String(query + strconv.Itoa(of)),
		MaxResults: aws.Int32(100)})
	return full(err, out, func() int { return len(out.Things) }, want)
}

func (s *soak) updateThing(i int) error {
	_, err := s.iot.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: aws.String(thing(i)),
		AttributePayload: &iottypes.AttributePayload{Merge: true,
			Attributes: map[string]string{"seen": strconv.FormatInt(time.Now().Unix(), 10)}}})
	return err
}

// pending asks as a device does over HTTP. The SDK's module for it is needed nowhere else.
func (s *soak) pending(thing string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.w.endpoint+"/things/"+thing+"/jobs", nil)
	if err != nil {
		return err
	}
	keys, err := s.c.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256
	if err := v4.NewSigner().SignHTTP(ctx, keys, r, nothing, "iot-jobs-data", s.c.Region, time.Now()); err != nil {
		return err
	}
	out, err := s.c.HTTPClient.Do(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err == nil && out.StatusCode != http.StatusOK {
		err = &smithy.GenericAPIError{Code: out.Header.Get("X-Amzn-Errortype"), Message: string(body)}
	}
	return err
}

// holdExecutions holds that those that were started are there, and have ended.
func (s *soak) holdExecutions() {
	list := func(status string, most int32, token *string) *sfn.ListExecutionsOutput {
		for { // no more often than the account may
			out, err := s.w.sfn.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &s.machine,
				StatusFilter: sfntypes.ExecutionStatus(status), MaxResults: most, NextToken: token})
			if !throttled(err) {
				must(s.t, err)
				return out
			}
			time.Sleep(time.Second / 4)
		}
	}
	for len(list("RUNNING", 1, nil).Executions) > 0 {
		time.Sleep(time.Second / 4)
	}
	listed, page := int64(0), list("SUCCEEDED", 1000, nil)
	for ; page.NextToken != nil; page = list("SUCCEEDED", 1000, page.NextToken) {
		listed += int64(len(page.Executions))
	}
	if listed += int64(len(page.Executions)); listed != s.started.Load() {
		s.t.Errorf("%d executions are listed, %d were started", listed, s.started.Load())
	}
}
