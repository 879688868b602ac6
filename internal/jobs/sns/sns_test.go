package sns_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/fleetstep/fleetstep/internal/event"
	jobssns "github.com/fleetstep/fleetstep/internal/jobs/sns"
)

// topic is SNS: it keeps the forms that it is sent, and answers from a list.
type topic struct {
	t       *testing.T
	forms   []url.Values
	answers []answer
}

type answer struct {
	status int
	body   string
}

const published = `<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`

func (p *topic) Do(r *http.Request) (*http.Response, error) {
	if a := r.Header.Get("Authorization"); !strings.Contains(a, "/us-east-1/sns/aws4_request") {
		p.t.Errorf("signed as %s", a)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	p.forms = append(p.forms, form)
	w := httptest.NewRecorder()
	a := p.answers[min(len(p.forms), len(p.answers))-1]
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
	return w.Result(), nil
}

func publish(t *testing.T, o event.Outcome, answers ...answer) (*topic, error) {
	p := &topic{t: t, answers: answers}
	api := sns.NewFromConfig(aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(
		"AKID", "secret", ""), HTTPClient: p})
	return p, jobssns.New(api, "arn:aws:sns:us-east-1:123456789012:outcome").Publish(t.Context(), o)
}

// same compares but for the names of filters, which are no part of the message.
func same(a, b event.Outcome) bool {
	a.Filters, b.Filters = nil, nil
	return reflect.DeepEqual(a, b)
}

// attributes reads MessageAttributes.entry.N of a form.
func attributes(f url.Values) map[string]string {
	out := map[string]string{}
	for k, v := range f {
		if entry, ok := strings.CutSuffix(k, ".Name"); ok && f.Get(entry+".Value.DataType") == "String" {
			out[v[0]] = f.Get(entry + ".Value.StringValue")
		}
	}
	return out
}

func TestPublishCarriesWhatFiltersNeed(t *testing.T) {
	failed := event.Outcome{
		Event: "FIRMWARE_UPGRADE_FAIL", Owner: event.JobOwner("fw-2"), ThingName: "rg-1", ExecutionNumber: 3,
		Status: event.StatusFailed,
		Reason: "Download.Failed", Detail: "7022 <no> & \"route\"",
		Details: map[string]string{"firmwareVersion": "2.0.0", "other": "x"}, Filters: []string{"firmwareVersion",
			"absent"}, Seconds: 1.5,
	}
	for name, c := range map[string]struct {
		outcome event.Outcome
		want    map[string]string
	}{
		"failure": {failed, map[string]string{"event": "FIRMWARE_UPGRADE_FAIL", "jobId": "fw-2",
			"firmwareVersion": "2.0.0", "reason": "Download.Failed"}},
		"success": {
			event.Outcome{Event: "FIRMWARE_UPGRADE_SUCCESS", Owner: event.JobOwner("fw-2"),
				Status: event.StatusSucceeded},
			map[string]string{"event": "FIRMWARE_UPGRADE_SUCCESS", "jobId": "fw-2"}, // SNS refuses empty values
		},
	} {
		p, err := publish(t, c.outcome, answer{200, published})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f := p.forms[0]
		if f.Get("Action") != "Publish" || f.Get("TopicArn") != "arn:aws:sns:us-east-1:123456789012:outcome" ||
			f.Get("Subject") != c.outcome.Event {
			t.Errorf("%s: sent %v", name, f)
		}
		got := attributes(f)
		for k := range map[string]bool{"event": true, "jobId": true, "firmwareVersion": true, "reason": true} {
			if v, ok := got[k]; v != c.want[k] || ok && v == "" {
				t.Errorf("%s: attribute %s is %q, want %q", name, k, v, c.want[k])
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: attributes %v", name, got)
		}
		var back event.Outcome
		if err := json.Unmarshal([]byte(f.Get("Message")), &back); err != nil || !same(back, c.outcome) {
			t.Errorf("%s: message %s, %v", name, f.Get("Message"), err)
		}
	}
}

func TestErrorsArePassedOn(t *testing.T) {
	refused := answer{404, `<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>`}
	p, err := publish(t, event.Outcome{Event: "FIRMWARE_UPGRADE_FAIL"}, refused)
	var none *types.NotFoundException
	if !errors.As(err, &none) || len(p.forms) != 1 {
		t.Errorf("got %v after %d calls", err, len(p.forms))
	}
	synctest.Test(t, func(t *testing.T) {
		throttled := answer{400, `<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>`}
		p, err := publish(t, event.Outcome{Event: "FIRMWARE_UPGRADE_FAIL"}, throttled, throttled,
			answer{200, published})
		if err != nil || len(p.forms) != 3 {
			t.Errorf("got %v after %d calls", err, len(p.forms))
		}
	})
}
