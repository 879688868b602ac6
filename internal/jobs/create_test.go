package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// account is an AWS account with one template, one image of version 2.0.0, and
// whatever jobs were made.
type account struct {
	template jobs.Template
	jobs     map[event.JobID]jobs.Job
	sha      string
}

func newAccount() *account {
	return &account{
		template: jobs.Template{
			Document:   json.RawMessage(`{"operation":"x","owner":"lab","timeouts":{"rebootSeconds":120}}`),
			JobMinutes: 99, Retry: &event.Retry{CriteriaList: []event.RetryCriterion{{FailureType: "FAILED", NumberOfRetries: 1}}},
		},
		jobs: map[event.JobID]jobs.Job{}, sha: strings.Repeat("a", 64),
	}
}

func (a *account) Template(context.Context) (jobs.Template, error) { return a.template, nil }
func (a *account) Create(_ context.Context, c jobs.Job) (string, error) {
	if _, ok := a.jobs[c.JobID]; ok {
		return "", jobs.ErrExists
	}
	a.jobs[c.JobID] = c
	return "arn:" + string(c.JobID), nil
}

func (a *account) Describe(_ context.Context, id event.JobID) (jobs.Existing, error) {
	return jobs.Existing{ARN: "arn:" + string(id), Description: a.jobs[id].Description}, nil
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
	if o.Key == "missing" {
		return jobs.Image{}, jobs.ErrNotFound
	}
	o.VersionID = "v1"
	return jobs.Image{Object: o, Size: 10, SHA256: i.sha}, nil
}

func create(a *account, payload string) (event.Created, error) {
	c := &jobs.Creator{Jobs: a, Images: images{a}}
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
	if err != nil || !second.Existed {
		t.Fatal(second, err)
	}
	second.Existed = first.Existed
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
