package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// account is an AWS account with one template, one image of version 2.0.0, and
// whatever jobs were made.
type account struct {
	template jobs.Template
	jobs     map[event.JobID]jobs.Job
	sha      string
	promised map[string]string
	things   map[string]int // by target; 1000 for others
	needs    time.Duration
	rules    jobs.Rules
	refused  error
}

func newAccount() *account {
	return &account{
		template: jobs.Template{
			Document:   json.RawMessage(`{"operation":"x","owner":"lab","timeouts":{"rebootSeconds":120}}`),
			JobMinutes: 99, Retry: &event.Retry{CriteriaList: []event.RetryCriterion{{FailureType: "FAILED",
				NumberOfRetries: 1}}},
		},
		jobs: map[event.JobID]jobs.Job{}, sha: strings.Repeat("a", 64),
	}
}

func (a *account) Template(context.Context) (jobs.Template, error) { return a.template, nil }
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

func (a *account) ByVersion(_ context.Context, version string) ([]event.S3Object, error) {
	if version != "2.0.0" {
		return nil, nil
	}
	return []event.S3Object{{Bucket: "firmware", Key: "2.0.0/gateway.bin"}}, nil
}
func (a *account) Where(version string) string { return "s3://firmware/" + version + "/" }

// images answers the other Describe: jobs.Images and jobs.Account share the name.
type images struct{ *account }

func (i images) Describe(_ context.Context, o event.S3Object) (jobs.Image, error) {
	switch o.Key {
	case "missing":
		return jobs.Image{}, jobs.ErrNotFound
	case "foreign":
		return jobs.Image{}, fmt.Errorf("%w: S3 answers 403", jobs.ErrUnreadable)
	}
	o.VersionID = "v1"
	return jobs.Image{Object: o, Size: 10, SHA256: i.sha, Promised: i.promised}, nil
}

func create(a *account, payload string) (event.Created, error) {
	plan := func(json.RawMessage) (event.Plan, error) { return event.Plan{Needs: a.needs}, nil }
	c := &jobs.Creator{Jobs: a, Images: images{a}, Plan: plan, Rules: a.rules}
	return c.Create(context.Background(), []byte(payload))
}

const reference = `{"firmwareVersion":"2.0.0","upgradeTrigger":"IMMEDIATE","targetArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/demo"}`

func TestTheSameRequestMakesTheSameJob(t *testing.T) {
	a := newAccount()
	first, err := create(a, reference)
	if err != nil {
		t.Fatal(err)
	}
	second, err := create(a, reference)
	if err != nil || !second.Existed || second.Status != "IN_PROGRESS" || first.Existed || first.Status != "" {
		t.Fatal(first, second, err)
	}
	if first.JobID != second.JobID || first.JobARN != second.JobARN || len(a.jobs) != 1 {
		t.Errorf("got %+v, then %+v", first, second)
	}
}

func TestAnotherRequestUnderTheSameIDIsAConflict(t *testing.T) {
	a := newAccount()
	const f = `{"jobId":"j","firmware":{"version":"2.0.0"},"targets":["arn:aws:iot:us-east-1:123456789012:thing/%"]}`
	if _, err := create(a, strings.Replace(f, "%", "a", 1)); err != nil {
		t.Fatal(err)
	}
	_, err := create(a, strings.Replace(f, "%", "b", 1))
	if !errors.Is(err, jobs.ErrConflict) || !strings.Contains(err.Error(), "job j") {
		t.Errorf("got %v", err)
	}
	// The same words, but the image behind them was replaced.
	a.sha = strings.Repeat("b", 64)
	if _, err := create(a, strings.Replace(f, "%", "a", 1)); !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("after the image was replaced: %v", err)
	}
}

func TestDefaultsAndFrameComeFromTheTemplate(t *testing.T) {
	a := newAccount()
	made, err := create(a, `{"firmware":{"version":"2.0.0"},"targets":["arn:aws:iot:us-east-1:123456789012:thing/a"],"timeouts":{"answerSeconds":7}}`)
	if err != nil {
		t.Fatal(err)
	}
	c := a.jobs[made.JobID]
	var doc event.Document
	if err := json.Unmarshal(c.Document, &doc); err != nil || doc.Operation != event.FirmwareUpgrade {
		t.Fatal(string(c.Document), err)
	}
	want := event.Timeouts{JobMinutes: 99, AnswerSeconds: 7, DownloadSeconds: 3600, RebootSeconds: 120}
	if doc.Timeouts != want || c.Request.Retry == nil || !strings.Contains(string(c.Document), `"owner":"lab"`) {
		t.Errorf("got %s", c.Document)
	}
	if f := doc.Firmware; f.S3 == nil || f.S3.VersionID != "v1" || f.SHA256 != a.sha || f.Size != 10 {
		t.Errorf("firmware %+v", f)
	}
}

func TestWhatOnlyTheAccountKnowsIsToldAtOnce(t *testing.T) {
	_, err := create(newAccount(), `{"firmware":{"version":"9"},"targets":["arn:aws:iot:us-east-1:123456789012:thing/nowhere"]}`)
	var problems event.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("got %v", err)
	}
	_, err = create(newAccount(), `{"firmware":{"version":"9","s3":{"bucket":"firmware","key":"k"},"sha256":"`+strings.Repeat("c", 64)+`","size":11},"targets":["arn:aws:iot:us-east-1:123456789012:thing/a"]}`)
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("size and hash that are not the object's: %v", err)
	}
}

const thing = "arn:aws:iot:us-east-1:123456789012:thing/a"

// full is a payload with more members.
func full(more string) string {
	return `{"firmware":{"version":"2.0.0"},"targets":["` + thing + `"]` + more + `}`
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

func TestTheJobLastsAsLongAsAnUpgradeMay(t *testing.T) {
	for _, c := range []struct {
		needs   time.Duration
		payload string
		minutes int    // 0: refused
		says    string // of a refusal
	}{
		{time.Hour, full(""), 99, ""}, // the template's
		{99 * time.Minute, full(""), 99, ""},
		{99*time.Minute + time.Second, full(""), 100, ""}, // as long as it must be
		{10080 * time.Minute, full(""), 10080, ""},
		{10080*time.Minute + time.Second, full(""), 0, "$.timeouts: "},
		{10180 * time.Minute, full(`,"timeouts":{"jobMinutes":10080}`), 0, "100 too many"},
		{time.Hour, full(`,"timeouts":{"jobMinutes":60}`), 60, ""},
		{time.Hour, full(`,"timeouts":{"jobMinutes":45}`), 0, "$.timeouts.jobMinutes: 45: at least 60"},
		{time.Hour, full(`,"timeouts":{"jobMinutes":45}`), 0, "15 minutes more"},
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
		var doc event.Document
		j := a.jobs[made.JobID]
		if err != nil || j.Request.Timeouts.JobMinutes != c.minutes || json.Unmarshal(j.Document, &doc) != nil ||
			doc.Timeouts.JobMinutes != c.minutes {
			t.Errorf("%s needs %s: %v, %+v", c.payload, c.needs, err, j.Request.Timeouts)
		}
	}
}

func TestJobsNameTheirStack(t *testing.T) {
	a := newAccount()
	a.rules.Owner = "one"
	made, err := create(a, reference)
	if err != nil {
		t.Fatal(err)
	}
	var doc event.Document
	if err := json.Unmarshal(a.jobs[made.JobID].Document, &doc); err != nil || doc.Owner != "one" {
		t.Errorf("%s, %v", a.jobs[made.JobID].Document, err)
	}
}

func TestASnapshotOfNothingIsRefused(t *testing.T) {
	a := newAccount()
	a.things = map[string]int{thing: 0}
	if _, err := create(a, full("")); !errors.Is(err, jobs.ErrEmpty) || len(a.jobs) != 0 {
		t.Errorf("got %v", err)
	}
	for _, more := range []string{`,"allowEmpty":true`, `,"targetSelection":"CONTINUOUS"`} {
		if _, err := create(a, full(more)); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
	// Who was upgraded has left the dynamic group: the same request has the same
	// answer, also when it is empty by now.
	a = newAccount()
	first, err := create(a, full(""))
	a.things = map[string]int{thing: 0}
	second, err2 := create(a, full(""))
	if err != nil || err2 != nil || !second.Existed || second.JobID != first.JobID {
		t.Errorf("%+v, %v; %+v, %v", first, err, second, err2)
	}
}

func TestAbortFollowsTheSizeOfTheTarget(t *testing.T) {
	for things, want := range map[int]int{1: 3, 4: 3, 12: 3, 13: 4, 25: 7, 99: 25, 200: 50, 5000: 50} {
		a := newAccount()
		a.template.Abort = &event.Abort{CriteriaList: []event.AbortCriterion{
			{FailureType: "FAILED", ThresholdPercentage: 20, MinNumberOfExecutedThings: 50},
			{FailureType: "REJECTED", ThresholdPercentage: 20, MinNumberOfExecutedThings: 2},
		}}
		a.things = map[string]int{thing: things}
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
		made, err = create(a, full(`,"abort":{"criteriaList":[{"failureType":"ALL","thresholdPercentage":5,"minNumberOfExecutedThings":500}]}`))
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
	_, err := create(newAccount(), `{"firmware":{"version":"2","s3":{"bucket":"other","key":"foreign"}},"targets":["`+thing+`"]}`)
	if mistakes(err) != "$.firmware.s3" || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v", err)
	}
}
