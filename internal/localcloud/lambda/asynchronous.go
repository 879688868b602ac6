package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// enqueue stores an asynchronous invocation and starts it.
func (s *Service) enqueue(tx *store.Tx, requestID string, f Function, payload []byte) error {
	now := s.Scheduler.Now()
	e := event{
		Function: f.Name, Qualifier: f.Qualifier, Payload: payload, Received: now,
		Next: now.Add(s.Weather.Delay("invocation of " + f.Name)),
	}
	tx.OnCommit(func() { s.schedule(requestID, e) })
	return events.Put(tx, e, requestID)
}

func (s *Service) schedule(requestID string, e event) {
	s.Scheduler.At(e.Next, "lambda event "+e.Function, func() { s.runEvent(requestID, e) })
}

// runEvent runs an asynchronous invocation once and decides what follows.
func (s *Service) runEvent(requestID string, e event) {
	ctx := context.Background()
	var f Function
	err := s.Store.View(func(tx *store.Tx) (err error) {
		f, err = s.findShared(tx, e.Function, e.Qualifier)
		return err
	})
	if err != nil { // the function is gone, and its events with it
		s.admitted(e.Function, requestID)
		s.end(requestID)
		return
	}
	age := maxEventAge
	if f.MaxAge > 0 {
		age = f.MaxAge
	}
	retries := 2
	if f.MaxRetries != nil {
		retries = *f.MaxRetries
	}
	now := s.Scheduler.Now()
	if now.Sub(e.Received) > age {
		s.admitted(f.Name, requestID)
		s.conclude(ctx, f, requestID, e, Result{}, "EventAgeExceeded")
		return
	}
	if e.Attempts >= retries && (f.DeadLetter != "" || f.OnFailure != "") {
		ctx = weather.Spare(ctx)
	}
	result, _, err := s.run(ctx, f, requestID, e.Payload)
	if err == nil {
		s.admitted(f.Name, requestID)
		// "The time between when Lambda successfully queues the event and when the function is
		// invoked" (AWS Lambda Developer Guide, "Types of metrics for Lambda functions", 2026-11).
		s.count(f, "AsyncEventAge", float64(now.Sub(e.Received).Milliseconds()))
	}
	now = s.Scheduler.Now()
	switch {
	case err != nil: // throttled or an error of the service: the event stays, with growing delays
		// 1 s, 2 s, 4 s, …: each a second longer than all so far.
		wait := min(time.Second+now.Sub(e.Received), 5*time.Minute)
		if s.throttled(f.Name, requestID) > 1 {
			wait += time.Duration(s.Scheduler.Rand().Int64N(int64(wait)))
		}
		e.Next = now.Add(wait)
	case result.Failure == nil && !e.Copy && s.Weather.Draw(weather.Duplicated, "invocation of "+f.Name):
		// At least once: the same event again, with the same id, before its end is noted. A
		// copy that fails is tried again, as the first would be.
		e.Copy = true
		e.Next = now.Add(s.Weather.Later())
	case result.Failure == nil:
		s.conclude(ctx, f, requestID, e, result, "Success")
		return
	case e.Attempts >= retries:
		e.Attempts++
		s.conclude(ctx, f, requestID, e, result, "RetriesExhausted")
		return
	default:
		e.Attempts++
		e.Next = now.Add(time.Duration(e.Attempts) * time.Minute)
	}
	err = s.Store.Update(func(tx *store.Tx) error { return events.Put(tx, e, requestID) })
	if err != nil {
		s.Scheduler.Failed("lambda asynchronous invocation "+requestID, err)
		return
	}
	s.schedule(requestID, e)
}

// throttled notes that an event did not come to its function, and returns how many of that function wait so: "If the
// queue contains many entries, Lambda increases the retry interval and reduces the rate at which it reads events from
// the queue" (developer guide, "How Lambda handles errors and retries with asynchronous invocation", 2026-11). It is
// known to this process only.
func (s *Service) throttled(function, requestID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[function] == nil {
		s.waiting[function] = map[string]bool{}
	}
	s.waiting[function][requestID] = true
	return len(s.waiting[function])
}

// admitted notes that an event has come to its function, or never will.
func (s *Service) admitted(function, requestID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.waiting[function], requestID); len(s.waiting[function]) == 0 {
		delete(s.waiting, function)
	}
}

func (s *Service) end(requestID string) {
	err := s.Store.Update(func(tx *store.Tx) error { return events.Delete(tx, requestID) })
	s.Scheduler.Failed("lambda asynchronous invocation "+requestID, err)
}

// conclude sends an asynchronous invocation's outcome to its destination or
// dead-letter queue and forgets the event.
func (s *Service) conclude(ctx context.Context, f Function, requestID string, e event, r Result, condition string) {
	defer s.end(requestID)
	target, ran := f.OnSuccess, e.Attempts
	if condition == "Success" {
		ran++ // Attempts are those that failed
	} else {
		target = f.OnFailure
		s.count(f, "AsyncEventsDropped", 1)
	}
	id, err := s.Roles.Assume(ctx, f.RoleARN, "lambda.amazonaws.com", f.ARN, f.Name)
	if err != nil {
		s.count(f, "DestinationDeliveryFailures", 1)
		return
	}
	if target != "" {
		record := map[string]any{
			"version":   "1.0",
			"timestamp": s.Scheduler.Now().Format("2006-01-02T15:04:05.000Z"),
			"requestContext": map[string]any{"requestId": requestID, "functionArn": f.destinationARN(),
				"condition": condition, "approximateInvokeCount": ran},
			"requestPayload": asJSON(e.Payload),
		}
		if r.Payload != nil {
			context := map[string]any{"statusCode": 200, "executedVersion": f.version()}
			if r.Failure != nil {
				context["functionError"] = "Unhandled"
			}
			record["responseContext"] = context
			record["responsePayload"] = asJSON(r.Payload)
		}
		body, err := json.Marshal(record)
		if err == nil {
			err = s.deliver(ctx, id, target, body, nil)
		}
		if err != nil {
			s.count(f, "DestinationDeliveryFailures", 1)
		}
	}
	if condition != "Success" && f.DeadLetter != "" {
		attributes := map[string]string{"RequestID": requestID, "ErrorCode": "200"}
		if r.Failure != nil {
			attributes["ErrorMessage"] = r.Failure.Message
		}
		if err := s.deliver(ctx, id, f.DeadLetter, e.Payload, attributes); err != nil {
			s.count(f, "DeadLetterErrors", 1)
		}
	}
}

func asJSON(b []byte) any {
	if json.Valid(b) {
		return json.RawMessage(b)
	}
	return string(b)
}

// deliver sends body to a queue, topic or function under the role's identity.
func (s *Service) deliver(ctx context.Context, id awsapi.Identity, arn string, body []byte,
	attributes map[string]string) error {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return fmt.Errorf("lambda: destination %q is not an ARN", arn)
	}
	values := map[string]any{}
	for k, v := range attributes {
		values[k] = map[string]string{"DataType": "String", "StringValue": v}
	}
	switch parts[2] {
	case "sqs":
		var url struct {
			QueueURL string `json:"QueueUrl"`
		}
		if err := awsapi.CallInto(ctx, s.Caller, awsapi.RootOf(s.Account), "sqs", "GetQueueUrl",
			map[string]string{"QueueName": parts[5]}, &url); err != nil {
			return err
		}
		_, err := s.Caller.Call(ctx, id, "sqs", "SendMessage", map[string]any{"QueueUrl": url.QueueURL,
			"MessageBody": string(body), "MessageAttributes": values})
		return err
	case "sns":
		_, err := s.Caller.Call(ctx, id, "sns", "Publish", map[string]any{"TopicArn": arn, "Message": string(body),
			"MessageAttributes": values})
		return err
	case "lambda":
		_, err := s.Caller.Call(ctx, id, "lambda", "Invoke", &invokeIn{FunctionName: arn, InvocationType: "Event",
			Payload: body})
		return err
	default:
		return awsapi.NotBuilt("Lambda destinations of the service " + parts[2])
	}
}
