package functions

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// HandleDeviceMessage is the handler of handle-device-message.
type HandleDeviceMessage func(ctx context.Context, m event.DeviceMessage) (Handled, error)

// Handled says what became of a message.
type Handled struct {
	Kind event.Kind `json:"kind,omitempty"`
	Did  string     `json:"did"`
}

// NewHandleDeviceMessage wires handle-device-message.
func NewHandleDeviceMessage(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (HandleDeviceMessage, error) {
	p := newParts(ctx, env, cfg, now)
	controller, store := p.controller(), p.store()
	flows := p.flows(controller, nil)
	inbox, err := workflow.NewInbox(workflow.InboxPorts{
		Store: store, Callback: p.callback(), Registry: p.things(), Sender: p.sender(),
		Starter: p.starter(store, flows), Flows: flows, Now: p.now,
	})
	p.failed(err)
	h := &deviceMessages{parts: p, controller: controller, topics: p.topics(), inbox: inbox}
	if err := p.err("handle-device-message"); err != nil {
		return nil, err
	}
	return h.handle, nil
}

type deviceMessages struct {
	*parts
	controller usp.EndpointID
	topics     device.Topics
	inbox      *workflow.Inbox
}

func (h *deviceMessages) handle(ctx context.Context, m event.DeviceMessage) (Handled, error) {
	if m.Presence != "" {
		return h.presence(ctx, m)
	}
	return h.record(ctx, m)
}

func (h *deviceMessages) presence(ctx context.Context, m event.DeviceMessage) (Handled, error) {
	thing := m.ThingName
	if thing == "" {
		thing = m.ClientID // a device may only connect as its own thing
	}
	if m.Presence != event.PresenceConnected && m.Presence != event.PresenceDisconnected {
		return Handled{Did: workflow.FateIgnored.String()}, nil
	}
	p := workflow.Presence{
		Connected: m.Presence == event.PresenceConnected, Version: m.VersionNumber, At: time.UnixMilli(m.ReceivedAt).UTC(),
	}
	kind := event.KindDisconnected
	if p.Connected {
		kind = event.KindConnected
	}
	log := h.logger(ctx, logRule, "presence", logThing, thing, "kind", kind, "disconnectReason", m.DisconnectReason)
	got, err := h.inbox.Presence(ctx, event.ThingName(thing), p)
	return h.tell(log, kind, got, err)
}

func (h *deviceMessages) record(ctx context.Context, m event.DeviceMessage) (Handled, error) {
	log := h.logger(ctx, logRule, "usp_message", logThing, m.ThingName)
	in, err := device.Read(m, h.topics, h.controller)
	if refused, ok := errors.AsType[*event.Refused](err); ok {
		got := workflow.Received{Refused: refused}
		got.Fate = workflow.FateRefused
		return h.tell(log, "", got, nil)
	}
	if err != nil {
		return Handled{}, named(err)
	}
	kind := in.Event.Kind
	log = log.With(logEndpoint, in.Endpoint, "kind", kind)
	h.emf.count(metrics.DeviceMessages, metrics.Kind, string(kind))
	if f := in.Event.Fault; f != nil {
		log = log.With("fault", f.Code, "faultText", f.Text)
	}
	got, err := h.inbox.Record(ctx, in)
	return h.tell(log.With("commandKey", in.Event.CommandKey, "mqtt311", in.Legacy), kind, got, err)
}

// tell logs and counts what became of a message, and answers it.
func (h *deviceMessages) tell(log *slog.Logger, kind event.Kind, got workflow.Received, err error) (Handled, error) {
	for _, s := range got.Started {
		h.started(s)
		log.Info("pending job execution "+s.Did.String(), logJob, s.Owner.Job, "execution", s.Execution)
	}
	if got.Owner != (event.Owner{}) {
		log = log.With(logJob, got.Owner.Job, "step", got.Step)
	}
	if got.Failure != nil {
		log = log.With("error", got.Failure.Name, "detail", got.Failure.Detail)
	}
	out := Handled{Kind: kind, Did: got.Fate.String()}
	switch {
	case got.Refused != nil:
		h.emf.count(metrics.RefusedRecords, metrics.Reason, got.Refused.Reason)
		log.Warn("record refused", "reason", got.Refused.Reason, "detail", got.Refused.Detail)
		out.Kind = ""
	case err != nil:
		log.Error("device message not handled", "failure", err.Error())
	case got.Fate == workflow.FateStale:
		log.Debug("device message stale")
	default:
		log.Info("device message "+out.Did, "greets", got.Greeted)
	}
	return out, named(err)
}
