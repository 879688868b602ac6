package bench

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	lambdaapi "github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const account = "123456789012"

var ctx = context.Background()

// world is a cloud behind its door, and clients of it.
type world struct {
	b        testing.TB
	cloud    *localcloud.Cloud
	endpoint string
	dynamodb *dynamodb.Client
	sfn      *sfn.Client
	iam      *iam.Client
	lambda   *lambdaapi.Client
	role     string               // that anything may assume and that may do anything
	tokens   chan string          // what the function "tokens" was given
	sched    *scheduler.Scheduler // of a fleet, in virtual time; else nil
}

func newWorld(b testing.TB) *world {
	b.Helper()
	return newWorldOf(b, localcloud.NoQuotas)
}

// newWorldOf is a world whose account is held to quotas from BeginWeather on.
func newWorldOf(b testing.TB, quotas localcloud.Quotas) *world {
	b.Helper()
	w := &world{b: b, tokens: make(chan string, 1<<20)}
	db, err := store.Open(b.TempDir())
	must(b, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	endpoint := "http://" + listener.Addr().String()
	cloud, err := localcloud.New(localcloud.Config{
		Scheduler: scheduler.NewReal(), Store: db, Account: account, Region: "us-east-1", Endpoint: endpoint,
		MQTTEndpoint: "localhost", Quotas: quotas,
		InProcess: func(context.Context, *localcloud.Cloud, localcloud.Function,
			localcloud.Identity) (localcloud.Handler, error) {
			return w, nil
		},
	})
	must(b, err)
	w.cloud = cloud
	cloud.ServeHTTP(listener)
	must(b, cloud.Start(ctx))
	b.Cleanup(func() {
		ended, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_ = cloud.Close(ended) // what waits for a token is still there
		_ = db.Close()
	})
	w.endpoint = endpoint
	w.connect(endpoint)
	role, err := w.iam.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("all"),
		AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",` +
				`"Principal":{"Service":["states.amazonaws.com","lambda.amazonaws.com","iot.amazonaws.com"]}}}`),
	})
	must(b, err)
	w.role = *role.Role.Arn
	_, err = w.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
		RoleName: aws.String("all"), PolicyName: aws.String("all"),
		PolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`),
	})
	must(b, err)
	return w
}

// connect makes the clients: the SDK's own, but that they keep more connections.
// They retry, as everybody's do: an answer that overtakes the end of its request
// costs the connection (the SDK closes the body that net/http still reads), and
// an answer of many kilobytes that is still under way is lost with it.
func (w *world) connect(endpoint string) {
	c := config(endpoint)
	w.dynamodb, w.sfn, w.iam, w.lambda = dynamodb.NewFromConfig(c), sfn.NewFromConfig(c), iam.NewFromConfig(c),
		lambdaapi.NewFromConfig(c)
}

func config(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient: awshttp.NewBuildableClient().
			WithTransportOptions(func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256 }),
	}
}

// Invoke implements lambda.Handler: the functions "tokens", and "slow", which takes a while.
func (w *world) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var in struct {
		Token        string
		Milliseconds int
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	if in.Milliseconds > 0 {
		time.Sleep(time.Duration(in.Milliseconds) * time.Millisecond)
		return []byte("null"), nil
	}
	w.tokens <- in.Token
	return []byte("null"), nil
}

// machine makes a state machine.
func (w *world) machine(definition string) string {
	w.b.Helper()
	out, err := w.sfn.CreateStateMachine(ctx,
		&sfn.CreateStateMachineInput{Name: aws.String("m"), RoleArn: &w.role, Definition: &definition})
	must(w.b, err)
	return *out.StateMachineArn
}

// tokenMachine makes a state machine whose only task waits for its token, which
// goes to tokens.
func (w *world) tokenMachine() string {
	w.b.Helper()
	f, err := w.lambda.CreateFunction(ctx, &lambdaapi.CreateFunctionInput{
		FunctionName: aws.String("tokens"), Role: &w.role, Runtime: lambdatypes.RuntimeProvidedal2023,
		Handler: aws.String("bootstrap"),
		Code:    &lambdatypes.FunctionCode{S3Bucket: aws.String("assets"), S3Key: aws.String("tokens.zip")},
	})
	must(w.b, err)
	return w.machine(
		`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","TimeoutSeconds":3600,` +
			`"Parameters":{"FunctionName":"` + *f.FunctionArn +
			`","Payload":{"token.$":"$$.Task.Token"}},"End":true}}}`)
}

func (w *world) start(machine string) {
	if _, err := w.sfn.StartExecution(ctx,
		&sfn.StartExecutionInput{StateMachineArn: &machine,
			Input: aws.String(`{"n":1,"device":"rg-17"}`)}); err != nil {
		w.b.Error(err)
	}
}

func (w *world) answer(token string) {
	if _, err := w.sfn.SendTaskSuccess(ctx,
		&sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(`{"ok":true}`)}); err != nil {
		w.b.Error(err)
	}
}

// waitForEnd waits until no execution runs.
func (w *world) waitForEnd(machine string) {
	for {
		out, err := w.sfn.ListExecutions(ctx,
			&sfn.ListExecutionsInput{StateMachineArn: &machine,
				StatusFilter: sfntypes.ExecutionStatusRunning, MaxResults: 1})
		must(w.b, err)
		if len(out.Executions) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// tenStates are Pass and Choice states in turn.
func tenStates() string {
	var states []string
	for i := range 10 {
		n := strconv.Itoa(i)
		switch next := strconv.Itoa(i + 1); {
		case i == 9:
			states = append(states, `"S9":{"Type":"Pass","Result":9,"ResultPath":"$.s","End":true}`)
		case i%2 == 1:
			states = append(states, `"S`+n+
				`":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericGreaterThan":100,"Next":"S9"}],"Default":"S`+
				next+`"}`)
		default:
			states = append(states, `"S`+n+`":{"Type":"Pass","Result":`+n+`,"ResultPath":"$.s","Next":"S`+next+`"}`)
		}
	}
	return `{"StartAt":"S0","States":{` + strings.Join(states, ",") + `}}`
}

// crowd runs f n times from that many clients at once.
func crowd(clients, n int, f func(i int64)) time.Duration {
	begin := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}

// clients runs f b.N times from that many clients at once. It reports the rate
// and the processor time of client and cloud, each beside the canned server just
// afterwards: the rate as a share of its rate, and its processor time as a share
// of the row's, which says more where a machine is shared.
func clients(b *testing.B, n int, unit string, f func(i int64), after func()) {
	b.ReportAllocs()
	used := processorTime()
	b.ResetTimer()
	crowd(n, b.N, f)
	if after != nil {
		after()
	}
	b.StopTimer()
	rate := float64(b.N) / b.Elapsed().Seconds()
	cpu := float64((processorTime() - used).Microseconds()) / float64(b.N)
	b.ReportMetric(rate, unit)
	b.ReportMetric(cpu, "cpu-us/op")
	if b.N > 1 { // the first run is there to find out how many
		most, least := ceiling(b)
		b.ReportMetric(rate/most, "of-canned")
		b.ReportMetric(least/cpu, "of-canned-cpu")
	}
}

// ceiling is how many calls a second the same clients make of a server that
// answers a constant, and the microseconds of processor time of each:
// StartExecution, from 64 clients.
func ceiling(b *testing.B) (rate, cpu float64) {
	const calls = 5000
	w := &world{b: b}
	w.connect(canned(b, "application/x-amz-json-1.0", cannedStart))
	call := func(int64) { w.start(cannedMachine) }
	crowd(64, calls/10, call) // connections are made
	used := processorTime()
	rate = calls / crowd(64, calls, call).Seconds()
	return rate, float64((processorTime() - used).Microseconds()) / calls
}

const (
	cannedMachine = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
	cannedStart   = `{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:m:e","startDate":1700000000}`
)

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// canned answers every request with one body.
func canned(b testing.TB, contentType, body string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		})}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}
