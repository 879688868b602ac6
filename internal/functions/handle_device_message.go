package functions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// HandleDeviceMessage is the handler of handle-device-message.
type HandleDeviceMessage func(ctx context.Context, m event.DeviceMessage) (Handled, error)

// Handled says what became of a device's message.
type Handled struct {
	Kind event.Kind `json:"kind,omitempty"`
	Did  string     `json:"did"`
}

// NewHandleDeviceMessage wires handle-device-message.
func NewHandleDeviceMessage(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (HandleDeviceMessage, error) {
	p := newParts(ctx, env, cfg, now)
	steps := p.steps(p.must(event.EnvStateMachine))
	h := &deviceMessages{
		parts: p, controller: p.controller(), topics: p.topics(), sender: p.sender(), store: p.store(),
	}
	h.w = &workflow.Workflow{
		Store: h.store, Callback: steps, Machine: steps, Job: jobPort{p.executions()},
		Registry: p.things(), Talk: &device.Talk{Controller: h.controller}, Sender: h.sender, Now: p.now,
	}
	if err := p.err("handle-device-message"); err != nil {
		return nil, err
	}
	return h.handle, nil
}

type deviceMessages struct {
	*parts
	controller usp.EndpointID
	topics     device.Topics
	sender     workflow.Sender
	store      workflow.Store
	w          *workflow.Workflow
}

// errAgain makes Lambda deliver the event once more: what it needs to see was
// written while it was handled.
var errAgain = errors.New("a job execution was left pending in this very moment")

func (h *deviceMessages) handle(ctx context.Context, m event.DeviceMessage) (Handled, error) {
	var out Handled
	var err error
	if m.Presence != "" {
		out, err = h.presence(ctx, m)
	} else {
		out, err = h.record(ctx, m)
	}
	return out, named(err)
}

func (h *deviceMessages) presence(ctx context.Context, m event.DeviceMessage) (Handled, error) {
	thing := m.ThingName
	if thing == "" {
		thing = m.ClientID // a device may only connect as its own thing
	}
	log := h.logger(ctx, event.LogRule, "presence", event.LogThing, thing)
	if m.Presence != event.PresenceConnected && m.Presence != event.PresenceDisconnected {
		return Handled{Did: "ignored"}, nil
	}
	connected := m.Presence == event.PresenceConnected
	kind := event.KindDisconnected
	if connected {
		kind = event.KindConnected
	}
	err := h.store.Presence(ctx, event.ThingName(thing), workflow.Presence{
		Connected: connected, Version: m.VersionNumber, At: time.UnixMilli(m.ReceivedAt).UTC(),
	})
	if errors.Is(err, workflow.ErrStale) {
		log.Debug("presence is old or of no agent", "presence", m.Presence)
		return Handled{Kind: kind, Did: "stale"}, nil
	}
	if err != nil {
		log.Error("presence not noted", "error", err.Error())
		return Handled{Kind: kind}, err
	}
	if !connected {
		log.Info("device disconnected", "reason", m.DisconnectReason)
		return Handled{Kind: kind, Did: "noted"}, nil
	}
	// Rule 1: the presence is written, now look what is pending.
	d, err := h.store.Load(ctx, event.ThingName(thing))
	if err != nil {
		return Handled{Kind: kind}, err
	}
	log.Info("device connected")
	return Handled{Kind: kind, Did: "noted"}, h.appear(ctx, log, d)
}

func (h *deviceMessages) appear(ctx context.Context, log *slog.Logger, d workflow.Device) error {
	started, err := h.w.Appear(ctx, d)
	for _, s := range started {
		h.started(s)
		log.Info("pending upgrade "+s.Did, "execution", s.Execution)
	}
	if err != nil {
		log.Error("pending upgrade not started", "error", err.Error())
	}
	return err
}

func (h *deviceMessages) refuse(log *slog.Logger, reason, detail string) (Handled, error) {
	h.emf.count(event.MetricRefusedRecords, event.DimensionReason, reason)
	log.Warn("record refused", "reason", reason, "detail", detail)
	return Handled{Did: "refused"}, nil
}

func (h *deviceMessages) record(ctx context.Context, m event.DeviceMessage) (Handled, error) {
	log := h.logger(ctx, event.LogRule, "usp_message", event.LogThing, m.ThingName)
	in, err := device.Read(m, h.topics, h.controller)
	var refusal *device.Refusal
	if errors.As(err, &refusal) {
		return h.refuse(log, refusal.Reason, refusal.Detail)
	}
	if err != nil {
		return Handled{}, err
	}
	ev := in.Event
	out := Handled{Kind: ev.Kind}
	log = log.With(event.LogEndpoint, in.Endpoint, "kind", ev.Kind)
	h.emf.count(event.MetricDeviceMessages, event.DimensionKind, string(ev.Kind))

	d, err := h.store.Load(ctx, in.Thing)
	if err != nil {
		return out, err
	}
	if in.Greets {
		return h.greeting(ctx, log, d, in)
	}
	if d.State.Endpoint != "" && d.State.Endpoint != in.Endpoint {
		return h.refuse(log, event.RefusedSender, fmt.Sprintf("thing %s is %s", in.Thing, d.State.Endpoint))
	}
	answer := func() error { return h.answer(ctx, d.State, in) }
	if ev.Kind == event.KindDisconnected {
		err := h.store.Presence(ctx, in.Thing, workflow.Presence{Version: d.State.PresenceVersion, At: ev.At})
		if err != nil && !errors.Is(err, workflow.ErrStale) {
			return out, err
		}
		out.Did = "noted"
		return out, nil
	}
	// A device that speaks is there, whatever presence says; with a claim its
	// greeting or presence will say so in a moment.
	if d.State.Endpoint == "" || !d.State.Connected && d.Claim == nil && ev.At.After(d.State.SeenAt) {
		return h.greeting(ctx, log, d, in)
	}
	delivery, err := h.w.Deliver(ctx, d, ev, answer)
	out.Did = delivery.Did
	log = log.With(event.LogJob, delivery.Job, "step", delivery.Step)
	if err != nil {
		log.Error("news not delivered", "error", err.Error())
		return out, err
	}
	if delivery.Failure != nil {
		log = log.With("error", delivery.Failure.Name, "detail", delivery.Failure.Detail)
	}
	if ev.Fault != nil {
		log = log.With("fault", ev.Fault.Code, "faultText", ev.Fault.Text)
	}
	log.Info("device message "+delivery.Did, "commandKey", ev.CommandKey)
	if d.Claim == nil && len(d.Pending) > 0 {
		return out, h.appear(ctx, log, d)
	}
	return out, nil
}

// greeting takes an mqtt_connect record: the agent is there, and listens. Another
// message counts as one if the agent never greeted, or its greeting and presence
// were lost.
func (h *deviceMessages) greeting(ctx context.Context, log *slog.Logger, d workflow.Device, in device.Inbound) (Handled, error) {
	out := Handled{Kind: in.Event.Kind, Did: "noted"}
	err := h.w.Greet(ctx, d, workflow.Greeting{
		Endpoint: in.Endpoint, Legacy: in.Legacy, AgentTopic: in.AgentTopic, At: in.Event.At,
	})
	switch {
	case errors.Is(err, workflow.ErrForeign):
		return h.refuse(log, event.RefusedOwner, err.Error())
	case errors.Is(err, workflow.ErrStale) && in.Greets:
		out.Did = "stale"
		return out, nil
	case err != nil && !errors.Is(err, workflow.ErrStale):
		return out, err
	}
	here := func(d *workflow.Device) {
		d.State.Endpoint, d.State.Legacy, d.State.AgentTopic, d.State.Connected = in.Endpoint, in.Legacy, in.AgentTopic, true
	}
	here(&d)
	if d.Claim == nil && len(d.Pending) == 0 {
		if err := h.answer(ctx, d.State, in); err != nil {
			return out, err
		}
		// Rule 1: PENDING may have been written since it was read, by somebody who
		// did not see the greeting yet. And an upgrade that began meanwhile may have
		// asked too early to be heard.
		if d, err = h.store.Load(ctx, in.Thing); err != nil {
			return out, err
		}
		here(&d)
		in.Answer = nil
		if d.Claim == nil && len(d.Pending) > 0 {
			return out, errAgain
		}
	}
	if d.Claim == nil {
		log.Info("agent shows itself", "mqtt311", in.Legacy)
		if err := h.answer(ctx, d.State, in); err != nil {
			return out, err
		}
		return out, h.appear(ctx, log, d)
	}
	delivery, err := h.w.Deliver(ctx, d, in.Event, func() error { return h.answer(ctx, d.State, in) })
	if err != nil {
		log.Error("greeting not delivered", "error", err.Error())
		return out, err
	}
	out.Did = delivery.Did
	log.Info("agent greets", event.LogJob, delivery.Job, "step", delivery.Step, "did", out.Did, "mqtt311", in.Legacy)
	return out, h.appear(ctx, log, d)
}

// answer sends the NotifyResp that a notification wants, to where it wants it.
func (h *deviceMessages) answer(ctx context.Context, to event.DeviceState, in device.Inbound) error {
	if in.Answer == nil {
		return nil
	}
	to.Endpoint, to.Legacy = in.Endpoint, to.Legacy || in.Legacy
	if in.AgentTopic != "" {
		to.AgentTopic = in.AgentTopic
	}
	return h.sender.Send(ctx, in.Thing, to, in.Answer)
}
