package sfn

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TestFailureInTheBackgroundIsTold: a timer whose execution cannot go on has
// nobody to tell but the scheduler.
func TestFailureInTheBackgroundIsTold(t *testing.T) {
	w := virtual(t)
	var told []string
	w.sched.OnFailure(func(what string, err error) { told = append(told, what+": "+err.Error()) })
	arn := w.create("m", `{"StartAt":"Rest","States":{"Rest":{"Type":"Wait","Seconds":60,"End":true}}}`)
	w.start(arn, "e", `{}`)
	w.sched.RunFor(time.Second)
	err := w.db.Update(func(tx *store.Tx) error { return revisions.DeleteAll(tx, "m") })
	if err != nil {
		t.Fatal(err)
	}
	w.svc.plans = map[string]*plan{}
	w.sched.RunFor(time.Minute)
	if len(told) != 1 || !strings.HasPrefix(told[0], "sfn: timer of execution e of m: ") ||
		!strings.HasSuffix(told[0], "its revision is gone") {
		t.Fatalf("told %q", told)
	}
}

// TestEndedExecutionIsNoFailureInTheBackground: a timer or an answer that comes
// too late is how things go.
func TestEndedExecutionIsNoFailureInTheBackground(t *testing.T) {
	w := virtual(t)
	w.sched.OnFailure(func(what string, err error) { t.Errorf("%s: %v", what, err) })
	arn := w.create("m", `{"StartAt":"Ask","States":{"Ask":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:111111111111:function:f","End":true}}}`)
	e := w.start(arn, "e", `{}`)
	w.call("StopExecution", map[string]any{"executionArn": e})
	w.sched.RunFor(time.Minute)
	if got := w.describe(e)["status"]; got != "ABORTED" {
		t.Fatalf("status %v", got)
	}
}
