package sns

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sns/filterpolicy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// checkEndpoint says whether an endpoint suits its protocol, and whether the
// subscription has to be confirmed.
func checkEndpoint(protocol, endpoint string) (confirm bool, err error) {
	switch protocol {
	case "sqs":
		if !strings.HasPrefix(endpoint, "arn:aws:sqs:") || strings.Count(endpoint, ":") != 5 {
			return false, invalid("SQS endpoint ARN")
		}
		if strings.HasSuffix(endpoint, ".fifo") {
			return false, invalid("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to " +
				"standard SNS topics")
		}
		return false, nil
	case "lambda":
		if !strings.HasPrefix(endpoint, "arn:aws:lambda:") || strings.Count(endpoint, ":") < 6 {
			return false, invalid("Lambda endpoint ARN")
		}
		return false, nil
	case "http", "https":
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != protocol || u.Host == "" {
			return false, invalid("Endpoint must match the specified protocol")
		}
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false, awsapi.NotBuilt("SNS subscriptions of HTTP endpoints that are not on this machine")
		}
		return true, nil
	case "email", "email-json":
		if !strings.Contains(endpoint, "@") {
			return false, invalid("Email address")
		}
		return true, nil
	case "sms":
		if strings.Trim(endpoint, "+0123456789 -") != "" || endpoint == "" {
			return false, invalid("Invalid SMS endpoint: %s", endpoint)
		}
		return true, nil
	case "application", "firehose":
		return false, awsapi.NotBuilt("SNS subscriptions of the protocol " + protocol)
	default:
		return false, invalid("Amazon SNS does not support this protocol string: %s", protocol)
	}
}

// setAttribute checks an attribute of a subscription and sets it.
func (sub *subscription) setAttribute(name, value string) error {
	switch name {
	case "RawMessageDelivery":
		switch value = strings.ToLower(value); {
		case value != "true" && value != "false":
			return invalid("Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
		case value == "true" && !slices.Contains([]string{"sqs", "http", "https"}, sub.Protocol):
			return invalid("Attributes Reason: Delivery protocol [%s] does not support raw message delivery.",
				sub.Protocol)
		}
	case "FilterPolicy":
		if value == "" || value == "{}" {
			delete(sub.Attributes, name)
			return nil
		}
		if err := checkFilter(value, sub.scope()); err != nil {
			return err
		}
	case "FilterPolicyScope":
		if value != string(filterpolicy.MessageAttributes) && value != string(filterpolicy.MessageBody) {
			return invalid("FilterPolicyScope: Invalid value [%s]. Please use either MessageBody or MessageAttributes",
				value)
		}
		if p := sub.Attributes["FilterPolicy"]; p != "" {
			if err := checkFilter(p, filterpolicy.Scope(value)); err != nil {
				return err
			}
		}
	case "RedrivePolicy":
		if value == "" {
			delete(sub.Attributes, name)
			return nil
		}
		if target, err := deadLetter(value); err != nil || !strings.HasPrefix(target, "arn:aws:sqs:") {
			return invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
		}
	case "DeliveryPolicy":
		if value != "" && !json.Valid([]byte(value)) {
			return invalid("DeliveryPolicy: failed to parse JSON")
		}
	case "SubscriptionRoleArn", "ReplayPolicy":
		return awsapi.NotBuilt("the attribute " + name + " of SNS subscriptions")
	default:
		return invalid("AttributeName")
	}
	sub.Attributes[name] = value
	return nil
}

func (sub *subscription) scope() filterpolicy.Scope {
	if s := sub.Attributes["FilterPolicyScope"]; s != "" {
		return filterpolicy.Scope(s)
	}
	return filterpolicy.MessageAttributes
}

func checkFilter(doc string, scope filterpolicy.Scope) error {
	_, err := filterpolicy.Parse([]byte(doc), scope)
	if e, ok := errors.AsType[filterpolicy.Error](err); ok {
		return invalid("FilterPolicy: %s", e)
	}
	return err
}

// deadLetter is the queue of a RedrivePolicy.
func deadLetter(doc string) (arn string, err error) {
	var p struct {
		Target string `json:"deadLetterTargetArn"`
	}
	err = json.Unmarshal([]byte(doc), &p)
	return p.Target, err
}

func (s *Service) subscribe(_ context.Context, c *awsapi.Call, in *subscribeIn) (*subscriptionOut, error) {
	confirm, err := checkEndpoint(in.Protocol, in.Endpoint)
	if err != nil {
		return nil, err
	}
	sub := subscription{ID: s.config.Scheduler.UUID(), Protocol: in.Protocol, Endpoint: in.Endpoint,
		Principal: c.Identity.ARN, Attributes: map[string]string{}}
	if scope, ok := in.Attributes["FilterPolicyScope"]; ok { // decides how FilterPolicy reads
		if err := sub.setAttribute("FilterPolicyScope", scope); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		if err := sub.setAttribute(name, in.Attributes[name]); err != nil {
			return nil, err
		}
	}
	if confirm {
		sub.Token = strings.ReplaceAll(s.config.Scheduler.UUID()+s.config.Scheduler.UUID(), "-", "")
	}
	out := &subscriptionOut{}
	return out, s.config.Store.Update(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.TopicArn)
		if err != nil {
			return err
		}
		sub.Topic = t.Name
		for row, err := range subscriptionTable.Scan(tx, store.Query{Prefix: []string{t.Name}}) {
			if err != nil {
				return err
			}
			old := row.Value
			if old.Protocol != sub.Protocol || old.Endpoint != sub.Endpoint {
				continue
			}
			for name, v := range sub.Attributes {
				if old.Attributes[name] != v {
					return invalid("Attributes Reason: Subscription already exists with different attributes")
				}
			}
			if old.pending() { // asked once more
				sub.ID, sub.Attributes = old.ID, old.Attributes
				break
			}
			out.SubscriptionArn = s.arn(old)
			return nil
		}
		out.SubscriptionArn = s.arn(sub)
		if confirm && !in.ReturnSubscriptionArn {
			out.SubscriptionArn = "pending confirmation"
		}
		if err := putSubscription(tx, sub); err != nil {
			return err
		}
		if in.Protocol != "http" && in.Protocol != "https" {
			return nil
		}
		return s.post(tx, sub, notification{
			ID: s.config.Scheduler.UUID(), Time: s.config.Scheduler.Now(), Confirmation: true, Token: sub.Token,
			Message: "You have chosen to subscribe to the topic " + in.TopicArn +
				".\nTo confirm the subscription, visit the SubscribeURL included in this message.",
		})
	})
}

func (s *Service) confirmSubscription(_ context.Context, _ *awsapi.Call, in *confirmIn) (*subscriptionOut, error) {
	out := &subscriptionOut{}
	return out, s.config.Store.Update(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.TopicArn)
		if err != nil {
			return err
		}
		for row, err := range subscriptionTable.Scan(tx, store.Query{Prefix: []string{t.Name}}) {
			if err != nil {
				return err
			}
			sub := row.Value
			if in.Token == "" || sub.Token != in.Token {
				continue
			}
			sub.Token = ""
			out.SubscriptionArn = s.arn(sub)
			return putSubscription(tx, sub)
		}
		return invalid("Token")
	})
}

func (s *Service) unsubscribe(_ context.Context, _ *awsapi.Call, in *subscriptionIn) (*none, error) {
	return nil, s.config.Store.Update(func(tx *store.Tx) error {
		sub, err := s.openSubscription(tx, in.SubscriptionArn)
		if awsapi.Code(err) == "NotFound" {
			return nil
		}
		if err != nil {
			return err
		}
		t, err := getTopic(tx, sub.Topic)
		if err != nil {
			return err
		}
		t.Deleted++
		if err := topicTable.Put(tx, t, t.Name); err != nil {
			return err
		}
		return subscriptionTable.Delete(tx, sub.Topic, sub.ID)
	})
}

func (s *Service) setSubscriptionAttributes(_ context.Context, _ *awsapi.Call, in *setSubscriptionAttributesIn) (
	*none, error) {
	return nil, s.config.Store.Update(func(tx *store.Tx) error {
		sub, err := s.openSubscription(tx, in.SubscriptionArn)
		if err != nil {
			return err
		}
		if err := sub.setAttribute(in.AttributeName, in.AttributeValue); err != nil {
			return err
		}
		return putSubscription(tx, sub)
	})
}

func (s *Service) getSubscriptionAttributes(_ context.Context, _ *awsapi.Call, in *subscriptionIn) (
	*attributesOut, error) {
	out := &attributesOut{}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		sub, err := s.openSubscription(tx, in.SubscriptionArn)
		if err != nil {
			return err
		}
		out.Attributes = map[string]string{
			"SubscriptionArn": in.SubscriptionArn, "TopicArn": s.topicARN(sub.Topic), "Owner": s.config.Account,
			"Protocol": sub.Protocol, "Endpoint": sub.Endpoint, "SubscriptionPrincipal": sub.Principal,
			"PendingConfirmation": "false", "ConfirmationWasAuthenticated": "true", "RawMessageDelivery": "false",
		}
		if sub.pending() {
			out.Attributes["PendingConfirmation"], out.Attributes["ConfirmationWasAuthenticated"] = "true", "false"
		}
		if sub.Attributes["FilterPolicy"] != "" {
			out.Attributes["FilterPolicyScope"] = string(sub.scope())
		}
		maps.Copy(out.Attributes, sub.Attributes)
		return nil
	})
}

func (s *Service) listSubscriptions(_ context.Context, _ *awsapi.Call, in *listIn) (*listSubscriptionsOut, error) {
	return s.list(store.Query{}, in.NextToken)
}

func (s *Service) listSubscriptionsByTopic(_ context.Context, _ *awsapi.Call, in *listByTopicIn) (
	*listSubscriptionsOut, error) {
	name := ""
	err := s.config.Store.View(func(tx *store.Tx) error {
		t, err := s.openTopic(tx, in.TopicArn)
		name = t.Name
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.list(store.Query{Prefix: []string{name}}, in.NextToken)
}

func (s *Service) list(q store.Query, next string) (*listSubscriptionsOut, error) {
	after, err := parseToken(next)
	if err != nil {
		return nil, err
	}
	if after != nil {
		q.After = after[min(len(q.Prefix), len(after)):]
	}
	out := &listSubscriptionsOut{Subscriptions: []subscriptionShape{}}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		var last []string
		for row, err := range subscriptionTable.Scan(tx, q) {
			if err != nil {
				return err
			}
			if len(out.Subscriptions) == pageSize {
				out.NextToken = awsapi.PageToken(last...)
				return nil
			}
			last = row.Key
			sub := row.Value
			shape := subscriptionShape{s.arn(sub), s.config.Account, sub.Protocol, sub.Endpoint, s.topicARN(sub.Topic)}
			if sub.pending() {
				shape.SubscriptionArn = "PendingConfirmation"
			}
			out.Subscriptions = append(out.Subscriptions, shape)
		}
		return nil
	})
}
