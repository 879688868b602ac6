package sqs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// number is an attribute with its limits.
type number struct{ least, most, standard int }

var numbers = map[string]number{
	"DelaySeconds":                  {0, 900, 0},
	"MaximumMessageSize":            {1024, maxBytes, maxBytes},
	"MessageRetentionPeriod":        {60, 1209600, 345600},
	"ReceiveMessageWaitTimeSeconds": {0, 20, 0},
	"VisibilityTimeout":             {0, 43200, 30},
	"KmsDataKeyReusePeriodSeconds":  {60, 86400, 300},
}

// computed are the attributes that nobody sets.
var computed = []string{
	"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible",
	"CreatedTimestamp", "LastModifiedTimestamp", "QueueArn",
}

// redrive is the RedrivePolicy attribute.
type redrive struct {
	Target string          `json:"deadLetterTargetArn"`
	Max    json.RawMessage `json:"maxReceiveCount"` // a number, or one in a string
}

func (r redrive) count() int {
	n, err := strconv.Atoi(strings.Trim(string(r.Max), `"`))
	if err != nil {
		return 0
	}
	return n
}

// setAttributes checks attributes and puts them into q. An empty value of a
// document removes it.
func (s *Service) setAttributes(tx *store.Tx, q *queue, attributes map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		if limits, ok := numbers[name]; ok {
			n, err := strconv.Atoi(value)
			if err != nil || n < limits.least || n > limits.most {
				return invalidAttributeValue(name)
			}
			q.Attributes[name] = strconv.Itoa(n)
			continue
		}
		switch name {
		case "Policy":
			if value != "" {
				d, err := policy.Parse([]byte(value))
				if err != nil || d.CheckResource() != nil {
					return invalidAttributeValue(name)
				}
			}
		case "RedrivePolicy":
			if value != "" {
				if err := s.checkRedrive(tx, q, value); err != nil {
					return err
				}
			}
		case "RedriveAllowPolicy":
			var allow struct {
				Permission string   `json:"redrivePermission"`
				Sources    []string `json:"sourceQueueArns"`
			}
			if value != "" && (json.Unmarshal([]byte(value), &allow) != nil ||
				!slices.Contains([]string{"allowAll", "denyAll", "byQueue"}, allow.Permission)) {
				return invalidAttributeValue(name)
			}
		case "SqsManagedSseEnabled":
			if value != "true" && value != "false" {
				return invalidAttributeValue(name)
			}
			if value == "true" && (attributes["KmsMasterKeyId"] != "" || q.Attributes["KmsMasterKeyId"] != "") {
				return coded("InvalidAttributeValue", "InvalidAttributeValue",
					"You can use one type of server-side encryption (SSE) at one time. You can either enable KMS "+
						"SSE or SQS SSE.")
			}
		case "KmsMasterKeyId": // AWS does not look for the key either
			if value != "" {
				delete(q.Attributes, "SqsManagedSseEnabled")
			}
		case "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
			return awsapi.NotBuilt("FIFO queues (attribute " + name + " of sqs:CreateQueue)")
		default:
			return invalidAttributeName(name)
		}
		if value == "" {
			delete(q.Attributes, name)
			continue
		}
		q.Attributes[name] = value
	}
	return nil
}

func (s *Service) checkRedrive(tx *store.Tx, q *queue, value string) error {
	fail := func(why string) error {
		return invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: %s", value, why)
	}
	var r redrive
	if json.Unmarshal([]byte(value), &r) != nil {
		return fail("Redrive policy is not a valid JSON map.")
	}
	if r.Target == "" || r.Max == nil {
		return fail("Redrive policy does not contain mandatory attributes: deadLetterTargetArn, maxReceiveCount.")
	}
	if n := r.count(); n < 1 || n > 1000 {
		return fail("Invalid value for maxReceiveCount: " + string(r.Max) +
			", valid values are from 1 to 1000 both inclusive.")
	}
	target, err := getQueue(tx, nameOf(r.Target))
	if err != nil || r.Target != s.arn(target.Name) {
		return fail("Dead letter target does not exist.")
	}
	var allow struct {
		Permission string   `json:"redrivePermission"`
		Sources    []string `json:"sourceQueueArns"`
	}
	if doc := target.Attributes["RedriveAllowPolicy"]; doc != "" {
		if err := json.Unmarshal([]byte(doc), &allow); err != nil {
			return err
		}
		if allow.Permission == "denyAll" || allow.Permission == "byQueue" &&
			!slices.Contains(allow.Sources, s.arn(q.Name)) {
			return fail("Dead letter target does not allow this queue as a source.")
		}
	}
	return nil
}

// number is the value of a numeric attribute.
func (q *queue) number(name string) int {
	if n, err := strconv.Atoi(q.Attributes[name]); err == nil {
		return n
	}
	return numbers[name].standard
}

func (q *queue) seconds(name string) time.Duration {
	return time.Duration(q.number(name)) * time.Second
}

// redrive is where messages go that are received too often; "" for nowhere.
func (q *queue) redrive() (target string, most int) {
	doc := q.Attributes["RedrivePolicy"]
	if doc == "" {
		return "", 0
	}
	var r redrive
	if json.Unmarshal([]byte(doc), &r) != nil {
		return "", 0
	}
	return r.Target, r.count()
}

// attributes are those of the given names; "All" names all.
func (s *Service) attributes(tx *store.Tx, q *queue, names []string) (map[string]string, error) {
	all := map[string]string{
		"QueueArn":              s.arn(q.Name),
		"CreatedTimestamp":      strconv.FormatInt(q.Created.Unix(), 10),
		"LastModifiedTimestamp": strconv.FormatInt(q.Modified.Unix(), 10),
		"SqsManagedSseEnabled":  "true",
	}
	for name := range numbers {
		if name != "KmsDataKeyReusePeriodSeconds" || q.Attributes["KmsMasterKeyId"] != "" {
			all[name] = strconv.Itoa(q.number(name))
		}
	}
	if q.Attributes["KmsMasterKeyId"] != "" {
		all["SqsManagedSseEnabled"] = "false"
	}
	maps.Copy(all, q.Attributes)
	wantsAll := slices.Contains(names, "All")
	if wantsAll || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "Approximate") }) {
		counts, err := s.count(tx, q)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, counts)
	}
	if wantsAll {
		return all, nil
	}
	settable := []string{"Policy", "RedrivePolicy", "RedriveAllowPolicy", "SqsManagedSseEnabled", "KmsMasterKeyId",
		"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}
	out := map[string]string{}
	for _, n := range names {
		if v, ok := all[n]; ok {
			out[n] = v
			continue
		}
		if _, ok := numbers[n]; !ok && !slices.Contains(settable, n) && !slices.Contains(computed, n) {
			return nil, invalidAttributeName(n)
		}
	}
	return out, nil
}

// count counts the messages that are there.
func (s *Service) count(tx *store.Tx, q *queue) (map[string]string, error) {
	now := millis(s.config.Scheduler.Now())
	var visible, late, flying int
	for row, err := range visibleTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
		switch {
		case err != nil:
			return nil, err
		case row.Key[1] <= now:
			visible++
		case row.Value == inFlight:
			flying++
		default:
			late++
		}
	}
	return map[string]string{
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(late),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(flying),
	}, nil
}
