package sns

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// httpTimeout is how long an HTTP endpoint may take to answer.
const httpTimeout = 15 * time.Second

// post puts a notification into the outbox and has it delivered once the
// transaction is durable.
func (s *Service) post(tx *store.Tx, sub subscription, n notification) error {
	key := []string{n.ID, sub.ID}
	if err := outboxTable.Put(tx, delivery{Subscription: sub, Notification: n, Next: n.Time}, key...); err != nil {
		return err
	}
	tx.OnCommit(func() { s.schedule(key, n.Time) })
	return nil
}

// deliver makes one attempt to deliver a row of the outbox and then removes
// it, or sets its next attempt.
func (s *Service) deliver(key []string) {
	ctx := context.Background()
	var d delivery
	var found bool
	err := s.config.Store.View(func(tx *store.Tx) error {
		var err error
		d, found, err = outboxTable.Get(tx, key...)
		return err
	})
	if err != nil || !found {
		return // the store is closed, or somebody was faster
	}
	failure := s.send(ctx, d.Subscription, d.Notification)
	if failure == nil && s.config.Weather.Draw(weather.Duplicated, "notification of "+d.Subscription.Topic) {
		failure = s.send(ctx, d.Subscription, d.Notification) // at least once
	}
	d.Attempts++
	delay, again := time.Duration(0), false
	if failure != nil && transient(failure) {
		delay, again = retryDelay(d.Subscription, d.Attempts)
	}
	if failure != nil && !again {
		s.sendToDeadLetterQueue(ctx, d, failure)
	}
	err = s.config.Store.Update(func(tx *store.Tx) error { // a row that stays is tried again after a restart
		if !again {
			return outboxTable.Delete(tx, key...)
		}
		d.Next = s.config.Scheduler.Now().Add(delay)
		tx.OnCommit(func() { s.schedule(key, d.Next) })
		return outboxTable.Put(tx, d, key...)
	})
	s.config.Scheduler.Failed("sns delivery to "+d.Subscription.Endpoint, err)
}

// transient says whether a failure may go away by itself. What the local cloud
// has not built never does.
func transient(err error) bool {
	e := awsapi.AsError(err)
	switch e.Code {
	case "RequestThrottled", "ThrottlingException", "KMS.ThrottlingException", "KmsThrottled": // status 400
		return true
	}
	status := e.HTTPStatus()
	return status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented
}

// retryDelay is the wait before the next attempt after so many.
func retryDelay(sub subscription, attempts int) (time.Duration, bool) {
	if sub.Protocol == "http" || sub.Protocol == "https" {
		p := struct {
			Healthy struct {
				Retries int `json:"numRetries"`
				Min     int `json:"minDelayTarget"`
				Max     int `json:"maxDelayTarget"`
				NoDelay int `json:"numNoDelayRetries"`
			} `json:"healthyRetryPolicy"`
		}{}
		p.Healthy.Retries, p.Healthy.Min, p.Healthy.Max = 3, 20, 20
		if doc := sub.Attributes["DeliveryPolicy"]; doc != "" {
			_ = json.Unmarshal([]byte(doc), &p) // checked when it was set; what is missing keeps its default
		}
		h := p.Healthy
		if attempts > h.Retries {
			return 0, false
		}
		if attempts <= h.NoDelay {
			return 0, true
		}
		// Linear from the least to the greatest delay.
		seconds, steps := h.Min, h.Retries-h.NoDelay-1
		if steps > 0 {
			seconds += (h.Max - h.Min) * (attempts - h.NoDelay - 1) / steps
		}
		return time.Duration(seconds) * time.Second, true
	}
	switch {
	case attempts <= 3:
		return 0, true
	case attempts <= 5:
		return time.Second, true
	case attempts <= 15: // from 1 s to 20 s, each 1.4 times the one before
		d := time.Second
		for range attempts - 6 {
			d = min(d*14/10, 20*time.Second)
		}
		return d, true
	case attempts <= 100015:
		return 20 * time.Second, true
	}
	return 0, false
}

// identity is SNS acting for a topic.
func (s *Service) identity(topic string) awsapi.Identity {
	return awsapi.ServiceOf("sns.amazonaws.com", s.config.Account, s.topicARN(topic))
}

// send makes one attempt.
func (s *Service) send(ctx context.Context, sub subscription, n notification) error {
	raw := sub.Attributes["RawMessageDelivery"] == "true"
	switch sub.Protocol {
	case "sqs":
		in := map[string]any{"QueueUrl": queueURL(sub.Endpoint), "MessageBody": n.Message}
		if raw {
			if len(n.Attributes) > 0 {
				in["MessageAttributes"] = n.Attributes
			}
		} else {
			body, err := s.envelope(sub, n)
			if err != nil {
				return err
			}
			in["MessageBody"] = string(body)
		}
		_, err := s.config.Caller.Call(ctx, s.identity(sub.Topic), "sqs", "SendMessage", in)
		return err
	case "lambda":
		payload, err := s.event(sub, n)
		if err != nil {
			return err
		}
		_, err = s.config.Caller.Call(ctx, s.identity(sub.Topic), "lambda", "Invoke", map[string]any{
			"FunctionName": sub.Endpoint, "InvocationType": "Event", "Payload": payload,
		})
		return err
	case "http", "https":
		return s.sendHTTP(ctx, sub, n, raw && !n.Confirmation)
	}
	return awsapi.NotBuilt("delivery to " + sub.Protocol)
}

// queueURL is a URL of the queue with that ARN.
func queueURL(arn string) string {
	p := strings.SplitN(arn, ":", 6)
	return "https://sqs." + p[3] + ".amazonaws.com/" + p[4] + "/" + p[5]
}

func (s *Service) sendHTTP(ctx context.Context, sub subscription, n notification, raw bool) error {
	body := []byte(n.Message)
	if !raw {
		var err error
		if body, err = s.envelope(sub, n); err != nil {
			return err
		}
	}
	ctx, cancel := s.config.Scheduler.WithTimeout(ctx, httpTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, sub.Endpoint, bytes.NewReader(body))
	if err != nil {
		return invalid("Endpoint")
	}
	h := r.Header
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("User-Agent", "Amazon Simple Notification Service Agent")
	h.Set("X-Amz-Sns-Message-Type", n.kind())
	h.Set("X-Amz-Sns-Message-Id", n.ID)
	h.Set("X-Amz-Sns-Topic-Arn", s.topicARN(sub.Topic))
	if !n.Confirmation {
		h.Set("X-Amz-Sns-Subscription-Arn", s.arn(sub))
	}
	if raw {
		h.Set("X-Amz-Sns-Rawdelivery", "true")
	}
	w, err := s.config.Transport.RoundTrip(r)
	if err != nil {
		return awsapi.Errorf("ServiceUnavailable", "the endpoint does not answer").WithStatus(
			http.StatusServiceUnavailable)
	}
	defer func() { _ = w.Body.Close() }()
	if w.StatusCode < 200 || w.StatusCode > 299 {
		return awsapi.Errorf("EndpointFailed", "the endpoint answered with status %d", w.StatusCode).WithStatus(
			w.StatusCode)
	}
	return nil
}

func (n notification) kind() string {
	if n.Confirmation {
		return "SubscriptionConfirmation"
	}
	return "Notification"
}

// wireAttribute is a message attribute in a JSON message.
type wireAttribute struct {
	Type  string `json:"Type"`
	Value any    `json:"Value"`
}

func (n notification) attributes() map[string]wireAttribute {
	out := map[string]wireAttribute{}
	for name, v := range n.Attributes {
		if strings.HasPrefix(v.DataType, "Binary") {
			out[name] = wireAttribute{v.DataType, v.BinaryValue}
		} else {
			out[name] = wireAttribute{v.DataType, v.StringValue}
		}
	}
	return out
}

func (s *Service) certificateURL() string {
	return "https://sns." + s.config.Region + ".amazonaws.com/SimpleNotificationService.pem"
}

func (s *Service) unsubscribeURL(sub subscription) string {
	return s.config.Endpoint + "/?Action=Unsubscribe&SubscriptionArn=" + s.arn(sub)
}

// envelope is the JSON message that queues and HTTP endpoints get.
func (s *Service) envelope(sub subscription, n notification) ([]byte, error) {
	e := struct {
		Type              string                   `json:"Type"`
		MessageID         string                   `json:"MessageId"`
		Token             string                   `json:"Token,omitempty"`
		TopicArn          string                   `json:"TopicArn"`
		Subject           string                   `json:"Subject,omitempty"`
		Message           string                   `json:"Message"`
		SubscribeURL      string                   `json:"SubscribeURL,omitempty"`
		Timestamp         string                   `json:"Timestamp"`
		SignatureVersion  string                   `json:"SignatureVersion"`
		Signature         string                   `json:"Signature"`
		SigningCertURL    string                   `json:"SigningCertURL"`
		UnsubscribeURL    string                   `json:"UnsubscribeURL,omitempty"`
		MessageAttributes map[string]wireAttribute `json:"MessageAttributes,omitempty"`
	}{
		Type: n.kind(), MessageID: n.ID, TopicArn: s.topicARN(sub.Topic), Subject: n.Subject, Message: n.Message,
		Timestamp: awsapi.Time{Time: n.Time}.ISO(), SignatureVersion: "1", SigningCertURL: s.certificateURL(),
		MessageAttributes: n.attributes(),
	}
	if n.Confirmation {
		e.Token = n.Token
		e.SubscribeURL = s.config.Endpoint + "/?" + url.Values{
			"Action": {"ConfirmSubscription"}, "Version": {"2010-03-31"}, "TopicArn": {e.TopicArn}, "Token": {n.Token},
		}.Encode()
	} else {
		e.UnsubscribeURL = s.unsubscribeURL(sub)
	}
	return jsontext.Marshal(e)
}

// event is what Lambda functions get.
func (s *Service) event(sub subscription, n notification) ([]byte, error) {
	type message struct {
		Type              string                   `json:"Type"`
		MessageID         string                   `json:"MessageId"`
		TopicArn          string                   `json:"TopicArn"`
		Subject           *string                  `json:"Subject"`
		Message           string                   `json:"Message"`
		Timestamp         string                   `json:"Timestamp"`
		SignatureVersion  string                   `json:"SignatureVersion"`
		Signature         string                   `json:"Signature"`
		SigningCertURL    string                   `json:"SigningCertUrl"`
		UnsubscribeURL    string                   `json:"UnsubscribeUrl"`
		MessageAttributes map[string]wireAttribute `json:"MessageAttributes"`
	}
	type record struct {
		EventSource          string  `json:"EventSource"`
		EventVersion         string  `json:"EventVersion"`
		EventSubscriptionArn string  `json:"EventSubscriptionArn"`
		Sns                  message `json:"Sns"`
	}
	m := message{
		Type: n.kind(), MessageID: n.ID, TopicArn: s.topicARN(sub.Topic), Message: n.Message,
		Timestamp: awsapi.Time{Time: n.Time}.ISO(), SignatureVersion: "1", SigningCertURL: s.certificateURL(),
		UnsubscribeURL: s.unsubscribeURL(sub), MessageAttributes: n.attributes(),
	}
	if n.Subject != "" {
		m.Subject = &n.Subject
	}
	return jsontext.Marshal(map[string][]record{"Records": {{"aws:sns", "1.0", s.arn(sub), m}}})
}

// sendToDeadLetterQueue gives a message that cannot be delivered to the dead-letter queue.
func (s *Service) sendToDeadLetterQueue(ctx context.Context, d delivery, failure error) {
	dropped := func(err error) {
		if s.config.Dropped != nil {
			s.config.Dropped(s.arn(d.Subscription), d.Notification.ID, err)
		}
	}
	target, err := deadLetter(d.Subscription.Attributes["RedrivePolicy"])
	if err != nil || target == "" || d.Notification.Confirmation {
		dropped(failure)
		return
	}
	var body []byte
	switch {
	case d.Subscription.Attributes["RawMessageDelivery"] == "true":
		body = []byte(d.Notification.Message)
	default:
		body, err = s.envelope(d.Subscription, d.Notification)
	}
	if err != nil {
		dropped(err)
		return
	}
	attributes := map[string]attributeValue{"RequestID": {DataType: "String", StringValue: s.config.Scheduler.UUID()}}
	e := awsapi.AsError(failure)
	for name, text := range map[string]string{"ErrorCode": e.Code, "ErrorMessage": e.Message} {
		if text != "" {
			attributes[name] = attributeValue{DataType: "String", StringValue: text}
		}
	}
	if _, err := s.config.Caller.Call(ctx, s.identity(d.Subscription.Topic), "sqs", "SendMessage", map[string]any{
		"QueueUrl": queueURL(target), "MessageBody": string(body), "MessageAttributes": attributes,
	}); err != nil {
		dropped(err)
	}
}
