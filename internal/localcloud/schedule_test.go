package localcloud_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// EventBridge Scheduler and what it calls.

// clockwork makes the role of schedules and the queues letters and dead.
func (l *lives) clockwork() (role, queue, dead string) {
	l.t.Helper()
	var made struct{ Role struct{ Arn string } }
	l.call("iam", "CreateRole", map[string]any{"RoleName": "clock", "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Service":"scheduler.amazonaws.com"},"Action":"sts:AssumeRole",
		"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:scheduler:us-east-1:123456789012:schedule-group/*"}}}]}`}, &made)
	l.call("iam", "PutRolePolicy", map[string]any{"RoleName": "clock", "PolicyName": "p", "PolicyDocument": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["sqs:SendMessage","lambda:InvokeFunction","sns:Publish","states:StartExecution"],"Resource":"*"}]}`}, nil)
	return made.Role.Arn, l.queue("letters"), l.queue("dead")
}

// schedule makes a schedule that sends to the queue letters.
func (l *lives) schedule(name, expression, role string, more map[string]any) {
	l.t.Helper()
	if err := l.trySchedule("CreateSchedule", name, expression, role, more); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lives) trySchedule(operation, name, expression, role string, more map[string]any) error {
	in := map[string]any{
		"Name": name, "ScheduleExpression": expression, "FlexibleTimeWindow": map[string]any{"Mode": "OFF"},
		"Target": map[string]any{"Arn": letters, "RoleArn": role, "Input": "<aws.scheduler.scheduled-time>"},
	}
	for k, v := range more {
		if target, ok := v.(map[string]any); ok && k == "Target" {
			maps.Copy(in["Target"].(map[string]any), target)
			continue
		}
		in[k] = v
	}
	return l.try("scheduler", operation, in, nil)
}

// times are the hours and minutes of what a queue holds, which are times.
func (l *lives) times(queue string) string {
	l.t.Helper()
	var list []string
	for _, b := range l.received(queue) {
		at, err := time.Parse(time.RFC3339, b)
		if err != nil {
			l.t.Fatal(err)
		}
		list = append(list, at.Sub(start).String())
	}
	return strings.Join(list, " ")
}

func TestASchedulePutsItsTimesIntoAQueue(t *testing.T) {
	l := newLives(t)
	role, queue, _ := l.clockwork()
	at := func(d time.Duration) string { return start.Add(d).Format("2006-01-02T15:04:05") }
	for _, c := range []struct {
		expression string
		more       map[string]any
		want       string
	}{
		{"rate(2 minutes)", nil, "0s 2m0s 4m0s"},
		{"rate(2 minutes)", map[string]any{"StartDate": start.Add(time.Minute).Unix()}, "1m0s 3m0s 5m0s"},
		{"rate(2 minutes)", map[string]any{"StartDate": start.Add(-time.Minute).Unix(),
			"EndDate": start.Add(3 * time.Minute).Unix()}, "1m0s 3m0s"},
		{"at(" + at(90*time.Second) + ")", nil, "1m30s"},
		{"at(" + at(-time.Second) + ")", nil, ""},
		{"cron(0/2 * * * ? *)", map[string]any{"State": "DISABLED"}, ""},
	} {
		begun := l.sched.Now()
		l.schedule("s", c.expression, role, c.more)
		l.sched.RunFor(5*time.Minute + 30*time.Second)
		if got := l.times(queue); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.expression, c.more, got, c.want)
		}
		l.call("scheduler", "DeleteSchedule", map[string]any{"Name": "s"}, nil)
		l = newLives(t)
		role, queue, _ = l.clockwork()
		if !l.sched.Now().Equal(begun) {
			t.Fatal("a new life begins at another time")
		}
	}
}

func TestAFlexibleScheduleIsLateByLessThanItsWindow(t *testing.T) {
	l := newLives(t)
	role, queue, _ := l.clockwork()
	l.schedule("s", "rate(5 minutes)", role, map[string]any{"FlexibleTimeWindow": map[string]any{"Mode": "FLEXIBLE",
		"MaximumWindowInMinutes": 15}})
	seen := map[string]time.Duration{}
	for range 240 {
		l.sched.RunFor(30 * time.Second)
		for _, b := range l.received(queue) {
			at, err := time.Parse(time.RFC3339, b)
			if err != nil {
				t.Fatal(err)
			}
			seen[b] = l.sched.Now().Sub(at)
		}
	}
	late := 0
	for b, d := range seen {
		if d > 15*time.Minute+30*time.Second {
			t.Errorf("%s was %s late", b, d)
		}
		if d > 5*time.Minute {
			late++
		}
	}
	if len(seen) < 20 || late == 0 {
		t.Errorf("%d invocations in two hours, %d of them later than five minutes", len(seen), late)
	}
}

func TestEveryKindOfTarget(t *testing.T) {
	l := newLives(t)
	role, queue, dead := l.clockwork()
	all := l.role()
	var got []string
	l.run = func(_ string, payload []byte) ([]byte, error) { got = append(got, string(payload)); return nil, nil }
	l.call("lambda", "CreateFunction", map[string]any{"FunctionName": "f", "Runtime": "provided.al2023",
		"Handler": "bootstrap", "Role": all,
		"Code": map[string]string{"S3Bucket": "assets", "S3Key": "f.zip"}}, nil)
	l.call("sns", "CreateTopic", map[string]any{"Name": "t"}, nil)
	l.call("sns", "Subscribe", map[string]any{"TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Protocol": "sqs",
		"Endpoint":   deadLetters,
		"Attributes": map[string]string{"RawMessageDelivery": "true"}}, nil)
	l.call("sfn", "CreateStateMachine", map[string]any{"name": "m", "roleArn": all,
		"definition": `{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}`}, nil)
	input := `{"arn":"<aws.scheduler.schedule-arn>","attempt":"<aws.scheduler.attempt-number>","at":"<aws.scheduler.scheduled-time>"}`
	for name, target := range map[string]map[string]any{
		"lambda":    {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "Input": input},
		"plain":     {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "Input": ""},
		"sns":       {"Arn": "arn:aws:sns:us-east-1:123456789012:t", "Input": "by topic"},
		"states":    {"Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:m", "Input": `{"n":1}`},
		"universal": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": `{"QueueUrl":"letters","MessageBody":"universal"}`},
	} {
		l.schedule(name, "at("+start.Add(time.Minute).Format("2006-01-02T15:04:05")+")", role,
			map[string]any{"Target": target, "ActionAfterCompletion": "DELETE"})
	}
	l.sched.RunFor(2 * time.Minute)
	if b := l.received(queue); fmt.Sprint(b) != "[universal]" {
		t.Errorf("the queue got %v", b)
	}
	if b := l.received(dead); fmt.Sprint(b) != "[by topic]" {
		t.Errorf("the topic got %v", b)
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		`{"arn":"arn:aws:scheduler:us-east-1:123456789012:schedule/default/lambda","attempt":"1","at":"` + start.Add(time.Minute).Format("2006-01-02T15:04:05Z") + `"}`,
		`"detail-type":"Scheduled Event"`, `"resources":["arn:aws:scheduler:us-east-1:123456789012:schedule/default/plain"]`, `"source":"aws.scheduler"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nhas no %s", text, want)
		}
	}
	var executions struct{ Executions []struct{ Status string } }
	l.call("sfn", "ListExecutions",
		map[string]any{"stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:m"}, &executions)
	if fmt.Sprint(executions.Executions) != "[{SUCCEEDED}]" {
		t.Errorf("executions: %v", executions)
	}
	var left struct{ Schedules []any }
	if l.call("scheduler", "ListSchedules", map[string]any{}, &left); len(left.Schedules) != 0 {
		t.Errorf("a schedule that is over is to be deleted: %v", left)
	}
	if r := l.cloud.Residue(t.Context()); len(r) != 0 {
		t.Error(r)
	}
}

func TestWhatCannotBeDeliveredBecomesADeadLetter(t *testing.T) {
	l := newLives(t)
	role, _, dead := l.clockwork()
	all := l.role()
	l.call("lambda", "CreateFunction", map[string]any{"FunctionName": "f", "Runtime": "provided.al2023",
		"Handler": "bootstrap", "Role": all,
		"Code": map[string]string{"S3Bucket": "assets", "S3Key": "f.zip"}}, nil)
	l.call("lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 0},
		nil)
	throttled := "arn:aws:scheduler:::aws-sdk:lambda:invoke"
	sync := `{"FunctionName":"f","InvocationType":"RequestResponse"}`
	for name, c := range map[string]struct {
		target    map[string]any
		retries   string
		condition string
		code      string
		from, to  time.Duration // how long after its time, the ten seconds between two looks included
	}{
		"a missing queue": {map[string]any{"Arn": letters + "2"}, "0", "", "QueueDoesNotExist", 0,
			10 * time.Second},
		"a missing right": {map[string]any{"Arn": "arn:aws:scheduler:::aws-sdk:sqs:createQueue", "Input": `{"QueueName":"x"}`}, "0", "", "AccessDenied", 0, 10 * time.Second},
		"throttled, no retry": {map[string]any{"Arn": throttled, "Input": sync,
			"RetryPolicy": map[string]any{"MaximumRetryAttempts": 0}}, "0", "MaximumRetryAttempts",
			"TooManyRequestsException", 0, 10 * time.Second},
		"throttled, three": {map[string]any{"Arn": throttled, "Input": sync,
			"RetryPolicy": map[string]any{"MaximumRetryAttempts": 3}}, "3", "MaximumRetryAttempts",
			"TooManyRequestsException", 3 * time.Second, 20 * time.Second},
		"throttled, by age": {map[string]any{"Arn": throttled, "Input": sync,
			"RetryPolicy": map[string]any{"MaximumEventAgeInSeconds": 3600}}, "", "MaximumEventAgeInSeconds",
			"TooManyRequestsException", 37 * time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			target := map[string]any{"Input": "x", "DeadLetterConfig": map[string]any{"Arn": deadLetters}}
			maps.Copy(target, c.target)
			begun := l.sched.Now()
			l.schedule("s", "at("+begun.Add(time.Minute).Format("2006-01-02T15:04:05")+")", role,
				map[string]any{"Target": target, "ActionAfterCompletion": "DELETE"})
			var out struct {
				Messages []struct {
					Body              string
					MessageAttributes map[string]struct{ StringValue string }
				}
			}
			for len(out.Messages) == 0 && l.sched.Now().Sub(begun) < 2*time.Hour {
				l.sched.RunFor(10 * time.Second)
				l.call("sqs", "ReceiveMessage", map[string]any{"QueueUrl": dead,
					"MessageAttributeNames": []string{"All"}}, &out)
			}
			if len(out.Messages) != 1 {
				t.Fatal("no dead letter")
			}
			m := out.Messages[0]
			a := m.MessageAttributes
			if took := l.sched.Now().Sub(begun.Add(time.Minute)); took < c.from || took > c.to {
				t.Errorf("after %s", took)
			}
			if a["ERROR_CODE"].StringValue != c.code || a["EXHAUSTED_RETRY_CONDITION"].StringValue != c.condition ||
				c.retries != "" && a["RETRY_ATTEMPTS"].StringValue != c.retries || m.Body != target["Input"] ||
				a["SCHEDULE_ARN"].StringValue != "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s" ||
				a["TARGET_ARN"].StringValue != target["Arn"] {
				t.Errorf("got %+v", m)
			}
			l.call("sqs", "DeleteQueue", map[string]any{"QueueUrl": dead}, nil)
			l.queue("dead")
			if err := l.try("scheduler", "GetSchedule", map[string]any{"Name": "s"}, nil); awsapi.Code(err) !=
				"ResourceNotFoundException" {
				t.Errorf("the schedule is over: %v", err)
			}
		})
	}
}

func TestASchedulesRoleAndMembersAreChecked(t *testing.T) {
	l := newLives(t)
	role, _, _ := l.clockwork()
	other := l.role() // of other services
	window := func(mode string, minutes any) map[string]any {
		w := map[string]any{"Mode": mode}
		if minutes != nil {
			w["MaximumWindowInMinutes"] = minutes
		}
		return map[string]any{"FlexibleTimeWindow": w}
	}
	target := func(member string, v any) map[string]any { return map[string]any{"Target": map[string]any{member: v}} }
	l.schedule("there", "rate(1 day)", role, nil)
	for _, c := range []struct {
		name, expression string
		more             map[string]any
		code, text       string
	}{
		{"there", "rate(1 day)", nil, "ConflictException", "Schedule there already exists."},
		{"a b", "rate(1 day)", nil, "ValidationException", "satisfy regular expression pattern: ^[0-9a-zA-Z-_.]+$"},
		{"s", "rate(2 day)", nil, "ValidationException", "Invalid Schedule Expression rate(2 day)."},
		{"s", "cron(* * * * * *)", nil, "ValidationException", "Invalid Schedule Expression cron(* * * * * *)."},
		{"s", "rate(1 day)", map[string]any{"ScheduleExpressionTimezone": "Mars/Olympus"}, "ValidationException",
			"Timezone"},
		{"s", "rate(1 day)", map[string]any{"ScheduleExpressionTimezone": "Local"}, "ValidationException", "Timezone"},
		{"s", "rate(1 day)", map[string]any{"EndDate": start.Add(-time.Hour).Unix()}, "ValidationException",
			"EndDate"},
		{"s", "rate(1 day)", map[string]any{"State": "ON"}, "ValidationException", "[ENABLED, DISABLED]"},
		{"s", "rate(1 day)", map[string]any{"GroupName": "nobody"}, "ResourceNotFoundException",
			"Schedule group nobody does not exist."},
		{"s", "rate(1 day)", window("FLEXIBLE", nil), "ValidationException", "MaximumWindowInMinutes"},
		{"s", "rate(1 day)", window("OFF", 5), "ValidationException", "MaximumWindowInMinutes"},
		{"s", "rate(1 day)", target("RoleArn", other), "ValidationException",
			"The execution role you provide must allow AWS EventBridge Scheduler to assume the role."},
		{"s", "rate(1 day)", target("RoleArn", "r"), "ValidationException", "target.roleArn"},
		{"s", "rate(1 day)", target("Arn", "arn:aws:scheduler:::aws-sdk:sqs:receiveMessage"), "ValidationException",
			"not supported"},
		{"s", "rate(1 day)", map[string]any{
			"Target": map[string]any{"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances", "Input": "{}"},
		}, "NotImplemented", "ec2:StopInstances"},
		{"s", "rate(1 day)", target("Arn", "arn:aws:ecs:us-east-1:123456789012:cluster/c"), "NotImplemented", "ecs"},
		{"s", "rate(1 day)", target("Arn", "arn:aws:lambda:us-east-1:123456789012:function:f"), "ValidationException",
			"well-formed JSON"},
		{"s", "rate(1 day)", target("RetryPolicy", map[string]any{"MaximumRetryAttempts": 186}), "ValidationException",
			"maximumRetryAttempts"},
		{"s", "rate(1 day)", target("DeadLetterConfig", map[string]any{"Arn": letters + ".fifo"}),
			"ValidationException", "deadLetterConfig"},
	} {
		err := l.trySchedule("CreateSchedule", c.name, c.expression, role, c.more)
		if awsapi.Code(err) != c.code || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s %s %v: got %v, want %s: %s", c.name, c.expression, c.more, err, c.code, c.text)
		}
	}
	if err := l.trySchedule("CreateSchedule", "once", "rate(1 day)", role, map[string]any{"ClientToken": "t"}); err !=
		nil {
		t.Fatal(err)
	}
	if err := l.trySchedule("CreateSchedule", "once", "rate(1 day)", role, map[string]any{"ClientToken": "t"}); err !=
		nil {
		t.Errorf("the same request once more: %v", err)
	}
	if err := l.trySchedule("CreateSchedule", "once", "rate(2 days)", role,
		map[string]any{"ClientToken": "t"}); awsapi.Code(err) != "ConflictException" {
		t.Errorf("another request with the same token: %v", err)
	}
}

func TestScheduleGroups(t *testing.T) {
	l := newLives(t)
	role, queue, _ := l.clockwork()
	group := map[string]any{"Name": "g", "Tags": []any{map[string]any{"Key": "a", "Value": "b"}}}
	l.call("scheduler", "CreateScheduleGroup", group, nil)
	if err := l.try("scheduler", "CreateScheduleGroup", group, nil); awsapi.Code(err) != "ConflictException" {
		t.Error(err)
	}
	in := map[string]any{"GroupName": "g"}
	l.schedule("s", "rate(1 minute)", role, in)
	l.schedule("s", "rate(1 minute)", role, nil) // names are a group's own
	l.schedule("t", "rate(1 minute)", role, map[string]any{"GroupName": "g", "State": "DISABLED"})
	list := func(more map[string]any) string {
		var out struct {
			Schedules []struct{ GroupName, Name string }
			NextToken string
		}
		text := ""
		for {
			l.call("scheduler", "ListSchedules", more, &out)
			for _, s := range out.Schedules {
				text += s.GroupName + "/" + s.Name + " "
			}
			if out.NextToken == "" {
				return text
			}
			more["NextToken"], out.NextToken = out.NextToken, ""
		}
	}
	for want, more := range map[string]map[string]any{
		"default/s g/s g/t ": {"MaxResults": 1}, "g/s g/t ": {"GroupName": "g", "MaxResults": 1},
		"g/t ": {"State": "DISABLED"}, "default/s g/s ": {"NamePrefix": "s"},
	} {
		if got := list(more); got != want {
			t.Errorf("%v: got %q, want %q", more, got, want)
		}
	}
	arn := "arn:aws:scheduler:us-east-1:123456789012:schedule-group/g"
	l.call("scheduler", "TagResource", map[string]any{"ResourceArn": arn,
		"Tags": []any{map[string]any{"Key": "c", "Value": "d"}}}, nil)
	l.call("scheduler", "UntagResource", map[string]any{"ResourceArn": arn, "TagKeys": []string{"a"}}, nil)
	var tags struct{ Tags []map[string]string }
	if l.call("scheduler", "ListTagsForResource", map[string]any{"ResourceArn": arn}, &tags); fmt.Sprint(tags.Tags) !=
		"[map[Key:c Value:d]]" {
		t.Errorf("tags: %v", tags)
	}
	if err := l.try("scheduler", "DeleteScheduleGroup", map[string]any{"Name": "default"}, nil); awsapi.Code(err) !=
		"ValidationException" {
		t.Error(err)
	}
	l.call("scheduler", "DeleteScheduleGroup", map[string]any{"Name": "g"}, nil)
	var g struct{ State string }
	if l.call("scheduler", "GetScheduleGroup", map[string]any{"Name": "g"}, &g); g.State != "DELETING" {
		t.Errorf("the group is %s", g.State)
	}
	if err := l.trySchedule("CreateSchedule", "u", "rate(1 day)", role, in); awsapi.Code(err) != "ConflictException" {
		t.Error(err)
	}
	l.sched.RunFor(time.Millisecond)
	if got := list(map[string]any{}); got != "default/s " {
		t.Errorf("left are %s", got)
	}
	l.received(queue)
	l.sched.RunFor(90 * time.Second)
	if n := len(l.received(queue)); n != 1 {
		t.Errorf("%d messages in a minute and a half: the deleted schedule still runs", n)
	}
	var groups struct{ ScheduleGroups []struct{ Name string } }
	if l.call("scheduler", "ListScheduleGroups", map[string]any{}, &groups); fmt.Sprint(groups.ScheduleGroups) !=
		"[{default}]" {
		t.Errorf("groups: %v", groups)
	}
}

// TestAScheduleIsDueOnceAfterTheProcessWasDown: what was missed is invoked once,
// and then the schedule goes on in its beat.
func TestAScheduleIsDueOnceAfterTheProcessWasDown(t *testing.T) {
	l := newLives(t)
	role, queue, _ := l.clockwork()
	l.schedule("minute", "rate(1 minute)", role, nil)
	l.schedule("once", "at("+start.Add(5*time.Minute).Format("2006-01-02T15:04:05")+")", role, nil)
	l.sched.RunFor(2*time.Minute + 30*time.Second)
	if got := l.times(queue); got != "0s 1m0s 2m0s" {
		t.Fatalf("got %s", got)
	}
	l.left = l.db.Copy()
	if err := l.db.Close(); err != nil {
		t.Fatal(err)
	}
	l.sched = scheduler.NewVirtual(2, start.Add(10*time.Minute+10*time.Second))
	l.next()
	l.sched.RunFor(time.Minute)
	if got := l.times(queue); got != "10m0s 5m0s 11m0s" && got != "5m0s 10m0s 11m0s" {
		t.Fatalf("got %s", got)
	}
}

// TestAScheduleSurvivesACrashAtEveryWrite: under a crash at any write of the
// first minutes every time of the schedule is delivered, at least once; but a time
// that the process did not live to write down is missed, as one while it was down.
func TestAScheduleSurvivesACrashAtEveryWrite(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLives(t)
		role, queue, _ := l.clockwork()
		l.schedule("s", "rate(1 minute)", role, nil)
		lost := rapid.Bool().Draw(rt, "lost")
		l.crash(rapid.IntRange(1, 30).Draw(rt, "write"), lost)
		missed := -1
		for i := range 6 {
			l.sched.RunFor(time.Minute)
			if lost && l.left != nil {
				missed = i // if what was lost is that this time had come: the next one is due now, and stands for both
			}
			l.next()
		}
		l.crash(1<<30, false) // no more
		l.sched.RunFor(30 * time.Second)
		got := " " + l.times(queue) + " "
		for i := range 6 {
			want := fmt.Sprintf(" %s ", time.Duration(i)*time.Minute)
			if i != missed && !strings.Contains(got, want) {
				rt.Fatalf("%s is not among%s", want, got)
			}
		}
	})
}
