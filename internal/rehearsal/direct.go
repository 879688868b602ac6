package rehearsal

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go/middleware"

	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// direct is a middleware of SDK clients, before all others: it hands the typed
// input to the service and returns the typed output, so that nothing is
// serialised, signed, routed and parsed. It is there for the operations that a
// job makes thousands of (outputs); the rest takes the wire. So does an
// error, for the SDK to make its own typed error of it and to retry where it
// does: the door has it from localcloud.WithFailure and does not call again.
type direct struct {
	door    door
	as      localcloud.Identity
	service string // as the door names it
	name    string
	output  func() any
}

// door is what a localcloud.Cloud does for direct calls.
type door interface {
	Direct(ctx context.Context, id localcloud.Identity, service, operation string, in, out any) (
		called bool, err error)
}

// outputs are the operations that are called directly, by service.
var outputs = map[string]map[string]func() any{
	"dynamodb": {
		"GetItem":            newOutput[dynamodb.GetItemOutput],
		"PutItem":            newOutput[dynamodb.PutItemOutput],
		"UpdateItem":         newOutput[dynamodb.UpdateItemOutput],
		"DeleteItem":         newOutput[dynamodb.DeleteItemOutput],
		"Query":              newOutput[dynamodb.QueryOutput],
		"TransactWriteItems": newOutput[dynamodb.TransactWriteItemsOutput],
	},
	"iot": {
		"DescribeThing": newOutput[iot.DescribeThingOutput], "UpdateThing": newOutput[iot.UpdateThingOutput],
	},
	"iotdataplane": {"Publish": newOutput[iotdataplane.PublishOutput]},
	"sfn": {
		"StartExecution":    newOutput[sfn.StartExecutionOutput],
		"SendTaskSuccess":   newOutput[sfn.SendTaskSuccessOutput],
		"SendTaskFailure":   newOutput[sfn.SendTaskFailureOutput],
		"SendTaskHeartbeat": newOutput[sfn.SendTaskHeartbeatOutput],
	},
	"sns": {"Publish": newOutput[sns.PublishOutput]},
}

func newOutput[Output any]() any { return new(Output) }

// tokenFill is the SDK's middleware that gives a call its token, by which AWS knows it
// again when it is repeated.
const tokenFill = "OperationIdempotencyTokenAutoFill"

// intercept is an API option that puts a direct call before a client's stack.
func (c client) intercept(service string) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		output := outputs[service][stack.ID()]
		if output == nil || c.door == nil {
			return nil
		}
		at := direct{c.door, *c.as, service, stack.ID(), output}
		if _, has := stack.Initialize.Get(tokenFill); has && c.repeats {
			return stack.Initialize.Insert(at, tokenFill, middleware.After)
		}
		return stack.Initialize.Add(at, middleware.Before)
	}
}

// ID implements middleware.InitializeMiddleware.
func (direct) ID() string { return "direct" }

// HandleInitialize implements middleware.InitializeMiddleware.
func (d direct) HandleInitialize(ctx context.Context, in middleware.InitializeInput,
	next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	out := d.output()
	called, err := d.door.Direct(ctx, d.as, d.service, d.name, in.Parameters, out)
	switch {
	case !called:
		return next.HandleInitialize(ctx, in)
	case err != nil:
		return next.HandleInitialize(localcloud.WithFailure(ctx, err), in)
	}
	return middleware.InitializeOutput{Result: out}, middleware.Metadata{}, nil
}
