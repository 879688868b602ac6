package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// What a soak holds. A machine that is slow is so to the canned server, too.
const (
	soakRate     = 1000 // requests a second
	soakClients  = 16
	mostOfReads  = 50 * time.Millisecond // 99 of 100 reads take no longer
	mostOfCanned = 5                     // or no longer than so many times what the canned server's calls take
	mostGrowth   = 16 << 20              // bytes of heap, from the warm-up to the end
)

// TestSoak asks a cloud of everything for FLEETSTEP_SOAK seconds, at 1000 requests a second, and holds that nothing
// fails, that its memory, goroutines and files are what they were after the warm-up (the first quarter), and that
// reads are as fast as they should be. Then it starts more executions at once than the account may: those beyond
// are refused, and those that were taken are there.
func TestSoak(t *testing.T) {
	seconds, err := strconv.Atoi(os.Getenv("FLEETSTEP_SOAK"))
	if err != nil {
		t.Skip("FLEETSTEP_SOAK is for how many seconds")
	}
	s := newSoak(t)
	s.w.cloud.BeginWeather()
	samples := s.run(time.Duration(seconds) * time.Second)
	reads, canned := s.took["reads"], s.took["canned"]
	for _, kind := range []string{"reads", "writes", "canned"} {
		h := s.took[kind]
		t.Logf("%-6s %8d requests, 50 of 100 in %s, 99 in %s, 999 of 1000 in %s", kind, h.n.Load(), h.of(0.5),
			h.of(0.99), h.of(0.999))
	}
	ratio := float64(reads.of(0.99)) / float64(canned.of(0.99))
	t.Logf("99 of 100 reads take %.2f times the canned server's", ratio)
	for _, m := range samples {
		t.Logf("%6.0f s: heap %5.1f MiB, %d goroutines, %d files", m.at.Seconds(), float64(m.heap)/(1<<20),
			m.goroutines, m.files)
	}
	if seconds >= 60 {
		if reads.of(0.99) > mostOfReads && ratio > mostOfCanned {
			t.Errorf("99 of 100 reads take %s, %.1f times the canned server's", reads.of(0.99), ratio)
		}
		samples = samples[len(samples)/4:]
		early, late := least(samples[:len(samples)/3]), least(samples[len(samples)*2/3:])
		t.Logf("after the warm-up heap grows by %.1f MiB", float64(late.heap-early.heap)/(1<<20))
		if late.heap-early.heap > mostGrowth || late.goroutines > early.goroutines+20 || late.files > early.files+20 {
			t.Errorf("it was %+v and is %+v", early, late)
		}
	}
	s.burst()
}

type soak struct {
	t                  *testing.T
	w                  *world
	dynamodb           *dynamodb.Client
	s3                 *s3.Client
	sqs                *sqs.Client
	sfn, prepared      *sfn.Client
	machine, queue     string
	took               map[string]*histogram
	started, throttled atomic.Int64
}

const soakItems = 2000

func newSoak(t *testing.T) *soak {
	w := newWorldOf(t, localcloud.DefaultQuotas)
	// A client that is throttled is told so.
	only := func(endpoint string) aws.Config {
		c := config(endpoint)
		c.Retryer = func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Retryables = []retry.IsErrorRetryable{retry.NoRetryCanceledError{}, retry.RetryableConnectionError{}}
			})
		}
		return c
	}
	c := only(w.endpoint)
	s := &soak{t: t, w: w, dynamodb: dynamodb.NewFromConfig(c), sqs: sqs.NewFromConfig(c), sfn: sfn.NewFromConfig(c),
		s3:       s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }),
		prepared: sfn.NewFromConfig(only(canned(t, "application/x-amz-json-1.0", cannedStart))),
		took:     map[string]*histogram{"reads": {}, "writes": {}, "canned": {}}}
	s.machine = w.machine(tenStates())
	attribute := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	_, err := s.dynamodb.CreateTable(ctx, &dynamodb.CreateTableInput{TableName: aws.String("soak"),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attribute("pk"), attribute("state")},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{IndexName: aws.String("states"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("state"), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll}}},
	})
	must(t, err)
	_, err = s.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("soak")})
	must(t, err)
	queue, err := s.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("soak")})
	must(t, err)
	s.queue = *queue.QueueUrl
	crowd(soakClients, soakItems, func(i int64) { must(t, s.putItem(int(i), "READY")) })
	crowd(soakClients, 100, func(i int64) { must(t, s.putObject(int(i))) })
	return s
}

func key(i int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "THING#" + strconv.Itoa(i)}}
}

func (s *soak) putItem(i int, state string) error {
	item := key(i)
	item["state"] = &types.AttributeValueMemberS{Value: state + strconv.Itoa(i%100)}
	item["text"] = &types.AttributeValueMemberS{Value: "what a device says of itself, in a line of text"}
	_, err := s.dynamodb.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("soak"), Item: item})
	return err
}

var object = bytes.Repeat([]byte("0123456789abcdef"), 1<<10)

func (s *soak) putObject(i int) error {
	_, err := s.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("soak"), Key: aws.String(strconv.Itoa(i)),
		Body: bytes.NewReader(object)})
	return err
}

// calls is the mix, each with its share in a hundred.
func (s *soak) calls() []call {
	values := func(name string, v types.AttributeValue) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{name: v}
	}
	query := func(index *string, name, value string) error {
		_, err := s.dynamodb.Query(ctx, &dynamodb.QueryInput{TableName: aws.String("soak"), IndexName: index,
			KeyConditionExpression:    aws.String("#k = :v"),
			ExpressionAttributeNames:  map[string]string{"#k": name},
			ExpressionAttributeValues: values(":v", &types.AttributeValueMemberS{Value: value})})
		return err
	}
	return []call{
		{30, "reads", func(i int) error {
			_, err := s.dynamodb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("soak"), Key: key(i)})
			return err
		}},
		{8, "reads", func(i int) error { return query(nil, "pk", "THING#"+strconv.Itoa(i)) }},
		{8, "reads", func(i int) error { return query(aws.String("states"), "state", "READY"+strconv.Itoa(i%100)) }},
		{12, "reads", func(i int) error {
			out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("soak"),
				Key: aws.String(strconv.Itoa(i % 100))})
			if err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, out.Body)
			if err == nil && n != int64(len(object)) {
				err = fmt.Errorf("%d bytes", n)
			}
			return errors.Join(err, out.Body.Close())
		}},
		{4, "reads", func(int) error {
			_, err := s.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("soak")})
			return err
		}},
		{10, "writes", func(i int) error { return s.putItem(i, []string{"READY", "BUSY"}[i%2]) }},
		{5, "writes", func(i int) error {
			_, err := s.dynamodb.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("soak"), Key: key(i),
				UpdateExpression:          aws.String("ADD n :one"),
				ExpressionAttributeValues: values(":one", &types.AttributeValueMemberN{Value: "1"})})
			return err
		}},
		{4, "writes", func(i int) error { return s.putObject(i % 100) }},
		{3, "writes", func(int) error {
			_, err := s.sqs.SendMessage(ctx,
				&sqs.SendMessageInput{QueueUrl: &s.queue, MessageBody: aws.String("news")})
			return err
		}},
		{3, "writes", s.takeMessage},
		{3, "writes", func(int) error { return s.start() }},
		{10, "canned", func(int) error {
			_, err := s.prepared.StartExecution(ctx, &sfn.StartExecutionInput{
				StateMachineArn: aws.String(cannedMachine), Input: aws.String(`{"n":1,"device":"rg-17"}`)})
			return err
		}},
	}
}

type call struct {
	share int
	kind  string
	do    func(i int) error
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

// start starts an execution, unless the account has started too many.
func (s *soak) start() error {
	_, err := s.sfn.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &s.machine,
		Input: aws.String(`{"n":1,"device":"rg-17"}`)})
	if refused, ok := errors.AsType[smithy.APIError](err); ok && refused.ErrorCode() == "ThrottlingException" {
		s.throttled.Add(1)
		return nil
	}
	if err == nil {
		s.started.Add(1)
	}
	return err
}

// run asks for so long, and tells what the process had at twenty times in between.
func (s *soak) run(long time.Duration) []sample {
	var mix []call
	for _, c := range s.calls() {
		mix = append(mix, slices.Repeat([]call{c}, c.share)...)
	}
	begin := time.Now()
	var clients sync.WaitGroup
	for n := range soakClients {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(n)))
			for due := begin; due.Before(begin.Add(long)); due = due.Add(soakClients * time.Second / soakRate) {
				time.Sleep(time.Until(due))
				c, sent := mix[r.IntN(len(mix))], time.Now()
				if err := c.do(r.IntN(soakItems)); err != nil {
					s.t.Errorf("a call of the %s: %v", c.kind, err)
					return
				}
				s.took[c.kind].add(time.Since(sent))
			}
		})
	}
	var samples []sample
	for i := range 20 {
		time.Sleep(time.Until(begin.Add(long * time.Duration(i+1) / 20)))
		samples = append(samples, measure(time.Since(begin)))
	}
	clients.Wait()
	return samples
}

// burst starts so many executions at once that an account may not.
func (s *soak) burst() {
	s.ended()
	before, refused := s.started.Load(), s.throttled.Load()
	const calls = 4000
	took := crowd(soakClients, calls, func(int64) {
		if err := s.start(); err != nil {
			s.t.Error(err)
		}
	})
	started, throttled := s.started.Load()-before, s.throttled.Load()-refused
	s.t.Logf("of %d executions at once, in %s, %d are started and %d refused", calls, took, started, throttled)
	// The account may start 1300 at once and 300 a second.
	if most := int64(1300 + 300*(took.Seconds()+1)); started > most || started+throttled != calls || throttled == 0 {
		s.t.Errorf("%d are started, %d refused", started, throttled)
	}
	s.ended()
	listed := int64(0)
	pages := sfn.NewListExecutionsPaginator(s.w.sfn,
		&sfn.ListExecutionsInput{StateMachineArn: &s.machine, MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		must(s.t, err)
		listed += int64(len(page.Executions))
	}
	if listed != s.started.Load() {
		s.t.Errorf("%d executions are listed, %d were started", listed, s.started.Load())
	}
}

// ended waits until no execution runs; it asks no more often than the account may.
func (s *soak) ended() {
	for {
		out, err := s.w.sfn.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &s.machine,
			StatusFilter: "RUNNING", MaxResults: 1})
		must(s.t, err)
		if len(out.Executions) == 0 {
			return
		}
		time.Sleep(time.Second / 2)
	}
}

type sample struct {
	at                time.Duration
	heap              int64
	goroutines, files int
}

func measure(at time.Duration) sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd") // where there is such a thing
	return sample{at, int64(m.HeapAlloc), runtime.NumGoroutine(), len(files)}
}

// least is the least of each, since caches and buffers come and go.
func least(samples []sample) sample {
	l := samples[0]
	for _, s := range samples {
		l.heap, l.goroutines, l.files = min(l.heap, s.heap), min(l.goroutines, s.goroutines), min(l.files, s.files)
	}
	return l
}

// histogram counts durations by 0.1 ms, and takes always the same memory.
type histogram struct {
	n      atomic.Int64
	counts [100_000]atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	h.n.Add(1)
	h.counts[min(int(d/(100*time.Microsecond)), len(h.counts)-1)].Add(1)
}

// of is how long a share takes at most.
func (h *histogram) of(share float64) time.Duration {
	left := int64(float64(h.n.Load()) * share)
	for i := range h.counts {
		if left -= h.counts[i].Load(); left < 0 {
			return time.Duration(i+1) * 100 * time.Microsecond
		}
	}
	return time.Duration(len(h.counts)) * 100 * time.Microsecond
}
