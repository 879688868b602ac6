package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/payload"
)

// account is an AWS account with one template and whatever jobs were made, and what the
// operation of these tests finds there: which colours there are, and of which shade.
type account struct {
	template jobs.Template
	jobs     map[event.JobID]jobs.Job
	shade    string
	things   map[string]int // by target; 1000 for others
	needs    time.Duration
	owner    string
	refused  error
	broken   error
}

func newAccount() *account {
	return &account{
		template: jobs.Template{
			Document:   json.RawMessage(`{"operation":"x","owner":"lab","timeouts":{"drySeconds":20,"nap":"7"}}`),
			JobMinutes: 99, Retry: &jobs.Retry{CriteriaList: []jobs.RetryCriterion{{FailureType: "FAILED",
				NumberOfRetries: 1}}},
		},
		jobs: map[event.JobID]jobs.Job{}, shade: "dark",
	}
}

func (a *account) Template(context.Context) (jobs.Template, error) { return a.template, a.broken }
func (a *account) Create(_ context.Context, c jobs.Job) (string, error) {
	if _, ok := a.jobs[c.JobID]; ok {
		return "", jobs.ErrExists
	}
	if a.refused != nil {
		return "", a.refused
	}
	a.jobs[c.JobID] = c
	return "arn:" + string(c.JobID), nil
}

func (a *account) Describe(_ context.Context, id event.JobID) (jobs.Existing, error) {
	j, ok := a.jobs[id]
	if !ok {
		return jobs.Existing{}, jobs.ErrNotFound
	}
	return jobs.Existing{ARN: "arn:" + string(id), Description: j.Description, Status: "IN_PROGRESS"}, nil
}

func (a *account) Things(_ context.Context, arn string, most int) (int, error) {
	if n, ok := a.things[arn]; ok {
		return min(n, most), nil
	}
	return min(1000, most), nil
}

func (a *account) TargetExists(_ context.Context, arn string) (bool, error) {
	return !strings.HasSuffix(arn, "nowhere"), nil
}

var colourForm = regexp.MustCompile(`^[a-z]+$`)

// paint is an operation that may be asked for in every way: its member is "paint", its
// word "colour". Of the colour green there is none.
func paint(a *account) event.Form {
	input := func(in event.Input, colour, shade string) event.Input {
		in.Members = map[string]json.RawMessage{"paint": fmt.Appendf(nil, `{"colour":%q,"shade":%q}`, colour, shade)}
		return in
	}
	return event.Form{
		Operation: "paint",
		Members: []string{"jobId", "paint", "targets", "targetSelection", "allowEmpty", "rollout", "abort",
			"timeouts", "retry"},
		Short: event.ShortForm{Words: []string{"colour"}, Read: func(at string, words map[string]any) (map[string]any,
			event.Problems) {
			c := &payload.Checker{}
			c.Require(at, words, "colour", "a colour")
			return map[string]any{"paint": words}, c.Problems()
		}},
		Timeouts: []event.Timeout{{Name: "drySeconds", Low: 1, High: 60, Default: 10}, {Name: "restSeconds", Low: 1,
			High: 60, Default: 30}},
		One: "a coat", Beside: " and the ladder",
		Read: func(at string, members map[string]any) (event.Input, event.Problems) {
			c := &payload.Checker{}
			var colour string
			if c.Require(at, members, "paint", "an object with colour") {
				m, _ := c.Object(at+".paint", members["paint"], "colour")
				colour, _ = c.Text(at+".paint", m, "colour", colourForm, "a colour")
			}
			in := event.Input{At: at, Title: "Paint " + colour, Prefix: colour,
				Details: map[string]string{"colour": colour}}
			return input(in, colour, ""), c.Problems()
		},
		Complete: func(_ context.Context, in event.Input) (event.Input, event.Problems, error) {
			switch in.Prefix {
			case "green":
				return in, event.Problems{{Path: in.At + ".paint.colour", Value: "green",
					Allowed: "a colour that there is"}}, nil
			case "broken":
				return in, nil, errors.New("the shop is closed")
			}
			return input(in, in.Prefix, a.shade), nil, nil
		},
		Needs: func(json.RawMessage) (time.Duration, error) { return a.needs, nil },
	}
}

// tap is an operation that must be named.
func tap() event.Form {
	return event.Form{
		Operation: "tap", One: "a tap", Beside: " and all retries",
		Read: func(at string, members map[string]any) (event.Input, event.Problems) {
			c := &payload.Checker{}
			c.Known(at, members, "times")
			c.Number(at, members, "times", 1, 10, 1)
			b, err := json.Marshal(members)
			if err != nil {
				return event.Input{}, event.Problems{{Path: at, Allowed: err.Error()}}
			}
			return event.Input{At: at, Title: "Tap", Prefix: "tap", Members: map[string]json.RawMessage{"input": b}},
				c.Problems()
		},
		Complete: func(_ context.Context, in event.Input) (event.Input, event.Problems, error) { return in, nil, nil },
		Needs:    func(json.RawMessage) (time.Duration, error) { return 0, nil },
	}
}

func create(a *account, text string) (jobs.Created, error) {
	c := &jobs.Creator{Jobs: a, Forms: []event.Form{paint(a), tap()}, Owner: a.owner}
	return c.Create(context.Background(), []byte(strings.ReplaceAll(text, "LAMP", lamp)))
}

// document is what a job asks of each device.
type document struct {
	Operation, Owner string
	Paint            struct{ Colour, Shade string }
	Input            map[string]int
	Timeouts         map[string]int
}

func (a *account) document(t *testing.T, made jobs.Created) (d document) {
	t.Helper()
	if err := json.Unmarshal(a.jobs[made.JobID].Document, &d); err != nil {
		t.Fatalf("%s: %v", a.jobs[made.JobID].Document, err)
	}
	return d
}

// full is a payload with more members.
func full(more string) string {
	return `{"paint":{"colour":"red"},"targets":["LAMP"]` + more + `}`
}

// mistakes are the paths of what is wrong.
func mistakes(err error) string {
	var problems event.Problems
	if !errors.As(err, &problems) {
		return fmt.Sprint(err)
	}
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	return strings.Join(paths, " ")
}

func TestTheSameRequestMakesTheSameJob(t *testing.T) {
	a := newAccount()
	first, err := create(a, full(""))
	if err != nil {
		t.Fatal(err)
	}
	second, err := create(a, full(""))
	if err != nil || !second.Existed || second.Status != "IN_PROGRESS" || first.Existed || first.Status != "" {
		t.Fatal(first, second, err)
	}
	if first.JobID != second.JobID || first.JobARN != second.JobARN || len(a.jobs) != 1 {
		t.Errorf("got %+v, then %+v", first, second)
	}
	if first.Details["colour"] != "red" || first.Operation != "" || !strings.HasPrefix(a.jobs[first.JobID].Description,
		"Paint red (Fleetstep request ") {
		t.Errorf("got %+v, %s", first, a.jobs[first.JobID].Description)
	}
}

func TestAnotherRequestUnderTheSameIDIsAConflict(t *testing.T) {
	a := newAccount()
	if _, err := create(a, full(`,"jobId":"j"`)); err != nil {
		t.Fatal(err)
	}
	_, err := create(a, strings.Replace(full(`,"jobId":"j"`), "LAMP", "LAMP2", 1))
	if !errors.Is(err, jobs.ErrConflict) || !strings.Contains(err.Error(), "job j") {
		t.Errorf("got %v", err)
	}
	// The same words, but what is behind them was replaced.
	a.shade = "light"
	if _, err := create(a, full(`,"jobId":"j"`)); !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("after the shade was replaced: %v", err)
	}
	if _, err := create(a, `{"operation":"tap","targets":["LAMP"],"jobId":"j"}`); !errors.Is(err,
		jobs.ErrConflict) {
		t.Errorf("of another operation: %v", err)
	}
}

func TestDefaultsAndFrameComeFromTheTemplate(t *testing.T) {
	a := newAccount()
	made, err := create(a, full(`,"timeouts":{"restSeconds":7}`))
	if err != nil {
		t.Fatal(err)
	}
	d := a.document(t, made)
	if d.Operation != "paint" || d.Owner != "lab" ||
		fmt.Sprint(d.Timeouts) != "map[drySeconds:20 jobMinutes:99 restSeconds:7]" || d.Paint.Shade != "dark" {
		t.Errorf("got %+v", d)
	}
	if r := a.jobs[made.JobID].Request; r.Retry == nil || r.Timeouts.JobMinutes != 99 {
		t.Errorf("got %+v", r)
	}
	a.template = jobs.Template{}
	made, err = create(a, full(""))
	if d := a.document(t, made); err != nil ||
		fmt.Sprint(d.Timeouts) != "map[drySeconds:10 jobMinutes:1440 restSeconds:30]" {
		t.Errorf("without a template: %+v, %v", d, err)
	}
	for _, broken := range []string{`[]`, `{"timeouts":7}`, `{"timeouts":{"drySeconds":"long"}}`} {
		a := newAccount()
		a.template.Document = json.RawMessage(broken)
		if _, err := create(a, full("")); err == nil || !strings.Contains(err.Error(), "job template") {
			t.Errorf("%s: %v", broken, err)
		}
	}
}

func TestAnyOperationMakesAJob(t *testing.T) {
	a := newAccount()
	made, err := create(a, `{"operation":"tap","input":{"times":3},"targets":["LAMP"],"jobId":"j"}`)
	d := a.document(t, made)
	if err != nil || made.Operation != "tap" || d.Operation != "tap" || d.Input["times"] != 3 ||
		fmt.Sprint(d.Timeouts) != "map[jobMinutes:99]" {
		t.Errorf("%+v, %+v, %v", made, d, err)
	}
}

func TestWhatOnlyTheAccountKnowsIsToldAtOnce(t *testing.T) {
	nowhere := `"arn:aws:iot:us-east-1:123456789012:thing/nowhere"`
	if _, err := create(newAccount(),
		`{"paint":{"colour":"green"},"targets":[`+nowhere+`]}`); mistakes(err) != "$.paint.colour $.targets[0]" {
		t.Errorf("got %v", err)
	}
	_, err := create(newAccount(),
		`{"operation":"paint","input":{"paint":{"colour":"green"}},"targets":[`+nowhere+`]}`)
	if mistakes(err) != "$.input.paint.colour $.targets[0]" {
		t.Errorf("got %v", err)
	}
	if _, err := create(newAccount(), `{"paint":{"colour":"broken"},"targets":["LAMP"]}`); err == nil ||
		!strings.Contains(err.Error(), "the shop is closed") {
		t.Errorf("got %v", err)
	}
	a := newAccount()
	a.broken = errors.New("throttled")
	if _, err := create(a, full("")); err == nil || mistakes(err) != "jobs.Create: job "+string(derived(t,
		full("")))+": job template: throttled" {
		t.Errorf("got %v", err)
	}
}

func derived(t *testing.T, text string) event.JobID {
	t.Helper()
	r, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r.DerivedJobID()
}

func TestTheJobLastsAsLongAsItsOperationMay(t *testing.T) {
	for _, c := range []struct {
		needs   time.Duration
		payload string
		minutes int    // 0: refused
		says    string // of a refusal
	}{
		{0, full(""), 99, ""},         // nothing is known of it
		{time.Hour, full(""), 99, ""}, // the template's
		{99 * time.Minute, full(""), 99, ""},
		{99*time.Minute + time.Second, full(""), 100, ""}, // as long as it must be
		{10080 * time.Minute, full(""), 10080, ""},
		{10080*time.Minute + time.Second, full(""), 0, "$.timeouts: "},
		{10180 * time.Minute, full(`,"timeouts":{"jobMinutes":10080}`), 0, "100 too many"},
		{10180 * time.Minute, full(`,"timeouts":{"jobMinutes":10080}`), 0,
			`{"jobMinutes":10080,"drySeconds":20,"restSeconds":30}: times with which a coat ends within 10080 minutes, AWS IoT's longest;` +
				` with these and the ladder it may take 10180 minutes, 100 too many`},
		{time.Hour, full(`,"timeouts":{"jobMinutes":60}`), 60, ""},
		{time.Hour, full(`,"timeouts":{"jobMinutes":45}`), 0,
			"$.timeouts.jobMinutes: 45: at least 60, or leave it out: with the other times" +
				" and the ladder a coat may take that long, 15 minutes more"},
	} {
		a := newAccount()
		a.needs = c.needs
		made, err := create(a, c.payload)
		if c.minutes == 0 {
			if !strings.HasPrefix(mistakes(err), "$.timeouts") || !strings.Contains(err.Error(), c.says) ||
				len(a.jobs) != 0 {
				t.Errorf("%s needs %s: %v; want %q", c.payload, c.needs, err, c.says)
			}
			continue
		}
		if err != nil || a.jobs[made.JobID].Request.Timeouts.JobMinutes != c.minutes || a.document(t,
			made).Timeouts["jobMinutes"] != c.minutes {
			t.Errorf("%s needs %s: %v, %+v", c.payload, c.needs, err, a.jobs[made.JobID].Request.Timeouts)
		}
	}
}

func TestJobsNameTheirStack(t *testing.T) {
	a := newAccount()
	a.owner = "one"
	made, err := create(a, full(""))
	if d := a.document(t, made); err != nil || d.Owner != "one" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestASnapshotOfNothingIsRefused(t *testing.T) {
	a := newAccount()
	a.things = map[string]int{lamp: 0}
	if _, err := create(a, full("")); !errors.Is(err, jobs.ErrEmpty) || len(a.jobs) != 0 {
		t.Errorf("got %v", err)
	}
	for _, more := range []string{`,"allowEmpty":true`, `,"targetSelection":"CONTINUOUS"`} {
		if _, err := create(a, full(more)); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
	// A device that is done has left the dynamic group: the same request has the same
	// answer, also when it is empty by now.
	a = newAccount()
	first, err := create(a, full(""))
	a.things = map[string]int{lamp: 0}
	second, err2 := create(a, full(""))
	if err != nil || err2 != nil || !second.Existed || second.JobID != first.JobID {
		t.Errorf("%+v, %v; %+v, %v", first, err, second, err2)
	}
}

func TestAbortFollowsTheSizeOfTheTarget(t *testing.T) {
	for things, want := range map[int]int{1: 3, 4: 3, 12: 3, 13: 4, 25: 7, 99: 25, 200: 50, 5000: 50} {
		a := newAccount()
		a.template.Abort = &jobs.Abort{CriteriaList: []jobs.AbortCriterion{
			{FailureType: "FAILED", ThresholdPercentage: 20, MinNumberOfExecutedThings: 50},
			{FailureType: "REJECTED", ThresholdPercentage: 20, MinNumberOfExecutedThings: 2},
		}}
		a.things = map[string]int{lamp: things}
		made, err := create(a, full(""))
		if err != nil {
			t.Fatal(err)
		}
		list := a.jobs[made.JobID].Request.Abort.CriteriaList
		if list[0].MinNumberOfExecutedThings != want || list[1].MinNumberOfExecutedThings != 2 ||
			a.template.Abort.CriteriaList[0].MinNumberOfExecutedThings != 50 {
			t.Errorf("%d things: %+v", things, list)
		}
		// A payload's own criteria are its own.
		made, err = create(a,
			full(`,"abort":{"criteriaList":[{"failureType":"ALL","thresholdPercentage":5,"minNumberOfExecutedThings":500}]}`))
		if list := a.jobs[made.JobID].Request.Abort; err != nil ||
			list.CriteriaList[0].MinNumberOfExecutedThings != 500 {
			t.Errorf("%+v, %v", list, err)
		}
	}
}

func TestWhatAWSRefusesIsAMistake(t *testing.T) {
	a := newAccount()
	a.refused = fmt.Errorf("%w: InvalidRequestException: no, because", jobs.ErrUnfit)
	if _, err := create(a, full("")); mistakes(err) != "$" || !strings.Contains(err.Error(), "no, because") {
		t.Errorf("got %v", err)
	}
	a.refused = errors.New("throttled")
	if _, err := create(a, full("")); err == nil || !strings.HasSuffix(err.Error(), "throttled") {
		t.Errorf("got %v", err)
	}
}
