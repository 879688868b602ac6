package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

// letter is a message of a dead-letter queue.
type letter struct {
	ID string `json:"id"`
	// From is what could not process it: a queue's function, a rule, or a function.
	From       string            `json:"from"`
	Thing      string            `json:"thing,omitempty"`
	Sent       time.Time         `json:"sent"`
	Why        string            `json:"why,omitempty"`
	Body       string            `json:"body"`
	Attributes map[string]string `json:"attributes,omitempty"`

	queue, receipt string
	source         string // name of the queue that it was received from too often, "" if from none
	function       string // that it is an event of, without the stack's name; "" if of none
	event          []byte
}

// post is where dead letters are, and where they go.
type post struct {
	env    *Env
	stack  string
	sqs    *sqs.Client
	lambda *lambda.Client
	// messages holds what was received from queues too often, others what rules
	// could not deliver and functions could not process: URLs.
	messages, others string
}

func (e *Env) post(ctx context.Context, stack string) (*post, error) {
	cfg, err := e.Load(ctx)
	if err != nil {
		return nil, err
	}
	out, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx,
		&cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		return nil, err
	}
	p := &post{env: e, stack: stack, sqs: sqs.NewFromConfig(cfg), lambda: lambda.NewFromConfig(cfg)}
	for _, s := range out.Stacks {
		for _, o := range s.Outputs {
			switch aws.ToString(o.OutputKey) {
			case "MessageDeadLetterQueueUrl":
				p.messages = aws.ToString(o.OutputValue)
			case "DeadLetterQueueUrl":
				p.others = aws.ToString(o.OutputValue)
			}
		}
	}
	if p.messages == "" || p.others == "" {
		return nil, fmt.Errorf("stack %s has no outputs MessageDeadLetterQueueUrl and DeadLetterQueueUrl", stack)
	}
	return p, nil
}

const (
	mostReceived = 10 // SQS's limit of a call
	// lookSeconds is how long a letter that is looked at is hidden from others, if
	// this program ends before it gives it back.
	lookSeconds = 60
	// mostLetters is how many of a queue are looked at: there may be 120,000 in
	// flight, and nobody reads so many.
	mostLetters = 1000
)

// letters takes the letters of both queues out, the oldest first. Whoever calls it
// gives them back.
func (p *post) letters(ctx context.Context) (list []letter, err error) {
	for _, queue := range []string{p.messages, p.others} {
		for n := 0; n < mostLetters; {
			out, err := p.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
				QueueUrl: &queue, MaxNumberOfMessages: mostReceived, VisibilityTimeout: lookSeconds,
				WaitTimeSeconds:             1, // else SQS asks some of its servers only
				MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
				MessageAttributeNames:       []string{"All"},
			})
			if err != nil {
				return list, err
			}
			if len(out.Messages) == 0 {
				break
			}
			for _, m := range out.Messages {
				list = append(list, p.read(queue, m))
			}
			n += len(out.Messages)
		}
	}
	slices.SortStableFunc(list, func(a, b letter) int { return a.Sent.Compare(b.Sent) })
	return list, nil
}

// letters are the dead letters of a stack, left where they are.
func (e *Env) letters(ctx context.Context, stack string) ([]letter, error) {
	p, err := e.post(ctx, stack)
	if err != nil {
		return nil, err
	}
	list, err := p.letters(ctx)
	return list, errors.Join(err, p.giveBack(ctx, list))
}

// giveBack makes letters visible again, and does not end before it has.
func (p *post) giveBack(ctx context.Context, list []letter) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, l := range list {
		_, err := p.sqs.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &l.queue,
			ReceiptHandle: &l.receipt})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// read says what a letter is.
func (p *post) read(queue string, m types.Message) letter {
	l := letter{
		ID: aws.ToString(m.MessageId), Body: aws.ToString(m.Body), Attributes: map[string]string{},
		queue: queue, receipt: aws.ToString(m.ReceiptHandle),
	}
	for name, value := range m.Attributes {
		l.Attributes[name] = value
	}
	for name, value := range m.MessageAttributes {
		l.Attributes[name] = aws.ToString(value.StringValue)
	}
	if ms, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64); err == nil {
		l.Sent = time.UnixMilli(ms).UTC()
	}
	if arn := m.Attributes["DeadLetterQueueSourceArn"]; arn != "" {
		l.source = arn[strings.LastIndexByte(arn, ':')+1:]
	}
	p.interpret(&l)
	return l
}

// failedRule is what an error action gets of a message. AWS IoT Developer Guide,
// "Error handling (error action)" (read 2026-11).
type failedRule struct {
	RuleName string `json:"ruleName"`
	Topic    string `json:"topic"`
	ClientID string `json:"clientId"`
	Original string `json:"base64OriginalPayload"`
	Failures []struct {
		FailedAction   string `json:"failedAction"`
		FailedResource string `json:"failedResource"`
		ErrorMessage   string `json:"errorMessage"`
	} `json:"failures"`
}

// interpret reads what a letter's body says of where it comes from.
func (p *post) interpret(l *letter) {
	body := []byte(l.Body)
	var m struct {
		failedRule
		ThingName string              `json:"thingName"`
		Record    string              `json:"record"`
		Presence  string              `json:"presence"`
		EventType string              `json:"eventType"`
		ThingARN  string              `json:"thingArn"`
		Execution *event.JobExecution `json:"execution"`
	}
	if json.Unmarshal(body, &m) != nil {
		l.From, l.Why = "unknown", "it is not a message of this stack"
		return
	}
	l.Thing = m.ThingName
	_, ofARN, _ := strings.Cut(m.ThingARN, ":thing/")
	switch {
	case l.source != "" && (m.Record != "" || m.Presence != ""):
		l.From, l.Why = "handle-device-message", "received too often"
	case l.source != "":
		l.From, l.Why = "start-upgrade", "received too often"
	case m.RuleName != "":
		p.failedRule(l, m.failedRule)
	case m.EventType != "":
		l.From, l.function, l.event, l.Thing = "handle-job-event", "handle-job-event", body, ofARN
	case m.Execution != nil:
		l.From, l.function, l.event = "start-upgrade", "start-upgrade", body
	default:
		l.From = "unknown"
	}
	if message := l.Attributes["ErrorMessage"]; message != "" { // of Lambda's dead-letter queue
		l.Why = message
	}
}

// failedRule is interpret for the letter of a rule. The event that its function would
// have got can be made again where all that the rule takes is in the letter.
func (p *post) failedRule(l *letter, r failedRule) {
	l.From = "rule " + r.RuleName
	for _, f := range r.Failures {
		l.Why = strings.TrimSpace(f.FailedAction + ": " + f.ErrorMessage)
	}
	original, err := base64.StdEncoding.DecodeString(r.Original)
	if err != nil {
		return
	}
	parts := strings.Split(r.Topic, "/")
	suffix := strings.TrimPrefix(r.RuleName, strings.ReplaceAll(p.stack, "-", "_")+"_")
	switch suffix {
	case "notify_next":
		var m struct {
			Execution json.RawMessage `json:"execution"`
		}
		if json.Unmarshal(original, &m) != nil || len(m.Execution) == 0 || len(parts) < 3 {
			return
		}
		l.Thing = parts[2]
		if again, err := json.Marshal(map[string]any{
			"thingName": l.Thing, "execution": m.Execution, "receivedAt": l.Sent.UnixMilli(),
		}); err == nil {
			l.function, l.event = "start-upgrade", again
		}
	case "job_event", "job_execution_event":
		l.function, l.event = "handle-job-event", original
		var e event.JobEvent
		if json.Unmarshal(original, &e) == nil {
			_, l.Thing, _ = strings.Cut(e.ThingARN, ":thing/")
		}
	case "usp_message":
		if len(parts) > 5 {
			l.Thing = parts[5]
		}
	case "presence":
		l.Thing = parts[len(parts)-1]
	}
}

// find is the one letter whose id begins so.
func find(list []letter, id string) (letter, error) {
	var found []letter
	for _, l := range list {
		if strings.HasPrefix(l.ID, id) {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 0:
		return letter{}, fmt.Errorf("no dead letter %s", id)
	case 1:
		return found[0], nil
	}
	return letter{}, fmt.Errorf("%d dead letters begin with %s", len(found), id)
}

// remove deletes a letter.
func (p *post) remove(ctx context.Context, l letter) error {
	_, err := p.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &l.queue, ReceiptHandle: &l.receipt})
	return err
}

// errNoWayBack: what the letter tells of cannot be made again from it.
var errNoWayBack = errors.New(
	"a rule's letter lacks parts of what the rule hands on; the device has repeated the message, or sent newer ones")

// reprocess has a letter processed once more, and deletes it.
func (p *post) reprocess(ctx context.Context, l letter) error {
	switch {
	case l.source != "":
		url, err := p.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &l.source})
		if err != nil {
			return err
		}
		if _, err := p.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url.QueueUrl,
			MessageBody: &l.Body}); err != nil {
			return err
		}
	case l.function != "":
		name := p.stack + "-" + l.function
		_, err := p.lambda.Invoke(ctx, &lambda.InvokeInput{
			FunctionName: &name, InvocationType: lambdatypes.InvocationTypeEvent, Payload: l.event,
		})
		if err != nil {
			return err
		}
	default:
		return errNoWayBack
	}
	return p.remove(ctx, l)
}

// move has SQS move all letters that came from queues back to them, so many a second
// at most (0: as fast as SQS can), and waits for it.
func (p *post) move(ctx context.Context, rate int32) (moved int64, err error) {
	name := types.QueueAttributeNameQueueArn
	out, err := p.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &p.messages, AttributeNames: []types.QueueAttributeName{name},
	})
	if err != nil {
		return 0, err
	}
	arn := out.Attributes[string(name)]
	in := &sqs.StartMessageMoveTaskInput{SourceArn: &arn}
	if rate > 0 {
		in.MaxNumberOfMessagesPerSecond = &rate
	}
	if _, err := p.sqs.StartMessageMoveTask(ctx, in); err != nil {
		return 0, err
	}
	for {
		tasks, err := p.sqs.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: &arn})
		if err != nil {
			return moved, err
		}
		if len(tasks.Results) == 0 {
			return moved, errors.New("the message move task cannot be found")
		}
		task := tasks.Results[0]
		moved = task.ApproximateNumberOfMessagesMoved
		switch aws.ToString(task.Status) {
		case "COMPLETED":
			return moved, nil
		case "FAILED", "CANCELLED":
			return moved, fmt.Errorf("the move ended as %s after %d messages: %s", aws.ToString(task.Status), moved,
				aws.ToString(task.FailureReason))
		}
		if err := p.env.Sleep(ctx, 250*time.Millisecond); err != nil {
			return moved, err
		}
	}
}
