package ablation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/rehearsal"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	stack   = "fleetstep"
)

// The devices of the story and what is special about them.
const (
	busy     = 1 // a second job wants it while the first has it
	damaged  = 3 // a third job tries it again
	stubborn = 4 // and this one too, which keeps the new image and starts the old
	canceled = 5 // its job execution is cancelled in the middle of the transfer
	healthy  = 7 // gets a second image, whose name is not what it says inside
	devices  = 9
	// The ninth is asked anew, as it has restarted: the answer to a look has
	// handle-device-message send Download() again.
	faults = "slow-link@1,offline-at-start@2,bad-checksum@3,old-image@4,slow-link@5,wrong-endpoint-id@6," +
		"never-returns@8,reboot-in-download@9"
)

// outcome is what can be seen of a run.
type outcome struct {
	summary *rehearsal.Summary
	err     error    // of the rehearsal
	denied  []string // calls
	said    []string // complaints of the rehearsal, and of the story
	printed string
}

// all is everything that could tell of a missing permission.
func (o outcome) all() string {
	lines := append(append([]string{}, o.denied...), o.said...)
	if o.err != nil && !errors.Is(o.err, cli.ErrFailed) {
		lines = append(lines, o.err.Error())
	}
	return strings.Join(lines, "\n")
}

// stage is the cloud of a run, for those who act in it beside the job.
type stage struct {
	cloud *localcloud.Cloud
	sched *localcloud.Scheduler
}

// play rehearses a job on a template, with a story beside it; until the
// first denial only, if that is enough to know.
func play(t *testing.T, template []byte, c rehearsal.Config, enough bool, story func(context.Context,
	stage) error) outcome {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var o outcome
	var out bytes.Buffer
	c.Env = &cli.Env{Out: &out, Err: &out}
	c.Template, c.Event, c.Image = template, event(t), 1<<10
	c.Timeout, c.Every = cmp.Or(c.Timeout, time.Hour), 30*time.Second
	var cloud *localcloud.Cloud
	ended, told := false, errors.New("not at its end when the job was")
	c.Witness = func(cl *localcloud.Cloud, sched *localcloud.Scheduler) {
		cloud = cl
		if enough {
			sched.Go("witness", func() {
				for ctx.Err() == nil && sched.Sleep(ctx, time.Second) == nil {
					if len(cl.Denied()) > 0 {
						stop()
					}
				}
			})
		}
		if story == nil {
			told = nil
			return
		}
		sched.Go("story", func() {
			if err := story(ctx, stage{cl, sched}); !ended {
				told = err
			}
		})
	}
	o.summary, o.err = rehearsal.Run(ctx, c)
	ended = true
	o.denied = cloud.Denied()
	o.printed = out.String()
	for line := range strings.Lines(out.String()) {
		if problem, ok := strings.CutPrefix(strings.TrimSpace(line), "PROBLEM: "); ok {
			o.said = append(o.said, problem)
		}
	}
	// The rehearsal does not know that the story cancels a device.
	meant := simulator.ThingName(canceled) + " (fault slow-link) ended with CANCELED"
	if i := slices.IndexFunc(o.said, func(line string) bool {
		return strings.HasPrefix(line, meant)
	}); story != nil && i >= 0 {
		o.said = slices.Delete(o.said, i, i+1)
		if len(o.said) == 0 && errors.Is(o.err, cli.ErrFailed) {
			o.err = nil
		}
	}
	if told != nil {
		o.said = append(o.said, "story: "+told.Error())
	}
	return o
}

// event is the payload of the first job: the quick one, but patient with
// devices that do not answer, so that it outlasts the story.
func event(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../events/create-job-quick.json")
	if err != nil {
		t.Fatal(err)
	}
	var payload map[string]any
	if err := json.Unmarshal(b, &payload); err != nil {
		t.Fatal(err)
	}
	payload["timeouts"] = map[string]int{"answerSeconds": 300, "downloadSeconds": 60, "rebootSeconds": 30}
	if b, err = json.Marshal(payload); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// call calls an operation as the account's root.
func (s stage) call(ctx context.Context, service, operation string, in, out any) error {
	if err := s.cloud.CallInto(ctx, s.cloud.Root(), service, operation, in, out); err != nil {
		return fmt.Errorf("%s:%s: %w", service, operation, err)
	}
	return nil
}

// until asks every second, for at most half an hour of the story's time.
func (s stage) until(ctx context.Context, what string, ask func() (bool, error)) error {
	for range 1800 {
		if ok, err := ask(); ok || err != nil {
			return err
		}
		if err := s.sched.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s never came", what)
}

// firstJob waits for the first job.
func (s stage) firstJob(ctx context.Context) (job string, err error) {
	err = s.until(ctx, "the job", func() (bool, error) {
		var out struct {
			Jobs []struct{ JobID string }
		}
		if err := s.call(ctx, "iot", "ListJobs", map[string]any{}, &out); err != nil || len(out.Jobs) == 0 {
			return false, err
		}
		job = out.Jobs[0].JobID
		return true, nil
	})
	return job, err
}

// execution waits until a device's execution of a job is where it should be.
func (s stage) execution(ctx context.Context, job, thing, status string) error {
	return s.until(ctx, "the "+status+" execution of "+job+" by "+thing, func() (bool, error) {
		var out struct{ Execution struct{ Status string } }
		err := s.call(ctx, "iot", "DescribeJobExecution", map[string]any{"jobId": job, "thingName": thing}, &out)
		if localcloud.ErrorCode(errors.Unwrap(err)) == "ResourceNotFoundException" { // not rolled out yet
			return false, nil
		}
		return out.Execution.Status == status, err
	})
}

// invoke calls a function of the stack.
func (s stage) invoke(ctx context.Context, name, kind string, payload any, out any) error {
	b, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	var answer struct {
		Payload       []byte
		FunctionError string
	}
	if err := s.call(ctx, "lambda", "Invoke", map[string]any{"FunctionName": stack + "-" + name,
		"InvocationType": kind, "Payload": b}, &answer); err != nil {
		return err
	}
	if answer.FunctionError != "" {
		return fmt.Errorf("%s: %s", name, answer.Payload)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer.Payload, out)
}

// story is everything that a job may meet beside difficult devices.
func story(ctx context.Context, s stage) error {
	if err := s.deadLetter(ctx); err != nil {
		return err
	}
	if err := s.alarm(ctx); err != nil {
		return err
	}
	if err := s.unreadable(ctx); err != nil {
		return err
	}
	first, err := s.firstJob(ctx)
	if err != nil {
		return err
	}
	if err := s.secondJob(ctx, first); err != nil {
		return err
	}
	victim := simulator.ThingName(canceled)
	if err := s.execution(ctx, first, victim, "IN_PROGRESS"); err != nil {
		return err
	}
	if err := s.call(ctx, "iot", "CancelJobExecution", map[string]any{"jobId": first, "thingName": victim,
		"force": true}, nil); err != nil {
		return err
	}
	if err := s.thirdJob(ctx, first); err != nil {
		return err
	}
	if err := s.halted(ctx, victim); err != nil {
		return err
	}
	if err := s.mislabelled(ctx, first); err != nil {
		return err
	}
	if err := s.late(ctx, first); err != nil {
		return err
	}
	if err := s.ours(ctx); err != nil {
		return err
	}
	if err := s.windowed(ctx, simulator.ThingName(stubborn)); err != nil {
		return err
	}
	if err := s.operated(ctx); err != nil {
		return err
	}
	if err := s.deaf(ctx, "legacy", "firmware-upgrade", s.beginUpgrade); err != nil {
		return err
	}
	if err := s.deaf(ctx, "legacy-2", everyTask, s.beginOperation); err != nil {
		return err
	}
	return s.execution(ctx, "windowed", simulator.ThingName(stubborn), "FAILED")
}

// windowed is a job that waits for a window of the device's, a few minutes away.
func (s stage) windowed(ctx context.Context, thing string) error {
	opens := s.sched.Now().Add(5 * time.Minute)
	if err := s.create(ctx, "windowed", thing, map[string]any{"activation": map[string]any{
		"mode":   "SEPARATE",
		"window": map[string]string{"start": opens.Format("15:04"), "end": opens.Add(2 * time.Minute).Format("15:04")},
	}}); err != nil {
		return err
	}
	return s.execution(ctx, "windowed", thing, "IN_PROGRESS")
}

// unreadable puts a message among those of the devices that no rule has written,
// and takes it away as a dead letter: after its second receipt, so that the story
// need not wait for ten.
func (s stage) unreadable(ctx context.Context) error {
	messages, err := s.physical(ctx, "MessageQueue")
	if err != nil {
		return err
	}
	queue, err := s.physical(ctx, "MessageDeadLetterQueue")
	if err != nil {
		return err
	}
	receipts := func(n string) error {
		target := "arn:aws:sqs:us-east-1:" + account + ":" + queue[strings.LastIndex(queue, "/")+1:]
		policy := `{"deadLetterTargetArn":"` + target + `","maxReceiveCount":` + n + `}`
		return s.call(ctx, "sqs", "SetQueueAttributes", map[string]any{
			"QueueUrl": messages, "Attributes": map[string]string{"RedrivePolicy": policy},
		}, nil)
	}
	if err := receipts("2"); err != nil {
		return err
	}
	if err := s.call(ctx, "sqs", "SendMessage", map[string]any{"QueueUrl": messages, "MessageBody": "no JSON"},
		nil); err != nil {
		return err
	}
	if err := s.letter(ctx, queue); err != nil {
		return err
	}
	return receipts("10")
}

func (s stage) letter(ctx context.Context, queue string) error {
	return s.until(ctx, "the dead letter of a message", func() (bool, error) {
		var got struct {
			Messages []struct{ ReceiptHandle string }
		}
		if err := s.call(ctx, "sqs", "ReceiveMessage", map[string]any{"QueueUrl": queue}, &got); err != nil ||
			len(got.Messages) == 0 {
			return false, err
		}
		return true, s.call(ctx, "sqs", "DeleteMessage", map[string]any{"QueueUrl": queue,
			"ReceiptHandle": got.Messages[0].ReceiptHandle}, nil)
	})
}

// halted is a job that is created while everything is stopped, and woken when that is
// over; and one that is paused, and cancelled as a whole.
func (s stage) halted(ctx context.Context, thing string) error {
	control := func(verb, job string) error {
		return s.invoke(ctx, "control", "RequestResponse", map[string]string{"verb": verb, "jobId": job,
			"why": "a story"}, nil)
	}
	if err := control("stop-all", ""); err != nil {
		return err
	}
	if err := s.create(ctx, "kept", thing, nil); err != nil {
		return err
	}
	if err := s.execution(ctx, "kept", thing, "QUEUED"); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 10*time.Second); err != nil {
		return err
	}
	if err := control("start-all", ""); err != nil {
		return err
	}
	if err := s.execution(ctx, "kept", thing, "SUCCEEDED"); err != nil {
		return err
	}
	const job = "halted"
	if err := control("pause", job); err != nil {
		return err
	}
	if err := s.create(ctx, job, thing, nil); err != nil {
		return err
	}
	if err := s.call(ctx, "iot", "CancelJob", map[string]any{"jobId": job, "force": true}, nil); err != nil {
		return err
	}
	return s.until(ctx, "the flag of the job that is over", func() (bool, error) {
		err := control("resume", job)
		return err != nil && strings.Contains(err.Error(), "JobOver"), nil
	})
}

// payload is what a job for some devices is created with.
func payload(things ...string) map[string]any {
	var targets []string
	for _, thing := range things {
		targets = append(targets, "arn:aws:iot:"+region+":"+account+":thing/"+thing)
	}
	return map[string]any{
		"firmware": map[string]string{"version": "2.0.0"}, "targets": targets,
		"timeouts": map[string]int{"answerSeconds": 15, "downloadSeconds": 60, "rebootSeconds": 30},
	}
}

// thirdJob tries again the devices whose upgrades failed, and is created
// twice, as by an operator who got no answer. The function that waits for reports
// cannot run for a while, so that the reports come first.
func (s stage) thirdJob(ctx context.Context, first string) error {
	things := []string{simulator.ThingName(damaged), simulator.ThingName(stubborn)}
	for _, thing := range things {
		if err := s.execution(ctx, first, thing, "FAILED"); err != nil {
			return err
		}
	}
	resume, err := s.pause(ctx, "await-firmware-report")
	if err != nil {
		return err
	}
	var created struct{ JobID string }
	// The stubborn one has an image of that name already, and is told to start it.
	again := payload(things...)
	again["firmware"] = map[string]any{"version": "2.0.0", "versionIsProof": true}
	for range 2 {
		if err := s.invoke(ctx, "create-job", "RequestResponse", again, &created); err != nil {
			return err
		}
	}
	for _, thing := range things {
		if err := s.execution(ctx, created.JobID, thing, "IN_PROGRESS"); err != nil {
			return err
		}
	}
	if err := s.sched.Sleep(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := resume(); err != nil {
		return err
	}
	for _, thing := range things {
		if err := s.execution(ctx, created.JobID, thing, "FAILED"); err != nil {
			return err
		}
	}
	return nil
}

// secondJob wants a device that the first is working on. AWS IoT names the
// second job only when the first is over; here its name arrives early as well,
// as it does when messages overtake each other.
func (s stage) secondJob(ctx context.Context, first string) error {
	thing := simulator.ThingName(busy)
	if err := s.execution(ctx, first, thing, "IN_PROGRESS"); err != nil {
		return err
	}
	var created struct{ JobID string }
	if err := s.invoke(ctx, "create-job", "RequestResponse", payload(thing), &created); err != nil {
		return err
	}
	document, err := s.document(ctx, created.JobID)
	if err != nil {
		return err
	}
	return s.notifyNext(ctx, thing, created.JobID, document)
}

// document is a job's.
func (s stage) document(ctx context.Context, job string) (json.RawMessage, error) {
	var out struct{ Document json.RawMessage }
	if err := s.call(ctx, "iot", "GetJobDocument", map[string]string{"jobId": job}, &out); err != nil {
		return nil, err
	}
	var text string
	err := json.Unmarshal(out.Document, &text)
	return json.RawMessage(text), err
}

// notifyNext says that a job execution is a device's next.
func (s stage) notifyNext(ctx context.Context, thing, job string, document json.RawMessage) error {
	return s.invoke(ctx, "start-upgrade", "Event", map[string]any{
		"thingName": thing, "receivedAt": s.sched.Now().UnixMilli(),
		"execution": map[string]any{"jobId": job, "executionNumber": 1, "status": "QUEUED", "jobDocument": document},
	}, nil)
}

// physical waits for a resource of the stack and returns its name.
func (s stage) physical(ctx context.Context, id string) (name string, err error) {
	err = s.until(ctx, "the resource "+id, func() (bool, error) {
		var out struct {
			StackResourceDetail struct{ PhysicalResourceId, ResourceStatus string }
		}
		if err := s.call(ctx, "cloudformation", "DescribeStackResource", map[string]string{"StackName": stack,
			"LogicalResourceId": id}, &out); err != nil {
			return false, nil // the stack is not there yet
		}
		name = out.StackResourceDetail.PhysicalResourceId
		return out.StackResourceDetail.ResourceStatus == "CREATE_COMPLETE", nil
	})
	return name, err
}

const (
	trust      = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}`
)

// deadLetter has a rule fail whose error action is that of the stack's rules, and
// waits for the message in the queue.
func (s stage) deadLetter(ctx context.Context) error {
	role, err := s.physical(ctx, "RuleErrorRole")
	if err != nil {
		return err
	}
	queue, err := s.physical(ctx, "DeadLetterQueue")
	if err != nil {
		return err
	}
	// The rule itself may do all, but its queue does not exist.
	const lost = "arn:aws:iam::" + account + ":role/lost"
	if err := s.call(ctx, "iam", "CreateRole", map[string]string{"RoleName": "lost",
		"AssumeRolePolicyDocument": trust}, nil); err != nil {
		return err
	}
	if err := s.call(ctx, "iam", "PutRolePolicy", map[string]string{"RoleName": "lost", "PolicyName": "all",
		"PolicyDocument": everything}, nil); err != nil {
		return err
	}
	if err := s.call(ctx, "iot", "CreateTopicRule", map[string]any{"ruleName": "lost",
		"topicRulePayload": map[string]any{
			"sql": "SELECT * FROM 'lost'",
			"actions": []any{map[string]any{"sqs": map[string]any{
				"queueUrl": queue + "-gone", "roleArn": lost, "useBase64": false,
			}}},
			"errorAction": map[string]any{"sqs": map[string]any{
				"queueUrl": queue, "roleArn": "arn:aws:iam::" + account + ":role/" + role, "useBase64": false,
			}},
		}}, nil); err != nil {
		return err
	}
	if err := s.call(ctx, "iotdataplane", "Publish", map[string]any{"topic": "lost", "payload": []byte(`{}`)}, nil); err != nil {
		return err
	}
	for range 60 {
		var got struct {
			Messages []struct{ ReceiptHandle string }
		}
		if err := s.call(ctx, "sqs", "ReceiveMessage", map[string]any{"QueueUrl": queue}, &got); err != nil {
			return err
		}
		for _, m := range got.Messages {
			return s.call(ctx, "sqs", "DeleteMessage", map[string]any{"QueueUrl": queue,
				"ReceiptHandle": m.ReceiptHandle}, nil)
		}
		if err := s.sched.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return errors.New("the dead letter of a rule did not arrive")
}

// alarm sets off an alarm, as an operator does who wants to see that it arrives.
func (s stage) alarm(ctx context.Context) error {
	if _, err := s.physical(ctx, "DeadLetterAlarm"); err != nil {
		return err
	}
	return s.call(ctx, "cloudwatch", "SetAlarmState", map[string]any{
		"AlarmName": stack + "-dead-letters", "StateValue": "ALARM", "StateReason": "a drill",
	}, nil)
}

// thorough tells whether everything is asked for.
func thorough() bool { return os.Getenv("FLEETSTEP_ABLATION") == "all" }
