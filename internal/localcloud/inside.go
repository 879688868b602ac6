package localcloud

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/lambda"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/history"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// This file is the door for a program that has the cloud in its own process, such
// as a rehearsal: what it says to the cloud, without a socket, and the types that
// it says it in. Such a program imports nothing below this package.

// What a Cloud is made from, and what its Config's functions are given.
type (
	Scheduler = scheduler.Scheduler
	Store     = store.DB
	Function  = lambda.Function
	Handler   = lambda.Handler
	Identity  = awsapi.Identity
	Fault     = awsapi.Fault
	Request   = awsapi.Call // a call of an operation, as a Fault is told of it
	Error     = awsapi.Error
)

// What a state machine's executions are listed as.
type (
	Execution    = sfn.ExecutionItem
	HistoryEvent = history.Event
)

// Diagnostic is a finding about a state machine.
type Diagnostic = asl.Diagnostic

// CheckStateMachine is what CreateStateMachine would say of a definition, and more: all
// errors, without a cloud.
func CheckStateMachine(definition string) []Diagnostic {
	_, found := asl.Compile(definition, false)
	return found
}

// NewVirtual is a scheduler in virtual time, which begins at start.
func NewVirtual(seed uint64, start time.Time) *Scheduler { return scheduler.NewVirtual(seed, start) }

// NewMemoryStore is an empty store that ends with the process.
func NewMemoryStore() *Store { return store.Memory() }

// Root is the account's root, who may do everything.
func (c *Cloud) Root() Identity { return awsapi.RootOf(c.config.Account) }

// WithIdentity makes requests under ctx that carry no signature those of id; see
// Handler.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return awsapi.WithIdentity(ctx, id)
}

// ErrorCode is AWS's code of an error that a call has returned; "" if it has none.
func ErrorCode(err error) string { return awsapi.Code(err) }

// Conflict is what DynamoDB answers to a write that meets another transaction, for
// a Fault to return: in is the call's input, which the member of a transaction that
// met it. It is nil if the call is no write and no transaction.
func Conflict(in any, which int) error { return dynamodb.Conflict(in, which) }

// CallInto calls an operation as an identity: in is its input as JSON has it, and out,
// if not nil, gets the members of the output that it has.
func (c *Cloud) CallInto(ctx context.Context, id Identity, service, operation string, in, out any) error {
	return awsapi.CallInto(ctx, c.door, id, service, operation, in, out)
}

// Call is CallInto for who wants the whole output, whatever it is.
func (c *Cloud) Call(ctx context.Context, id Identity, service, operation string, in any) (any, error) {
	return c.door.Call(ctx, id, service, operation, in)
}

// Direct calls an operation with the AWS SDK's own input and fills the SDK's output,
// so that nothing is written and parsed on the way. It reports false, and has not
// called anything, if the input cannot be handed over like this: then the call must
// go to Handler. So must one that failed, under WithFailure, for the SDK to make its
// own error of it.
func (c *Cloud) Direct(ctx context.Context, id Identity, service, operation string, in,
	out any) (called bool, err error) {
	return c.door.Direct(ctx, id, service, operation, in, out, conversions)
}

// WithFailure makes Handler answer the next request under ctx with an error that
// Direct has returned, in place of making its call again.
func WithFailure(ctx context.Context, err error) context.Context { return awsapi.WithFailure(ctx, err) }

// Executions yields the executions of a state machine, as root sees them.
func (c *Cloud) Executions(ctx context.Context, machine string) iter.Seq2[Execution, error] {
	return func(yield func(Execution, error) bool) {
		in := sfn.ListExecutionsInput{StateMachineARN: machine, MaxResults: 1000}
		for {
			page, err := output[*sfn.ListExecutionsOutput](ctx, c, "sfn", "ListExecutions", &in)
			if err != nil {
				yield(Execution{}, err)
				return
			}
			for _, e := range page.Executions {
				if !yield(e, nil) {
					return
				}
			}
			if page.NextToken == nil {
				return
			}
			in.NextToken = *page.NextToken
		}
	}
}

// History yields the events of an execution, as root sees them. Once nothing runs any
// more, several may be read at a time.
func (c *Cloud) History(ctx context.Context, execution string) iter.Seq2[*HistoryEvent, error] {
	return func(yield func(*HistoryEvent, error) bool) {
		in := sfn.GetHistoryInput{ExecutionARN: execution, MaxResults: 1000}
		for {
			page, err := output[*sfn.GetHistoryOutput](ctx, c, "sfn", "GetExecutionHistory", &in)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Events {
				if !yield(&page.Events[i], nil) {
					return
				}
			}
			if page.NextToken == nil {
				return
			}
			in.NextToken = *page.NextToken
		}
	}
}

// output calls an operation as root, whose output is known to be a T.
func output[T any](ctx context.Context, c *Cloud, service, operation string, in any) (T, error) {
	out, err := c.door.Call(ctx, c.Root(), service, operation, in)
	if err != nil {
		var none T
		return none, fmt.Errorf("localcloud: %s:%s: %w", service, operation, err)
	}
	typed, ok := out.(T)
	if !ok {
		return typed, fmt.Errorf("localcloud: %s:%s answers with %T", service, operation, out)
	}
	return typed, nil
}

// Message is what is published over MQTT.
type Message = iotdataplane.Message

// MQTTClient is a client of the broker in this process. It begins with a clean
// session and has no will.
type MQTTClient struct {
	ID          string
	Certificate *x509.Certificate // whose policies are asked
	// Received gets the messages, one after the other, in tasks of the scheduler.
	Received func(Message)
	// Ended is told why the broker has ended the connection; it may be nil.
	Ended func(reason string)
}

// MQTTConnection is the connection of an MQTTClient.
type MQTTConnection struct{ c *iotdataplane.Connection }

// Connect connects a client, with the same authentication and authorisation as over
// the network. The connection ends with Disconnect or Lose.
func (c *Cloud) Connect(ctx context.Context, m MQTTClient) (*MQTTConnection, error) {
	conn, err := c.data.Connect(ctx, iotdataplane.Client{
		Options: iotdataplane.Options{
			Hello: iotdataplane.Hello{ClientID: m.ID, Certificate: m.Certificate, SourceIP: "127.0.0.1"}, Clean: true,
		},
		OnMessage: func(_ *iotdataplane.Connection, message iotdataplane.Message) { m.Received(message) },
		OnEnd:     m.Ended,
	})
	if err != nil {
		return nil, err
	}
	return &MQTTConnection{conn}, nil
}

// Subscribe subscribes to a topic filter at QoS 0.
func (m *MQTTConnection) Subscribe(ctx context.Context, filter string) error {
	results, err := m.c.Subscribe(ctx, iotdataplane.Subscription{Filter: filter})
	if err == nil && len(results) > 0 {
		err = results[0]
	}
	return err
}

// Publish hands a message to the broker and does not wait for it to be taken. A client
// that is refused is disconnected, as over the network.
func (m *MQTTConnection) Publish(ctx context.Context, message Message) error {
	err := m.c.Submit(ctx, message, nil)
	if r, ok := errors.AsType[*iotdataplane.Refusal](err); ok {
		m.c.Disconnect(ctx, r.Reason)
	}
	return err
}

// Disconnect ends the connection as a client does that says so.
func (m *MQTTConnection) Disconnect(ctx context.Context) { m.c.Leave(ctx, false) }

// Lose ends the connection as a network does that breaks.
func (m *MQTTConnection) Lose(ctx context.Context) {
	m.c.Lost(ctx, iotdataplane.ReasonConnectionLost)
}
