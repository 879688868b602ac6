package eventbridgescheduler

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Targets: what a schedule calls, and what becomes of a call.

const (
	principal      = "scheduler.amazonaws.com"
	standardAge    = 24 * time.Hour
	standardTries  = 185
	longestPause   = 15 * time.Minute
	universal      = "arn:aws:scheduler:::aws-sdk:"
	maxDeadLetter  = 1 << 20
	retriesSpent   = "MaximumRetryAttempts"
	ageExceeded    = "MaximumEventAgeInSeconds"
	timeOfSchedule = "2006-01-02T15:04:05Z"
)

var (
	rolePattern  = regexp.MustCompile(`^arn:aws(-[a-z]+)?:iam::\d{12}:role/[\w+=,.@/-]+$`)
	queuePattern = regexp.MustCompile(`^arn:aws(-[a-z]+)?:sqs:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]+$`)
)

// reading are the beginnings of operations that only read: Scheduler does not
// take them. Source: User Guide, "Using universal targets", "Unsupported actions".
var reading = []string{
	"get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup", "discover",
	"validate", "batchGet",
	"batchDescribe", "batchRead", "transactGet", "adminGet", "adminList", "testMigration", "retrieve",
	"testConnection", "translateDocument",
	"isAuthorized", "invokeModel",
}

// limits are the target's retry policy.
func (t target) limits() (age time.Duration, retries int) {
	age, retries = standardAge, standardTries
	if t.MaxAge != nil {
		age = time.Duration(*t.MaxAge) * time.Second
	}
	if t.MaxRetries != nil {
		retries = *t.MaxRetries
	}
	return age, retries
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// sdkOperation is service and operation of a universal target.
func sdkOperation(arn string) (service, operation string, ok bool) {
	rest, ok := strings.CutPrefix(arn, universal)
	if !ok {
		return "", "", false
	}
	service, operation, ok = strings.Cut(rest, ":")
	return service, upperFirst(operation), ok && service != "" && operation != "" && !strings.Contains(operation, ":")
}

func (s *Service) checkTarget(in *targetShape) (t target, err error) {
	t = target{ARN: in.ARN, RoleARN: in.RoleARN, Input: in.Input}
	if !rolePattern.MatchString(in.RoleARN) {
		return t, errMember("target.roleArn", in.RoleARN, `satisfy regular expression pattern: ^arn:aws(-[a-z]+)?:iam::\d{12}:role\/[\w+=,.@\/-]+$`)
	}
	if d := in.DeadLetter; d != nil && d.ARN != "" {
		if !queuePattern.MatchString(d.ARN) {
			return t, errMember("target.deadLetterConfig.arn", d.ARN, `satisfy regular expression pattern: ^arn:aws(-[a-z]+)?:sqs:[a-z0-9\-]+:\d{12}:[a-zA-Z0-9\-_]+$`)
		}
		t.DeadLetter = d.ARN
	}
	if r := in.Retry; r != nil {
		if r.MaxAge != nil && (*r.MaxAge < 60 || *r.MaxAge > 86400) {
			return t, errMember("target.retryPolicy.maximumEventAgeInSeconds", *r.MaxAge,
				"have value between 60 and 86400")
		}
		if r.MaxRetries != nil && (*r.MaxRetries < 0 || *r.MaxRetries > standardTries) {
			return t, errMember("target.retryPolicy.maximumRetryAttempts", *r.MaxRetries,
				"have value between 0 and 185")
		}
		t.MaxAge, t.MaxRetries = r.MaxAge, r.MaxRetries
	}
	for _, x := range []struct {
		name  string
		given map[string]any
	}{
		{"EcsParameters", in.ECS}, {"EventBridgeParameters", in.EventBridge}, {"KinesisParameters", in.Kinesis},
		{"SageMakerPipelineParameters", in.SageMaker},
	} {
		if x.given != nil {
			return t, awsapi.NotBuilt("scheduler targets with " + x.name)
		}
	}
	if in.SQS != nil {
		t.GroupID = in.SQS.GroupID
	}
	if strings.HasPrefix(in.ARN, "arn:aws:scheduler:") {
		return t, s.checkUniversal(t)
	}
	parts := strings.SplitN(in.ARN, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return t, errValidation("Provided Arn is not in correct format.")
	}
	switch parts[2] {
	case "lambda", "states":
		if t.Input != "" && !isJSON(t.Input) {
			return t, errValidation("Input must be well-formed JSON for the target %s.", in.ARN)
		}
	case "sqs":
		if strings.HasSuffix(parts[5], ".fifo") {
			return t, awsapi.NotBuilt("FIFO queues as scheduler targets")
		}
	case "sns":
	default:
		return t, awsapi.NotBuilt("scheduler targets of the service " + parts[2])
	}
	if t.GroupID != "" && parts[2] != "sqs" {
		return t, errValidation("SqsParameters can only be given for a target that is an SQS queue.")
	}
	return t, nil
}

func (s *Service) checkUniversal(t target) error {
	service, operation, ok := sdkOperation(t.ARN)
	if !ok {
		return errValidation("Provided Arn is not in correct format.")
	}
	for _, r := range reading {
		if strings.HasPrefix(operation, upperFirst(r)) {
			return errValidation("%s:%s is not supported as a target: it only reads.", service, operation)
		}
	}
	if t.Input != "" && !isJSON(t.Input) {
		return errValidation("Input must be well-formed JSON for the target %s.", t.ARN)
	}
	if s.Built != nil && !s.Built(service, operation) {
		return awsapi.NotBuilt("the scheduler target " + service + ":" + operation)
	}
	return nil
}

// invokeAt has an invocation made at its time.
func (s *Service) invokeAt(id string, i invocation) {
	s.Scheduler.At(i.Next, "schedule invocation "+i.Group+"/"+i.Name, func() { s.invoke(id, i) })
}

// payload is the input of an attempt.
func (s *Service) payload(id string, i invocation) string {
	input := i.Target.Input
	if input == "" {
		b, err := json.Marshal(map[string]any{
			"version": "0", "id": id, "detail-type": "Scheduled Event", "source": "aws.scheduler",
			"account": s.Account,
			"time":    i.Scheduled.UTC().Format(timeOfSchedule), "region": s.Region,
			"resources": []string{s.arn(i.Group, i.Name)}, "detail": "{}",
		})
		if err != nil {
			return "{}"
		}
		return string(b)
	}
	return strings.NewReplacer(
		"<aws.scheduler.schedule-arn>", s.arn(i.Group, i.Name), "<aws.scheduler.scheduled-time>",
		i.Scheduled.UTC().Format(timeOfSchedule),
		"<aws.scheduler.execution-id>", id, "<aws.scheduler.attempt-number>", strconv.Itoa(i.Attempts+1),
	).Replace(input)
}

// call makes one attempt.
func (s *Service) call(ctx context.Context, id awsapi.Identity, t target, payload string) error {
	if service, operation, ok := sdkOperation(t.ARN); ok {
		in := json.RawMessage(payload)
		if t.Input == "" {
			in = json.RawMessage("{}")
		}
		_, err := s.Caller.Call(ctx, id, service, operation, in)
		return err
	}
	parts := strings.SplitN(t.ARN, ":", 6)
	var err error
	switch parts[2] {
	case "lambda":
		_, err = s.Caller.Call(ctx, id, "lambda", "Invoke", map[string]any{"FunctionName": t.ARN,
			"InvocationType": "Event", "Payload": []byte(payload)})
	case "sqs":
		in := map[string]any{"QueueUrl": parts[5], "MessageBody": payload}
		if t.GroupID != "" {
			in["MessageGroupId"] = t.GroupID
		}
		_, err = s.Caller.Call(ctx, id, "sqs", "SendMessage", in)
	case "sns":
		_, err = s.Caller.Call(ctx, id, "sns", "Publish", map[string]any{"TopicArn": t.ARN, "Message": payload})
	case "states":
		_, err = s.Caller.Call(ctx, id, "sfn", "StartExecution", map[string]any{"stateMachineArn": t.ARN,
			"input": payload})
	default:
		err = awsapi.NotBuilt("scheduler targets of the service " + parts[2])
	}
	return err
}

// throttled and passing sort errors: what is passing may go well another time.
func throttled(e *awsapi.Error) bool {
	return e.HTTPStatus() == http.StatusTooManyRequests || strings.Contains(e.Code, "Throttl") ||
		strings.HasPrefix(e.Code, "TooManyRequests") ||
		e.Code == "RequestLimitExceeded" || e.Code == "ProvisionedThroughputExceededException"
}

func passing(e *awsapi.Error) bool {
	return throttled(e) || e.HTTPStatus() >= 500 && e.HTTPStatus() != http.StatusNotImplemented ||
		e.HTTPStatus() == http.StatusConflict
}

func (s *Service) invoke(id string, i invocation) {
	ctx := context.Background()
	now := s.Scheduler.Now()
	age, retries := i.Target.limits()
	payload := s.payload(id, i)
	s.count(i.Group, "InvocationAttemptCount")
	role, err := s.Roles.Assume(ctx, i.Target.RoleARN, principal, s.groupARN(i.Group), id)
	if err == nil {
		err = s.call(ctx, role, i.Target, payload)
	}
	if err == nil {
		s.end(id, i)
		return
	}
	e := awsapi.AsError(err)
	s.count(i.Group, "TargetErrorCount")
	if throttled(e) {
		s.count(i.Group, "TargetErrorThrottledCount")
	}
	i.Attempts++
	pause := min(longestPause, time.Second<<min(i.Attempts-1, 20))
	pause = pause/2 + time.Duration(s.Scheduler.Rand().Int64N(int64(pause)))
	condition := ""
	switch {
	case !passing(e):
	case i.Attempts > retries:
		condition = retriesSpent
	case now.Add(pause).Sub(i.Due) > age:
		condition = ageExceeded
	default:
		i.Next = now.Add(pause)
		err := s.Store.Update(func(tx *store.Tx) error {
			tx.OnCommit(func() { s.invokeAt(id, i) })
			return invocationTable.Put(tx, i, id)
		})
		s.Scheduler.Failed("schedule invocation "+i.Group+"/"+i.Name, err) // the next Start tries again
		return
	}
	s.drop(ctx, id, i, payload, e, condition)
	s.end(id, i)
}

// drop hands what could not be delivered to the dead-letter queue.
func (s *Service) drop(ctx context.Context, id string, i invocation, payload string, e *awsapi.Error,
	condition string) {
	if i.Target.DeadLetter == "" {
		s.count(i.Group, "InvocationDroppedCount")
		return
	}
	truncated := len(payload) > maxDeadLetter-8<<10
	if truncated {
		payload = strings.ToValidUTF8(payload[:maxDeadLetter-8<<10], "")
	}
	values := map[string]string{
		"ERROR_CODE": e.Code, "ERROR_MESSAGE": e.Message, "EXECUTION_ID": id,
		"IS_PAYLOAD_TRUNCATED": strconv.FormatBool(truncated),
		"RETRY_ATTEMPTS":       strconv.Itoa(i.Attempts - 1), "SCHEDULED_TIME": i.Scheduled.UTC().Format(
			timeOfSchedule),
		"SCHEDULE_ARN": s.arn(i.Group, i.Name), "TARGET_ARN": i.Target.ARN,
	}
	if condition != "" {
		values["EXHAUSTED_RETRY_CONDITION"] = condition
	}
	attributes := map[string]any{}
	for _, name := range sortedKeys(values) {
		if values[name] != "" {
			attributes[name] = map[string]string{"DataType": "String", "StringValue": values[name]}
		}
	}
	role, err := s.Roles.Assume(ctx, i.Target.RoleARN, principal, s.groupARN(i.Group), id)
	if err == nil {
		name := i.Target.DeadLetter[strings.LastIndexByte(i.Target.DeadLetter, ':')+1:]
		_, err = s.Caller.Call(ctx, role, "sqs", "SendMessage", map[string]any{"QueueUrl": name,
			"MessageBody": payload, "MessageAttributes": attributes})
	}
	if err != nil {
		s.count(i.Group, "InvocationsFailedToBeSentToDeadLetterCount")
		s.count(i.Group, "InvocationsFailedToBeSentToDeadLetterCount_"+awsapi.Code(err))
		s.count(i.Group, "InvocationDroppedCount")
		return
	}
	s.count(i.Group, "InvocationsSentToDeadLetterCount")
	if truncated {
		s.count(i.Group, "InvocationsSentToDeadLetterCount_Truncated_MessageSizeExceeded")
	}
}

// end forgets an invocation.
func (s *Service) end(id string, i invocation) {
	err := s.Store.Update(func(tx *store.Tx) error {
		if err := invocationTable.Delete(tx, id); err != nil {
			return err
		}
		return s.completed(tx, i.Group, i.Name)
	})
	s.Scheduler.Failed("schedule invocation "+i.Group+"/"+i.Name, err) // the next Start makes it once more
}
