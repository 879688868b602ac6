package bench

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
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
	w.connect(canned(b, "application/x-amz-json-1.0", cannedStart))
	clients(b, 64, "calls/s", func(int64) { w.start(cannedMachine) }, nil)
}

// BenchmarkExecutions starts a machine of ten Pass and Choice states from 64
// clients, until all executions have ended.
func BenchmarkExecutions(b *testing.B) {
	w := newWorld(b)
	m := w.machine(tenStates())
	clients(b, 64, "executions/s", func(int64) { w.start(m) }, func() { w.waitForEnd(m) })
}

// BenchmarkTaskToken starts an execution, lets it call a function with its
// token, and answers that token, from 64 clients.
func BenchmarkTaskToken(b *testing.B) {
	w := newWorld(b)
	m := w.tokenMachine()
	clients(b, 64, "roundtrips/s", func(int64) { w.start(m); w.answer(<-w.tokens) }, func() { w.waitForEnd(m) })
}

// size is how many executions an experiment has: n, a tenth with -short.
func size(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// BenchmarkWaiting opens 10,000 executions that wait for a token and answers them
// all: memory of each, and seconds for all.
func BenchmarkWaiting(b *testing.B) {
	n := size(10_000)
	for range b.N {
		waiting(b, n)
	}
}

func waiting(b *testing.B, n int) {
	w := newWorld(b)
	m := w.tokenMachine()
	take := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = <-w.tokens
		}
		return list
	}
	crowd(64, 500, func(int64) { w.start(m) })
	warm := take(500)
	before := heap()
	opened := crowd(64, n, func(int64) { w.start(m) })
	tokens := take(n)
	held := heap() - before
	completed := crowd(64, n, func(i int64) { w.answer(tokens[i]) })
	for _, t := range warm {
		w.answer(t)
	}
	w.waitForEnd(m)
	b.ReportMetric(float64(held)/float64(n), "heap-B/waiting")
	b.ReportMetric(float64(n)/opened.Seconds(), "opened/s")
	b.ReportMetric(float64(n)/completed.Seconds(), "completed/s")
	b.ReportMetric(completed.Seconds(), "s/complete-all")
}

func heap() int64 {
	time.Sleep(50 * time.Millisecond) // for what the last answers left to do
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkFinished runs 100,000 executions to their end and compares how long
// DescribeExecution and ListExecutions take before and after, and what memory
// holds: as a whole, and for each execution of the last half, when caches are as
// large as they get.
func BenchmarkFinished(b *testing.B) {
	n := size(100_000)
	for range b.N {
		finished(b, n)
	}
}

func finished(b *testing.B, n int) {
	w := newWorld(b)
	m := w.machine(tenStates())
	run := func(n int) time.Duration {
		begin := time.Now()
		crowd(64, n, func(int64) { w.start(m) })
		w.waitForEnd(m)
		return time.Since(begin)
	}
	run(200)
	describe, list := w.latencies(m)
	before := heap()
	took := run(n / 2)
	half := heap()
	took += run(n - n/2)
	after := heap()
	laterDescribe, laterList := w.latencies(m)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	b.ReportMetric(float64(n)/took.Seconds(), "executions/s")
	b.ReportMetric(float64(after-before)/(1<<20), "heap-MiB/all")
	b.ReportMetric(float64(after-half)/float64(n-n/2), "heap-B/finished")
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
			"pk": &types.AttributeValueMemberS{Value: "THING#cpe-" + strconv.FormatInt(i, 10)},
			"sk": &types.AttributeValueMemberS{Value: "STATE"},
			"n":  &types.AttributeValueMemberN{Value: "17"}, "version": &types.AttributeValueMemberS{Value: "2.0.0"},
		}
	}
	prepare := func(b *testing.B) *world {
		w := newWorld(b)
		_, err := w.dynamodb.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
				{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
			},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
		})
		must(b, err)
		return w
	}
	put := func(w *world, i int64) {
		if _, err := w.dynamodb.PutItem(ctx,
			&dynamodb.PutItemInput{TableName: table, Item: item(i),
				ConditionExpression: aws.String("attribute_not_exists(pk)")}); err != nil {
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
			out, err := w.dynamodb.GetItem(ctx,
				&dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: aws.Bool(true)})
			if err != nil || len(out.Item) != 4 {
				b.Error(fmt.Sprint(out), err)
			}
		}, nil)
	})
}
