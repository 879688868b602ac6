package sns

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what the service needs.
type Config struct {
	platform.Platform

	// Endpoint begins the confirmation URLs that HTTP subscribers get, such
	// as "http://127.0.0.1:4566"; "" stands for AWS's.
	Endpoint string
	// Transport carries HTTP deliveries; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Dropped, if set, is told of each message that could be neither
	// delivered nor given to a dead-letter queue.
	Dropped func(subscriptionARN, messageID string, err error)
}

// Service is SNS.
type Service struct{ config Config }

// New returns the service.
func New(config Config) *Service {
	if config.Endpoint == "" {
		config.Endpoint = "https://sns." + config.Region + ".amazonaws.com"
	}
	if config.Transport == nil {
		config.Transport = http.DefaultTransport
	}
	return &Service{config}
}

// Start goes on with the deliveries that the store holds.
func (s *Service) Start(context.Context) error {
	return s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range outboxTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.schedule(row.Key, row.Value.Next)
		}
		return nil
	})
}

// Residue lists the deliveries that are not done.
func (s *Service) Residue(context.Context) []string {
	var out []string
	err := s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range outboxTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			d := row.Value
			out = append(out, fmt.Sprintf("sns: message %s to %s %s is not delivered after %d attempts",
				d.Notification.ID, d.Subscription.Protocol, d.Subscription.Endpoint, d.Attempts))
		}
		return nil
	})
	if err != nil {
		out = append(out, err.Error())
	}
	return out
}

// schedule has a delivery tried at a time.
func (s *Service) schedule(key []string, when time.Time) {
	run := func() { s.deliver(key) }
	if now := s.config.Scheduler.Now(); when.After(now) {
		s.config.Scheduler.After(when.Sub(now), "sns delivery", run)
		return
	}
	s.config.Scheduler.Go("sns delivery", run)
}

func (s *Service) topicARN(name string) string {
	return "arn:aws:sns:" + s.config.Region + ":" + s.config.Account + ":" + name
}

func (s *Service) arn(sub subscription) string { return s.topicARN(sub.Topic) + ":" + sub.ID }

// openTopic finds the topic of an ARN.
func (s *Service) openTopic(tx *store.Tx, arn string) (topic, error) {
	name, id, ok := topicOf(arn)
	if !ok || id != "" {
		return topic{}, invalid("TopicArn")
	}
	if arn != s.topicARN(name) {
		return topic{}, notFound("Topic")
	}
	return getTopic(tx, name)
}

// openSubscription finds the subscription of an ARN.
func (s *Service) openSubscription(tx *store.Tx, arn string) (subscription, error) {
	name, id, ok := topicOf(arn)
	if !ok || id == "" {
		return subscription{}, invalid("SubscriptionArn Reason: An ARN must have at least 6 elements, not %d",
			len(arn))
	}
	sub, ok, err := subscriptionTable.Get(tx, name, id)
	if err == nil && !ok {
		err = notFound("Subscription")
	}
	return sub, err
}
