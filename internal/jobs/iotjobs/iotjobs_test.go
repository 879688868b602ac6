package iotjobs

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"github.com/fleetstep/fleetstep/internal/jobs"
)

// plane is AWS IoT's control plane: what it answers, by "METHOD path", and what
// it was asked. A list of answers is used up to its last one.
type plane struct {
	t       *testing.T
	answers map[string][]answer
	asked   []string // "METHOD path"
	bodies  []string
}

func (p *plane) Do(r *http.Request) (*http.Response, error) {
	if a := r.Header.Get("Authorization"); !strings.Contains(a, "/us-east-1/iot/aws4_request") {
		p.t.Errorf("signed as %s", a)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	k := r.Method + " " + r.URL.RequestURI()
	p.asked, p.bodies = append(p.asked, k), append(p.bodies, string(body))
	left := p.answers[k]
	if len(left) == 0 {
		p.t.Errorf("unexpected %s", k)
		left = []answer{{status: 400, header: "InvalidRequestException"}}
	}
	if len(left) > 1 {
		p.answers[k] = left[1:]
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Amzn-Errortype", left[0].header)
	w.WriteHeader(left[0].status)
	_, _ = io.WriteString(w, left[0].body)
	return w.Result(), nil
}

func newControl(t *testing.T, answers map[string][]answer) (*Control, *plane) {
	p := &plane{t: t, answers: answers}
	api := iot.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient: p,
	})
	return NewControl(api, "fleetstep-firmware-upgrade"), p
}

func ok(body string) []answer { return []answer{{status: 200, body: body}} }

func refused(status int, code string) []answer {
	return []answer{{status, code, `{"message":"no, because"}`}}
}

func TestTemplateIsReadWhole(t *testing.T) {
	const path = "GET /job-templates/fleetstep-firmware-upgrade"
	c, _ := newControl(t, map[string][]answer{path: ok(`{
		"document": "{\"operation\":\"firmware-upgrade\"}",
		"timeoutConfig": {"inProgressTimeoutInMinutes": 240},
		"jobExecutionsRolloutConfig": {"maximumPerMinute": 50, "exponentialRate": {
			"baseRatePerMinute": 5, "incrementFactor": 1.5, "rateIncreaseCriteria": {"numberOfSucceededThings": 10}}},
		"abortConfig": {"criteriaList": [{"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 12.5, "minNumberOfExecutedThings": 8}]},
		"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "TIMED_OUT", "numberOfRetries": 2}]}}`)})
	got, err := c.Template(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := jobs.Template{
		Document: json.RawMessage(`{"operation":"firmware-upgrade"}`), JobMinutes: 240,
		Rollout: &jobs.Rollout{MaximumPerMinute: 50, ExponentialRate: &jobs.ExponentialRate{
			BaseRatePerMinute: 5, IncrementFactor: 1.5,
			RateIncreaseCriteria: jobs.RateIncreaseCriteria{NumberOfSucceededThings: 10},
		}},
		Abort: &jobs.Abort{CriteriaList: []jobs.AbortCriterion{
			{FailureType: "FAILED", Action: "CANCEL", ThresholdPercentage: 12.5, MinNumberOfExecutedThings: 8},
		}},
		Retry: &jobs.Retry{CriteriaList: []jobs.RetryCriterion{{FailureType: "TIMED_OUT", NumberOfRetries: 2}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	c, _ = newControl(t, map[string][]answer{path: ok(`{"document":"","abortConfig":{"criteriaList":[]}}`)})
	if got, err = c.Template(t.Context()); err != nil ||
		!reflect.DeepEqual(got, jobs.Template{Document: json.RawMessage{}}) {
		t.Errorf("of an empty template: %+v, %v", got, err)
	}
	c, _ = newControl(t, map[string][]answer{path: refused(404, "ResourceNotFoundException")})
	if _, err = c.Template(t.Context()); err == nil || !strings.Contains(err.Error(), "fleetstep-firmware-upgrade") {
		t.Errorf("a missing template is not named: %v", err)
	}
}

func TestCreateSendsWhatWasAsked(t *testing.T) {
	target := "arn:aws:iot:us-east-1:123456789012:thinggroup/demo"
	base := jobs.Request{Targets: []string{target}, TargetSelection: jobs.Snapshot,
		Timeouts: jobs.Timeouts{JobMinutes: 90}}
	full := base
	full.Rollout = &jobs.Rollout{ExponentialRate: &jobs.ExponentialRate{
		BaseRatePerMinute: 5, IncrementFactor: 2,
		RateIncreaseCriteria: jobs.RateIncreaseCriteria{NumberOfNotifiedThings: 10},
	}}
	full.Abort = &jobs.Abort{CriteriaList: []jobs.AbortCriterion{{FailureType: "ALL", ThresholdPercentage: 10,
		MinNumberOfExecutedThings: 5}}}
	full.Retry = &jobs.Retry{CriteriaList: []jobs.RetryCriterion{{FailureType: "FAILED", NumberOfRetries: 1}}}
	paced := base
	paced.Rollout = &jobs.Rollout{MaximumPerMinute: 7}
	const common = `"targets":["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"],"targetSelection":"SNAPSHOT","description":"d",
		"document":"{\"a\":1}","timeoutConfig":{"inProgressTimeoutInMinutes":90},
		"tags":[{"Key":"Campaign","Value":"c"},{"Key":"Stack","Value":"s"}]`
	for name, c := range map[string]struct {
		in   jobs.Request
		want string
	}{
		"plain": {base, `{` + common + `}`},
		"paced": {paced, `{` + common + `,"jobExecutionsRolloutConfig":{"maximumPerMinute":7}}`},
		"full": {full, `{` + common + `,
			"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":2,"rateIncreaseCriteria":{"numberOfNotifiedThings":10}}},
			"abortConfig":{"criteriaList":[{"action":"CANCEL","failureType":"ALL","thresholdPercentage":10,"minNumberOfExecutedThings":5}]},
			"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED","numberOfRetries":1}]}}`},
	} {
		control, p := newControl(t, map[string][]answer{"PUT /jobs/fw-2": ok(`{"jobArn":"arn:job","jobId":"fw-2"}`)})
		arn, err := control.Create(t.Context(), jobs.Job{JobID: "fw-2", Description: "d",
			Document: json.RawMessage(`{"a":1}`), Tags: map[string]string{"Stack": "s", "Campaign": "c"}, Request: c.in})
		if err != nil || arn != "arn:job" {
			t.Fatalf("%s: got %s, %v", name, arn, err)
		}
		if !sameJSON(t, p.bodies[0], c.want) {
			t.Errorf("%s: sent %s, want %s", name, p.bodies[0], c.want)
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var v [2]any
	for i, s := range []string{a, b} {
		if err := json.Unmarshal([]byte(s), &v[i]); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return reflect.DeepEqual(v[0], v[1])
}

var smallest = jobs.Job{JobID: "j",
	Request: jobs.Request{Targets: []string{"arn:aws:iot:us-east-1:123456789012:thing/t"}}}

func TestATakenIDIsToldApartFromOtherRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the SDK tries again at a limit
		for code, status := range map[string]int{"ResourceAlreadyExistsException": 409, "LimitExceededException": 410,
			"InvalidRequestException": 400} {
			c, _ := newControl(t, map[string][]answer{"PUT /jobs/j": refused(status, code)})
			_, err := c.Create(t.Context(), smallest)
			taken := code == "ResourceAlreadyExistsException"
			wrong := code == "InvalidRequestException"
			if err == nil || errors.Is(err, jobs.ErrExists) != taken || errors.Is(err, jobs.ErrUnfit) != wrong ||
				!taken && !strings.Contains(err.Error(), code) {
				t.Errorf("%s: got %v", code, err)
			}
		}
	})
}

func TestThrottledCallsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttled := answer{400, "ThrottlingException", `{"message":"Rate exceeded"}`}
		c, p := newControl(t, map[string][]answer{"PUT /jobs/j": {throttled, throttled, {200, "", `{"jobArn":"arn:job"}`}}})
		if arn, err := c.Create(t.Context(), smallest); err != nil || arn != "arn:job" || len(p.asked) != 3 {
			t.Errorf("got %s, %v after %v", arn, err, p.asked)
		}
		c, p = newControl(t, map[string][]answer{"PUT /jobs/j": {throttled}})
		if _, err := c.Create(t.Context(), smallest); err == nil ||
			!strings.Contains(err.Error(), "ThrottlingException") || len(p.asked) != 3 {
			t.Errorf("got %v after %v", err, p.asked)
		}
	})
}

func TestDescribeFindsAJob(t *testing.T) {
	c, _ := newControl(t, map[string][]answer{
		"GET /jobs/j":    ok(`{"job":{"jobArn":"arn:j","description":"Firmware 2","status":"COMPLETED"}}`),
		"GET /jobs/gone": refused(404, "ResourceNotFoundException"),
		"GET /jobs/no":   refused(403, "AccessDeniedException"),
	})
	got, err := c.Describe(t.Context(), "j")
	if want := (jobs.Existing{ARN: "arn:j", Description: "Firmware 2", Status: "COMPLETED"}); err != nil ||
		got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err = c.Describe(t.Context(), "gone"); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err = c.Describe(t.Context(), "no"); err == nil || errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestTargetsExistByTheirARN(t *testing.T) {
	const here = "arn:aws:iot:us-east-1:123456789012:"
	answers := map[string][]answer{
		"GET /things/rg:1":        ok(`{"thingName":"rg:1","thingArn":"` + here + `thing/rg:1"}`),
		"GET /things/none":        refused(404, "ResourceNotFoundException"),
		"GET /thing-groups/demo":  ok(`{"thingGroupName":"demo","thingGroupArn":"` + here + `thinggroup/demo"}`),
		"GET /thing-groups/none":  refused(404, "ResourceNotFoundException"),
		"GET /thing-groups/other": refused(403, "AccessDeniedException"),
		"GET /things/a:thing":     ok(`{"thingName":"a:thing","thingArn":"` + here + `thing/a:thing"}`),
		"GET /things/thinggroup":  ok(`{"thingName":"thinggroup","thingArn":"` + here + `thing/thinggroup"}`),
	}
	// Colons in names travel escaped.
	answers["GET /things/rg%3A1"], answers["GET /things/a%3Athing"] = answers["GET /things/rg:1"],
		answers["GET /things/a:thing"]
	for arn, want := range map[string]bool{
		here + "thing/rg:1":       true,
		here + "thing/none":       false,
		here + "thinggroup/demo":  true,
		here + "thinggroup/none":  false,
		here + "thing/a:thing":    true,
		here + "thing/thinggroup": true,
		// Another account's, another region's: not these.
		"arn:aws:iot:us-east-1:999999999999:thing/rg:1":      false,
		"arn:aws:iot:eu-west-1:123456789012:thinggroup/demo": false,
	} {
		c, _ := newControl(t, answers)
		if got, err := c.TargetExists(t.Context(), arn); err != nil || got != want {
			t.Errorf("%s: got %t, %v", arn, got, err)
		}
	}
	c, _ := newControl(t, answers)
	if _, err := c.TargetExists(t.Context(), here+"thinggroup/other"); err == nil ||
		!strings.Contains(err.Error(), "thinggroup/other") {
		t.Errorf("a refusal is not passed on: %v", err)
	}
}

func TestThingsAreCountedAsFarAsNeeded(t *testing.T) {
	const group = "arn:aws:iot:us-east-1:123456789012:thinggroup/g"
	c, p := newControl(t, map[string][]answer{
		"GET /thing-groups/g/things?maxResults=3&recursive=true":             ok(`{"things":["a","b"],"nextToken":"n"}`),
		"GET /thing-groups/g/things?maxResults=3&nextToken=n&recursive=true": ok(`{"things":["c","d"],"nextToken":"m"}`),
		"GET /thing-groups/g/things?maxResults=250&recursive=true":           ok(`{"things":[]}`),
	})
	for most, want := range map[int]int{3: 3, 1000: 0} {
		if n, err := c.Things(t.Context(), group, most); err != nil || n != want {
			t.Errorf("up to %d: %d, %v", most, n, err)
		}
	}
	if n, err := c.Things(t.Context(), "arn:aws:iot:us-east-1:123456789012:thing/a", 9); err != nil || n != 1 ||
		len(p.asked) != 3 {
		t.Errorf("a thing: %d, %v, asked %v", n, err, p.asked)
	}
	c, _ = newControl(t, map[string][]answer{"GET /thing-groups/g/things?maxResults=1&recursive=true": refused(403,
		"AccessDeniedException")})
	if _, err := c.Things(t.Context(), group, 1); err == nil || !strings.Contains(err.Error(), group) {
		t.Errorf("a refusal is not passed on: %v", err)
	}
}

func TestSetAttributeMerges(t *testing.T) {
	thing := ok(`{"thingName":"t","attributes":{"firmwareVersion":"1","site":"x"}}`)
	set := func(answers map[string][]answer, value string) (*plane, error) {
		c, p := newControl(t, answers)
		return p, c.SetAttribute(context.Background(), "t", "firmwareVersion", value)
	}
	p, err := set(map[string][]answer{"GET /things/t": thing, "PATCH /things/t": ok(`{}`)}, "2")
	if err != nil || len(p.asked) != 2 || !sameJSON(t, p.bodies[1], `{"attributePayload":{"attributes":{"firmwareVersion":"2"},"merge":true}}`) {
		t.Errorf("asked %v %v, %v", p.asked, p.bodies, err)
	}
	if p, err = set(map[string][]answer{"GET /things/t": thing}, "1"); err != nil || len(p.asked) != 1 {
		t.Errorf("what is so already: asked %v, %v", p.asked, err)
	}
	if _, err = set(map[string][]answer{"GET /things/t": refused(404, "ResourceNotFoundException")}, "2"); !errors.Is(
		err, jobs.ErrNotFound) {
		t.Errorf("a thing that is not there: %v", err)
	}
	if _, err = set(map[string][]answer{"GET /things/t": thing, "PATCH /things/t": refused(404,
		"ResourceNotFoundException")}, "2"); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("a thing deleted meanwhile: %v", err)
	}
	if _, err = set(map[string][]answer{"GET /things/t": thing, "PATCH /things/t": refused(409,
		"VersionConflictException")}, "2"); err == nil || errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("a conflict: %v", err)
	}
}
