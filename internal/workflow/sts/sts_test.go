package sts_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowsts "github.com/fleetstep/fleetstep/internal/workflow/sts"
)

// service is STS: what it answers, and what it was asked.
type service struct {
	status int
	body   string
	err    error
	asked  []*http.Request
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r)
	return &http.Response{StatusCode: s.status, Body: io.NopCloser(strings.NewReader(s.body)),
		Header: http.Header{}}, s.err
}

var now = time.Date(2026, 11, 29, 12, 0, 30, 0, time.UTC)

const (
	identity = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">` +
		`<GetCallerIdentityResult>` +
		`<Arn>arn:aws:sts::1:assumed-role/ops/ann</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`
	host  = "https://sts.us-east-1.amazonaws.com/"
	query = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID" +
		"&X-Amz-Date=20261129T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=" +
		"host%3Bx-fleetstep-request&X-Amz-Signature=ab"
)

func verifier(t *testing.T, s *service, cfg aws.Config) *workflowsts.Verifier {
	t.Helper()
	cfg.Region, cfg.HTTPClient = "us-east-1", s
	v, err := workflowsts.New(t.Context(), cfg, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAProofNamesItsCaller(t *testing.T) {
	s := &service{status: 200, body: identity}
	arn, err := verifier(t, s, aws.Config{}).Caller(t.Context(), host+"?"+query, "subject")
	if err != nil || arn != "arn:aws:sts::1:assumed-role/ops/ann" {
		t.Fatal(arn, err)
	}
	r := s.asked[0]
	if r.Method != http.MethodGet || r.URL.Host != "sts.us-east-1.amazonaws.com" ||
		r.Header.Get(event.ProofHeader) != "subject" {
		t.Errorf("asked %s %s with %v", r.Method, r.URL.Host, r.Header)
	}
}

// What is no presigned GetCallerIdentity for this region's STS is asked of nobody.
func TestWhatIsNoProofIsNotSent(t *testing.T) {
	for name, proof := range map[string]string{
		"no URL":             ":nonsense",
		"another host":       "https://sts.us-east-1.amazonaws.com.example.com/?" + query,
		"another region":     "https://sts.eu-west-1.amazonaws.com/?" + query,
		"another port":       "https://sts.us-east-1.amazonaws.com:8443/?" + query,
		"another scheme":     "http://sts.us-east-1.amazonaws.com/?" + query,
		"a user":             "https://x@sts.us-east-1.amazonaws.com/?" + query,
		"a fragment":         host + "?" + query + "#x",
		"a path":             host + "x?" + query,
		"this machine":       "https://127.0.0.1/?" + query,
		"another action":     host + "?" + strings.Replace(query, "GetCallerIdentity", "GetSessionToken", 1),
		"a second action":    host + "?" + query + "&Action=AssumeRole",
		"another parameter":  host + "?" + query + "&RoleArn=x",
		"a subject unsigned": host + "?" + strings.Replace(query, "%3Bx-fleetstep-request", "", 1),
		"more signed":        host + "?" + strings.Replace(query, "host%3B", "host%3Bx-other%3B", 1),
		"a query in pieces":  host + "?" + query + "&%zz",
		"no date":            host + "?" + strings.Replace(query, "20261129T120000Z", "", 1),
		"too old":            host + "?" + strings.Replace(query, "20261129T120000Z", "20261129T115929Z", 1),
		"from the future":    host + "?" + strings.Replace(query, "20261129T120000Z", "20261129T120131Z", 1),
	} {
		s := &service{status: 200, body: identity}
		if arn, err := verifier(t, s, aws.Config{}).Caller(t.Context(), proof, "subject"); !errors.Is(err,
			workflow.ErrUnproved) || arn != "" {
			t.Errorf("%s: %q, %v", name, arn, err)
		}
		if len(s.asked) > 0 {
			t.Errorf("%s: asked %s", name, s.asked[0].URL)
		}
	}
}

func TestWhatSTSSays(t *testing.T) {
	for name, c := range map[string]struct {
		service  service
		unproved bool
	}{
		"refused": {service{status: 403,
			body: `<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>`}, true},
		"no ARN": {service{status: 200, body: strings.Replace(identity, "arn:", "", 1)}, true},
		"no XML": {service{status: 200, body: "hello"}, true},
		"busy":   {service{status: 503}, false},
		"slow":   {service{status: 429}, false},
		"away":   {service{status: 200, err: errors.New("no route")}, false},
	} {
		arn, err := verifier(t, &c.service, aws.Config{}).Caller(t.Context(), host+"?"+query, "subject")
		if err == nil || arn != "" || errors.Is(err, workflow.ErrUnproved) != c.unproved {
			t.Errorf("%s: %q, %v", name, arn, err)
		}
		if strings.Contains(err.Error(), "X-Amz-Signature") {
			t.Errorf("%s: the proof is in the error: %v", name, err)
		}
	}
}

// A local cloud is reached by more than one name, all of them this machine's.
func TestALocalCloudIsThisMachine(t *testing.T) {
	for host, ok := range map[string]bool{
		"127.0.0.1:4566": true, "localhost:4566": true, "[::1]:4566": true, "127.0.0.1:4567": false,
		"example.com:4566": false,
	} {
		s := &service{status: 200, body: identity}
		v := verifier(t, s, aws.Config{BaseEndpoint: aws.String("http://127.0.0.1:4566")})
		if _, err := v.Caller(t.Context(), "http://"+host+"/?"+query, "subject"); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
}
