package iotdataplane

import (
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
)

// MaxPayload is the largest payload, in bytes.
const MaxPayload = 128 << 10

// Message is one publish on its way through the broker. The rules engine has a
// type of the same fields, so that one converts to the other.
type Message struct {
	Topic   string `json:"t"`
	Payload []byte `json:"p,omitempty"`
	QoS     byte   `json:"q,omitempty"`
	Retain  bool   `json:"r,omitempty"`

	// Properties of MQTT 5.
	PayloadFormat   byte        `json:"pf,omitempty"` // 0 bytes, 1 UTF-8
	ContentType     string      `json:"ct,omitempty"`
	ResponseTopic   string      `json:"rt,omitempty"`
	CorrelationData []byte      `json:"cd,omitempty"`
	UserProperties  [][2]string `json:"up,omitempty"`
	MessageExpiry   uint32      `json:"me,omitempty"` // seconds; 0: never

	// Who published it.
	ClientID  string `json:"c,omitempty"` // "" if not over MQTT
	Principal string `json:"id,omitempty"`
	SourceIP  string `json:"ip,omitempty"`
	// FromService is set for messages that an AWS service publishes: reserved
	// topics are open to them and no policy is asked.
	FromService bool `json:"fs,omitempty"`

	// ReceivedAt is set by the broker when it accepts the message, TraceID by
	// the rules engine.
	ReceivedAt time.Time `json:"at,omitzero"`
	TraceID    string    `json:"x,omitempty"`
}

// check reports why the message cannot be published.
func (m *Message) check() error {
	if err := topic.CheckName(m.Topic); err != nil {
		return &Refusal{Reason: ReasonClientError, Code: RefusedTopic, Message: err.Error()}
	}
	if len(m.Payload) > MaxPayload {
		return &Refusal{Reason: ReasonClientError, Code: RefusedTooLarge, Message: "the payload exceeds 128 KiB"}
	}
	if m.QoS > 1 {
		return &Refusal{Reason: ReasonClientError, Code: RefusedQoS, Message: "QoS 2 is not supported"}
	}
	if m.ResponseTopic != "" && topic.CheckName(m.ResponseTopic) != nil {
		return &Refusal{Reason: ReasonClientError, Code: RefusedTopic,
			Message: "the response topic is not a topic name"}
	}
	return nil
}

// expiresAt is the zero time for a message that does not expire.
func (m *Message) expiresAt() time.Time {
	if m.MessageExpiry == 0 {
		return time.Time{}
	}
	return m.ReceivedAt.Add(time.Duration(m.MessageExpiry) * time.Second)
}

// withRemainingExpiry returns the message as it is sent at now: with what is left of its
// life. ok is false once it has expired.
func (m Message) withRemainingExpiry(now time.Time) (_ Message, ok bool) {
	end := m.expiresAt()
	if end.IsZero() {
		return m, true
	}
	left := end.Sub(now)
	if left <= 0 {
		return m, false
	}
	m.MessageExpiry = uint32((left + time.Second - 1) / time.Second)
	return m, true
}

// reserved says what kind of reserved topic a name is.
type reserved byte

const (
	ordinary reserved = iota
	ingest            // $aws/rules/RULE/...: to that rule alone
	request           // $aws/things/...: a request to a service, answered to the sender
	closed            // any other $ topic, and $aws/things/.../accepted and the like: for AWS alone
)

func kindOf(name string) reserved {
	switch {
	case name == "" || name[0] != '$':
		return ordinary
	case strings.HasPrefix(name, "$aws/rules/"):
		return ingest
	case strings.HasPrefix(name, "$aws/things/"):
		switch name[strings.LastIndexByte(name, '/')+1:] {
		case "accepted", "rejected", "notify", "notify-next", "delta", "documents":
			return closed // clients may only subscribe to what AWS answers and notifies
		}
		return request
	default:
		return closed
	}
}
