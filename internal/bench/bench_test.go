package bench

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

// BenchmarkCannedServer is StartExecution against a server that answers a
// constant: the most that the SDK, HTTP and this machine allow.
func BenchmarkCannedServer(b *testing.B) {
	w := &world{b: b}
	w.connect(canned(b, "application/x-amz-json-1.0", `{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:m:e","startDate":1700000000}`))
	clients(b, 64, "calls/s", func(int64) { w.start("arn:aws:states:us-east-1:123456789012:stateMachine:m") }, nil)
}

// BenchmarkExecutions starts a machine of ten Pass and Choice states from 64
// clients, until all executions have ended.
func BenchmarkExecutions(b *testing.B) {
	w := newWorld(b)
	m := w.machine(tenStates())
	clients(b, 64, "executions/s", func(int64) { w.start(m) }, func() { w.settle(m) })
}

// BenchmarkTaskToken starts an execution, lets it call a function with its
// token, and answers that token, from 64 clients.
func BenchmarkTaskToken(b *testing.B) {
	w := newWorld(b)
	m := w.tokenMachine()
	clients(b, 64, "roundtrips/s", func(int64) { w.start(m); w.answer(<-w.tokens) }, func() { w.settle(m) })
}

// BenchmarkWaiting opens b.N executions that wait for a token and answers them
// all: memory and seconds for each, and how fast they were completed.
func BenchmarkWaiting(b *testing.B) {
	w := newWorld(b)
	m := w.tokenMachine()
	each := func(n int, f func()) time.Duration {
		begin := time.Now()
		var wg sync.WaitGroup
		work := make(chan struct{})
		for range 64 {
			wg.Go(func() {
				for range work {
					f()
				}
			})
		}
		for range n {
			work <- struct{}{}
		}
		close(work)
		wg.Wait()
		return time.Since(begin)
	}
	var warm []string
	each(500, func() { w.start(m) })
	for range 500 {
		warm = append(warm, <-w.tokens)
	}
	before := heap()
	b.ResetTimer()
	opened := each(b.N, func() { w.start(m) })
	tokens := make(chan string, b.N)
	for range b.N {
		tokens <- <-w.tokens
	}
	b.StopTimer()
	perOne := float64(heap()-before) / float64(b.N)
	b.StartTimer()
	completed := each(b.N, func() { w.answer(<-tokens) })
	b.StopTimer()
	for _, t := range warm {
		w.answer(t)
	}
	w.settle(m)
	b.ReportMetric(perOne, "heap-B/waiting")
	b.ReportMetric(float64(b.N)/opened.Seconds(), "opened/s")
	b.ReportMetric(float64(b.N)/completed.Seconds(), "completed/s")
}

func heap() int64 {
	time.Sleep(50 * time.Millisecond) // for what the last answers left to do
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkFinished runs b.N executions to their end and compares how long
// DescribeExecution and ListExecutions take before and after, and what the
// finished ones hold of memory.
func BenchmarkFinished(b *testing.B) {
	w := newWorld(b)
	m := w.machine(tenStates())
	for range 200 {
		w.start(m)
	}
	w.settle(m)
	describe, list := w.latencies(m)
	held := heap()
	clients(b, 64, "executions/s", func(int64) { w.start(m) }, func() { w.settle(m) })
	b.ReportMetric(float64(heap()-held)/float64(b.N), "heap-B/finished")
	laterDescribe, laterList := w.latencies(m)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	b.ReportMetric(us(describe), "us/describe-before")
	b.ReportMetric(us(laterDescribe), "us/describe-after")
	b.ReportMetric(us(list), "us/list-before")
	b.ReportMetric(us(laterList), "us/list-after")
}

// latencies are the medians of calls made one after the other.
func (w *world) latencies(machine string) (describe, list time.Duration) {
	page := func() *sfn.ListExecutionsOutput {
		out, err := w.sfn.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &machine, MaxResults: 100})
		must(w.b, err)
		return out
	}
	arn := page().Executions[50].ExecutionArn
	median := func(f func()) time.Duration {
		took := make([]time.Duration, 200)
		for i := range took {
			begin := time.Now()
			f()
			took[i] = time.Since(begin)
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	describe = median(func() {
		_, err := w.sfn.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: arn})
		must(w.b, err)
	})
	return describe, median(func() { page() })
}

// BenchmarkDynamoDB is PutItem with a condition, of new items, and GetItem, from
// 16 clients.
func BenchmarkDynamoDB(b *testing.B) {
	table := aws.String("devices")
	item := func(i int64) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "THING#cpe-" + strconv.FormatInt(i, 10)}, "sk": &types.AttributeValueMemberS{Value: "STATE"},
			"n": &types.AttributeValueMemberN{Value: "17"}, "version": &types.AttributeValueMemberS{Value: "2.0.0"},
		}
	}
	prepare := func(b *testing.B) *world {
		w := newWorld(b)
		_, err := w.dynamodb.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
			},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
		})
		must(b, err)
		return w
	}
	put := func(w *world, i int64) {
		if _, err := w.dynamodb.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: item(i), ConditionExpression: aws.String("attribute_not_exists(pk)")}); err != nil {
			w.b.Error(err)
		}
	}
	b.Run("PutItem", func(b *testing.B) {
		w := prepare(b)
		clients(b, 16, "items/s", func(i int64) { put(w, i) }, nil)
	})
	b.Run("GetItem", func(b *testing.B) {
		w := prepare(b)
		const items = 1000
		for i := range int64(items) {
			put(w, i)
		}
		clients(b, 16, "items/s", func(i int64) {
			key := item(i % items)
			delete(key, "n")
			delete(key, "version")
			out, err := w.dynamodb.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: aws.Bool(true)})
			if err != nil || len(out.Item) != 4 {
				b.Error(fmt.Sprint(out), err)
			}
		}, nil)
	})
}
