package cloudformation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// eventRecord is a stack event: what became of a stack or of one of its resources.
type eventRecord struct {
	ID         string
	LogicalID  string
	PhysicalID string `json:",omitempty"`
	Type       string
	Status     string
	Reason     string          `json:",omitempty"`
	Token      string          `json:",omitempty"`
	Properties json.RawMessage `json:",omitempty"`
	Time       time.Time
}

const stackType = "AWS::CloudFormation::Stack"

// record notes an event; it becomes durable with the next save.
func (w *work) record(e eventRecord) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stack.Events++
	e.Time, e.Token = w.s.config.Scheduler.Now(), w.stack.Task.Token
	if e.Type == stackType {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", w.stack.ID, w.stack.Events))
		h := hex.EncodeToString(sum[:16])
		e.ID = strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
	} else {
		e.ID = fmt.Sprintf("%s-%s-%s-%d", e.LogicalID, e.Status, e.Time.UTC().Format("2006-01-02T15:04:05.000Z"),
			w.stack.Events)
	}
	w.unsaved = append(w.unsaved, numbered{w.stack.Events, e})
}

// recordStackEvent notes what became of the stack.
func (w *work) recordStackEvent(reason string) {
	w.record(eventRecord{LogicalID: w.stack.Name, PhysicalID: w.stack.ID, Type: stackType, Status: w.stack.Status,
		Reason: reason})
}

// recordResourceEvent notes what became of a resource.
func (w *work) recordResourceEvent(r resourceRecord, status, reason string, properties json.RawMessage) {
	w.record(eventRecord{
		LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Type: r.Type, Status: status, Reason: reason,
		Properties: properties,
	})
}

type numbered struct {
	number uint64
	event  eventRecord
}

func putEvents(tx *store.Tx, stackID string, list []numbered) error {
	for _, n := range list {
		if err := events.Put(tx, n.event, stackID, store.Number(^n.number)); err != nil {
			return err
		}
	}
	return nil
}

// notify sends events to the topics that the stack names, as the one who works on the stack.
func (w *work) notify(ctx context.Context, list []numbered) {
	for _, topic := range w.stack.Options.Notifications {
		for _, n := range list {
			// A topic that is gone or refuses does not hold up a deployment.
			_, err := w.s.call(ctx, "sns", "Publish", map[string]any{
				"TopicArn": topic, "Subject": "AWS CloudFormation Notification", "Message": w.message(n.event),
			})
			if err != nil {
				w.s.config.Log.Warn("a stack event did not reach its topic", "stack", w.stack.Name, "topic", topic,
					"error", err)
			}
		}
	}
}

// message is an event as CloudFormation writes it to topics.
func (w *work) message(e eventRecord) string {
	var b strings.Builder
	token := e.Token
	if token == "" {
		token = "null"
	}
	properties := string(e.Properties)
	if properties == "" {
		properties = "null"
	}
	for _, line := range [][2]string{
		{"StackId", w.stack.ID}, {"Timestamp", awsapi.Time{Time: e.Time}.ISO()}, {"EventId", e.ID},
		{"LogicalResourceId", e.LogicalID}, {"Namespace", w.s.config.Account}, {"PhysicalResourceId", e.PhysicalID},
		{"PrincipalId", w.s.config.Account}, {"ResourceProperties", properties}, {"ResourceStatus", e.Status},
		{"ResourceStatusReason", e.Reason}, {"ResourceType", e.Type}, {"StackName", w.stack.Name},
		{"ClientRequestToken", token},
	} {
		fmt.Fprintf(&b, "%s='%s'\n", line[0], line[1])
	}
	return b.String()
}

// reason is an error as the events of resources put it.
//
// Source: messages quoted in github.com/aws/aws-cdk issues 13652, 15357 and 25109 (2021 to 2023).
func (s *Service) reason(service string, err error) string {
	e := awsapi.AsError(err)
	if awsapi.Code(err) == "InternalFailure" || service == "" {
		return err.Error()
	}
	code := "GeneralServiceException"
	switch {
	case strings.Contains(e.Code, "AlreadyExist") || strings.Contains(e.Code, "Conflict") ||
		strings.Contains(e.Code, "InUse"):
		code = "AlreadyExists"
	case strings.Contains(e.Code, "AccessDenied") || strings.Contains(e.Code, "AuthorizationError"):
		code = "AccessDenied"
	case strings.Contains(e.Code, "NotFound") || strings.Contains(e.Code, "NoSuch") ||
		strings.Contains(e.Code, "NotExist"):
		code = "NotFound"
	case strings.Contains(e.Code, "Limit"):
		code = "ServiceLimitExceeded"
	case strings.Contains(e.Code, "Invalid") || strings.Contains(e.Code, "Validation") ||
		strings.Contains(e.Code, "Malformed"):
		code = "InvalidRequest"
	}
	return fmt.Sprintf("Resource handler returned message: \"%s (Service: %s, Status Code: %d, Request ID: %s)\" "+
		"(RequestToken: %s, HandlerErrorCode: %s)",
		e.Message, serviceNames[service], e.HTTPStatus(), s.config.Scheduler.UUID(), s.config.Scheduler.UUID(), code)
}

// serviceNames are the services as the SDK that makes resources spells them.
var serviceNames = map[string]string{
	"iam": "Iam", "lambda": "Lambda", "dynamodb": "DynamoDb", "s3": "S3", "sqs": "Sqs", "sns": "Sns", "sfn": "Sfn",
	"iot":        "Iot",
	"cloudwatch": "CloudWatch", "cloudwatchlogs": "CloudWatchLogs", "ssm": "Ssm", "kms": "Kms",
	"scheduler": "Scheduler",
}
