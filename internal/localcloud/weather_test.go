package localcloud_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// under is a cloud in which the kinds of weather happen always, or at the rate that
// they are given.
func under(t *testing.T, kinds string) *lives {
	t.Helper()
	weather, err := localcloud.ParseWeather(kinds, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	return newLivesWith(t, func(c *localcloud.Config) { c.Weather = weather })
}

// someone is a role's session, which may do everything.
func (l *lives) someone() awsapi.Identity {
	l.t.Helper()
	l.role()
	return awsapi.Identity{
		Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/all/f", RoleARN: "arn:aws:iam::" + account +
			":role/all",
	}
}

func TestEachKindIsInItsServicesWords(t *testing.T) {
	for _, row := range []struct{ kind, service, operation, want string }{
		{"throttled", "dynamodb", "PutItem", "ThrottlingException 400"},
		{"throttled", "sfn", "ListStateMachines", "ThrottlingException 400"},
		{"throttled", "sqs", "ListQueues", "RequestThrottled 400"},
		{"throttled", "sns", "ListTopics", "Throttled 429"},
		{"throttled", "lambda", "ListFunctions", "TooManyRequestsException 429"},
		{"throttled", "iotdataplane", "Publish", "ThrottlingException 429"},
		{"throttled", "iotjobsdataplane", "GetPendingJobExecutions", "ThrottlingException 429"},
		{"throttled", "s3", "GetObject", "SlowDown 503"},
		{"failed", "dynamodb", "PutItem", "InternalServerError 500"},
		{"failed", "s3", "GetObject", "InternalError 500"},
		{"failed", "iot", "ListThings", "InternalFailureException 500"},
		{"impaired", "sqs", "ListQueues", "InternalFailure 500"},
		{"conflicts", "dynamodb", "PutItem", "TransactionConflictException 400"},
		{"conflicts", "dynamodb", "TransactWriteItems", "TransactionCanceledException 400"},
		{"unanswered", "dynamodb", "PutItem", "InternalServerError 500"},
	} {
		l := under(t, row.kind+"=1")
		who := l.someone()
		l.table()
		l.cloud.BeginWeather()
		in := map[string]any{"TableName": "things", "Item": key(1),
			"TransactItems": []any{map[string]any{"Put": put(1)}}}
		_, err := l.cloud.Door().Call(t.Context(), who, row.service, row.operation, in)
		if got := fmt.Sprint(awsapi.Code(err), " ", awsapi.AsError(err).HTTPStatus()); got != row.want {
			t.Errorf("%s %s:%s is answered with %s, want %s", row.kind, row.service, row.operation, got, row.want)
		}
		var found struct{ Item map[string]any }
		l.call("dynamodb", "GetItem", map[string]any{"TableName": "things", "Key": key(1)}, &found)
		if done := found.Item != nil; done != (row.kind == "unanswered") {
			t.Errorf("%s %s:%s was done: %v", row.kind, row.service, row.operation, done)
		}
	}
}

// TestAServiceIsInTroubleForMinutes asks two services every five seconds for two days: each is in trouble for a tenth
// of the time, for some minutes at once, and not both together.
func TestAServiceIsInTroubleForMinutes(t *testing.T) {
	l := under(t, "impaired=0.1")
	who := l.someone()
	l.cloud.BeginWeather()
	const every, asked = 5 * time.Second, 2 * 24 * 3600 / 5
	refused := map[string]int{}
	var spells []time.Duration
	both, lasts := 0, time.Duration(0)
	for range asked {
		var failed []string
		for service, operation := range map[string]string{"sqs": "ListQueues", "sns": "ListTopics"} {
			if _, err := l.cloud.Door().Call(t.Context(), who, service, operation, map[string]any{}); err != nil {
				failed = append(failed, service)
				refused[service]++
			}
		}
		switch {
		case slices.Contains(failed, "sqs"):
			lasts += every
		case lasts > 0:
			spells, lasts = append(spells, lasts), 0
		}
		if len(failed) == 2 {
			both++
		}
		l.sched.RunFor(every)
	}
	for service, n := range refused {
		if n < asked/20 || n > asked/6 {
			t.Errorf("%s refused %d of %d calls", service, n, asked)
		}
	}
	if both > asked/20 {
		t.Errorf("both refused %d of %d times", both, asked)
	}
	if shortest := slices.Min(spells); shortest < 25*time.Second {
		t.Errorf("a spell lasted %v", shortest)
	}
	slices.Sort(spells)
	if median := spells[len(spells)/2]; median < time.Minute || median > 4*time.Minute {
		t.Errorf("half of %d spells lasted %v and less", len(spells), median)
	}
	if events := l.cloud.WeatherEvents(); len(events) < len(spells) {
		t.Errorf("%d events of %d spells", len(events), len(spells))
	}
}

// What a device downloads by an address that a function has signed fails, too; no
// function dies of it.
func TestDownloadsByAPresignedAddressFail(t *testing.T) {
	for kinds, want := range map[string]int{"throttled=1": 503, "failed=1": 500, "killed=1,conflicts=1": 404} {
		l := under(t, kinds)
		who := l.someone()
		l.call("s3", "CreateBucket", map[string]any{"Bucket": "firmware"}, nil)
		l.cloud.BeginWeather()
		key, secret, token, err := l.cloud.Credentials(t.Context(), who, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet,
			"http://127.0.0.1/firmware/2.bin?X-Amz-Expires=600", http.NoBody)
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		as := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: token}
		signed, _, err := signer.PresignHTTP(t.Context(), as, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", l.sched.Now())
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, signed, http.NoBody)
		l.cloud.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: a download is answered with %d, want %d: %s", kinds, w.Code, want, w.Body)
		}
		if n := l.cloud.WeatherReport().Asked(weather.Killed); n != 0 {
			t.Errorf("%s: %d functions could have died of a download", kinds, n)
		}
	}
}

// The root looks on: nothing happens to what it asks, and nothing before the weather
// has begun.
func TestWeatherSparesTheRootAndTheCalm(t *testing.T) {
	l := under(t, "throttled=1")
	who := l.someone()
	list := func(id awsapi.Identity) error {
		_, err := l.cloud.Door().Call(t.Context(), id, "sqs", "ListQueues", map[string]any{})
		return err
	}
	if err := list(who); err != nil {
		t.Errorf("in the calm: %v", err)
	}
	l.cloud.BeginWeather()
	if err := list(awsapi.RootOf(account)); err != nil {
		t.Errorf("the root: %v", err)
	}
	if list(who) == nil {
		t.Error("nothing has happened")
	}
}

func TestStaleReadsAreOfAMomentAgo(t *testing.T) {
	l := under(t, "stale=1")
	who := l.someone()
	l.table()
	m := l.machine(passes)
	l.cloud.BeginWeather()
	l.call("dynamodb", "PutItem", put(1), nil)
	read := func(consistent bool) bool {
		var out struct{ Item map[string]any }
		in := map[string]any{"TableName": "things", "Key": key(1), "ConsistentRead": consistent}
		if err := awsapi.CallInto(t.Context(), l.cloud.Door(), who, "dynamodb", "GetItem", in, &out); err != nil {
			t.Fatal(err)
		}
		return out.Item != nil
	}
	if read(false) || !read(true) {
		t.Errorf("just written: eventually consistent %v, strongly %v", read(false), read(true))
	}
	l.sched.RunFor(2 * time.Second)
	if !read(false) {
		t.Error("not there two seconds later")
	}
	arn, err := l.start(m, "x", "{}")
	if err != nil {
		t.Fatal(err)
	}
	describe := func() string {
		var e end
		err := awsapi.CallInto(t.Context(), l.cloud.Door(), who, "sfn", "DescribeExecution",
			map[string]any{"executionArn": arn}, &e)
		return awsapi.Code(err) + e.Status
	}
	l.want("just started", describe(), "ExecutionDoesNotExist")
	l.sched.RunFor(3 * time.Second)
	l.want("three seconds later", describe(), "SUCCEEDED")
}

func TestMessagesComeTwiceAndLate(t *testing.T) {
	l := under(t, "duplicated=1,reordered=0.5")
	q := l.queue("q")
	l.cloud.BeginWeather()
	for n := range 10 {
		l.call("sqs", "SendMessage", map[string]any{"QueueUrl": q, "MessageBody": fmt.Sprint(n)}, nil)
	}
	var bodies []string
	for range 20 {
		bodies = append(bodies, l.received(q)...)
		l.sched.RunFor(time.Minute)
	}
	if len(bodies) != 20 || slices.IsSorted(bodies[:10]) {
		t.Errorf("received %q", bodies)
	}
}

func TestNotificationsAreLost(t *testing.T) {
	l := under(t, "lost=1")
	url := l.queue("q")
	if err := l.rule("SELECT * FROM '$aws/events/presence/#'"); err != nil {
		t.Fatal(err)
	}
	l.cloud.BeginWeather()
	l.call("iot", "CreateThing", map[string]any{"thingName": "x"}, nil)
	l.session("x")
	l.sched.RunFor(time.Minute)
	if got := l.received(url); len(got) > 0 {
		t.Errorf("heard %q", got)
	}
}

func TestConnectionsBreakAndInvocationsComeTwice(t *testing.T) {
	l := under(t, "cut=1,duplicated=1")
	runs := 0
	l.run = func(string, []byte) ([]byte, error) { runs++; return nil, nil }
	l.post(3)
	c := iotdataplane.Client{Options: iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: "x",
		SourceIP: "127.0.0.1"}, Clean: true}}
	ended := ""
	c.OnEnd = func(reason string) { ended = reason }
	l.admit(&c)
	conn, err := l.cloud.Devices().Connect(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	l.cloud.BeginWeather()
	if err := conn.Publish(t.Context(), iotdataplane.Message{Topic: "a", Payload: []byte("a")}); err == nil {
		t.Error("the message was taken")
	}
	l.call("lambda", "Invoke", map[string]any{"FunctionName": "f", "InvocationType": "Event"}, nil)
	l.sched.RunFor(time.Hour)
	l.want("the end of the connection", ended, iotdataplane.ReasonConnectionLost)
	if runs != 2 {
		t.Errorf("the function ran %d times", runs)
	}
}

// Only some of the events happen, by their numbers.
func TestOnlyChosenEventsHappen(t *testing.T) {
	weather, err := localcloud.ParseWeather("throttled=1", "2,3", 1)
	if err != nil {
		t.Fatal(err)
	}
	l := newLivesWith(t, func(c *localcloud.Config) { c.Weather = weather })
	who := l.someone()
	l.cloud.BeginWeather()
	var got []bool
	for range 4 {
		_, err := l.cloud.Door().Call(t.Context(), who, "sqs", "ListQueues", map[string]any{})
		got = append(got, err != nil)
	}
	if !slices.Equal(got, []bool{false, true, true, false}) {
		t.Errorf("throttled: %v", got)
	}
}

// An account's quotas refuse what is more than they allow, and a second later allow
// it again.
func TestQuotasHold(t *testing.T) {
	l := newLivesWith(t, func(c *localcloud.Config) { c.Quotas = localcloud.DefaultQuotas })
	who := l.someone()
	l.cloud.BeginWeather()
	search := func() error {
		_, err := l.cloud.Door().Call(t.Context(), who, "iot", "ListThings", map[string]any{})
		return err
	}
	refused := 0
	for range 15 { // 10 a second
		if awsapi.Code(search()) == "ThrottlingException" {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d of 15 are refused", refused)
	}
	l.sched.RunFor(time.Second)
	if err := search(); err != nil {
		t.Errorf("a second later: %v", err)
	}
	r := l.cloud.QuotaReport()
	if r.Nearest != "iot:ListThings" || r.Quotas[0].Peak != 15 || r.Quotas[0].Throttled != 5 ||
		r.Quotas[0].Limit != 10 {
		t.Errorf("report %+v", r)
	}
}

// Requests of devices over MQTT and calls over HTTP share the quotas of the jobs data plane.
func TestQuotasHoldForDevicesToo(t *testing.T) {
	l := newLivesWith(t, func(c *localcloud.Config) {
		c.Quotas = localcloud.DefaultQuotas
		c.Limits = &iotdataplane.Limits{} // of one connection: none
	})
	l.begun("x")
	s, who := l.session("x"), l.someone()
	l.cloud.BeginWeather()
	for topic, operation := range map[string]string{"get": "GetPendingJobExecutions", "j/get": "DescribeJobExecution",
		"start-next": "StartNextPendingJobExecution", "j/update": "UpdateJobExecution"} {
		l.sched.RunFor(time.Second)
		s.topics, s.payloads = nil, nil
		for range 205 { // 200 a second
			if err := s.conn.Publish(t.Context(), iotdataplane.Message{Topic: "$aws/things/x/jobs/" + topic, QoS: 1,
				Payload: []byte(`{"status":"IN_PROGRESS","clientToken":"c"}`)}); err != nil {
				t.Fatal(err)
			}
		}
		l.sched.RunFor(0)
		_, err := l.cloud.Door().Call(t.Context(), who, "iotjobsdataplane", operation,
			map[string]any{"thingName": "x", "jobId": "j", "status": "IN_PROGRESS"})
		if awsapi.Code(err) != "ThrottlingException" {
			t.Errorf("%s after as many over MQTT: %v", operation, err)
		}
		refused := 0
		for i, payload := range s.payloads {
			if strings.HasSuffix(s.topics[i], "/rejected") {
				refused++
				l.want(topic, payload, `{"code":"RequestThrottled","message":"The request was throttled.",`+
					`"clientToken":"c","timestamp":`+strconv.FormatInt(l.sched.Now().Unix(), 10)+`}`)
			}
		}
		if refused != 5 {
			t.Errorf("%s: %d of 205 are refused", topic, refused)
		}
	}
}

// What is put into a function's queue is limited by no rate, what is waited for by ten calls a second for each of the
// account's concurrent executions.
func TestOnlyCallsThatWaitForAFunctionAreLimited(t *testing.T) {
	for kind, want := range map[string]int{"Event": 0, "RequestResponse": 20} {
		l := newLivesWith(t, func(c *localcloud.Config) { c.Quotas = localcloud.NewAccount })
		who := l.someone()
		l.cloud.BeginWeather()
		refused, over := 0, l.sched.NewGate()
		l.sched.Go("calls", func() {
			defer over.Open()
			began := l.sched.Now()
			left, all := 120, l.sched.NewGate() // 100 a second
			for range 120 {
				l.sched.Go("call", func() {
					_, err := l.cloud.Door().Call(t.Context(), who, "lambda", "Invoke",
						map[string]any{"FunctionName": "none", "InvocationType": kind})
					if awsapi.Code(err) == "TooManyRequestsException" {
						refused++
					} else if took := l.sched.Now().Sub(began).Milliseconds(); took < 4 || took > 16 {
						t.Errorf("a call took %d ms", took)
					}
					if left--; left == 0 {
						all.Open()
					}
				})
			}
			_ = all.Wait(t.Context())
		})
		if err := over.Wait(t.Context()); err != nil || refused != want {
			t.Errorf("%s: %d of 120 were refused, want %d (%v)", kind, refused, want, err)
		}
	}
}
