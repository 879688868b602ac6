package event

import "encoding/json"

// What the topic rules hand to the functions; infra holds their SQL. Times are
// epoch milliseconds except where AWS IoT itself writes seconds.

// RecordMessage is a USP record from a device: rule usp_message.
type RecordMessage struct {
	Record        string `json:"record"` // base64
	Topic         string `json:"topic"`
	ThingName     string `json:"thingName"`
	ClientID      string `json:"clientId"`
	Principal     string `json:"principal"`
	ReceivedAt    int64  `json:"receivedAt"` // ms
	ContentType   string `json:"contentType"`
	ResponseTopic string `json:"responseTopic"`
}

// PresenceMessage says that a client connected or disconnected: rule presence.
type PresenceMessage struct {
	ClientID         string `json:"clientId"`
	ThingName        string `json:"thingName"`  // only with an exclusive attachment
	Presence         string `json:"presence"`   // connected or disconnected
	ReceivedAt       int64  `json:"receivedAt"` // ms
	VersionNumber    int64  `json:"versionNumber"`
	DisconnectReason string `json:"disconnectReason"`
	Topic            string `json:"topic"`
}

// DeviceMessage is either of the two, as handle-device-message gets them: it is
// presence if Presence is set.
type DeviceMessage struct {
	Record        string `json:"record"`
	Topic         string `json:"topic"`
	ThingName     string `json:"thingName"`
	ClientID      string `json:"clientId"`
	Principal     string `json:"principal"`
	ReceivedAt    int64  `json:"receivedAt"` // ms
	ContentType   string `json:"contentType"`
	ResponseTopic string `json:"responseTopic"`

	Presence         string `json:"presence"`
	VersionNumber    int64  `json:"versionNumber"`
	DisconnectReason string `json:"disconnectReason"`
}

// Values of PresenceMessage.Presence.
const (
	PresenceConnected    = "connected"
	PresenceDisconnected = "disconnected"
)

// NotifyNext is a device's next job execution: rule notify_next.
type NotifyNext struct {
	ThingName  ThingName    `json:"thingName"`
	Execution  JobExecution `json:"execution"`
	ReceivedAt int64        `json:"receivedAt"` // ms
}

// JobExecution is AWS IoT's, as notify-next carries it.
type JobExecution struct {
	JobID           JobID           `json:"jobId"`
	Status          JobStatus       `json:"status"`
	QueuedAt        int64           `json:"queuedAt"` // s
	LastUpdatedAt   int64           `json:"lastUpdatedAt"`
	VersionNumber   int64           `json:"versionNumber"`
	ExecutionNumber int64           `json:"executionNumber"`
	JobDocument     json.RawMessage `json:"jobDocument"`
}

// Values of JobEvent.EventType.
const (
	EventTypeJob          = "JOB"
	EventTypeJobExecution = "JOB_EXECUTION"
)

// JobEvent is a job event or a job execution event of AWS IoT: rules job_event
// and job_execution_event. Execution events name the thing by its ARN only, and
// no execution number.
type JobEvent struct {
	EventType string          `json:"eventType"`
	EventID   string          `json:"eventId"`
	Timestamp int64           `json:"timestamp"` // s
	Operation string          `json:"operation"`
	JobID     JobID           `json:"jobId"`
	ThingARN  string          `json:"thingArn"`
	Status    JobStatus       `json:"status"`
	Details   json.RawMessage `json:"statusDetails,omitempty"`
}

// StartMessage asks that a device's attempt be started if it can be: a message of
// the queue of starts.
type StartMessage struct {
	ThingName ThingName `json:"thingName"`
	Owner
	Lost bool `json:"lost,omitempty"` // nobody seems to work on it
}

// StartEvent is what start-upgrade gets: NotifyNext by the rule, or Records from
// the queue of starts.
type StartEvent struct {
	NotifyNext
	Records []QueueRecord `json:"Records,omitempty"`
}

// QueueRecord is a message as an event source mapping hands it on. AWS Lambda
// Developer Guide, "Using Lambda with Amazon SQS".
type QueueRecord struct {
	MessageID string `json:"messageId"`
	Body      string `json:"body"`
}

// ItemFailure is a message of a batch that is to come again.
type ItemFailure struct {
	ItemIdentifier string `json:"itemIdentifier"`
}
