package event

// Why a record was refused: reasons of a Refused.
const (
	RefusedTopic      = "Topic"      // topic and thing disagree
	RefusedClient     = "Client"     // the connection is another thing's
	RefusedSender     = "Sender"     // from_id is not this thing's endpoint
	RefusedOwner      = "Owner"      // the endpoint belongs to another thing
	RefusedRecipient  = "Recipient"  // to_id is not this controller
	RefusedUnreadable = "Unreadable" // not a USP record or message
	RefusedSession    = "Session"    // session context, which this controller does not keep
)

// Refused says why a record is refused: one of the reasons above. It is counted, and
// its sender gets no answer.
type Refused struct {
	Reason string
	Detail string
}

func (r *Refused) Error() string { return "record refused: " + r.Reason + ": " + r.Detail }

// Inbound is a record from an agent, in plain words.
type Inbound struct {
	Thing    ThingName
	Endpoint EndpointID
	// Event is what it says. Its kind is OTHER for news that nobody waits for,
	// and for what is not news at all.
	Event DeviceEvent
	// Greets is set when the record opens a connection: from here on the agent
	// listens at AgentTopic.
	Greets bool
	// Legacy is set when the agent speaks MQTT 3.1.1; known with Greets, and
	// from the form of the topic.
	Legacy     bool
	AgentTopic string
	// Answer is what the agent waits for, nil if it wants none. It goes out once
	// the event cannot be lost any more, for each copy again.
	Answer Outgoing
}
