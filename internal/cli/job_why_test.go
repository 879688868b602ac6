package cli

import (
	"fmt"
	"strings"
	"testing"
)

// TestAJobSaysWhomItsDevicesWaitBehind: AWS IoT gives a device one job execution after the other, whoever made them.
func TestAJobSaysWhomItsDevicesWaitBehind(t *testing.T) {
	queue := func(executions ...string) string {
		var all []string
		for _, e := range executions {
			job, at, _ := strings.Cut(e, "@")
			all = append(all, fmt.Sprintf(`{"jobId":%q,"jobExecutionSummary":{"queuedAt":%s}}`, job, at))
		}
		return `{"executionSummaries":[` + strings.Join(all, ",") + `]}`
	}
	account := func() map[string][]answer {
		a := account(describe("IN_PROGRESS", "", `"numberOfQueuedThings":4`))
		a["GET /jobs/fw-2/things?status=QUEUED"] = ok(list("", "rg-1/1", "rg-3/1", "rg-4/1", "rg-6/1"))
		for thing, queues := range map[string][2]string{
			"rg-1": {queue("cook-7@900"), queue("fw-2@500", "early@100")}, // at work comes first
			"rg-3": {queue(), queue("late@700", "fw-2@500", "second@400", "early@100")},
			"rg-4": {queue(), queue("late@700", "fw-2@500")},
			"rg-6": {queue(), queue("early@100", "fw-2@500")},
		} {
			a["GET /things/"+thing+"/jobs?status=IN_PROGRESS"] = ok(queues[0])
			a["GET /things/"+thing+"/jobs?status=QUEUED"] = ok(queues[1])
		}
		return a
	}
	r := run(t, setup{answers: account()}, "job", "describe", "fw-2", "--why")
	for _, want := range []string{
		"waiting: 2 wait behind job early of another owner (rg-3, rg-6)\n",
		"waiting: 1 wait behind job cook-7 of another owner (rg-1)\n",
	} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("exit code %d, %s\n%s; want %q", r.code, r.text, r.out, want)
		}
	}
	if strings.Contains(r.out, "rg-4") {
		t.Errorf("rg-4 is at the head of its queue: %s", r.out)
	}
	r = run(t, setup{answers: account()}, "job", "describe", "fw-2", "--why", "--json")
	if r.code != 0 || strings.Count(r.out, `"behind": "early"`) != 2 || !strings.Contains(r.out, `"thing": "rg-1"`) {
		t.Errorf("exit code %d, %s\n%s", r.code, r.text, r.out)
	}
}
