package sfn

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/history"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// tenStates are Pass and Choice states in turn.
func tenStates(jsonata bool) string {
	var b strings.Builder
	b.WriteString(`{"StartAt":"S0","States":{`)
	if jsonata {
		b.Reset()
		b.WriteString(`{"QueryLanguage":"JSONata","StartAt":"S0","States":{`)
	}
	for i := range 10 {
		if i > 0 {
			b.WriteByte(',')
		}
		next := `"Next":"S` + strconv.Itoa(i+1) + `"`
		if i == 9 {
			next = `"End":true`
		}
		switch {
		case i%2 == 1 && i < 9 && jsonata:
			fmt.Fprintf(&b, `"S%d":{"Type":"Choice","Choices":[{"Condition":"{%% $states.input.n > 100 %%}","Next":"S9"}],"Default":"S%d"}`, i, i+1)
		case i%2 == 1 && i < 9:
			fmt.Fprintf(&b, `"S%d":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericGreaterThan":100,"Next":"S9"}],"Default":"S%d"}`, i, i+1)
		case jsonata:
			fmt.Fprintf(&b, `"S%d":{"Type":"Pass","Output":"{%% $merge([$states.input,{'s': %d}]) %%}",%s}`, i, i, next)
		default:
			fmt.Fprintf(&b, `"S%d":{"Type":"Pass","Result":%d,"ResultPath":"$.s",%s}`, i, i, next)
		}
	}
	b.WriteString("}}")
	return b.String()
}

type benchHost struct{}

func (benchHost) Now() time.Time             { return time.Unix(1e9, 0) }
func (benchHost) Random(int64) int64         { return 0 }
func (benchHost) UUID() string               { return "0" }
func (benchHost) Token(string, int) string   { return "t" }
func (benchHost) ActivityExists(string) bool { return true }

// BenchmarkTransitions runs the ten-state machine in the interpreter alone.
func BenchmarkTransitions(b *testing.B) {
	for _, jsonata := range []bool{false, true} {
		name := map[bool]string{false: "JSONPath", true: "JSONata"}[jsonata]
		m, ds := asl.Compile(tenStates(jsonata), false)
		if m == nil {
			b.Fatal(ds)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buffer []byte
			for b.Loop() {
				r := asl.New(m, benchHost{}, asl.Info{Input: asl.TextData(`{"n":1,"device":"rg-17"}`)})
				buffer = buffer[:0]
				r.Record = func(e *asl.Event) { buffer = history.Append(buffer, e) }
				r.Start()
				if r.Status != asl.Succeeded {
					b.Fatal(r.Status, *r.Cause)
				}
			}
			b.ReportMetric(10*float64(b.N)/b.Elapsed().Seconds(), "transitions/s")
		})
	}
}

// BenchmarkExecutions runs the ten-state machine through the operations of the
// service, from StartExecution to the stored end.
func BenchmarkExecutions(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "durable"}[durable], func(b *testing.B) {
			w := realWorld(b, durable)
			m := w.create("m", tenStates(false))
			input := `{"n":1,"device":"rg-17"}`
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := w.door.Call(context.Background(), awsapi.RootOf("111111111111"), "sfn",
						"StartExecution", &StartExecutionInput{StateMachineARN: m, Input: &input}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "executions/s")
		})
	}
}

func realWorld(b *testing.B, durable bool) *world {
	db := store.Memory()
	if durable {
		var err error
		if db, err = store.Open(b.TempDir()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
	}
	sched := scheduler.NewReal()
	w := newWorld(b, sched, db)
	b.Cleanup(func() { _ = sched.Close(context.Background()) })
	return w
}

const tokenMachine = `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","TimeoutSeconds":3600,
 "Parameters":{"FunctionName":"f","Payload":{"token.$":"$$.Task.Token"}},"End":true}}}`

// BenchmarkTokenRoundTrip starts an execution, calls its function, and answers
// its token.
func BenchmarkTokenRoundTrip(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "durable"}[durable], func(b *testing.B) {
			w := newTokenWorld(b, durable)
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				output := `{"ok":true}`
				for pb.Next() {
					w.startOne(b)
					token := <-w.tokens
					if _, err := w.door.Call(context.Background(), awsapi.RootOf("111111111111"), "sfn",
						"SendTaskSuccess", &SendTaskSuccessInput{TaskToken: token, Output: &output}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "roundtrips/s")
		})
	}
}

type tokenWorld struct {
	*world
	machine string
	tokens  chan string
}

func newTokenWorld(b *testing.B, durable bool) *tokenWorld {
	w := &tokenWorld{world: realWorld(b, durable), tokens: make(chan string, 100000)}
	w.door.Add(awsapi.Service{ID: "lambda", Prefix: "lambda", Operations: []awsapi.Operation{
		awsapi.Op("Invoke", func(_ context.Context, _ *awsapi.Call, in *invokeInput) (*invokeOutput, error) {
			var p struct{ Token string }
			_ = json.Unmarshal(in.Payload, &p)
			w.tokens <- p.Token
			return &invokeOutput{StatusCode: 200, Payload: []byte("null")}, nil
		}),
	}})
	w.machine = w.create("m", tokenMachine)
	return w
}

func (w *tokenWorld) startOne(b *testing.B) {
	input := `{"device":"rg-17","job":"fw-2.1"}`
	if _, err := w.door.Call(context.Background(), awsapi.RootOf("111111111111"), "sfn", "StartExecution",
		&StartExecutionInput{StateMachineARN: w.machine, Input: &input}); err != nil {
		b.Error(err)
	}
}

// BenchmarkWaiting measures the memory of executions that wait for a token, the
// store in memory not counted.
func BenchmarkWaiting(b *testing.B) {
	w := newTokenWorld(b, true)
	for range 1000 {
		w.startOne(b)
		<-w.tokens
	}
	const n = 10000
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		w.startOne(b)
		<-w.tokens
	}
	time.Sleep(100 * time.Millisecond)
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/waiting")
}
