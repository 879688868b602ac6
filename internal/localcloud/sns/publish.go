package sns

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sns/filterpolicy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	maxMessage = 256 << 10 // bytes of a message or batch with its attributes
	maxBatch   = 10
)

func (s *Service) publish(_ context.Context, _ *awsapi.Call, in *publishIn) (*publishOut, error) {
	switch {
	case in.PhoneNumber != "":
		return nil, awsapi.NotBuilt("SMS (sns:Publish to a PhoneNumber)")
	case in.TopicArn == "" && in.TargetArn == "":
		return nil, invalid("TopicArn or TargetArn Reason: no value for required parameter")
	case strings.Contains(in.arn(), ":endpoint/"):
		return nil, awsapi.NotBuilt("mobile push (sns:Publish to an endpoint)")
	}
	out := &publishOut{}
	return out, s.config.Store.Update(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.arn())
		if err != nil {
			return err
		}
		out.MessageID, err = s.fanOut(tx, t, &in.publishEntry)
		return err
	})
}

var attributeName = regexp.MustCompile(`^[\w.-]{1,256}$`)

// check checks a message and returns its size.
func (in *publishEntry) check() (size int, err error) {
	if in.Message == "" {
		return 0, invalid("Empty message")
	}
	if !utf8.ValidString(in.Message) {
		return 0, invalid("Message Reason: invalid UTF-8")
	}
	if in.GroupID != "" || in.DeduplicationID != "" {
		return 0, invalid("MessageGroupId Reason: The request includes parameters that are not valid for this " +
			"topic type")
	}
	if len(in.Subject) > 100 || strings.ContainsAny(in.Subject, "\r\n") {
		return 0, invalid("Subject")
	}
	if in.MessageStructure != "" && in.MessageStructure != "json" {
		return 0, invalid("MessageStructure")
	}
	size = len(in.Message)
	for _, name := range slices.Sorted(maps.Keys(in.MessageAttributes)) {
		v := in.MessageAttributes[name]
		if !attributeName.MatchString(name) {
			return 0, awsapi.Errorf("ParameterValueInvalid", "The message attribute name '%s' is invalid", name)
		}
		bad := func(why string) (int, error) {
			return 0, awsapi.Errorf("ParameterValueInvalid", "The message attribute '%s' %s", name, why)
		}
		kind, _, _ := strings.Cut(v.DataType, ".")
		switch kind {
		case "Binary":
			if len(v.BinaryValue) == 0 {
				return bad("must contain non-empty message attribute value for message attribute type 'Binary'.")
			}
		case "String", "Number":
			if v.StringValue == "" {
				return bad("must contain non-empty message attribute value for message attribute type '" +
					v.DataType + "'.")
			}
			if _, err := strconv.ParseFloat(v.StringValue, 64); kind == "Number" && err != nil {
				return bad("has an invalid number as its value")
			}
			if v.DataType == "String.Array" {
				var list []any
				if json.Unmarshal([]byte(v.StringValue), &list) != nil {
					return bad("has an invalid array as its value")
				}
			}
		default:
			return bad("has an invalid message attribute type, the set of supported type prefixes is Binary, " +
				"Number, and String.")
		}
		size += len(name) + len(v.DataType) + len(v.StringValue) + len(v.BinaryValue)
	}
	if size > maxMessage {
		return 0, invalid("Message too long")
	}
	return size, nil
}

// fanOut writes the deliveries of a message and returns its ID.
func (s *Service) fanOut(tx *store.Tx, t topic, in *publishEntry) (id string, err error) {
	if _, err := in.check(); err != nil {
		return "", err
	}
	messageFor := func(string) string { return in.Message }
	if in.MessageStructure == "json" {
		var byProtocol map[string]any
		if json.Unmarshal([]byte(in.Message), &byProtocol) != nil {
			return "", invalid("Message Structure - JSON message body failed to parse")
		}
		standard, ok := byProtocol["default"].(string)
		if !ok {
			return "", invalid("Message Structure - No default entry in JSON message body")
		}
		messageFor = func(protocol string) string {
			if m, ok := byProtocol[protocol].(string); ok {
				return m
			}
			return standard
		}
	}
	n := notification{ID: s.config.Scheduler.UUID(), Subject: in.Subject, Attributes: in.MessageAttributes,
		Time: s.config.Scheduler.Now()}
	var subs []subscription
	for row, err := range subscriptionTable.Scan(tx, store.Query{Prefix: []string{t.Name}}) {
		if err != nil {
			return "", err
		}
		subs = append(subs, row.Value)
	}
	for _, sub := range subs {
		n.Message = messageFor(sub.Protocol)
		wanted, err := sub.matches(n)
		if err != nil {
			return "", err
		}
		if sub.pending() || !wanted {
			continue
		}
		if err := s.post(tx, sub, n); err != nil {
			return "", err
		}
	}
	return n.ID, nil
}

// matches says whether the subscription's filter policy lets a message through.
func (sub *subscription) matches(n notification) (bool, error) {
	doc := sub.Attributes["FilterPolicy"]
	if doc == "" {
		return true, nil
	}
	p, err := filterpolicy.Parse([]byte(doc), sub.scope())
	if err != nil {
		return false, err
	}
	if p.Scope() == filterpolicy.MessageBody {
		return p.MatchBody([]byte(n.Message)), nil
	}
	attributes := map[string]filterpolicy.Attribute{}
	for name, v := range n.Attributes {
		attributes[name] = filterpolicy.Attribute{Type: v.DataType, Value: v.StringValue}
	}
	return p.MatchAttributes(attributes), nil
}

var batchID = regexp.MustCompile(`^[\w-]{1,80}$`)

func (s *Service) publishBatch(_ context.Context, _ *awsapi.Call, in *publishBatchIn) (*publishBatchOut, error) {
	if len(in.Entries) == 0 {
		return nil, awsapi.Errorf("EmptyBatchRequest", "The batch request doesn't contain any entries.")
	}
	if len(in.Entries) > maxBatch {
		return nil, awsapi.Errorf("TooManyEntriesInBatchRequest",
			"The batch request contains more entries than permissible.")
	}
	seen := map[string]bool{}
	total := 0
	for i := range in.Entries {
		e := &in.Entries[i]
		if !batchID.MatchString(e.ID) {
			return nil, awsapi.Errorf("InvalidBatchEntryId",
				"The Id of a batch entry in a batch request doesn't abide by the specification.")
		}
		if seen[e.ID] {
			return nil, awsapi.Errorf("BatchEntryIdsNotDistinct",
				"Two or more batch entries in the request have the same Id.")
		}
		seen[e.ID] = true
		if size, err := e.check(); err == nil {
			total += size
		}
	}
	if total > maxMessage {
		return nil, awsapi.Errorf("BatchRequestTooLong",
			"The length of all the batch messages put together is more than the limit.")
	}
	out := &publishBatchOut{Successful: []publishedEntry{}, Failed: []failedEntry{}}
	return out, s.config.Store.Update(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.TopicArn)
		if err != nil {
			return err
		}
		for i := range in.Entries {
			e := &in.Entries[i]
			id, err := s.fanOut(tx, t, &e.publishEntry)
			if err == nil {
				out.Successful = append(out.Successful, publishedEntry{e.ID, id})
				continue
			}
			failure := awsapi.AsError(err)
			if failure.HTTPStatus() >= 500 {
				return err
			}
			out.Failed = append(out.Failed, failedEntry{e.ID, failure.Code, failure.Message, true})
		}
		return nil
	})
}
