package sns

import (
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// topic is a topic and its attributes as they were set.
type topic struct {
	Name       string
	Attributes map[string]string
	Tags       map[string]string `json:",omitempty"`
	// Deleted counts the subscriptions that were.
	Deleted int
}

// subscription is who gets a topic's messages.
type subscription struct {
	ID         string // last part of the ARN
	Topic      string // name
	Protocol   string
	Endpoint   string
	Principal  string // who subscribed
	Attributes map[string]string
	// Token confirms a pending subscription; "" once it is confirmed.
	Token string `json:",omitempty"`
}

func (s subscription) pending() bool { return s.Token != "" }

// notification is a published message.
type notification struct {
	ID         string
	Subject    string                    `json:",omitempty"`
	Message    string                    // as this protocol gets it
	Attributes map[string]attributeValue `json:",omitempty"`
	Time       time.Time
	// Confirmation: not a message but the request to confirm with Token.
	Confirmation bool   `json:",omitempty"`
	Token        string `json:",omitempty"`
}

// delivery is a notification on its way to one subscription.
type delivery struct {
	Subscription subscription
	Notification notification
	Attempts     int
	Next         time.Time
}

var (
	topicTable = store.NewTable[topic]("sns.topic").Versions(store.JSON) // name
	// subscriptionTable: topic name, ID.
	subscriptionTable = store.NewTable[subscription]("sns.subscription").Versions(store.JSON)
	// outboxTable: ID of the notification, ID of the subscription.
	outboxTable = store.NewTable[delivery]("sns.outbox").Versions(store.JSON)
)

func getTopic(tx *store.Tx, name string) (topic, error) {
	t, ok, err := topicTable.Get(tx, name)
	if err == nil && !ok {
		err = notFound("Topic")
	}
	return t, err
}

func putSubscription(tx *store.Tx, s subscription) error {
	return subscriptionTable.Put(tx, s, s.Topic, s.ID)
}

// topicOf is the topic's name in the ARN of a topic or of a subscription, and
// the subscription's ID; ok is false for other ARNs.
func topicOf(arn string) (name, id string, ok bool) {
	parts := strings.Split(arn, ":")
	if len(parts) < 6 || len(parts) > 7 || parts[0] != "arn" || parts[2] != "sns" {
		return "", "", false
	}
	if len(parts) == 7 {
		id = parts[6]
	}
	return parts[5], id, true
}
