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
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	pageSize = 100
	maxTags  = 50
)

// op is an operation on the topic or subscription that its input names; the
// policy of the topic applies to both.
func op[In, Out any](name string, handle func(context.Context, *awsapi.Call, *In) (*Out, error),
	options ...awsapi.Option) awsapi.Operation {
	return awsapi.Op(name, handle, append(options,
		awsapi.On(func(_ *awsapi.Call, in *In) []string {
			return []string{any(in).(interface{ arn() string }).arn()}
		}),
		awsapi.Conditions(func(c *awsapi.Call, _ *In) map[string][]string {
			if c.Identity.Service == "" {
				return nil
			}
			return map[string][]string{"aws:SourceOwner": {c.Identity.SourceAccount}}
		}))...)
}

// defaultPolicy is the policy that a topic has from the beginning.
func defaultPolicy(arn, account string) string {
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow",` +
		`"Principal":{"AWS":"*"},"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission",` +
		`"SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":"` + arn +
		`","Condition":{"StringEquals":{"AWS:SourceOwner":"` + account + `"}}}]}`
}

func (s *Service) policyOf(t topic) string {
	if p := t.Attributes["Policy"]; p != "" {
		return p
	}
	return defaultPolicy(s.topicARN(t.Name), s.config.Account)
}

func (s *Service) resourcePolicy(arn string) (doc string, err error) {
	name, _, ok := topicOf(arn)
	if !ok {
		return "", nil
	}
	err = s.config.Store.View(func(tx *store.Tx) error {
		t, ok, err := topicTable.Get(tx, name)
		if ok {
			doc = s.policyOf(t)
		}
		return err
	})
	return doc, err
}

var topicName = regexp.MustCompile(`^[\w-]{1,256}$`)

// setTopicAttribute checks an attribute and puts it into t.
func setTopicAttribute(t *topic, name, value string) error {
	switch name {
	case "Policy":
		d, err := policy.Parse([]byte(value))
		if err != nil || d.CheckResource() != nil {
			return invalid("Policy Error: null")
		}
	case "DeliveryPolicy":
		if value != "" && !json.Valid([]byte(value)) {
			return invalid("DeliveryPolicy: failed to parse JSON")
		}
	case "DisplayName":
		if len(value) > 100 {
			return invalid("DisplayName Reason: must be at most 100 characters")
		}
	case "KmsMasterKeyId": // AWS does not look for the key either
	case "TracingConfig":
		if value != "PassThrough" && value != "Active" {
			return invalid("TracingConfig")
		}
	case "SignatureVersion":
		if value != "1" && value != "2" {
			return invalid("SignatureVersion")
		}
	case "FifoTopic", "ContentBasedDeduplication", "ArchivePolicy", "FifoThroughputScope":
		if value == "" || value == "false" {
			return nil
		}
		return awsapi.NotBuilt("FIFO topics (attribute " + name + " of SNS topics)")
	default:
		for _, p := range []string{"Lambda", "SQS", "HTTP", "Firehose", "Application"} {
			if strings.HasPrefix(name, p) && strings.Contains(name, "Feedback") {
				return awsapi.NotBuilt("delivery status logging (attribute " + name + " of SNS topics)")
			}
		}
		return invalid("AttributeName")
	}
	t.Attributes[name] = value
	return nil
}

func (s *Service) createTopic(_ context.Context, _ *awsapi.Call, in *createTopicIn) (*createTopicOut, error) {
	if strings.HasSuffix(in.Name, ".fifo") || in.Attributes["FifoTopic"] == "true" {
		return nil, awsapi.NotBuilt("FIFO topics")
	}
	if in.DataProtectionPolicy != "" {
		return nil, awsapi.NotBuilt("data protection policies of SNS topics")
	}
	if !topicName.MatchString(in.Name) {
		return nil, invalid("Topic Name")
	}
	t := topic{Name: in.Name, Attributes: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		if err := setTopicAttribute(&t, name, in.Attributes[name]); err != nil {
			return nil, err
		}
	}
	if err := setTags(&t, in.Tags); err != nil {
		return nil, err
	}
	return &createTopicOut{s.topicARN(t.Name)}, s.config.Store.Update(func(tx *store.Tx) error {
		old, exists, err := topicTable.Get(tx, t.Name)
		if err != nil {
			return err
		}
		if !exists {
			return topicTable.Put(tx, t, t.Name)
		}
		for name, v := range t.Attributes {
			if old.Attributes[name] != v {
				return invalid("Attributes Reason: Topic already exists with different attributes")
			}
		}
		if len(t.Tags) > 0 && !maps.Equal(t.Tags, old.Tags) {
			return invalid("Tags Reason: Topic already exists with different tags")
		}
		return nil
	})
}

func (s *Service) deleteTopic(_ context.Context, _ *awsapi.Call, in *topicIn) (*none, error) {
	return nil, s.config.Store.Update(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.TopicArn)
		if awsapi.Code(err) == "NotFound" {
			return nil
		}
		if err != nil {
			return err
		}
		if err := subscriptionTable.DeleteAll(tx, t.Name); err != nil {
			return err
		}
		return topicTable.Delete(tx, t.Name)
	})
}

// changeTopic loads a topic, lets fn change it and writes it back.
func (s *Service) changeTopic(arn string, fn func(tx *store.Tx, t *topic) error) error {
	return s.config.Store.Update(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, arn)
		if err != nil {
			return err
		}
		if err := fn(tx, &t); err != nil {
			return err
		}
		return topicTable.Put(tx, t, t.Name)
	})
}

func (s *Service) setTopicAttributes(_ context.Context, _ *awsapi.Call, in *setTopicAttributesIn) (*none, error) {
	return nil, s.changeTopic(in.TopicArn, func(_ *store.Tx, t *topic) error {
		return setTopicAttribute(t, in.AttributeName, in.AttributeValue)
	})
}

// effectiveDelivery is the delivery policy of a topic that has none.
const effectiveDelivery = `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,` +
	`"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"disableSubscriptionOverrides":false,` +
	`"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`

func (s *Service) getTopicAttributes(_ context.Context, _ *awsapi.Call, in *topicIn) (*attributesOut, error) {
	out := &attributesOut{}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.TopicArn)
		if err != nil {
			return err
		}
		confirmed, pending := 0, 0
		for row, err := range subscriptionTable.Scan(tx, store.Query{Prefix: []string{t.Name}}) {
			switch {
			case err != nil:
				return err
			case row.Value.pending():
				pending++
			default:
				confirmed++
			}
		}
		out.Attributes = map[string]string{
			"TopicArn": in.TopicArn, "Owner": s.config.Account, "DisplayName": "", "Policy": s.policyOf(t),
			"SubscriptionsConfirmed": strconv.Itoa(confirmed), "SubscriptionsPending": strconv.Itoa(pending),
			"SubscriptionsDeleted": strconv.Itoa(t.Deleted), "EffectiveDeliveryPolicy": effectiveDelivery,
		}
		maps.Copy(out.Attributes, t.Attributes)
		return nil
	})
}

func (s *Service) listTopics(_ context.Context, _ *awsapi.Call, in *listIn) (*listTopicsOut, error) {
	after, err := parseToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listTopicsOut{Topics: []onTopic{}}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		last := ""
		for row, err := range topicTable.Scan(tx, store.Query{After: after}) {
			if err != nil {
				return err
			}
			if len(out.Topics) == pageSize {
				out.NextToken = awsapi.PageToken(last)
				return nil
			}
			last = row.Value.Name
			out.Topics = append(out.Topics, onTopic{s.topicARN(last)})
		}
		return nil
	})
}

// parseToken is the key where a list goes on.
func parseToken(s string) (key []string, err error) {
	key, ok := awsapi.PageKey(s)
	if !ok {
		return nil, invalid("NextToken")
	}
	return key, nil
}

// checkTag holds a tag to its lengths, in characters.
func checkTag(key, value string) error {
	if key == "" || utf8.RuneCountInString(key) > 128 || utf8.RuneCountInString(value) > 256 {
		return invalid("Invalid parameter: Tags Reason: The tag key or value is too long or too short")
	}
	return nil
}

func setTags(t *topic, tags []tag) error {
	if t.Tags == nil {
		t.Tags = map[string]string{}
	}
	for _, x := range tags {
		if err := checkTag(x.Key, x.Value); err != nil {
			return err
		}
		t.Tags[x.Key] = x.Value
	}
	if len(t.Tags) > maxTags {
		return awsapi.Errorf("TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
	}
	return nil
}

func (s *Service) tagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*none, error) {
	return &none{}, s.changeTopic(in.ResourceArn, func(_ *store.Tx, t *topic) error { return setTags(t, in.Tags) })
}

func (s *Service) untagResource(_ context.Context, _ *awsapi.Call, in *untagIn) (*none, error) {
	for _, k := range in.TagKeys {
		if err := checkTag(k, ""); err != nil {
			return nil, err
		}
	}
	return &none{}, s.changeTopic(in.ResourceArn, func(_ *store.Tx, t *topic) error {
		for _, k := range in.TagKeys {
			delete(t.Tags, k)
		}
		return nil
	})
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *resourceIn) (*tagsOut, error) {
	out := &tagsOut{Tags: []tag{}}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.ResourceArn)
		for _, k := range slices.Sorted(maps.Keys(t.Tags)) {
			out.Tags = append(out.Tags, tag{k, t.Tags[k]})
		}
		return err
	})
}
