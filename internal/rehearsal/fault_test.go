package rehearsal

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// weather decides by counting.
type weather struct {
	mu     sync.Mutex
	counts map[string]int
}

// nth counts calls of a name, from 1.
func (w *weather) nth(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts == nil {
		w.counts = map[string]int{}
	}
	w.counts[name]++
	return w.counts[name]
}

var (
	// What a host says that is not the jobs data plane's (aws-sdk-js-v3 issue
	// 5533, 2023-11-30; aws-sdk-js issue 2539, 2019-02-16; issue 2146, 2018-07-18).
	errInvalidEndpoint = &localcloud.Error{Code: "AccessDeniedException", Status: 403,
		Message: "Access Denied: Invalid endpoint. Use describe-endpoint API to get valid endpoint"}
	errSuccess = &localcloud.Error{Code: "UnknownOperationException", Status: 200, Fields: map[string]any{
		"Output":  map[string]any{"__type": "com.amazon.coral.service#UnknownOperationException", "message": nil},
		"Version": "1.0"}}
	errNotHere = &localcloud.Error{Code: "ResourceNotFoundException", Status: 404, Message: "not here"}
)

func TestDeploymentFailsWhereNoEndpointAnswersForJobs(t *testing.T) {
	_, out, err := play(t, Config{Devices: 1, Seed: 3, Fault: func(_ context.Context, c *localcloud.Request,
		_ any) error {
		if c.Operation == "GetPendingJobExecutions" {
			return errInvalidEndpoint
		}
		return nil
	}})
	if err == nil {
		t.Fatalf("it was deployed\n%s", out)
	}
	for _, told := range []string{
		"no endpoint of this account answers for the AWS IoT jobs data plane", "Use describe-endpoint",
		"Please use iot:Data-ATS", "parameter JobsEndpoint",
	} {
		if !strings.Contains(err.Error(), told) {
			t.Errorf("the error does not tell %q: %v", told, err)
		}
	}
}

// The jobs data plane fails each device's first calls, in each of three ways: nobody
// loses an upgrade.
func TestJobsDataPlaneThatFailsLosesNoUpgrade(t *testing.T) {
	for name, answer := range map[string]error{"404": errNotHere, "a success that is none": errSuccess,
		"refused": errInvalidEndpoint} {
		var w weather
		s, out, err := play(t, Config{Devices: 10, Seed: 5, Fault: func(_ context.Context, c *localcloud.Request,
			_ any) error {
			if c.Service.ID == "iotjobsdataplane" && c.Operation != "GetPendingJobExecutions" && w.nth(name) <= 12 {
				return answer
			}
			return nil
		}})
		if err != nil || s.Succeeded != 10 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if w.counts[name] <= 12 {
			t.Errorf("%s: %d calls", name, w.counts[name])
		}
	}
}

// One in five writes to the table meets another transaction.
func TestConflictsLoseNothing(t *testing.T) {
	var w weather
	s, out, err := play(t, Config{Devices: 30, Seed: 11, Faults: "all", Fault: func(_ context.Context,
		_ *localcloud.Request, in any) error {
		err := localcloud.Conflict(in, 0)
		if err == nil || w.nth("write")%5 != 0 {
			return nil
		}
		return localcloud.Conflict(in, w.nth("conflict"))
	}})
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if w.counts["conflict"] < 50 {
		t.Errorf("only %d conflicts", w.counts["conflict"])
	}
	if s != nil && s.Succeeded+s.Failed+s.Rejected != 30 {
		t.Errorf("summary %+v", s)
	}
}
