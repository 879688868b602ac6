package workflow

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Registry has an entry for each thing.
type Registry interface {
	// Thing is what the registry says of a thing; nothing if it has no entry.
	Thing(ctx context.Context, thing event.ThingName) (Entry, error)
	// SetAttribute sets an attribute of a thing, others stay. One that has no entry is no
	// error.
	SetAttribute(ctx context.Context, thing event.ThingName, name, value string) error
}

// Entry is what the registry says of a thing, "" where it says nothing.
type Entry struct {
	Endpoint event.EndpointID
	Zone     string // its time zone
}

// Models knows what was found of models of devices.
type Models interface {
	// Quirks are those of a model; none where nothing is known of it.
	Quirks(ctx context.Context, model string) ([]string, error)
}

// Callback resumes tasks.
type Callback interface {
	// Succeed and Fail end a task. ErrDeadToken if it is over already.
	Succeed(ctx context.Context, token event.TaskToken, output any) error
	Fail(ctx context.Context, token event.TaskToken, f event.Failure) error
	// Alive is nil for a task that can be ended; else ErrDeadToken.
	Alive(ctx context.Context, token event.TaskToken) error
}

// ErrDeadToken: the task of this token is over.
var ErrDeadToken = errors.New("the task is over")

// Machine runs executions by name, of one state machine for each operation.
type Machine interface {
	// Start starts an execution, and says since when it runs, by the machine's clock: one of
	// this name that runs already goes on. ErrPlayed if one is over.
	Start(ctx context.Context, in event.ExecutionInput) (began time.Time, err error)
	// Look says how one stands.
	Look(ctx context.Context, operation event.Operation, name string) (ExecutionStatus, error)
	// Stop ends it; one that is over or unknown is no error.
	Stop(ctx context.Context, operation event.Operation, name string, f event.Failure) error
}

// ExecutionStatus is how an execution stands. All is zero if there is none of its name.
type ExecutionStatus struct {
	Known, Running bool
	Began          time.Time
	// Stopped is what was told as it was stopped from outside; nil of any other.
	Stopped *event.Failure
}

// ErrPlayed: an execution of this name has run and is over.
var ErrPlayed = errors.New("an execution of this name is over")

// Orders tells the owners of attempts what becomes of them. For a job these are its
// job executions.
type Orders interface {
	// Begin reports that work on an attempt begins; ErrOver if it is over or gone.
	Begin(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) error
	// Over says how it was ended, if it is over or gone; nil if it is open.
	Over(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) (*event.Failure, error)
	// Next is the attempt that is next for a thing; nil if there is none.
	Next(ctx context.Context, thing event.ThingName) (*Offer, error)
	// Cancel ends one that has begun, as an operator does; ErrOver if it is over already.
	Cancel(ctx context.Context, thing event.ThingName, owner event.Owner, number int64, f event.Failure) error
	// Reject ends it; ErrOver if it is over already, and not for having been rejected.
	Reject(ctx context.Context, thing event.ThingName, owner event.Owner, number int64, f event.Failure) error
}

// ErrOver: the attempt is over or gone.
var ErrOver = errors.New("its owner has ended the attempt")

// Sender sends a message to a device; delivery is not assured.
type Sender interface {
	Send(ctx context.Context, thing event.ThingName, to event.DeviceState, m event.Outgoing) error
}

// Announcer tells other systems what becomes of devices. What cannot be told is its own
// to note: nobody's work depends on it.
type Announcer interface {
	Announce(ctx context.Context, e event.DomainEvent)
}

// announce tells what a move is for other systems. It is before the move is made: who
// dies of that, or meets another, tells it again.
func announce(ctx context.Context, to Announcer, m event.Move, at time.Time, owner event.Owner,
	thing event.ThingName, number int64, operation event.Operation) {
	for _, name := range m.Tells {
		to.Announce(ctx, event.NewDomainEvent(name, at, owner, thing, number, operation))
	}
}

// complete returns an error that names each port that a struct of ports lacks.
func complete(of string, ports any) error {
	var missing []error
	v := reflect.ValueOf(ports)
	for i := range v.NumField() {
		f := v.Field(i)
		flows, isFlows := f.Interface().(event.Flows)
		switch {
		case isFlows && flows.Len() == 0,
			(f.Kind() == reflect.Interface || f.Kind() == reflect.Func || f.Kind() == reflect.Pointer) && f.IsNil():
			missing = append(missing, fmt.Errorf("%s needs %s", of, v.Type().Field(i).Name))
		}
	}
	return errors.Join(missing...)
}
