package lambda

import (
	"context"
	"encoding/json"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

type invokeIn struct {
	FunctionName   string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=256,pattern=function reference"`
	InvocationType string `json:"InvocationType,omitempty" header:"X-Amz-Invocation-Type"`
	LogType        string `json:"LogType,omitempty" header:"X-Amz-Log-Type" api:"values=None|Tail"`
	ClientContext  string `json:"ClientContext,omitempty" header:"X-Amz-Client-Context"`
	Qualifier      string `json:"Qualifier,omitempty" query:"Qualifier" api:"min=1,max=128,pattern=lambda qualifier"`
	Payload        []byte `json:"Payload,omitempty" payload:"raw"`
}

// Asynchronous says that the call is an event for a queue, of which no quota counts how many come in a second
// (developer guide, "Lambda quotas": "Invocation requests per function per Region (asynchronous)", 2026-11).
func (in *invokeIn) Asynchronous() bool { return in.InvocationType == "Event" }

type invokeOut struct {
	StatusCode      int    `json:"StatusCode" status:"true"`
	FunctionError   string `json:"FunctionError,omitempty" header:"X-Amz-Function-Error"`
	LogResult       string `json:"LogResult,omitempty" header:"X-Amz-Log-Result"`
	ExecutedVersion string `json:"ExecutedVersion,omitempty" header:"X-Amz-Executed-Version"`
	Payload         []byte `json:"Payload,omitempty" payload:"raw"`
}

func (s *Service) invoke(ctx context.Context, c *awsapi.Call, in *invokeIn) (*invokeOut, error) {
	var f Function
	err := s.Store.View(func(tx *store.Tx) (err error) {
		f, err = s.findShared(tx, in.FunctionName, in.Qualifier)
		return err
	})
	if awsapi.Code(err) == "ResourceNotFoundException" && in.Qualifier == "" {
		if name, qualifier := s.name(in.FunctionName); qualifier == "" {
			return nil, errFunctionNotFound(s.arn(name) + ":$LATEST")
		}
	}
	if err != nil {
		return nil, err
	}
	payload := in.Payload
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		var probe json.RawMessage
		return nil, errInvalidRequestContent(json.Unmarshal(payload, &probe))
	}
	switch in.InvocationType {
	case "DryRun":
		return &invokeOut{StatusCode: 204}, nil
	case "Event":
		if len(payload) > maxAsyncPayload {
			return nil, errTooLarge(len(payload), maxAsyncPayload)
		}
		err := s.Store.Update(func(tx *store.Tx) error { return s.enqueue(tx, c.RequestID, f, payload) })
		return &invokeOut{StatusCode: 202}, err
	case "", "RequestResponse":
	default:
		return nil, errInvalidParameter("InvocationType: %q is none of RequestResponse, Event, DryRun",
			in.InvocationType)
	}
	if len(payload) > maxSyncPayload {
		return nil, errTooLarge(len(payload), maxSyncPayload)
	}
	if c.Identity.Root {
		ctx = weather.Spare(ctx) // who looks on may invoke, too
	}
	result, log, err := s.run(ctx, f, c.RequestID, payload)
	if err != nil {
		return nil, err
	}
	out := &invokeOut{StatusCode: 200, ExecutedVersion: f.version(), Payload: result.Payload}
	if result.Failure != nil {
		out.FunctionError = "Unhandled"
	}
	if in.LogType == "Tail" {
		out.LogResult = log.tail()
	}
	return out, nil
}
