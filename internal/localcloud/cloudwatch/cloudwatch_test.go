package cloudwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	testAccount = "111122223333"
	testRegion  = "eu-west-2"
	topic       = "arn:aws:sns:eu-west-2:111122223333:guard"
)

var start = time.Date(2026, 11, 22, 6, 0, 10, 0, time.UTC)

type published struct {
	TopicArn, Subject, Message string
	identity                   awsapi.Identity
}

// cloud is CloudWatch with a topic that remembers what is published.
type cloud struct {
	*Service
	door *awsapi.Door
	sent []published
}

func newCloud(t testing.TB, db *store.DB) *cloud {
	sched := scheduler.NewVirtual(1, start)
	c := &cloud{door: awsapi.New(awsapi.Config{Scheduler: sched, Account: testAccount, Region: testRegion})}
	c.Service = New(Config{Platform: platform.Platform{Scheduler: sched, Store: db, Account: testAccount,
		Region: testRegion, Caller: c.door}})
	c.door.Add(c.API())
	c.door.Add(awsapi.Service{ID: "sns", Prefix: "sns", Signing: "sns", Operations: []awsapi.Operation{
		awsapi.Op("Publish", func(_ context.Context, call *awsapi.Call, in *published) (*nothing, error) {
			in.identity = call.Identity
			c.sent = append(c.sent, *in)
			return &nothing{}, nil
		}),
	}})
	return c
}

func (c *cloud) call(t testing.TB, op, input string) map[string]any {
	t.Helper()
	out, err := c.try(op, input)
	if err != nil {
		t.Fatalf("%s %s: %v", op, input, err)
	}
	return out
}

func (c *cloud) try(op, input string) (map[string]any, error) {
	var out map[string]any
	err := awsapi.CallInto(context.Background(), c.door, awsapi.RootOf(testAccount), "cloudwatch", op,
		json.RawMessage(input), &out)
	return out, err
}

// TestGoldenRows are the rows of AWS's table of missing data.
func TestGoldenRows(t *testing.T) {
	for _, row := range []struct {
		m                                        int
		points                                   string
		missing, ignore, breaching, notBreaching string
	}{
		{3, "0 - X - X", "OK", "OK", "OK", "OK"},
		{3, "0 - - - -", "OK", "OK", "OK", "OK"},
		{3, "- - - - -", "INSUFFICIENT_DATA", "keep", "ALARM", "OK"},
		{3, "0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{3, "- - X - -", "ALARM", "keep", "ALARM", "OK"},
		{2, "0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{2, "0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"},
		{2, "0 - X - -", "OK", "OK", "ALARM", "OK"},
		{2, "- - - - 0", "OK", "OK", "ALARM", "OK"},
		{2, "- - - X -", "ALARM", "keep", "ALARM", "OK"},
		// The guard against an early alarm.
		{3, "- - - - X", "keep", "keep", "ALARM", "OK"},
		{3, "- - - X -", "keep", "keep", "ALARM", "OK"},
	} {
		for treat, want := range map[string]string{"missing": row.missing, "ignore": row.ignore,
			"breaching": row.breaching, "notBreaching": row.notBreaching} {
			var points []*float64
			for _, f := range strings.Fields(row.points) {
				v := map[string]*float64{"0": aws.Float64(0), "X": aws.Float64(1)}[f]
				points = append(points, v)
			}
			if got := decide(points, 3, row.m, treat, "keep", func(v float64) bool { return v > 0 }); got != want {
				t.Errorf("M=%d %s %s: %s, want %s", row.m, row.points, treat, got, want)
			}
		}
	}
}

const guard = `{"AlarmName":"guard","AlarmDescription":"d","Namespace":"Fleet","MetricName":"Failed","Dimensions":[{"Name":"Site","Value":"c1"}],
	"Statistic":"Sum","Period":60,"EvaluationPeriods":1,"Threshold":2,"ComparisonOperator":"GreaterThanThreshold",
	"AlarmActions":["` + topic + `"],"OKActions":["` + topic + `"],"TreatMissingData":"notBreaching"}`

func failedDatum(v float64) string {
	return fmt.Sprintf(`{"Namespace":"Fleet","MetricData":[{"MetricName":"Failed","Unit":"Count","Value":%v,"Dimensions":[{"Name":"Site","Value":"c1"}]}]}`, v)
}

func (c *cloud) state(t testing.TB) string {
	t.Helper()
	return c.call(t, "DescribeAlarms", `{}`)["MetricAlarms"].([]any)[0].(map[string]any)["StateValue"].(string)
}

func TestAlarmActsOnChangeOnlyAndTimeEnds(t *testing.T) {
	c := newCloud(t, store.Memory())
	c.call(t, "PutMetricAlarm", guard)
	c.Scheduler.Run(nil)
	if got := c.state(t); got != "OK" || len(c.sent) != 1 {
		t.Fatalf("at first: %s, %v", got, c.sent)
	}
	for range 3 {
		c.call(t, "PutMetricData", failedDatum(3))
		c.Scheduler.RunFor(time.Minute)
	}
	if got := c.state(t); got != "ALARM" || len(c.sent) != 2 {
		t.Fatalf("failing: %s, %d sent", got, len(c.sent))
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(c.sent[1].Message), &m); err != nil {
		t.Fatal(err)
	}
	trigger := m["Trigger"].(map[string]any)
	if m["NewStateValue"] != "ALARM" || m["OldStateValue"] != "OK" || m["Region"] != "EU (London)" ||
		trigger["Statistic"] != "SUM" ||
		fmt.Sprint(trigger["Dimensions"]) != "[map[name:Site value:c1]]" || trigger["Unit"] != nil ||
		m["AlarmDescription"] != "d" ||
		!strings.HasSuffix(m["StateChangeTime"].(string), "+0000") {
		t.Errorf("message %s", c.sent[1].Message)
	}
	if !strings.HasPrefix(m["NewStateReason"].(string),
		"Threshold Crossed: 1 out of the last 1 datapoint [3.0 (22/11/26 06:") {
		t.Errorf("reason %s", m["NewStateReason"])
	}
	if c.sent[1].Subject != `ALARM: "guard" in EU (London)` || c.sent[1].identity.Service != "cloudwatch.amazonaws.com" || c.sent[1].identity.SourceARN != c.alarmARN("guard") {
		t.Errorf("subject %q, identity %+v", c.sent[1].Subject, c.sent[1].identity)
	}
	c.Scheduler.Run(nil) // ends: the alarm falls silent once its range is empty
	if got := c.state(t); got != "OK" || len(c.sent) != 3 {
		t.Errorf("after: %s, %d sent", got, len(c.sent))
	}
	if p := c.Scheduler.Pending(); len(p) > 0 {
		t.Errorf("pending %v", p)
	}
	if r := c.Residue(context.Background()); len(r) > 0 {
		t.Errorf("residue %v", r)
	}
	items := c.call(t, "DescribeAlarmHistory", `{"AlarmName":"guard","HistoryItemType":"StateUpdate"}`)["AlarmHistoryItems"].([]any)
	if len(items) != 3 || items[0].(map[string]any)["HistorySummary"] != "Alarm updated from ALARM to OK" {
		t.Errorf("history %v", items)
	}
}

func TestSetAlarmStateLastsToTheNextEvaluation(t *testing.T) {
	c := newCloud(t, store.Memory())
	c.call(t, "PutMetricAlarm", guard)
	c.call(t, "SetAlarmState", `{"AlarmName":"guard","StateValue":"ALARM","StateReason":"drill"}`)
	if got := c.state(t); got != "ALARM" {
		t.Fatal(got)
	}
	c.Scheduler.Run(nil)
	if got := c.state(t); got != "OK" || len(c.sent) != 2 {
		t.Errorf("%s, %v", got, c.sent)
	}
	c.call(t, "DisableAlarmActions", `{"AlarmNames":["guard","none"]}`)
	c.call(t, "SetAlarmState", `{"AlarmName":"guard","StateValue":"ALARM","StateReason":"drill"}`)
	c.Scheduler.Run(nil)
	if len(c.sent) != 2 {
		t.Errorf("disabled actions ran: %v", c.sent)
	}
	if _, err := c.try("SetAlarmState", `{"AlarmName":"no","StateValue":"OK","StateReason":""}`); awsapi.Code(err) != "ResourceNotFound" {
		t.Error(err)
	}
}

func TestAlarmsResumeAfterRestart(t *testing.T) {
	db := store.Memory()
	c := newCloud(t, db)
	c.call(t, "PutMetricAlarm", guard)
	c.call(t, "PutMetricData", failedDatum(9))
	c = newCloud(t, db) // what was armed is forgotten
	if err := c.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.Scheduler.RunFor(2 * time.Minute)
	if len(c.sent) < 1 || !strings.HasPrefix(c.sent[0].Subject, "ALARM") {
		t.Errorf("sent %v", c.sent)
	}
}

func TestMathAlarm(t *testing.T) {
	c := newCloud(t, store.Memory())
	q := func(id, name string) string {
		return fmt.Sprintf(`{"Id":%q,"ReturnData":false,"MetricStat":{"Metric":{"Namespace":"F","MetricName":%q},"Period":60,"Stat":"Sum"}}`, id, name)
	}
	c.call(t, "PutMetricAlarm", `{"AlarmName":"ratio","EvaluationPeriods":1,"Threshold":5,"ComparisonOperator":"GreaterThanThreshold","TreatMissingData":"notBreaching",
		"AlarmActions":["`+topic+`"],"Metrics":[`+q("failed", "Failed")+","+q("total", "Total")+`,{"Id":"e","Expression":"IF(total > 10, 100*failed/total, 0)"}]}`)
	c.call(t, "PutMetricData", `{"Namespace":"F","MetricData":[{"MetricName":"Failed","Value":3},{"MetricName":"Total","Value":20}]}`)
	c.Scheduler.RunFor(time.Minute)
	if len(c.sent) != 1 || !strings.Contains(c.sent[0].Message, `"Metrics":[`) || c.state(t) != "ALARM" {
		t.Errorf("%s, sent %v", c.state(t), c.sent)
	}
	c.Scheduler.Run(nil)
}

func TestPutMetricDataRefuses(t *testing.T) {
	c := newCloud(t, store.Memory())
	many := strings.TrimSuffix(strings.Repeat("1,", 151), ",")
	for _, x := range []struct{ in, code, text string }{
		{`{"Namespace":"AWS/X","MetricData":[{"MetricName":"m","Value":1}]}`, "InvalidParameterValueException", "AWS/"},
		{`{"Namespace":"X"}`, "MissingRequiredParameterException", "MetricData"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m"}]}`, "MissingRequiredParameterException", "member.1.Value"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Value":1},{"MetricName":"m","Value":1,"Values":[1]}]}`, "InvalidParameterCombinationException", "member.2"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Value":1e200}]}`, "InvalidParameterValueException", "Value"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Value":1,"Unit":"Furlongs"}]}`, "InvalidParameterValueException", "Unit"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Value":1,"Timestamp":1000}]}`, "InvalidParameterValueException", "two weeks"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Value":1,"StorageResolution":5}]}`, "InvalidParameterValueException", "StorageResolution"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Values":[` + many + `]}]}`, "InvalidParameterValueException", "150"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Values":[1],"Counts":[1,2]}]}`, "InvalidParameterValueException", "same size"},
		{`{"Namespace":"X","MetricData":[{"MetricName":"m","Value":1,"Dimensions":[{"Name":"a","Value":" "}]}]}`, "InvalidParameterValueException", "Dimensions"},
	} {
		_, err := c.try("PutMetricData", x.in)
		if awsapi.Code(err) != x.code || !strings.Contains(err.Error(), x.text) {
			t.Errorf("%.80s: %v", x.in, err)
		}
	}
	if got := c.call(t, "ListMetrics", `{}`)["Metrics"].([]any); len(got) != 0 {
		t.Errorf("refused data is kept: %v", got)
	}
}

// TestNumbersThatAreNone: in each protocol the SDK and the CLI may write NaN and infinities, and CloudWatch says of
// them what it says of other values that it does not take.
func TestNumbersThatAreNone(t *testing.T) {
	c := newCloud(t, store.Memory())
	server := httptest.NewServer(c.door)
	defer server.Close()
	client := sdk.NewFromConfig(aws.Config{Region: testRegion, BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})
	post := func(contentType, target, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/"+testRegion+
			"/monitoring/aws4_request, SignedHeaders=host, Signature=0")
		if target != "" {
			r.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801."+target)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header.Get("X-Amzn-Query-Error") + string(b)
	}
	for text, shown := range map[string]string{"NaN": "NaN", "Infinity": "∞", "-Infinity": "-∞",
		"-4e108": "-4" + strings.Repeat(",000", 36)} {
		want := "The value " + shown + " for parameter MetricData.member.2.Value is invalid."
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.PutMetricData(t.Context(), &sdk.PutMetricDataInput{Namespace: aws.String("F"),
			MetricData: []types.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1)},
				{MetricName: aws.String("m"), Value: &v}}})
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "InvalidParameterValue" ||
			e.ErrorMessage() != want {
			t.Errorf("CBOR: %s: %v, want %s", text, err, want)
		}
		number := text
		if _, isNumber := strconv.ParseFloat(text, 64); isNumber != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			number = `"` + text + `"`
		}
		status, body := post("application/x-amz-json-1.0", "PutMetricData", `{"Namespace":"F","MetricData":[`+
			`{"MetricName":"m","Value":1},{"MetricName":"m","Value":`+number+`}]}`)
		if status != 400 || !strings.Contains(body, "InvalidParameterValue;Sender") || !strings.Contains(body, want) {
			t.Errorf("JSON: %s: %d %s, want %s", text, status, body, want)
		}
		status, body = post("application/x-www-form-urlencoded", "", "Action=PutMetricData&Version=2010-08-01&"+
			"Namespace=F&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1&"+
			"MetricData.member.2.MetricName=m&MetricData.member.2.Value="+url.QueryEscape(text))
		if status != 400 || !strings.Contains(body, "<Code>InvalidParameterValue</Code>") ||
			!strings.Contains(body, want) {
			t.Errorf("Query: %s: %d %s, want %s", text, status, body, want)
		}
		for member, where := range map[string]string{
			`"Values":[1,` + number + `]`: "Values", `"Values":[1],"Counts":[` + number + `]`: "Counts",
			`"StatisticValues":{"SampleCount":1,"Sum":` + number + `,"Minimum":1,"Maximum":1}`: "StatisticValues",
		} {
			_, err := c.try("PutMetricData", `{"Namespace":"F","MetricData":[{"MetricName":"m",`+member+`}]}`)
			if awsapi.Code(err) != "InvalidParameterValueException" ||
				!strings.Contains(err.Error(), "MetricData.member.1."+where+" is invalid") {
				t.Errorf("%s: %v", member, err)
			}
		}
		if _, err := c.try("PutMetricAlarm", `{"AlarmName":"a","Namespace":"F","MetricName":"m","Statistic":"Sum",
			"Period":60,"EvaluationPeriods":1,"ComparisonOperator":"GreaterThanThreshold","Threshold":`+number+`}`,
		); awsapi.Code(err) != "InvalidParameterValueException" {
			t.Errorf("Threshold %s: %v", number, err)
		}
	}
	// Any other text is no number.
	for _, text := range []string{`"1"`, `"nan"`, `"+Infinity"`, `"inf"`, `""`, `true`, `{}`} {
		status, body := post("application/x-amz-json-1.0", "PutMetricData",
			`{"Namespace":"F","MetricData":[{"MetricName":"m","Value":`+text+`}]}`)
		if status != 400 || !strings.Contains(body, "SerializationException") ||
			!strings.Contains(body, "cannot be converted to Double") {
			t.Errorf("JSON: %s: %d %s", text, status, body)
		}
	}
}

// TestStatisticsAreThoseOfTheValues: whatever way values are cut into buckets,
// the statistics are those of all of them.
func TestStatisticsAreThoseOfTheValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1000, 1000), 1, 300).Draw(t, "values")
		var a, b bucket
		for i, v := range values {
			if i%3 == 0 {
				a.merge(sample(v, 1))
			} else {
				b.merge(sample(v, 1))
			}
		}
		a.merge(b)
		sort.Float64s(values)
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		n := len(values)
		for name, want := range map[string]float64{
			"SampleCount": float64(n), "Sum": sum, "Average": sum / float64(n), "Minimum": values[0],
			"Maximum": values[n-1],
			"p100":    values[n-1], "p50": values[(n+1)/2-1], "tm100": sum / float64(n), "tc100": float64(n),
			"ts100": sum, "PR(-2000:2000)": 100,
		} {
			st, _ := parseStatistic(name)
			got, ok := st.of(a)
			if !ok || math.Abs(got-want) > 1e-6 {
				t.Fatalf("%s: %v, %v, want %v", name, got, ok, want)
			}
		}
	})
}

func TestManyValuesStayBounded(t *testing.T) {
	var b bucket
	for i := range 100_000 {
		b.merge(sample(float64(i%5000)+1, 1))
	}
	st, _ := parseStatistic("p90")
	v, _ := st.of(b)
	if len(b.Values) > 900 || math.Abs(v-4500)/4500 > 0.011 || b.Count != 100_000 {
		t.Errorf("%d values, p90 %v, count %v", len(b.Values), v, b.Count)
	}
}

func TestStatisticNames(t *testing.T) {
	for s, want := range map[string]bool{"p99": true, "p99.9": true, "p0": true, "p100": true, "tm90": true,
		"IQM": true, "TM(10%:90%)": true, "TM(0:500)": true, "TM(:95%)": true,
		"WM(5%:95%)": true, "PR(10:)": true, "PR(:300)": true, "Average": true, "average": false, "p101": false,
		"TM(10%:90)": false, "TM(:)": false, "PR(1%:2%)": false, "TM(9:3)": false, "": false, "p": false} {
		if _, ok := parseStatistic(s); ok != want {
			t.Errorf("%q: %v", s, ok)
		}
	}
}

func TestGetMetricDataOverRange(t *testing.T) {
	c := newCloud(t, store.Memory())
	for i := range 5 {
		at := start.Add(time.Duration(i-5) * time.Minute).Unix()
		c.call(t, "PutMetricData", fmt.Sprintf(`{"Namespace":"F","MetricData":[
			{"MetricName":"A","Timestamp":%d,"Values":[1,2,3],"Counts":[1,1,2]},
			{"MetricName":"B","Timestamp":%d,"StatisticValues":{"SampleCount":2,"Sum":10,"Minimum":4,"Maximum":6}},
			{"MetricName":"W","Timestamp":%d,"Value":1,"Dimensions":[{"Name":"Wave","Value":"w%d"}]}]}`, at, at, at, i%2))
	}
	query := func(id, name, stat string) string {
		return fmt.Sprintf(`{"Id":%q,"MetricStat":{"Metric":{"Namespace":"F","MetricName":%q},"Period":60,"Stat":%q}}`, id, name, stat)
	}
	from, to := start.Add(-5*time.Minute).Unix()/60*60, start.Unix()/60*60-60
	get := func(extra string, queries ...string) []any {
		return c.call(t, "GetMetricData", fmt.Sprintf(`{"StartTime":%d,"EndTime":%d,%s"MetricDataQueries":[%s]}`, from, to, extra, strings.Join(queries, ",")))["MetricDataResults"].([]any)
	}
	got := get("", query("a", "A", "p50"), query("b", "B", "p50"), query("b2", "B", "Average"), `{"Id":"s","Expression":"SUM(SEARCH('{F,Wave} MetricName=\"W\"', 'Sum', 60))"}`,
		`{"Id":"e","Expression":"a*b2","Label":"now ${LAST}"}`)
	var values []string
	for _, r := range got {
		m := r.(map[string]any)
		values = append(values, fmt.Sprintf("%v:%v:%v", m["Id"], m["Values"], m["Label"]))
	}
	want := []string{"a:[2 2 2 2]:A", "b:[]:B", "b2:[5 5 5 5]:B", "s:[1 1 1 1]:s", "e:[10 10 10 10]:now 10"}
	if !slices.Equal(values, want) { // 4 of 5: the end is exclusive; B has no percentile
		t.Errorf("got %q", values)
	}
	stamps := got[0].(map[string]any)["Timestamps"].([]any)
	if stamps[0].(float64) < stamps[3].(float64) {
		t.Errorf("not descending: %v", stamps)
	}
	if up := get(`"ScanBy":"TimestampAscending",`, query("a", "A", "Sum"))[0].(map[string]any)["Timestamps"].([]any); up[0].(float64) != float64(from) {
		t.Errorf("not ascending: %v", up)
	}
	// Paging gives the same points.
	var token string
	count := 0
	for {
		out := c.call(t, "GetMetricData", fmt.Sprintf(`{"StartTime":%d,"EndTime":%d,"MaxDatapoints":3,"NextToken":%q,"MetricDataQueries":[%s,%s]}`, from, to, token, query("a", "A", "Sum"), query("b", "B", "Sum")))
		for _, r := range out["MetricDataResults"].([]any) {
			count += len(r.(map[string]any)["Values"].([]any))
		}
		if token, _ = out["NextToken"].(string); token == "" {
			break
		}
	}
	if count != 8 {
		t.Errorf("%d points in pages", count)
	}
	for _, bad := range []string{`{"Id":"e","Expression":"FOO(1)"}`, `{"Id":"e","Expression":"x+1"}`, `{"Id":"e","Expression":"e+1"}`, `{"Id":"e","Expression":"1"}`, `{"Id":"E","Expression":"1"}`} {
		if _, err := c.try("GetMetricData", fmt.Sprintf(`{"StartTime":%d,"EndTime":%d,"MetricDataQueries":[%s]}`, from, to, bad)); awsapi.Code(err) != "ValidationError" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestLambdaAction: a function gets alarmData from the alarms' own principal.
func TestLambdaAction(t *testing.T) {
	c := newCloud(t, store.Memory())
	var event map[string]any
	var by awsapi.Identity
	type invoke struct {
		FunctionName, InvocationType string
		Payload                      []byte
	}
	c.door.Add(awsapi.Service{ID: "lambda", Prefix: "lambda", Signing: "lambda", Operations: []awsapi.Operation{
		awsapi.Op("Invoke", func(_ context.Context, call *awsapi.Call, in *invoke) (*nothing, error) {
			by = call.Identity
			return &nothing{}, json.Unmarshal(in.Payload, &event)
		}),
	}})
	c.call(t, "PutMetricAlarm", strings.ReplaceAll(guard, topic,
		"arn:aws:lambda:eu-west-2:111122223333:function:halt"))
	c.call(t, "PutMetricData", failedDatum(3))
	c.Scheduler.RunFor(time.Minute)
	data, _ := event["alarmData"].(map[string]any)
	if by.Service != "lambda.alarms.cloudwatch.amazonaws.com" || data == nil ||
		data["state"].(map[string]any)["value"] != "ALARM" {
		t.Errorf("%v from %+v", event, by)
	}
	items := c.call(t, "DescribeAlarmHistory", `{"HistoryItemType":"Action"}`)["AlarmHistoryItems"].([]any)
	if len(items) != 1 || !strings.HasPrefix(items[0].(map[string]any)["HistorySummary"].(string),
		"Successfully executed action arn:aws:lambda") {
		t.Errorf("%v", items)
	}
}

// TestActionOutlivesTheProcess: an action in the store is run after a restart.
func TestActionOutlivesTheProcess(t *testing.T) {
	db := store.Memory()
	c := newCloud(t, db)
	c.call(t, "PutMetricAlarm", guard)
	c.call(t, "SetAlarmState", `{"AlarmName":"guard","StateValue":"ALARM","StateReason":"drill"}`)
	if r := c.Residue(context.Background()); len(r) != 1 {
		t.Fatalf("residue %v", r)
	}
	c = newCloud(t, db)
	if err := c.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.Scheduler.RunFor(time.Second)
	if len(c.sent) != 1 || len(c.Residue(context.Background())) != 0 {
		t.Errorf("sent %v", c.sent)
	}
}

func TestPercentileWithFewSamplesKeepsTheState(t *testing.T) {
	c := newCloud(t, store.Memory())
	c.call(t, "PutMetricAlarm", `{"AlarmName":"slow","Namespace":"F","MetricName":"D","ExtendedStatistic":"p90","Period":60,"EvaluationPeriods":1,"Threshold":1,
		"ComparisonOperator":"GreaterThanThreshold","EvaluateLowSampleCountPercentile":"ignore"}`)
	c.call(t, "PutMetricData", `{"Namespace":"F","MetricData":[{"MetricName":"D","Values":[5],"Counts":[99]}]}`)
	c.Scheduler.RunFor(time.Minute)
	if got := c.state(t); got != "INSUFFICIENT_DATA" {
		t.Errorf("99 samples: %s", got)
	}
	c.call(t, "PutMetricData", `{"Namespace":"F","MetricData":[{"MetricName":"D","Values":[5],"Counts":[100]}]}`)
	c.Scheduler.RunFor(time.Minute)
	if got := c.state(t); got != "ALARM" {
		t.Errorf("100 samples: %s", got)
	}
}

// TestPortsOfTheOthers: what services count comes out under their namespaces.
func TestPortsOfTheOthers(t *testing.T) {
	c := newCloud(t, store.Memory())
	c.Add("AWS/Lambda", "Errors", "Count", 1, map[string]string{"FunctionName": "f"})
	c.Count(context.Background(), "AWS/IoT", "Success", map[string]string{"RuleName": "r"}, 2)
	c.StateMachines().Count("ExecutionTime", "arn:x", 12)
	c.Scheduler.Run(nil)
	list, err := json.Marshal(c.call(t, "ListMetrics", `{}`)["Metrics"])
	want := `[{"Dimensions":[{"Name":"RuleName","Value":"r"}],"MetricName":"Success","Namespace":"AWS/IoT"},{"Dimensions":[{"Name":"FunctionName","Value":"f"}],"MetricName":"Errors","Namespace":"AWS/Lambda"},{"Dimensions":[{"Name":"StateMachineArn","Value":"arn:x"}],"MetricName":"ExecutionTime","Namespace":"AWS/States"}]`
	if err != nil || string(list) != want {
		t.Errorf("%s", list)
	}
}

func TestOldDataBecomesCoarse(t *testing.T) {
	c := newCloud(t, store.Memory())
	for range 40 {
		for range 10 {
			c.Add("AWS/X", "m", "Count", 1, nil)
			c.Scheduler.RunFor(time.Minute)
		}
		c.Scheduler.RunFor(24 * time.Hour)
	}
	widths, total := map[uint64]int{}, 0.0
	err := c.Store.View(func(tx *store.Tx) error {
		for row, err := range buckets.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			widths[store.ParseNumber(row.Key[4])]++
			total += row.Value.Count
		}
		return nil
	})
	if err != nil || total != 400 || widths[300] == 0 || widths[60] > 160 {
		t.Errorf("%v, total %v, %v", widths, total, err)
	}
}

const emfSample = `{"_aws":{"Timestamp":%d,"CloudWatchMetrics":[{"Namespace":"Fleet","Dimensions":[["Site"],["Site","Wave"],[]],
	"Metrics":[{"Name":"A.a","Unit":"Count"},{"Name":"L","Unit":"Milliseconds"}]}]},"Site":"c","Wave":"1","A.a":2,"L":[1,2,3],"thing":"rg-1"}`

func TestEMF(t *testing.T) {
	c := newCloud(t, store.Memory())
	ctx := context.Background()
	c.PutEMF(ctx, fmt.Appendf(nil, emfSample, start.UnixMilli()))
	c.PutEMF(ctx, []byte(`{"_aws":`))
	c.PutEMF(ctx, []byte(`{"note":{"_aws":{"CloudWatchMetrics":[]}}}`)) // ignored
	c.PutEMF(ctx, []byte(strings.Replace(fmt.Sprintf(emfSample, start.UnixMilli()), `"Wave":"1"`, `"Wave":1`, 1)))
	list := c.call(t, "ListMetrics", `{"Namespace":"Fleet"}`)["Metrics"].([]any)
	if len(list) != 6 {
		t.Errorf("%d metrics: %v", len(list), list)
	}
	sum := func(ns, name, dims string) float64 {
		out := c.call(t, "GetMetricStatistics", fmt.Sprintf(`{"Namespace":%q,"MetricName":%q,"Dimensions":[%s],"StartTime":%d,"EndTime":%d,"Period":60,"Statistics":["Sum"]}`, ns, name, dims, start.Unix()-60, start.Unix()+60))
		total := 0.0
		for _, p := range out["Datapoints"].([]any) {
			total += p.(map[string]any)["Sum"].(float64)
		}
		return total
	}
	if a, w, p, v := sum("Fleet", "A.a", ""), sum("Fleet", "L", `{"Name":"Wave","Value":"1"},{"Name":"Site","Value":"c"}`), sum("AWS/Logs", "EMFParsingErrors", ""), sum("AWS/Logs", "EMFValidationErrors", ""); a != 4 || w != 6 || p != 1 || v != 1 {
		t.Errorf("A.a %v, L %v, parsing %v, validation %v", a, w, p, v)
	}
}

func FuzzEMF(f *testing.F) {
	f.Add(fmt.Appendf(nil, emfSample, start.UnixMilli()))
	f.Add([]byte(`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"a","Dimensions":[[]],"Metrics":[{"Name":"m"}]}]},"m":null}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		data, err := parseEMF(doc, start)
		if err == nil && !json.Valid(doc) {
			t.Error("took what is no JSON")
		}
		for _, d := range data {
			if d.Count == 0 || !finite(d.Sum) && d.Count == 1 || d.Namespace == "" || d.Name == "" ||
				len(dimensionsOf(d.Dims)) > maxDimensions {
				t.Errorf("%+v", d)
			}
		}
	})
}

func TestDashboards(t *testing.T) {
	c := newCloud(t, store.Memory())
	put := func(body string) (map[string]any, error) {
		b, _ := json.Marshal(map[string]string{"DashboardName": "fleet", "DashboardBody": body})
		return c.try("PutDashboard", string(b))
	}
	good := `{"start":"-PT6H","periodOverride":"inherit","widgets":[
		{"type":"text","x":0,"y":0,"width":24,"height":2,"properties":{"markdown":"# hi"}},
		{"type":"metric","properties":{"region":"eu-west-2","stat":"Sum","period":60,"metrics":[["F","A","Site","c"],[".","B",".","."],["...","d",{"stat":"p99","id":"m1"}],[{"expression":"m1*2","id":"e1"}]],
			"annotations":{"horizontal":[{"value":3},[{"value":1},{"value":2}]],"vertical":[{"value":"2026-11-22T06:00:00Z"}]}}},
		{"type":"alarm","properties":{"alarms":["arn:aws:cloudwatch:eu-west-2:1:alarm:x"]}}]}`
	if _, err := put(good); err != nil {
		t.Fatal(err)
	}
	if out := c.call(t, "GetDashboard", `{"DashboardName":"fleet"}`); out["DashboardBody"] != good || out["DashboardArn"] != "arn:aws:cloudwatch::111122223333:dashboard/fleet" {
		t.Errorf("%v", out)
	}
	for _, x := range []struct{ body, path string }{
		{`nope`, "/"}, {`{}`, "/widgets"}, {`{"widgets":[{"type":"x"}]}`, "/widgets/0/type"},
		{`{"widgets":[{"type":"text","properties":{}}]}`, "/widgets/0/properties"},
		{`{"widgets":[{"type":"text","width":25,"properties":{"markdown":"x"}}]}`, "/widgets/0/width"},
		{`{"widgets":[{"type":"metric","properties":{"metrics":[["A","b"]]}}]}`, "/widgets/0/properties"},
		{`{"widgets":[{"type":"metric","properties":{"region":"r","metrics":[["A"]]}}]}`, "/widgets/0/properties/metrics/0"},
		{`{"widgets":[{"type":"metric","properties":{"region":"r","metrics":[["A","b",{"stat":"mean"}]]}}]}`, "/widgets/0/properties/metrics/0/2/stat"},
		{`{"widgets":[{"type":"metric","properties":{"region":"r","metrics":[[{"expression":"FOO(1)"}]]}}]}`, "/widgets/0/properties/metrics/0/0/expression"},
		{`{"widgets":[{"type":"metric","properties":{"region":"r","view":"gauge","metrics":[["A","b"]],"yAxis":{"left":{"min":0}}}}]}`, "/widgets/0/properties/yAxis/left/max"},
		{`{"start":"yesterday","widgets":[]}`, "/start"},
	} {
		_, err := put(x.body)
		var e *awsapi.Error
		if !errors.As(err, &e) || e.Code != "DashboardInvalidInputError" {
			t.Errorf("%s: %v", x.body, err)
			continue
		}
		if got := e.Fields["dashboardValidationMessages"].([]validationMessage)[0].DataPath; got != x.path {
			t.Errorf("%s: path %s", x.body, got)
		}
	}
	if out, err := put(`{"widgets":[],"extra":1}`); err != nil || len(out["DashboardValidationMessages"].([]any)) != 1 {
		t.Errorf("%v, %v", out, err)
	}
	c.call(t, "TagResource", `{"ResourceARN":"arn:aws:cloudwatch::111122223333:dashboard/fleet","Tags":[{"Key":"a","Value":"b"}]}`)
	if out := c.call(t, "ListTagsForResource", `{"ResourceARN":"arn:aws:cloudwatch::111122223333:dashboard/fleet"}`); len(out["Tags"].([]any)) != 1 {
		t.Errorf("%v", out)
	}
	if out := c.call(t, "ListDashboards", `{"DashboardNamePrefix":"fl"}`); len(out["DashboardEntries"].([]any)) != 1 {
		t.Errorf("%v", out)
	}
	c.call(t, "DeleteDashboards", `{"DashboardNames":["fleet"]}`)
	if _, err := c.try("GetDashboard", `{"DashboardName":"fleet"}`); awsapi.Code(err) != "DashboardNotFoundError" {
		t.Error(err)
	}
}

// TestSDK makes calls with AWS's SDK, which speaks CBOR.
func TestSDK(t *testing.T) {
	c := newCloud(t, store.Memory())
	server := httptest.NewServer(c.door)
	defer server.Close()
	client := sdk.NewFromConfig(aws.Config{Region: testRegion, BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.PutMetricData(ctx, &sdk.PutMetricDataInput{Namespace: aws.String("F"),
		MetricData: []types.MetricDatum{
			{MetricName: aws.String("A"), Value: aws.Float64(2), Unit: types.StandardUnitCount, Timestamp: &start,
				Dimensions: []types.Dimension{{Name: aws.String("d"), Value: aws.String("v")}}},
			{MetricName: aws.String("A"), Values: []float64{3, 4}, Counts: []float64{1, 2},
				Unit: types.StandardUnitCount, Dimensions: []types.Dimension{{Name: aws.String("d"),
					Value: aws.String("v")}}},
		}})
	must(err)
	dims := []types.Dimension{{Name: aws.String("d"), Value: aws.String("v")}}
	stats, err := client.GetMetricStatistics(ctx, &sdk.GetMetricStatisticsInput{Namespace: aws.String("F"),
		MetricName: aws.String("A"), Dimensions: dims,
		StartTime: aws.Time(start.Add(-time.Minute)), EndTime: aws.Time(start.Add(time.Minute)), Period: aws.Int32(60),
		Statistics: []types.Statistic{"Sum", "SampleCount"}})
	must(err)
	if len(stats.Datapoints) != 1 || *stats.Datapoints[0].Sum != 13 || *stats.Datapoints[0].SampleCount != 4 ||
		stats.Datapoints[0].Average != nil || stats.Datapoints[0].Unit != "Count" {
		t.Errorf("%+v", stats.Datapoints)
	}
	data, err := client.GetMetricData(ctx, &sdk.GetMetricDataInput{StartTime: aws.Time(start.Add(-time.Minute)),
		EndTime: aws.Time(start.Add(time.Minute)), MetricDataQueries: []types.MetricDataQuery{
			{Id: aws.String("m"), ReturnData: aws.Bool(false),
				MetricStat: &types.MetricStat{Metric: &types.Metric{Namespace: aws.String("F"),
					MetricName: aws.String("A"), Dimensions: dims}, Period: aws.Int32(60), Stat: aws.String("p99")}},
			{Id: aws.String("e"), Expression: aws.String("m*10")}}})
	must(err)
	if r := data.MetricDataResults; len(r) != 1 || len(r[0].Values) != 1 || r[0].Values[0] != 40 ||
		r[0].Timestamps[0].Unix() != start.Unix()/60*60 || r[0].StatusCode != "Complete" {
		t.Errorf("%+v", r)
	}
	_, err = client.PutMetricAlarm(ctx, &sdk.PutMetricAlarmInput{AlarmName: aws.String("a"),
		Namespace: aws.String("F"), MetricName: aws.String("A"), Dimensions: dims, Statistic: "Sum",
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(0),
		ComparisonOperator: "GreaterThanThreshold", AlarmActions: []string{topic},
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	must(err)
	described, err := client.DescribeAlarms(ctx, &sdk.DescribeAlarmsInput{AlarmNames: []string{"a"}})
	must(err)
	if a := described.MetricAlarms; len(a) != 1 || *a[0].Threshold != 0 || *a[0].AlarmArn != c.alarmARN("a") ||
		a[0].StateValue != "INSUFFICIENT_DATA" || !*a[0].ActionsEnabled || a[0].AlarmActions[0] != topic {
		t.Errorf("%+v", a)
	}
	_, err = client.PutDashboard(ctx, &sdk.PutDashboardInput{DashboardName: aws.String("d"), DashboardBody: aws.String(`{"widgets":[{}]}`)})
	var invalid *types.DashboardInvalidInputError
	if !errors.As(err, &invalid) || len(invalid.DashboardValidationMessages) != 1 ||
		*invalid.DashboardValidationMessages[0].DataPath != "/widgets/0/type" {
		t.Errorf("%v", err)
	}
	_, err = client.GetDashboard(ctx, &sdk.GetDashboardInput{DashboardName: aws.String("d")})
	var none *types.DashboardNotFoundError
	if !errors.As(err, &none) {
		t.Errorf("%v", err)
	}
	_, err = client.PutCompositeAlarm(ctx, &sdk.PutCompositeAlarmInput{AlarmName: aws.String("x"),
		AlarmRule: aws.String("TRUE")})
	if err == nil || !strings.Contains(err.Error(), "PutCompositeAlarm") {
		t.Errorf("%v", err)
	}
	metrics, err := client.ListMetrics(ctx, &sdk.ListMetricsInput{Namespace: aws.String("F"),
		Dimensions: []types.DimensionFilter{{Name: aws.String("d")}}})
	must(err)
	if len(metrics.Metrics) != 1 {
		t.Errorf("%+v", metrics.Metrics)
	}
}

// TestAlarmsAreDescribedByTheirNames: those that there are, up to 100 names, and composite ones only if they are asked
// for.
func TestAlarmsAreDescribedByTheirNames(t *testing.T) {
	c := newCloud(t, store.Memory())
	c.call(t, "PutMetricAlarm", guard)
	for in, want := range map[string]int{
		`{"AlarmNames":["guard","none"]}`:                                        1,
		`{"AlarmNames":["guard"],"AlarmTypes":["CompositeAlarm"]}`:               0,
		`{"AlarmNames":["guard"],"AlarmTypes":["MetricAlarm","CompositeAlarm"]}`: 1,
		`{"AlarmNames":["guard"],"StateValue":"ALARM"}`:                          0,
		`{"AlarmNames":["none` + strings.Repeat(`","none`, 98) + `","guard"]}`:   1,
		`{"AlarmNames":["guard","guard` + strings.Repeat(`","guard`, 99) + `"]}`: -1,
	} {
		if want < 0 {
			if _, err := c.try("DescribeAlarms", in); err == nil || !strings.Contains(err.Error(), "alarmNames") {
				t.Errorf("%.60s: %v", in, err)
			}
			continue
		}
		if got := len(c.call(t, "DescribeAlarms", in)["MetricAlarms"].([]any)); got != want {
			t.Errorf("%.60s: %d alarms, want %d", in, got, want)
		}
	}
}
