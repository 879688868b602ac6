package iotjobs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// account answers by host and path; what it does not know of is refused.
type account struct {
	t       *testing.T
	answers map[string]answer // "host path"
	asked   []string
}

func (a *account) Do(r *http.Request) (*http.Response, error) {
	k := r.URL.Host + " " + r.URL.RequestURI()
	a.asked = append(a.asked, k)
	found, ok := a.answers[k]
	if !ok {
		a.t.Errorf("unexpected %s", k)
		found = answer{400, "InvalidRequestException", `{}`}
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Amzn-Errortype", found.header)
	w.WriteHeader(found.status)
	_, _ = io.WriteString(w, found.body)
	return w.Result(), nil
}

const (
	describeATS  = "iot.us-east-1.amazonaws.com /endpoint?endpointType=iot%3AData-ATS"
	describeJobs = "iot.us-east-1.amazonaws.com /endpoint?endpointType=iot%3AJobs"
	probeATS     = "x-ats.iot /things/fleetstep-endpoint-probe/jobs"
	probeJobs    = "x.jobs.iot /things/fleetstep-endpoint-probe/jobs"
)

var (
	pending = answer{200, "", `{"inProgressJobs":[],"queuedJobs":[]}`}
	ats     = answer{200, "", `{"endpointAddress":"x-ats.iot"}`}
	older   = answer{200, "", `{"endpointAddress":"x.jobs.iot"}`}
	// In AWS's words: in a real account on 2026-08-10 (http4k-connect, FakeIot).
	retired = answer{400, "InvalidRequestException", `{"message":"IoT Jobs and Commands APIs are now available through iot:Data-ATS endpoints instead of iot:Jobs endpoints. Please use iot:Data-ATS."}`}
	// aws-sdk-js-v3 issue 5533, 2023-11-30.
	invalidEndpoint = answer{403, "AccessDeniedException", `{"message":"Access Denied: Invalid endpoint. Use describe-endpoint API to get valid endpoint"}`}
	// aws-sdk-js issue 2539, 2019-02-16.
	unknownOperation = answer{200, "", `{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException","message":null},"Version":"1.0"}`}
	noThing          = answer{404, "ResourceNotFoundException", `{"message":"not found"}`}
)

func TestEndpointOfTheJobsDataPlaneIsTheOneThatAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[string]answer
		jobs    string   // "" if none answers
		told    []string // in the error
	}{
		"today": {map[string]answer{describeATS: ats, probeATS: pending},
			"https://x-ats.iot", nil},
		"today, the thing must exist": {map[string]answer{describeATS: ats, probeATS: noThing,
			describeJobs: retired}, "https://x-ats.iot", nil},
		"an older account": {map[string]answer{describeATS: ats, probeATS: invalidEndpoint,
			describeJobs: older, probeJobs: pending}, "https://x.jobs.iot", nil},
		"an older one, 404 from the wrong": {map[string]answer{describeATS: ats, probeATS: noThing,
			describeJobs: older, probeJobs: pending}, "https://x.jobs.iot", nil},
		"success that is none": {map[string]answer{describeATS: ats, probeATS: unknownOperation,
			describeJobs: older, probeJobs: noThing}, "https://x.jobs.iot", nil},
		"both say that there is no thing": {map[string]answer{describeATS: ats, probeATS: noThing,
			describeJobs: older, probeJobs: noThing}, "https://x-ats.iot", nil},
		"an empty success is not an answer": {map[string]answer{describeATS: ats, probeATS: {200, "", `{}`}, describeJobs: older, probeJobs: pending}, "https://x.jobs.iot", nil},
		"none": {map[string]answer{describeATS: ats, probeATS: invalidEndpoint, describeJobs: retired}, "", []string{
			"iot:Data-ATS: the jobs data plane x-ats.iot answered AccessDeniedException (HTTP 403): Access Denied: " +
				"Invalid endpoint",
			"iot:Jobs: ", "Please use iot:Data-ATS", "parameter JobsEndpoint",
		}},
		"no permission": {map[string]answer{describeATS: {403, "AccessDeniedException", `{"message":"not you"}`}}, "", []string{"iot:Data-ATS", "not you"}},
		"no address":    {map[string]answer{describeATS: {200, "", `{}`}}, "", []string{"without an address"}},
	} {
		a := &account{t: t, answers: c.answers}
		found, err := FindEndpoints(t.Context(), a.config(), "", time.Now)
		if found.Jobs != c.jobs || (err == nil) != (c.jobs != "") || found.Doubt != nil {
			t.Errorf("%s: got %+v, %v", name, found, err)
		}
		if c.jobs != "" && found.Data != "https://x-ats.iot" {
			t.Errorf("%s: data %s", name, found.Data)
		}
		for _, told := range c.told {
			if err == nil || !strings.Contains(err.Error(), told) {
				t.Errorf("%s: the error does not tell %q: %v", name, told, err)
			}
		}
	}
}

// Who chooses an endpoint by hand knows better than the probe, but is told.
func TestChosenEndpointIsTaken(t *testing.T) {
	a := &account{t: t, answers: map[string]answer{describeATS: ats, probeJobs: invalidEndpoint}}
	found, err := FindEndpoints(t.Context(), a.config(), "x.jobs.iot", time.Now)
	if err != nil || found.Jobs != "https://x.jobs.iot" || found.Doubt == nil || found.Data != "https://x-ats.iot" {
		t.Errorf("got %+v, %v", found, err)
	}
	a.answers[probeJobs] = pending
	if found, err := FindEndpoints(t.Context(), a.config(), "x.jobs.iot", time.Now); err != nil || found.Doubt != nil {
		t.Errorf("got %+v, %v", found, err)
	}
}

func (a *account) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient: a,
		Retryer:    func() aws.Retryer { return aws.NopRetryer{} },
	}
}
