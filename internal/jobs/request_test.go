package jobs_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

const lamp = "arn:aws:iot:us-east-1:123456789012:thing/lamp"

// parse reads a payload of the two operations of these tests; LAMP is a thing.
func parse(text string) (jobs.Request, error) {
	return jobs.Parse([]byte(strings.ReplaceAll(text, "LAMP", lamp)),
		[]event.Form{paint(newAccount()), tap()})
}

func TestAllFormsOfAPayloadAreOneRequest(t *testing.T) {
	for name, same := range map[string][]string{
		"with and without the operation's name": {
			`{"paint":{"colour":"red"},"targets":["LAMP"]}`,
			`{"targets":["LAMP"],"targetSelection":"SNAPSHOT","paint":{"colour":"red"},"allowEmpty":false}`,
			`{"operation":"paint","input":{"paint":{"colour":"red"}},"targets":["LAMP"]}`,
			`{"colour":"red","targetArn":"LAMP"}`,
		},
		"the job's members": {
			`{"paint":{"colour":"red"},"targets":["LAMP"],"timeouts":{"jobMinutes":90,"drySeconds":5.0},"retry":{"criteriaList":[{"failureType":"ALL","numberOfRetries":1.0}]},` +
				`"abort":{"criteriaList":[{"failureType":"ALL","thresholdPercentage":5,"minNumberOfExecutedThings":5}]}}`,
			`{"operation":"paint","input":{"paint":{"colour":"red"}},"targets":["LAMP"],"timeouts":{"jobMinutes":90,"drySeconds":5},"retry":{"criteriaList":[{"failureType":"ALL","numberOfRetries":1}]},` +
				`"abort":{"criteriaList":[{"failureType":"ALL","action":"CANCEL","thresholdPercentage":5,"minNumberOfExecutedThings":5}]}}`,
		},
		"without input": {
			`{"operation":"tap","targets":["LAMP"]}`,
			`{"operation":"tap","targets":["LAMP"],"input":{}}`,
		},
	} {
		first, err := parse(same[0])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, text := range same[1:] {
			r, err := parse(text)
			if err != nil || r.DerivedJobID() != first.DerivedJobID() || !reflect.DeepEqual(r.Input.Members,
				first.Input.Members) {
				t.Errorf("%s: %s is %s, %v; want %s", name, text, r.DerivedJobID(), err, first.DerivedJobID())
			}
		}
	}
}

func TestAnotherRequestIsAnotherJob(t *testing.T) {
	seen := map[event.JobID]string{}
	for _, text := range []string{
		`{"operation":"tap","targets":["LAMP"]}`,
		`{"operation":"tap","targets":["LAMP"],"input":{"times":2}}`,
		`{"operation":"tap","targets":["LAMP"],"allowEmpty":true}`,
		`{"operation":"tap","targets":["LAMP"],"targetSelection":"CONTINUOUS"}`,
		`{"operation":"tap","targets":["LAMP"],"timeouts":{"jobMinutes":5}}`,
		`{"operation":"tap","targets":["LAMP"],"rollout":{"maximumPerMinute":5}}`,
		`{"operation":"tap","targets":["LAMP"],"abort":{"criteriaList":[]}}`,
		`{"operation":"tap","targets":["LAMP"],"retry":{"criteriaList":[{"failureType":"ALL","numberOfRetries":1}]}}`,
		`{"operation":"tap","targets":["LAMP2"]}`,
		`{"paint":{"colour":"red"},"targets":["LAMP"]}`,
		`{"paint":{"colour":"blue"},"targets":["LAMP"]}`,
	} {
		r, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if other, ok := seen[r.DerivedJobID()]; ok {
			t.Errorf("%s and %s are both %s", text, other, r.DerivedJobID())
		}
		seen[r.DerivedJobID()] = text
	}
}

func TestDerivedJobIDs(t *testing.T) {
	for text, prefix := range map[string]string{
		`{"operation":"tap","targets":["LAMP"]}`:                                                   "tap-",
		`{"paint":{"colour":"red"},"targets":["LAMP"]}`:                                            "red-",
		`{"paint":{"colour":"` + strings.Repeat("a", 60) + `"},"targets":["LAMP"]}`:                strings.Repeat("a", 47) + "-",
		`{"jobId":"mine","paint":{"colour":"` + strings.Repeat("a", 60) + `"},"targets":["LAMP"]}`: "mine",
	} {
		r, err := parse(text)
		if id := string(r.DerivedJobID()); err != nil || !strings.HasPrefix(id, prefix) || len(id) > 64 {
			t.Errorf("%s: %s, %v", text, r.DerivedJobID(), err)
		}
	}
}

// TestMistakesAreToldAtOnce: each payload has the mistakes of which the paths are given.
func TestMistakesAreToldAtOnce(t *testing.T) {
	const rate, abort = "$.rollout.exponentialRate.", "$.abort.criteriaList[0]."
	with := func(more string) string { return `{"operation":"tap","targets":["LAMP"],` + more + `}` }
	for _, c := range []struct{ payload, want string }{
		{``, "$"},
		{`[]`, "$"},
		{`{} {}`, "$"},
		{`{"targets":["LAMP"]}`, "$.paint"},
		{`{"operation":"sing","targets":["LAMP"],"input":7,"jobId":"a b","timeouts":{"x":1}}`, "$.jobId $.operation"},
		{with(`"input":[]`), "$.input"},
		{with(`"input":{"times":"x"},"paint":1`), "$.input.times $.paint"},
		{`{"paint":{"colour":"red"},"targets":[],"targetSelection":"ONCE","allowEmpty":1,"jobId":"","song":1}`,
			"$.allowEmpty $.jobId $.song $.targetSelection $.targets"},
		{`{"operation":"tap"}`, "$.targets"},
		{`{"operation":"tap","targets":["LAMP","LAMP",7]}`, "$.targets[1] $.targets[2]"},
		{`{"colour":"red","targetArn":"x","song":1,"targetSelection":"ONCE","allowEmpty":1}`,
			"$.allowEmpty $.song $.targetArn $.targetSelection"},
		{`{"targetArn":"LAMP"}`, "$.colour"},
		{with(`"timeouts":{"jobMinutes":0}`), "$.timeouts.jobMinutes"},
		{with(`"timeouts":{"drySeconds":1}`), "$.timeouts.drySeconds"},
		{with(`"timeouts":7`), "$.timeouts"},
		{`{"paint":{"colour":"red"},"targets":["LAMP"],"timeouts":{"drySeconds":61,"jobMinutes":1.5}}`,
			"$.timeouts.drySeconds $.timeouts.jobMinutes"},
		{with(`"rollout":7`), "$.rollout"},
		{with(`"rollout":{"maximumPerMinute":1001}`), "$.rollout.maximumPerMinute"},
		{with(`"rollout":{"exponentialRate":7}`), "$.rollout.exponentialRate"},
		{with(`"rollout":{"exponentialRate":{}}`), rate + "baseRatePerMinute " + rate + "incrementFactor " +
			rate + "rateIncreaseCriteria"},
		{with(`"rollout":{"exponentialRate":{"baseRatePerMinute":1,"incrementFactor":1.15,"rateIncreaseCriteria":{}}}`),
			rate + "incrementFactor " + rate + "rateIncreaseCriteria"},
		{with(`"abort":{}`), "$.abort.criteriaList"},
		{with(`"abort":{"criteriaList":[{}]}`), abort + "failureType " + abort + "minNumberOfExecutedThings " +
			abort + "thresholdPercentage"},
		{with(`"abort":{"criteriaList":[{"failureType":"REMOVED","action":"STOP","thresholdPercentage":101,` +
			`"minNumberOfExecutedThings":0}]}`), abort + "action " + abort + "failureType " +
			abort + "minNumberOfExecutedThings " + abort + "thresholdPercentage"},
		{with(`"retry":{"criteriaList":[]}`), "$.retry.criteriaList"},
		{with(`"retry":{"criteriaList":[7]}`), "$.retry.criteriaList[0]"},
		{with(`"retry":{"criteriaList":[{}]}`),
			"$.retry.criteriaList[0].failureType $.retry.criteriaList[0].numberOfRetries"},
	} {
		_, err := parse(c.payload)
		if got := mistakes(err); got != c.want {
			t.Errorf("%s: got %s, want %s (%v)", c.payload, got, c.want, err)
		}
	}
	if _, err := jobs.Parse([]byte(`{"targets":[]}`), []event.Form{tap()}); mistakes(err) != "$.operation" {
		t.Errorf("without an operation that needs no name: %v", err)
	}
}

func TestRetryCriteriaThatAWSRefusesAreMistakes(t *testing.T) {
	const f = `{"operation":"tap","targets":["LAMP"],"retry":{"criteriaList":[%s]}}`
	one := func(kind string, n int) string {
		return fmt.Sprintf(`{"failureType":%q,"numberOfRetries":%d}`, kind, n)
	}
	const second = "$.retry.criteriaList[1]."
	for list, path := range map[string]string{
		one("FAILED", 1) + "," + one("FAILED", 2):     second + "failureType",
		one("ALL", 1) + "," + one("FAILED", 1):        second + "failureType",
		one("TIMED_OUT", 1) + "," + one("ALL", 1):     second + "failureType",
		one("FAILED", 6) + "," + one("TIMED_OUT", 5):  second + "numberOfRetries",
		one("FAILED", 10) + "," + one("TIMED_OUT", 0): "<nil>",
		one("ALL", 10): "<nil>",
		`{"failureType":["FAILED"],"numberOfRetries":1}`: "$.retry.criteriaList[0].failureType",
	} {
		if _, err := parse(fmt.Sprintf(f, list)); mistakes(err) != path {
			t.Errorf("%s: want %q: %v", list, path, err)
		}
	}
}

func TestTheAnswerHasTheOperationsMembersBesideTheJob(t *testing.T) {
	b, err := json.Marshal(jobs.Created{
		JobID: "j", JobARN: "arn:j", Targets: []string{"t"}, Details: map[string]string{"size": "2", "colour": "red"},
	})
	if err != nil || string(b) != `{"jobId":"j","jobArn":"arn:j","colour":"red","size":"2","targets":["t"]}` {
		t.Errorf("%s, %v", b, err)
	}
	b, err = json.Marshal(jobs.Created{JobID: "j", Operation: "tap", Existed: true, Status: "COMPLETED"})
	if err != nil ||
		string(b) != `{"jobId":"j","jobArn":"","operation":"tap","targets":null,"existed":true,"status":"COMPLETED"}` {
		t.Errorf("%s, %v", b, err)
	}
}
