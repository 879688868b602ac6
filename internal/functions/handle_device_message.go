package functions

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// HandleDeviceMessage is the handler of handle-device-message. A message of a batch
// that fails is in the answer, and comes again.
type HandleDeviceMessage func(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error)

// Handled says what became of a message. With Err it is to come again.
type Handled struct {
	Kind event.Kind
	Did  string
	Err  error
}

// NewHandleDeviceMessage wires handle-device-message.
func NewHandleDeviceMessage(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) (HandleDeviceMessage,
	error) {
	p := newParts(ctx, env, cfg, now)
	controller, store := p.controller(), p.store()
	flows := p.flows(controller)
	inbox, err := workflow.NewInbox(workflow.InboxPorts{
		Store: store, Controls: store, Callback: p.callback(), Registry: p.things(), Sender: p.sender(p.addresses()),
		Announce: p.announcer(),
		Starter:  p.starter(store, flows), Flows: flows, Now: p.now, Parallel: p.env.Parallel,
		Arrivals: p.onboardingPerMinute() > 0,
	})
	p.failed(err)
	h := &deviceMessages{parts: p, controller: controller, topics: p.topics(), inbox: inbox, queue: p.queue()}
	if err := p.err("handle-device-message"); err != nil {
		return nil, err
	}
	return h.batch, nil
}

type deviceMessages struct {
	*parts
	controller usp.EndpointID
	topics     device.Topics
	inbox      *workflow.Inbox
	queue      device.Queue
}

// batch takes a batch of the queue. What is not done when the function's time is
// nearly over has failed, so that the rest of the batch has not; it comes again by
// the queue's own time.
func (h *deviceMessages) batch(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	list := make([]event.DeviceMessage, 0, len(batch.Records))
	taken := make([]events.SQSMessage, 0, len(batch.Records))
	var failed []events.SQSMessage
	for _, r := range batch.Records {
		var m event.DeviceMessage
		if err := json.Unmarshal([]byte(r.Body), &m); err != nil {
			h.logger(ctx, "messageId", r.MessageId).Error("no message of a rule", "failure", err.Error())
			failed = append(failed, r) // until it is a dead letter
			continue
		}
		list, taken = append(list, m), append(taken, r)
	}
	for i, got := range h.take(ctx, list) {
		if got.Err != nil {
			failed = append(failed, taken[i])
		}
	}
	out := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	var delays []device.Delay
	for _, r := range failed {
		out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
		if d, soon := comesAgain(r); soon {
			delays = append(delays, device.Delay{Receipt: r.ReceiptHandle, For: d})
		}
	}
	if len(delays) > 0 && ctx.Err() == nil {
		if err := h.queue.Postpone(ctx, delays); err != nil { // then they come again later
			h.logger(ctx).Error("messages come again late", "failure", err.Error())
		}
	}
	return out, nil
}

// soonReceipts is how often a message that failed comes again within seconds: what
// two functions disagree about is over then. What still fails is somebody's outage,
// and comes again when the queue's visibility timeout has passed, so that its twenty
// receipts last for a quarter of an hour.
const soonReceipts = 5

// comesAgain is when a message that failed is to come again, from 2 to 10 seconds,
// not the same for all that failed together.
func comesAgain(r events.SQSMessage) (after time.Duration, soon bool) {
	received := r.Attributes["ApproximateReceiveCount"]
	if n, err := strconv.Atoi(received); err != nil || n > soonReceipts {
		return 0, false
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.MessageId + received)) // a hash always takes it
	return time.Duration(2+h.Sum32()%9) * time.Second, true
}

// entry is a message of a batch on its way.
type entry struct {
	log  *slog.Logger
	kind event.Kind
	got  workflow.Result
}

// take takes messages that came together.
func (h *deviceMessages) take(ctx context.Context, list []event.DeviceMessage) []Handled {
	entries := make([]entry, len(list))
	var messages []workflow.Message
	var of []int // the entry of each message
	for i, m := range list {
		message, e, ok := h.read(ctx, m)
		entries[i] = e
		if ok {
			messages, of = append(messages, message), append(of, i)
		}
	}
	for i, got := range h.inbox.Batch(ctx, messages) {
		entries[of[i]].got = got
	}
	out := make([]Handled, len(list))
	dropped := map[string]int{}
	for i, e := range entries {
		out[i] = h.tell(e)
		if out[i].Did == workflow.FateDropped.String() && e.got.Err == nil {
			dropped[list[i].ThingName]++
		}
	}
	for i, e := range entries { // once for each device: it floods the log as well
		if n := dropped[list[i].ThingName]; n > 0 {
			e.log.Warn("device messages dropped: the device says too much at once", "messages", n)
			delete(dropped, list[i].ThingName)
		}
	}
	return out
}

// read is a message in plain words; not ok if there is nothing in it to be taken.
func (h *deviceMessages) read(ctx context.Context, m event.DeviceMessage) (out workflow.Message, e entry, ok bool) {
	out.At = time.UnixMilli(m.ReceivedAt).UTC()
	if m.Presence != "" {
		thing := m.ThingName
		if thing == "" {
			thing = m.ClientID // a device may only connect as its own thing
		}
		if m.Presence != event.PresenceConnected && m.Presence != event.PresenceDisconnected {
			e.log = h.logger(ctx, logRule, "presence", logThing, thing)
			return out, e, false
		}
		out.Thing = event.ThingName(thing)
		out.Presence = &workflow.Presence{Connected: m.Presence == event.PresenceConnected, Version: m.VersionNumber,
			At: out.At}
		e.kind = event.KindDisconnected
		if out.Presence.Connected {
			e.kind = event.KindConnected
		}
		e.log = h.logger(ctx, logRule, "presence", logThing, thing, "kind", e.kind, "disconnectReason",
			m.DisconnectReason)
		return out, e, true
	}
	e.log = h.logger(ctx, logRule, "usp_message", logThing, m.ThingName)
	in, err := device.Read(m, h.topics, h.controller)
	if refused, is := errors.AsType[*event.Refused](err); is {
		e.got.Refused, e.got.Fate = refused, workflow.FateRefused
		return out, e, false
	}
	if err != nil {
		e.got.Err = err
		return out, e, false
	}
	e.kind = in.Event.Kind
	h.emf.count(metrics.DeviceMessages, metrics.Kind, string(e.kind))
	e.log = e.log.With(logEndpoint, in.Endpoint, "kind", e.kind)
	if f := in.Event.Fault; f != nil {
		e.log = e.log.With("fault", f.Code, "faultText", f.Text)
	}
	e.log = e.log.With("commandKey", in.Event.CommandKey, "mqtt311", in.Legacy)
	out.Thing, out.Record = in.Thing, in
	return out, e, true
}

// tell logs and counts what became of a message.
func (h *deviceMessages) tell(e entry) Handled {
	log, got, err := e.log, e.got.Received, e.got.Err
	for _, s := range got.Started {
		h.started(s)
		log.Info("pending job execution "+s.Did.String(), whose(s.Owner), "execution", s.Execution)
	}
	if got.Owner != (event.Owner{}) {
		log = log.With(whose(got.Owner), "step", got.Step)
	}
	if got.Unset != nil {
		log.Error("attributes of the thing not set", "error", got.Unset.Error())
		h.emf.count(metrics.ThingsNotUpdated, "", "")
	}
	if got.Failure != nil {
		log = log.With("error", got.Failure.Name, "detail", got.Failure.Detail)
	}
	out := Handled{Kind: e.kind, Did: got.Fate.String(), Err: err}
	switch {
	case got.Refused != nil:
		h.emf.count(metrics.RefusedRecords, metrics.Reason, got.Refused.Reason)
		log.Warn("record refused", "reason", got.Refused.Reason, "detail", got.Refused.Detail)
		out.Kind = ""
	case errors.Is(err, workflow.ErrAgain):
		log.Info("device message comes again")
	case err != nil:
		log.Error("device message not handled", "failure", err.Error())
	case got.Fate == workflow.FateDropped:
		h.emf.count(metrics.DroppedNews, "", "")
	case got.Fate == workflow.FateStale:
		log.Debug("device message stale")
	default:
		log.Info("device message "+out.Did, "greets", got.Greeted)
	}
	return out
}
