package asl

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// told are the events of a run from the first one of a type on, as "id<previous type index".
func told(r *Run, from string) string {
	var out []string
	for _, e := range r.Events {
		if len(out) == 0 && e.Type != from {
			continue
		}
		line := fmt.Sprintf("%d<%d %s", e.ID, e.Previous, e.Type)
		if strings.HasPrefix(e.Type, "MapIteration") {
			line += fmt.Sprintf(" %d", e.Index)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// TestTimeoutsInsideAMap: iterations whose tasks time out at one moment all say so. Then the first of them fails the
// Map, and the iterations and states that this cuts short all point to its timeout. The form is that of a history
// that LocalStack recorded on AWS (tests/aws/services/stepfunctions/v2/timeouts, 10 March 2024).
func TestTimeoutsInsideAMap(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"T","States":{
	 "T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},
	 "TimeoutSeconds":3,"End":true}}}}}}`)
	c := &clock{now: time.Unix(0, 0)}
	r := New(m, c, Info{Input: TextData(`[1,2,3]`)})
	r.Start()
	c.now = c.now.Add(3 * time.Second)
	r.Tick()
	want := `16<9 TaskTimedOut
17<12 TaskTimedOut
18<15 TaskTimedOut
19<16 MapIterationFailed 0
20<16 TaskStateAborted
21<16 MapIterationAborted 1
22<16 TaskStateAborted
23<16 MapIterationAborted 2
24<16 TaskStateAborted
25<16 MapStateFailed
26<25 ExecutionFailed`
	if got := told(r, "TaskTimedOut"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if r.Status != Failed || *r.Error != "States.Timeout" || r.Cause != nil {
		t.Errorf("%s %v %v", r.Status, r.Error, r.Cause)
	}
}

// TestHeartbeatsInsideAParallel: a missed heartbeat in a branch is caught around the Parallel state by its own name.
func TestHeartbeatsInsideAParallel(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"P","States":{"P":{"Type":"Parallel","Next":"Done",
	 "Catch":[{"ErrorEquals":["States.HeartbeatTimeout"],"Next":"Missed"}],"Branches":[
	 {"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",
	  "Parameters":{"FunctionName":"f","Payload":{"t.$":"$$.Task.Token"}},"HeartbeatSeconds":5,"TimeoutSeconds":60,
	  "End":true}}},
	 {"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}}]},
	 "Missed":{"Type":"Succeed"},"Done":{"Type":"Succeed"}}}`)
	c := &clock{now: time.Unix(0, 0)}
	r := New(m, c, Info{Input: TextData(`{}`)})
	r.Start()
	call := r.Calls[0]
	if err := r.Submit(call.Branch, call.Attempt, Result{Output: TextData(`{}`)}, ""); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(5 * time.Second)
	r.Tick()
	want := `9<8 TaskTimedOut
10<9 TaskStateAborted
11<9 WaitStateAborted
12<9 ParallelStateFailed
13<12 ParallelStateExited
14<13 SucceedStateEntered
15<14 SucceedStateExited
16<15 ExecutionSucceeded`
	if got := told(r, "TaskTimedOut"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestCaughtTimeoutHasAnEmptyCause: what a catcher sees of a timeout, in the state and around it, though the events
// have no cause. Recorded by LocalStack on AWS (error_handling/test_task_service_lambda, 28 November 2024).
func TestCaughtTimeoutHasAnEmptyCause(t *testing.T) {
	const caught = `"Catch":[{"ErrorEquals":["States.Timeout"],"Next":"C"}],"End":true}`
	task := `{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},
	 "TimeoutSeconds":3,`
	for _, states := range []string{
		`"T":` + task + caught,
		`"P":{"Type":"Parallel","Branches":[{"StartAt":"T","States":{"T":` + task + `"End":true}}}],` + caught,
	} {
		m := compileOrFail(t, `{"StartAt":"`+states[1:2]+`","States":{`+states+`,"C":{"Type":"Pass","End":true}}}`)
		c := &clock{now: time.Unix(0, 0)}
		r := New(m, c, Info{Input: TextData(`{}`)})
		r.Start()
		c.now = c.now.Add(3 * time.Second)
		r.Tick()
		if r.Status != Succeeded || r.Output.Text() != `{"Error":"States.Timeout","Cause":""}` {
			t.Errorf("%s: %s %v", states[1:2], r.Status, r.Output)
		}
	}
}

// TestTimeoutAroundAMap: the end of an execution's time ends a Map without a word of its iterations.
func TestTimeoutAroundAMap(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"M","TimeoutSeconds":2,"States":{"M":{"Type":"Map","End":true,
	 "ItemProcessor":{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":5,"End":true}}}}}}`)
	c := &clock{now: time.Unix(0, 0)}
	r := New(m, c, Info{Input: TextData(`[1,2]`)})
	r.Start()
	c.now = c.now.Add(2 * time.Second)
	r.Tick()
	if got := told(r, "ExecutionTimedOut"); got != "8<0 ExecutionTimedOut" || r.Status != TimedOut {
		t.Errorf("%s %s", r.Status, got)
	}
}
