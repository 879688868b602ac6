package event

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Kind says what a device event is about.
type Kind string

// The kinds of device events.
const (
	KindConnected        Kind = "CONNECTED"         // the device is there, and listens
	KindDisconnected     Kind = "DISCONNECTED"      // it is gone
	KindBooted           Kind = "BOOTED"            // it restarted
	KindTransferComplete Kind = "TRANSFER_COMPLETE" // a transfer ended, well or with Fault
	KindCommandComplete  Kind = "COMMAND_COMPLETE"  // a command ended, well or with Fault
	KindAnswer           Kind = "ANSWER"            // to a request of ours
	KindEvent            Kind = "EVENT"             // another event of the data model
	KindValueChanged     Kind = "VALUE_CHANGED"     // a parameter has another value
	KindOnBoardRequest   Kind = "ON_BOARD_REQUEST"  // it introduces itself
	KindOther            Kind = "OTHER"             // news that nobody waits for
)

// Event reports whether it is about an event of the data model, whose path the device
// event has.
func (k Kind) Event() bool {
	return k == KindBooted || k == KindTransferComplete || k == KindEvent
}

// NewsMark divides the id that a device gives a piece of news from the digest of the news. What was stored before
// has no digest.
const NewsMark = "~"

// DeviceEvent is news of a device in plain words. Thing comes from the topic and
// the connection; what the payload claims was checked against it.
type DeviceEvent struct {
	Kind     Kind       `json:"kind"`
	Thing    ThingName  `json:"thingName"`
	Endpoint EndpointID `json:"endpointId,omitempty"`
	At       time.Time  `json:"at"` // when the broker had it

	// Of news: ID is the device's own with a digest of the content behind NewsMark, the same for each copy;
	// Path is that of the event, or of the parameter that has a new Value.
	ID    string `json:"id,omitempty"`
	Path  string `json:"path,omitempty"`
	Value string `json:"value,omitempty"`
	// Params are those of an event that has no members here.
	Params map[string]string `json:"params,omitempty"`

	// News of a command: which, and how it ended. Of a restart: which command
	// caused it, if any did.
	CommandKey  string `json:"commandKey,omitempty"`
	CommandPath string `json:"commandPath,omitempty"`
	Fault       *Fault `json:"fault,omitempty"`
	// Output is what a command has ended with.
	Output map[string]string `json:"output,omitempty"`

	Cause           string `json:"cause,omitempty"`           // of a restart
	Reset           bool   `json:"reset,omitempty"`           // of a restart: to the settings of the factory
	FirmwareUpdated bool   `json:"firmwareUpdated,omitempty"` // of a restart: not a proof

	Answer *Answer `json:"answer,omitempty"`
}

// NewsKey tells pieces of news apart: of one key the latest is kept.
func (ev DeviceEvent) NewsKey() string {
	key := string(ev.Kind) + "#" + ev.CommandKey
	if ev.Kind == KindEvent || ev.Kind == KindValueChanged {
		key += "#" + ev.Path
	}
	if len(key) > mostNewsKey { // the key of an item of the table has 1,024 bytes
		key = strings.ToValidUTF8(key[:mostNewsKey/2], "") + "#" + digest(key)
	}
	return key
}

// mostNewsKey is how many bytes the key of a piece of news has.
const mostNewsKey = 800

// MostFact is how many characters a fact has that a device tells of itself; TR-181 has 64 for most, and 256 for the
// time zone.
const MostFact = 256

// FactOf is what a device tells of itself, as a fact: it is read with each of the device's messages, and a model
// is part of a key.
func FactOf(text string) string {
	if utf8.RuneCountInString(text) <= MostFact {
		return text
	}
	return string([]rune(text)[:MostFact])
}

// Fault is why a device could not do something. Codes and texts of transfers
// differ by vendor.
type Fault struct {
	Code int    `json:"code"`
	Text string `json:"text,omitempty"`
}

// Answer is a response to one of our requests.
type Answer struct {
	MessageID string            `json:"messageId"`
	Fault     *Fault            `json:"fault,omitempty"`   // the request as a whole failed
	Params    map[string]string `json:"params,omitempty"`  // of a look: full path to value
	Objects   []string          `json:"objects,omitempty"` // of a look: objects found
	Missing   map[string]Fault  `json:"missing,omitempty"` // of a look: paths that could not be read
	Results   []Result          `json:"results,omitempty"` // of a command, or of added rows: all of them
}

// Result is how one part of a request fared.
type Result struct {
	Path    string `json:"path"`
	Request string `json:"request,omitempty"` // the row that shows its progress
	Fault   *Fault `json:"fault,omitempty"`
	// Objects are those that were made, changed or removed; Output is what a command
	// that ended at once gave.
	Objects []string          `json:"objects,omitempty"`
	Output  map[string]string `json:"output,omitempty"`
}

// DeviceState is what is known of a device at any time: item STATE. It maps
// thing and endpoint both ways, with one item more per endpoint.
type DeviceState struct {
	Endpoint        EndpointID `json:"endpointId,omitempty"` // "" until its first record
	Connected       bool       `json:"connected"`
	SeenAt          time.Time  `json:"seenAt"`          // last sign of presence or absence
	PresenceVersion int64      `json:"presenceVersion"` // of the last presence event
	Legacy          bool       `json:"legacy"`          // speaks MQTT 3.1.1
	AgentTopic      string     `json:"agentTopic"`      // where it says it listens; "" is by the template
	// Facts are what flows have learnt of the device, by names of theirs.
	Facts map[string]string `json:"facts,omitempty"`
}

// Reachable reports whether a request can be sent: the device is there, and its
// endpoint is known.
func (s DeviceState) Reachable() bool { return s.Connected && s.Endpoint != "" }
