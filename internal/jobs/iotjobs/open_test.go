package iotjobs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// summaries are an answer of ListJobExecutionsForJob.
func summaries(next string, things ...string) []answer {
	var list []string
	for _, thing := range things {
		list = append(list, `{"thingArn":"arn:aws:iot:us-east-1:123456789012:thing/`+thing+
			`","jobExecutionSummary":{"status":"QUEUED","lastUpdatedAt":1700000000}}`)
	}
	return ok(`{"executionSummaries":[` + strings.Join(list, ",") + `],"nextToken":"` + next + `"}`)
}

// read reads pages to the end.
func read(t *testing.T, c *Control, now time.Time) (open []string) {
	t.Helper()
	cursor := ""
	for range 20 {
		page, next, err := c.Open(t.Context(), cursor, now, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page {
			open = append(open, fmt.Sprintf("%s %s", x.Job, x.Thing))
			if !x.Since.Equal(time.Unix(1_700_000_000, 0)) {
				t.Errorf("%s: since %s", x.Thing, x.Since)
			}
		}
		if cursor = next; cursor == "" {
			return open
		}
	}
	t.Fatalf("no end; the cursor is %s", cursor)
	return nil
}

// TestOpenReadsTheExecutionsOfJobs that are IN_PROGRESS: those that have begun, and
// those that have not. Of jobs that were cancelled only what has begun is left, for as
// long as its timer may run.
func TestOpenReadsTheExecutionsOfJobs(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).Add(30 * 24 * time.Hour)
	updated := func(before time.Duration) int64 { return now.Add(-before).Unix() }
	c, p := newControl(t, map[string][]answer{
		"GET /jobs?maxResults=1&status=IN_PROGRESS":             ok(`{"jobs":[{"jobId":"a"}],"nextToken":"1"}`),
		"GET /jobs?maxResults=1&nextToken=1&status=IN_PROGRESS": ok(`{"jobs":[{"jobId":"b"}]}`),

		"GET /jobs/a/things?maxResults=2&status=IN_PROGRESS":             summaries("2", "t1", "t2"),
		"GET /jobs/a/things?maxResults=2&nextToken=2&status=IN_PROGRESS": summaries("", "t3"),
		"GET /jobs/a/things?maxResults=2&status=QUEUED":                  summaries("", "t4"),
		"GET /jobs/b/things?maxResults=2&status=IN_PROGRESS":             refused(404, "ResourceNotFoundException"),
		"GET /jobs/b/things?maxResults=2&status=QUEUED":                  summaries(""),

		"GET /jobs?maxResults=50&status=CANCELED": ok(fmt.Sprintf(`{"jobs":[{"jobId":"old","lastUpdatedAt":%d},
			{"jobId":"c","lastUpdatedAt":%d},{"jobId":"d","lastUpdatedAt":%d}],"nextToken":"3"}`,
			updated(9*24*time.Hour), updated(7*24*time.Hour), updated(time.Minute))),
		"GET /jobs?maxResults=50&nextToken=3&status=CANCELED": ok(`{"jobs":[]}`),
		"GET /jobs/c/things?maxResults=2&status=IN_PROGRESS":  summaries("", "t5"),
		"GET /jobs/d/things?maxResults=2&status=IN_PROGRESS":  summaries("", "t6"),
	})
	want := []string{"a t1", "a t2", "a t3", "a t4", "c t5", "d t6"}
	if open := read(t, c, now); !slices.Equal(open, want) {
		t.Errorf("read %q, want %q", open, want)
	}
	for _, asked := range p.asked {
		if strings.Contains(asked, "/jobs/old/") {
			t.Errorf("a job that is over for good was looked at: %s", asked)
		}
	}
}

func TestOpenWithoutJobsComesToItsEnd(t *testing.T) {
	c, _ := newControl(t, map[string][]answer{
		"GET /jobs?maxResults=1&status=IN_PROGRESS": ok(`{"jobs":[]}`),
		"GET /jobs?maxResults=50&status=CANCELED":   ok(`{"jobs":[]}`),
	})
	if open := read(t, c, time.Unix(0, 0)); len(open) > 0 {
		t.Errorf("read %q", open)
	}
}

func TestOpenSaysWhatItCannotRead(t *testing.T) {
	c, _ := newControl(t, map[string][]answer{
		"GET /jobs?maxResults=1&status=IN_PROGRESS": refused(401, "UnauthorizedException"),
	})
	if _, _, err := c.Open(t.Context(), "", time.Unix(0, 0), 2); err == nil || !strings.Contains(err.Error(),
		"iotjobs.Open") {
		t.Error(err)
	}
	if _, _, err := c.Open(t.Context(), "no cursor", time.Unix(0, 0), 2); err == nil || !strings.Contains(err.Error(),
		"iotjobs.Open") {
		t.Error(err)
	}
}

// TestNextIsTheThingsNextExecution, and nothing where there is none, or no such thing.
func TestNextIsTheThingsNextExecution(t *testing.T) {
	e, tr := newExecutions(t, answer{status: 200, body: `{"execution":{"jobId":"fw-2","executionNumber":3,
		"status":"QUEUED","jobDocument":"{\"operation\":\"firmware-upgrade\"}"}}`})
	got, err := e.Next(t.Context(), "rg:1")
	if err != nil || got == nil || got.Job != "fw-2" || got.Number != 3 ||
		string(got.Document) != `{"operation":"firmware-upgrade"}` {
		t.Errorf("%+v, %v", got, err)
	}
	if want := "GET /things/rg:1/jobs/$next?includeJobDocument=true"; tr.asked[0] != want {
		t.Errorf("asked %s, want %s", tr.asked[0], want)
	}
	for name, a := range map[string]answer{
		"none":          {status: 200, body: `{"clientToken":"x","timestamp":1}`},
		"without an id": {status: 200, body: `{"execution":{}}`},
		"no such thing": unknown,
	} {
		e, _ := newExecutions(t, a)
		if got, err := e.Next(t.Context(), "t"); got != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	e, _ = newExecutions(t, answer{403, "AccessDeniedException", `{"message":"no, because"}`})
	if got, err := e.Next(t.Context(), "t"); got != nil || err == nil || !strings.Contains(err.Error(),
		"iotjobs.Next") || !strings.Contains(err.Error(), "no, because") {
		t.Errorf("refused: %+v, %v", got, err)
	}
}
