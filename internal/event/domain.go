package event

import (
	"encoding/json"
	"time"
)

// DomainEvent tells other systems what becomes of a device. It is one message of the
// stack's event topic, of the form of events/schema/domain-event.json. It may come more
// than once, then with the same ID.
type DomainEvent struct {
	Version int    `json:"version"` // of the form: DomainEventVersion
	ID      string `json:"id"`
	// Name is what happened: one of those below, or a flow's own.
	Name      string    `json:"event"`
	Time      time.Time `json:"time"` // when it happened, or was heard of
	Stack     string    `json:"stack,omitempty"`
	Operation Operation `json:"operation"`
	ThingName ThingName `json:"thingName"`
	Owner
	ExecutionNumber int64 `json:"executionNumber"`
	// How it ended, with Finished.
	Outcome JobStatus         `json:"outcome,omitempty"`
	Reason  ErrorName         `json:"reason,omitempty"`
	Detail  string            `json:"detail,omitempty"`
	Details map[string]string `json:"details,omitempty"` // the flow's
}

// DomainEventVersion is that of a DomainEvent's form. A member more is no other version.
const DomainEventVersion = 1

// Names of domain events that any operation has.
const (
	EventStarted  = "Started"  // its execution has begun
	EventParked   = "Parked"   // it goes on later, in another execution
	EventFinished = "Finished" // it is over: Outcome
)

// Names of members of a domain event that are its message's attributes as well, for
// filter policies; AttributeEvent and AttributeReason are others.
const (
	AttributeOperation = "operation"
	AttributeOutcome   = "outcome"
)

// NewDomainEvent is an event of one attempt on a device. All of one name that an attempt
// has are one event.
func NewDomainEvent(name string, at time.Time, owner Owner, thing ThingName, number int64, o Operation) DomainEvent {
	return DomainEvent{
		Version: DomainEventVersion, ID: digest(name, owner.Key(), string(thing), itoa(number))[:32], Name: name,
		Time: at.UTC(), Operation: o, ThingName: thing, Owner: owner, ExecutionNumber: number,
	}
}

// MarshalJSON writes the time in milliseconds, which is what a broker knows.
func (e DomainEvent) MarshalJSON() ([]byte, error) {
	type plain DomainEvent
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	return json.Marshal(plain(e))
}
