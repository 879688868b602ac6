package iot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func TestJobFromCreationToCompletion(t *testing.T) {
	c := newCloud(t)
	c.events("JOB", "JOB_EXECUTION")
	c.groupOf("wave", "gw", 2)
	c.call("CreateJob", `{"jobId":"fw","targets":["`+arnOf("thinggroup/wave")+`"],"document":"{\"v\":2}"}`)
	c.run(time.Second)
	c.wantCounts("fw", "IN_PROGRESS Queued=2")
	want := []string{
		"$aws/things/gw-0000/jobs/notify", "$aws/things/gw-0000/jobs/notify-next",
		"$aws/things/gw-0001/jobs/notify", "$aws/things/gw-0001/jobs/notify-next",
	}
	next := c.sent[1].payload["execution"].(map[string]any)
	if next["jobDocument"].(map[string]any)["v"] != 2.0 || next["status"] != "QUEUED" ||
		next["versionNumber"] != 1.0 || next["executionNumber"] != 1.0 {
		t.Errorf("notify-next: %v", next)
	}
	if got := c.topics(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	reply, body := c.mqtt("$aws/things/gw-0000/jobs/start-next", `{"clientToken":"t1","statusDetails":{"step":"a"}}`)
	e := body["execution"].(map[string]any)
	if reply != "accepted" || e["status"] != "IN_PROGRESS" || e["versionNumber"] != 2.0 ||
		body["clientToken"] != "t1" {
		t.Errorf("start-next: %s %v", reply, body)
	}
	if got := c.topics(); len(got) != 0 {
		t.Errorf("a started execution is no reason to notify: %v", got)
	}
	reply, body = c.mqtt("$aws/things/gw-0000/jobs/fw/update", `{"status":"IN_PROGRESS","statusDetails":{"p":"1"},"expectedVersion":1}`)
	if reply != "rejected" || body["code"] != "VersionMismatch" ||
		body["executionState"].(map[string]any)["versionNumber"] != 2.0 {
		t.Errorf("stale update: %s %v", reply, body)
	}
	reply, body = c.mqtt("$aws/things/gw-0000/jobs/fw/update", `{"status":"SUCCEEDED","statusDetails":{"p":"1"},"expectedVersion":"2","includeJobExecutionState":true,"includeJobDocument":true}`)
	state := body["executionState"].(map[string]any)
	if reply != "accepted" || state["status"] != "SUCCEEDED" || fmt.Sprint(state["statusDetails"]) != "map[p:1]" ||
		body["jobDocument"].(map[string]any)["v"] != 2.0 {
		t.Errorf("update: %s %v", reply, body)
	}
	c.run(time.Second)
	want = []string{"$aws/things/gw-0000/jobs/notify", "$aws/things/gw-0000/jobs/notify-next",
		"$aws/events/jobExecution/fw/succeeded"}
	if got := c.topics(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	reply, body = c.mqtt("$aws/things/gw-0000/jobs/fw/update", `{"status":"FAILED"}`)
	if reply != "rejected" || body["code"] != "InvalidStateTransition" ||
		body["executionState"].(map[string]any)["status"] != "SUCCEEDED" {
		t.Errorf("update of a terminal execution: %s %v", reply, body)
	}
	if reply, body = c.mqtt("$aws/things/gw-0000/jobs/fw/get", ``); reply != "rejected" || body["code"] != "TerminalStateReached" {
		t.Errorf("get of a terminal execution: %s %v", reply, body)
	}
	c.report("gw-0001", "fw", "REJECTED")
	c.run(time.Second)
	c.wantCounts("fw", "COMPLETED Rejected=1 Succeeded=1")
	if got := c.topics(); !slices.Contains(got, "$aws/events/job/fw/completed") {
		t.Errorf("no completed event in %v", got)
	}
	c.refuse("CreateJob", `{"jobId":"fw","targets":["`+arnOf("thinggroup/wave")+`"],"document":"{}"}`, "ResourceAlreadyExistsException")
	c.call("DeleteJob", `{"jobId":"fw"}`)
	c.run(time.Second)
	c.refuse("DescribeJob", `{"jobId":"fw"}`, "ResourceNotFoundException")
	c.refuse("DescribeJobExecution", `{"jobId":"fw","thingName":"gw-0000"}`, "ResourceNotFoundException")
	if got := c.topics(); !slices.Equal(got, []string{"$aws/events/job/fw/deletion_in_progress",
		"$aws/events/job/fw/deleted"}) {
		t.Errorf("got %v", got)
	}
	c.clean()
}

func TestNotifyNextIsSentWhenTheFirstChanges(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	thing := arnOf("thing/gw-0000")
	c.call("CreateJob", `{"jobId":"a","targets":["`+thing+`"],"document":"{}"}`)
	c.run(time.Second)
	c.topics()
	c.call("CreateJob", `{"jobId":"b","targets":["`+thing+`"],"document":"{}"}`)
	c.run(time.Second)
	if got := c.topics(); !slices.Equal(got, []string{"$aws/things/gw-0000/jobs/notify"}) {
		t.Errorf("a second job: got %v", got)
	}
	c.report("gw-0000", "b", "IN_PROGRESS")
	c.run(time.Second)
	if got := c.topics(); !slices.Equal(got, []string{"$aws/things/gw-0000/jobs/notify-next"}) {
		t.Errorf("the second job goes first: got %v", got)
	}
	_, body := c.mqtt("$aws/things/gw-0000/jobs/get", "")
	if n := len(body["inProgressJobs"].([]any)); n != 1 || len(body["queuedJobs"].([]any)) != 1 {
		t.Errorf("pending: %v", body)
	}
	if _, body = c.mqtt("$aws/things/gw-0000/jobs/$next/get", ""); body["execution"].(map[string]any)["jobId"] != "b" {
		t.Errorf("$next: %v", body)
	}
	c.report("gw-0000", "b", "FAILED")
	c.report("gw-0000", "a", "SUCCEEDED")
	c.run(time.Second)
	if last := c.sent[len(c.sent)-1]; len(last.payload) != 1 {
		t.Errorf("nothing pending: got %v", last.payload)
	}
	if reply, body := c.mqtt("$aws/things/gw-0000/jobs/$next/get", ""); reply != "accepted" ||
		body["execution"] != nil {
		t.Errorf("$next of none: %s %v", reply, body)
	}
	c.clean()
}

func TestRolloutKeepsItsRate(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		things       int
		succeed      bool
		want         []int // things notified after each minute, the first at once
	}{
		{"default", `{}`, 30, false, []int{30}},
		{"constant", `{"maximumPerMinute":10}`, 35, false, []int{10, 20, 30, 35}},
		{"exponential by notified", `{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":2,"rateIncreaseCriteria":{"numberOfNotifiedThings":10}}}`,
			100, false, []int{5, 10, 20, 40, 100}},
		{"with a ceiling", `{"maximumPerMinute":12,"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":2,"rateIncreaseCriteria":{"numberOfNotifiedThings":10}}}`,
			50, false, []int{5, 10, 20, 32, 44, 50}},
		{"stalls without successes", `{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":5,"rateIncreaseCriteria":{"numberOfSucceededThings":5}}}`,
			20, false, []int{5, 10, 15, 20}},
		{"grows with successes", `{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":5,"rateIncreaseCriteria":{"numberOfSucceededThings":5}}}`,
			40, true, []int{5, 30, 40}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCloud(t)
			c.groupOf("all", "gw", tt.things)
			c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thinggroup/all")+`"],"document":"{}","jobExecutionsRolloutConfig":`+tt.config+`}`)
			c.run(time.Second)
			for i, want := range tt.want {
				got := 0
				for _, e := range c.call("ListJobExecutionsForJob", `{"jobId":"j"}`)["executionSummaries"].([]any) {
					got++
					m := e.(map[string]any)
					if m["jobExecutionSummary"].(map[string]any)["status"] == "QUEUED" && tt.succeed {
						c.report(m["thingArn"].(string)[len(arnOf("thing/")):], "j", "SUCCEEDED")
					}
				}
				if got != want {
					t.Errorf("minute %d: got %d, want %d", i, got, want)
				}
				if i == 1 {
					c.crash() // the rate outlives the process
				}
				c.run(time.Minute)
			}
			if c.job("j")["isConcurrent"] != false {
				t.Error("the rollout does not end")
			}
		})
	}
}

func TestAbortCancelsWhatIsQueued(t *testing.T) {
	for _, tt := range []struct {
		name, criteria string
		failures       []string
		want           string
	}{
		{"too few notified", `{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":10,"minNumberOfExecutedThings":11}`,
			[]string{"FAILED", "FAILED"}, "IN_PROGRESS Failed=2 InProgress=1 Queued=7"},
		{"below the threshold", `{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":25.5,"minNumberOfExecutedThings":10}`,
			[]string{"FAILED", "FAILED"}, "IN_PROGRESS Failed=2 InProgress=1 Queued=7"},
		{"other failures do not count", `{"failureType":"REJECTED","action":"CANCEL","thresholdPercentage":10,"minNumberOfExecutedThings":10}`,
			[]string{"FAILED", "FAILED"}, "IN_PROGRESS Failed=2 InProgress=1 Queued=7"},
		{"met", `{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":20,"minNumberOfExecutedThings":10}`,
			[]string{"FAILED", "FAILED"}, "CANCELED Canceled=7 Failed=2 InProgress=1"},
		{"all kinds together", `{"failureType":"ALL","action":"CANCEL","thresholdPercentage":20,"minNumberOfExecutedThings":1}`,
			[]string{"FAILED", "REJECTED"}, "CANCELED Canceled=7 Failed=1 InProgress=1 Rejected=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCloud(t)
			c.groupOf("all", "gw", 10)
			c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thinggroup/all")+`"],"document":"{}","abortConfig":{"criteriaList":[`+tt.criteria+`]}}`)
			c.run(time.Second)
			c.report("gw-0009", "j", "IN_PROGRESS")
			for i, status := range tt.failures {
				c.report(fmt.Sprintf("gw-%04d", i), "j", status)
			}
			c.run(time.Second)
			c.wantCounts("j", tt.want)
			if strings.HasPrefix(tt.want, "CANCELED") {
				c.report("gw-0009", "j", "SUCCEEDED") // what runs may end well
				if got := c.job("j")["reasonCode"]; got != "ABORT_CRITERIA_MET" {
					t.Errorf("reasonCode %v", got)
				}
			}
		})
	}
}

func TestTimeoutsSurviveARestart(t *testing.T) {
	for _, tt := range []struct {
		name       string
		step       int
		crashAfter time.Duration
		running    time.Duration // still IN_PROGRESS then
		over       time.Duration // TIMED_OUT then
	}{
		{"in progress", 0, 0, 29 * time.Minute, 31 * time.Minute},
		{"in progress, restarted", 0, 10 * time.Minute, 29 * time.Minute, 31 * time.Minute},
		{"step", 5, 0, 4 * time.Minute, 6 * time.Minute},
		{"step beyond the whole", 60, 0, 29 * time.Minute, 31 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCloud(t)
			c.events("JOB_EXECUTION")
			c.things("gw", 1)
			c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thing/gw-0000")+`"],"document":"{}","timeoutConfig":{"inProgressTimeoutInMinutes":30}}`)
			c.run(24 * time.Hour)
			c.wantCounts("j", "IN_PROGRESS Queued=1") // QUEUED has no timer
			payload := `{}`
			if tt.step != 0 {
				payload = fmt.Sprintf(`{"stepTimeoutInMinutes":%d}`, tt.step)
			}
			c.mqtt("$aws/things/gw-0000/jobs/start-next", payload)
			if tt.crashAfter != 0 {
				c.run(tt.crashAfter)
				c.crash()
			}
			c.run(tt.running - tt.crashAfter)
			c.wantCounts("j", "IN_PROGRESS InProgress=1")
			c.run(tt.over - tt.running)
			c.wantCounts("j", "COMPLETED TimedOut=1")
			if got := c.topics(); !slices.Contains(got, "$aws/events/jobExecution/j/timed_out") {
				t.Errorf("no event in %v", got)
			}
			c.clean()
		})
	}
}

func TestRetriesQueueNewExecutions(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thing/gw-0000")+`"],"document":"{}","timeoutConfig":{"inProgressTimeoutInMinutes":1},
		"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED","numberOfRetries":1},{"failureType":"TIMED_OUT","numberOfRetries":1}]},
		"abortConfig":{"criteriaList":[{"failureType":"ALL","action":"CANCEL","thresholdPercentage":100,"minNumberOfExecutedThings":1}]}}`)
	c.run(time.Second)
	c.report("gw-0000", "j", "FAILED")
	c.wantCounts("j", "IN_PROGRESS Queued=1")
	c.report("gw-0000", "j", "IN_PROGRESS")
	c.run(2 * time.Minute)
	c.wantCounts("j", "IN_PROGRESS Queued=1")
	e := c.call("DescribeJobExecution", `{"jobId":"j","thingName":"gw-0000"}`)["execution"].(map[string]any)
	if e["executionNumber"] != 3.0 || e["versionNumber"] != 1.0 {
		t.Errorf("third attempt: %v", e)
	}
	c.report("gw-0000", "j", "FAILED")
	c.run(time.Second)
	c.wantCounts("j", "CANCELED Failed=1") // no retry left: it counts for the abort
	list := c.call("ListJobExecutionsForThing", `{"thingName":"gw-0000","jobId":"j"}`)["executionSummaries"].([]any)
	if len(list) != 3 || list[2].(map[string]any)["jobExecutionSummary"].(map[string]any)["retryAttempt"] != 2.0 {
		t.Errorf("executions: %v", list)
	}
	c.clean()
}

func TestContinuousJobFollowsItsGroup(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 4)
	c.group("parent", "gw-0000")
	c.call("CreateThingGroup", `{"thingGroupName":"child","parentGroupName":"parent"}`)
	c.call("CreateJob", `{"jobId":"j","targetSelection":"CONTINUOUS","targets":["`+arnOf("thinggroup/parent")+`"],"document":"{}",
		"jobExecutionsRolloutConfig":{"maximumPerMinute":1}}`)
	c.run(time.Second)
	c.wantCounts("j", "IN_PROGRESS Queued=1")
	c.call("AddThingToThingGroup", `{"thingGroupName":"child","thingName":"gw-0001"}`)
	c.call("AddThingToThingGroup", `{"thingGroupName":"parent","thingName":"gw-0002"}`)
	c.wantCounts("j", "IN_PROGRESS Queued=3") // no rate for those who join
	c.call("RemoveThingFromThingGroup", `{"thingGroupName":"child","thingName":"gw-0001"}`)
	c.call("DeleteThing", `{"thingName":"gw-0002"}`)
	c.wantCounts("j", "IN_PROGRESS Queued=1 Removed=2")
	c.report("gw-0000", "j", "SUCCEEDED")
	c.run(time.Hour)
	c.wantCounts("j", "IN_PROGRESS Removed=2 Succeeded=1") // it never completes by itself
	c.call("AddThingToThingGroup", `{"thingGroupName":"child","thingName":"gw-0001"}`)
	c.wantCounts("j", "IN_PROGRESS Queued=1 Removed=1 Succeeded=1")
	c.call("AssociateTargetsWithJob", `{"jobId":"j","targets":["`+arnOf("thing/gw-0003")+`"]}`)
	c.run(time.Second)
	c.wantCounts("j", "IN_PROGRESS Queued=2 Removed=1 Succeeded=1")
	c.call("CancelJob", `{"jobId":"j","reasonCode":"STOP","comment":"enough"}`)
	c.run(time.Second)
	c.wantCounts("j", "CANCELED Canceled=2 Removed=1 Succeeded=1")
	c.clean()
}

func TestCancelLeavesWhatRunsUnlessForced(t *testing.T) {
	c := newCloud(t)
	c.events("JOB", "JOB_EXECUTION")
	c.groupOf("all", "gw", 3)
	c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thinggroup/all")+`"],"document":"{}"}`)
	c.run(time.Second)
	c.report("gw-0001", "j", "IN_PROGRESS")
	c.refuse("CancelJobExecution", `{"jobId":"j","thingName":"gw-0001"}`, "InvalidStateTransitionException")
	c.refuse("CancelJobExecution", `{"jobId":"j","thingName":"gw-0000","expectedVersion":7}`, "VersionConflictException")
	c.refuse("DeleteJob", `{"jobId":"j"}`, "InvalidStateTransitionException")
	c.refuse("DeleteJobExecution", `{"jobId":"j","thingName":"gw-0001","executionNumber":1}`, "InvalidStateTransitionException")
	c.call("CancelJobExecution", `{"jobId":"j","thingName":"gw-0000","expectedVersion":1,"statusDetails":{"why":"test"}}`)
	c.call("CancelJob", `{"jobId":"j"}`)
	c.run(time.Second)
	c.wantCounts("j", "CANCELED Canceled=2 InProgress=1")
	c.call("CancelJob", `{"jobId":"j","force":true}`)
	c.run(time.Second)
	c.wantCounts("j", "CANCELED Canceled=3")
	if reply, body := c.mqtt("$aws/things/gw-0001/jobs/j/update", `{"status":"SUCCEEDED"}`); reply != "rejected" || body["code"] != "InvalidStateTransition" {
		t.Errorf("update after a forced cancel: %s %v", reply, body)
	}
	c.refuse("CancelJob", `{"jobId":"j","force":true}`, "InvalidRequestException")
	c.clean()
}

func TestScheduledJob(t *testing.T) {
	for _, tt := range []struct{ behavior, atEnd, later string }{
		{"STOP_ROLLOUT", "IN_PROGRESS InProgress=1 Queued=2", "IN_PROGRESS InProgress=1 Queued=2"},
		{"CANCEL", "IN_PROGRESS Canceled=2 InProgress=1", "COMPLETED Canceled=2 Succeeded=1"},
		{"FORCE_CANCEL", "COMPLETED Canceled=3", ""},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			c := newCloud(t)
			c.groupOf("all", "gw", 40)
			c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thinggroup/all")+`"],"document":"{}","jobExecutionsRolloutConfig":{"maximumPerMinute":1},
				"schedulingConfig":{"startTime":"2026-03-01 13:00","endTime":"2026-03-01 13:30","endBehavior":"`+tt.behavior+`"}}`)
			c.run(59 * time.Minute)
			c.wantCounts("j", "SCHEDULED ")
			c.crash()
			c.run(3*time.Minute + 30*time.Second)
			c.wantCounts("j", "IN_PROGRESS Queued=3")
			c.call("UpdateJob", `{"jobId":"j","jobExecutionsRolloutConfig":{"maximumPerMinute":1000}}`)
			for i := 3; i < 40; i++ {
				c.call("DeleteThing", fmt.Sprintf(`{"thingName":"gw-%04d"}`, i))
			}
			c.report("gw-0000", "j", "IN_PROGRESS")
			c.run(28 * time.Minute)
			c.wantCounts("j", tt.atEnd)
			if tt.behavior == "CANCEL" {
				c.report("gw-0000", "j", "SUCCEEDED")
				c.wantCounts("j", tt.later)
			}
		})
	}
}

func TestDocumentIsSignedAtEachFetch(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	document := `{\"url\":\"${aws:iot:s3-presigned-url-v2:https://s3.eu-west-1.amazonaws.com/fw/a%20b.bin%3FversionId%3D7}\",` +
		`\"log\":\"${aws:iot:s3-presigned-url-upload:https://logs.s3.eu-west-1.amazonaws.com/${thingName}/${jobId}-${executionNumber}}\"}`
	create := `{"jobId":"j","targets":["` + arnOf("thing/gw-0000") + `"],"document":"` + document + `"`
	c.refuse("CreateJob", create+`}`, "InvalidRequestException")
	c.call("CreateJob", create+`,"presignedUrlConfig":{"roleArn":"arn:aws:iam::123456789012:role/fw","expiresInSec":120}}`)
	c.run(time.Second)
	if len(c.signed) != 2 { // for notify-next
		t.Fatalf("signed %v", c.signed)
	}
	_, body := c.mqtt("$aws/things/gw-0000/jobs/j/get", "")
	doc := body["execution"].(map[string]any)["jobDocument"].(map[string]any)
	if doc["url"] != "https://signed/fw/a b.bin?n=3&x=1" || doc["log"] != "https://signed/logs/gw-0000/j-1?n=4&x=1" {
		t.Errorf("document %v", doc)
	}
	if r := c.signed[2]; r.ObjectVersion != "7" || r.Expires != 2*time.Minute || r.Method != "GET" ||
		c.signed[3].Method != "PUT" {
		t.Errorf("signed %+v", r)
	}
	out := c.call("data:DescribeJobExecution", `{"jobId":"j","thingName":"gw-0000"}`)["execution"].(map[string]any)
	if _, ok := out["jobDocument"].(string); !ok {
		t.Errorf("over HTTP the document is text: %v", out)
	}
	if reply, body := c.mqtt("$aws/things/gw-0000/jobs/j/frobnicate", "{}"); reply != "rejected" ||
		body["code"] != "InvalidTopic" {
		t.Errorf("%s %v", reply, body)
	}
	if reply, body := c.mqtt("$aws/things/gw-0000/jobs/j/update", "{"); reply != "rejected" ||
		body["code"] != "InvalidJson" {
		t.Errorf("%s %v", reply, body)
	}
	if reply, body := c.mqtt("$aws/things/gw-0000/jobs/j/update", `{"status":"CANCELED"}`); reply != "rejected" || body["code"] != "InvalidRequest" {
		t.Errorf("%s %v", reply, body)
	}
	if reply, _ := c.mqtt("$aws/things/gw-0000/shadow/get", ""); reply != "unhandled" {
		t.Errorf("shadow: %s", reply)
	}
	c.refuse("data:UpdateJobExecution", `{"jobId":"none","thingName":"gw-0000","status":"FAILED"}`, "ResourceNotFoundException")
}

func TestJobFromTemplate(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	c.call("CreateJobTemplate", `{"jobTemplateId":"tpl","description":"d","document":"{\"a\":1}","timeoutConfig":{"inProgressTimeoutInMinutes":9}}`)
	c.refuse("CreateJobTemplate", `{"jobTemplateId":"tpl","description":"d","document":"{}"}`, "ConflictException")
	c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thing/gw-0000")+`"],"jobTemplateArn":"`+arnOf("jobtemplate/tpl")+`"}`)
	j := c.job("j")
	if j["timeoutConfig"].(map[string]any)["inProgressTimeoutInMinutes"] != 9.0 || j["description"] != "d" {
		t.Errorf("job %v", j)
	}
	if d := c.call("GetJobDocument", `{"jobId":"j"}`)["document"]; d != `{"a":1}` {
		t.Errorf("document %v", d)
	}
	if l := c.call("ListJobTemplates", `{}`)["jobTemplates"].([]any); len(l) != 1 {
		t.Errorf("templates %v", l)
	}
	c.call("DeleteJobTemplate", `{"jobTemplateId":"tpl"}`)
	c.refuse("DescribeJobTemplate", `{"jobTemplateId":"tpl"}`, "ResourceNotFoundException")
}

func TestJobRequestsThatAreRefused(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	thing := `"targets":["` + arnOf("thing/gw-0000") + `"],"document":"{}"`
	for _, tt := range []struct{ in, code string }{
		{`{"jobId":"no spaces",` + thing + `}`, "InvalidRequestException"},
		{`{"jobId":"j","targets":[],"document":"{}"}`, "InvalidRequestException"},
		{`{"jobId":"j","targets":["` + arnOf("thing/none") + `"],"document":"{}"}`, "ResourceNotFoundException"},
		{`{"jobId":"j","targets":["arn:aws:iot:eu-west-1:210987654321:thing/gw-0000"],"document":"{}"}`, "ResourceNotFoundException"},
		{`{"jobId":"j","targets":["` + arnOf("thing/gw-0000") + `"]}`, "InvalidRequestException"},
		{`{"jobId":"j","targets":["` + arnOf("thing/gw-0000") + `"],"document":"nonsense"}`, "InvalidRequestException"},
		{`{"jobId":"j",` + thing + `,"timeoutConfig":{"inProgressTimeoutInMinutes":0}}`, "InvalidRequestException"},
		{`{"jobId":"j",` + thing + `,"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"TIMED_OUT","numberOfRetries":1}]}}`, "InvalidRequestException"},
		{`{"jobId":"j",` + thing + `,"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":10.999,"minNumberOfExecutedThings":1}]}}`, "InvalidRequestException"},
		{`{"jobId":"j",` + thing + `,"jobExecutionsRolloutConfig":{"maximumPerMinute":1001}}`, "InvalidRequestException"},
		{`{"jobId":"j",` + thing + `,"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":1,"incrementFactor":1.25,"rateIncreaseCriteria":{"numberOfNotifiedThings":1}}}}`, "InvalidRequestException"},
		{`{"jobId":"j",` + thing + `,"schedulingConfig":{"endTime":"2026-03-01 12:10"}}`, "InvalidRequestException"},
		{`{"jobId":"j",` + thing + `,"schedulingConfig":{"maintenanceWindows":[{"startTime":"cron(0 0 * * ? *)","durationInMinutes":60}]}}`, "NotImplemented"},
		{`{"jobId":"j",` + thing + `,"namespaceId":"ns"}`, "NotImplemented"},
	} {
		c.refuse("CreateJob", tt.in, tt.code)
	}
	c.clean()
}

func TestDocumentFromS3(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	c.objects = map[string]string{"docs/a b.json": `{"from":"s3"}`, "docs/bad": "no JSON"}
	create := `{"jobId":"j","targets":["` + arnOf("thing/gw-0000") + `"],"documentSource":"https://docs.s3.eu-west-1.amazonaws.com/`
	c.refuse("CreateJob", create+`none"}`, "InvalidRequestException")
	c.refuse("CreateJob", create+`bad"}`, "InvalidRequestException")
	c.call("CreateJob", create+`a%20b.json"}`)
	c.objects = nil // the job keeps what it has read
	if d := c.call("GetJobDocument", `{"jobId":"j"}`)["document"]; d != `{"from":"s3"}` {
		t.Errorf("document %v", d)
	}
	if s := c.call("DescribeJob", `{"jobId":"j"}`)["documentSource"]; s != "https://docs.s3.eu-west-1.amazonaws.com/a%20b.json" {
		t.Errorf("source %v", s)
	}
}

func TestJobMetrics(t *testing.T) {
	c := newCloud(t)
	c.meter = c
	c.restart()
	c.groupOf("all", "gw", 3)
	c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thinggroup/all")+`"],"document":"{}"}`)
	c.run(time.Second)
	c.report("gw-0000", "j", "SUCCEEDED")
	c.run(time.Minute)
	c.report("gw-0001", "j", "SUCCEEDED")
	c.run(time.Minute)
	var got []string
	for _, m := range c.metrics {
		got = append(got, fmt.Sprintf("%s=%v", m.Name, m.Value))
	}
	want := []string{
		"QueuedJobExecutionCount=3", "QueuedJobExecutionTotalCount=2", "SucceededJobExecutionCount=1",
		"SucceededJobExecutionTotalCount=1",
		"SucceededJobExecutionCount=1", "SucceededJobExecutionTotalCount=2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDocumentThatCannotBeSignedHoldsUpNobody(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	c.call("CreateJob", `{"jobId":"j","targets":["`+arnOf("thing/gw-0000")+`"],"presignedUrlConfig":{"roleArn":"arn:aws:iam::123456789012:role/none"},
		"document":"{\"u\":\"${aws:iot:s3-presigned-url:https://s3.eu-west-1.amazonaws.com/b/k}\"}"}`)
	c.run(time.Second)
	last := c.sent[len(c.sent)-1]
	if e := last.payload["execution"].(map[string]any); e["jobDocument"] != nil || e["jobId"] != "j" {
		t.Errorf("notify-next: %v", last)
	}
	if reply, body := c.mqtt("$aws/things/gw-0000/jobs/$next/get", ""); reply != "rejected" ||
		!strings.Contains(body["message"].(string), "the role does not exist") {
		t.Errorf("get: %s %v", reply, body)
	}
	c.clean()
}

// What a force-cancel sends when another job is queued for the thing: the
// device is told of its next job at once, and the event of the old one's end
// comes after that. The device learns of the cancel by that alone; its next
// update of the old execution is refused with InvalidStateTransition.
func TestForceCancelWithAnotherJobQueued(t *testing.T) {
	for _, cancel := range []struct{ operation, input string }{
		{"CancelJobExecution", `{"jobId":"a","thingName":"gw-0000","force":true,"statusDetails":{"reason":"operator"}}`},
		{"CancelJob", `{"jobId":"a","force":true}`},
	} {
		c := newCloud(t)
		c.events("JOB_EXECUTION")
		c.things("gw", 1)
		for _, id := range []string{"a", "b"} {
			c.call("CreateJob", `{"jobId":"`+id+`","targets":["`+arnOf("thing/gw-0000")+`"],"document":"{\"job\":\"`+id+`\"}","timeoutConfig":{"inProgressTimeoutInMinutes":30}}`)
			c.run(time.Second)
		}
		c.report("gw-0000", "a", "IN_PROGRESS")
		c.run(time.Second)
		c.topics()
		c.call(cancel.operation, cancel.input)
		c.run(time.Second)
		sent := c.sent
		want := []string{"$aws/things/gw-0000/jobs/notify", "$aws/things/gw-0000/jobs/notify-next",
			"$aws/events/jobExecution/a/canceled"}
		if got := c.topics(); !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", cancel.operation, got, want)
		}
		if n := len(sent[0].payload["jobs"].(map[string]any)["QUEUED"].([]any)); n != 1 ||
			sent[0].payload["jobs"].(map[string]any)["IN_PROGRESS"] != nil {
			t.Errorf("%s: notify %v", cancel.operation, sent[0].payload)
		}
		if next := sent[1].payload["execution"].(map[string]any); next["jobId"] != "b" || next["status"] != "QUEUED" {
			t.Errorf("%s: notify-next %v", cancel.operation, next)
		}
		if e := sent[2].payload; e["status"] != "CANCELED" || e["jobId"] != "a" {
			t.Errorf("%s: event %v", cancel.operation, e)
		}
		if e := c.call("DescribeJobExecution", `{"jobId":"a","thingName":"gw-0000"}`)["execution"].(map[string]any); e["forceCanceled"] != true || e["status"] != "CANCELED" {
			t.Errorf("%s: %v", cancel.operation, e)
		}
		if reply, body := c.mqtt("$aws/things/gw-0000/jobs/a/update", `{"status":"SUCCEEDED"}`); reply != "rejected" || body["code"] != "InvalidStateTransition" {
			t.Errorf("%s: a late update: %s %v", cancel.operation, reply, body)
		}
		c.run(40 * time.Minute) // no timeout of a canceled execution
		if got := c.topics(); len(got) != 0 {
			t.Errorf("%s: later: %v", cancel.operation, got)
		}
		c.report("gw-0000", "b", "SUCCEEDED")
		c.clean()
	}
}

// A device's text goes into statusDetails; what AWS does not take is refused,
// and leaves the execution as it was.
func TestStatusDetailsThatAWSRefuses(t *testing.T) {
	c := newCloud(t)
	c.things("gw", 1)
	c.call("CreateJob", `{"jobId":"fw","targets":["`+arnOf("thing/gw-0000")+`"],"document":"{}"}`)
	c.run(time.Second)
	for _, details := range []string{
		`{"k":"zero\u200bwidth"}`, `{"k":"\ufeffmark"}`, `{"k":"\u202eright"}`, `{"k":"next\u0085line"}`, `{"k":"new\nline"}`, `{"k":"\ue000"}`, `{"k":"\u0378"}`,
		`{"k":""}`, `{"k":"` + strings.Repeat("v", 1025) + `"}`, `{"":"v"}`, `{"k e y":"v"}`, `{"` + strings.Repeat("k", 129) + `":"v"}`,
		`{"0":"v","1":"v","2":"v","3":"v","4":"v","5":"v","6":"v","7":"v","8":"v","9":"v","10":"v"}`,
	} {
		for _, request := range []string{"$aws/things/gw-0000/jobs/fw/update", "$aws/things/gw-0000/jobs/start-next"} {
			if reply, body := c.mqtt(request, `{"status":"IN_PROGRESS","statusDetails":`+details+`}`); reply != "rejected" || body["code"] != "InvalidRequest" {
				t.Errorf("%s %.40s: %s %v", request, details, reply, body)
			}
		}
		c.refuse("data:UpdateJobExecution", `{"thingName":"gw-0000","jobId":"fw","status":"FAILED","statusDetails":`+details+`}`, "InvalidRequestException")
		c.refuse("data:StartNextPendingJobExecution", `{"thingName":"gw-0000","statusDetails":`+details+`}`, "InvalidRequestException")
		c.refuse("CancelJobExecution", `{"thingName":"gw-0000","jobId":"fw","statusDetails":`+details+`}`, "InvalidRequestException")
	}
	c.refuse("CreateJob", `{"jobId":"x","targets":["`+arnOf("thing/gw-0000")+`"],"document":"{}","description":"two\nlines"}`, "InvalidRequestException")
	c.refuse("CancelJob", `{"jobId":"fw","comment":"zero\u200bwidth"}`, "InvalidRequestException")
	c.wantCounts("fw", "IN_PROGRESS Queued=1")
	if e := c.call("DescribeJobExecution", `{"jobId":"fw","thingName":"gw-0000"}`)["execution"].(map[string]any); e["versionNumber"] != 1.0 {
		t.Errorf("a refused update has changed the execution: %v", e)
	}
}

// Which member of a request is complained of does not depend on the order of a
// map.
func TestUnbuiltMembersAreNamedInOrder(t *testing.T) {
	c := newCloud(t)
	for range 50 {
		_, err := c.try("CreateJob", `{"jobId":"j","namespaceId":"n","documentParameters":{"a":"b"},"destinationPackageVersions":["arn:p"]}`)
		if err == nil || !strings.Contains(err.Error(), "namespaceId") {
			t.Fatalf("got %v", err)
		}
		if _, err = c.try("CreateThing", `{"thingName":"a","attributePayload":{"attributes":{"d ":"1","c ":"1","b ":"1"}}}`); err == nil ||
			err.Error() != "InvalidRequestException: 1 validation error detected: Value '{b =1, c =1, d =1}' at "+
				"'attributePayload.attributes' failed to satisfy constraint: Map keys must satisfy constraint: "+
				"[Member must have length less than or equal to 128, Member must satisfy regular expression pattern: "+
				"[a-zA-Z0-9_.,@/:#-]+]" {
			t.Fatalf("got %v", err)
		}
	}
}

// Work that is due and fails is told and tried again; only a closed store ends it.
func TestDueWorkOutlivesAnError(t *testing.T) {
	c := newCloud(t)
	var failures []string
	c.sched.OnFailure(func(what string, err error) { failures = append(failures, what+": "+err.Error()) })
	c.things("gw", 1)
	broken := append(store.Key("iot.jobdue"), 0x00)
	if err := c.db.Update(func(tx *store.Tx) error { return tx.Set(broken, nil) }); err != nil {
		t.Fatal(err)
	}
	c.call("CreateJob", `{"jobId":"fw","targets":["`+arnOf("thing/gw-0000")+`"],"document":"{}"}`)
	c.run(5 * time.Second)
	if len(failures) < 4 || !strings.HasPrefix(failures[0], "iot jobs due: ") {
		t.Errorf("told: %q", failures)
	}
	if err := c.db.Update(func(tx *store.Tx) error { return tx.Delete(broken) }); err != nil {
		t.Fatal(err)
	}
	c.run(2 * time.Second)
	c.wantCounts("fw", "IN_PROGRESS Queued=1")
}
