package device

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

// Topics are where controller and agents listen.
type Topics struct {
	Agent      usp.TopicTemplate // usp/v1/agent/{thing}
	Controller usp.TopicTemplate // usp/v1/controller/{controller}/from/{thing}
}

// mostEndpoint is how many bytes an endpoint id has: it is an attribute of a thing, which has 800, and a key.
const mostEndpoint = 512

// Read reads what rule usp_message handed over. The thing comes from the topic and
// the connection, which must agree; whether the endpoint is that thing's, package
// workflow knows. Every error is a *event.Refused.
func Read(m event.DeviceMessage, topics Topics, controller usp.EndpointID) (event.Inbound, error) {
	base, reply, legacy := usp.SplitReplyTo(m.Topic)
	thing, to, ok := topics.Controller.Match(base)
	if !ok || thing == "" || thing != m.ThingName ||
		strings.Count(base, "/") != strings.Count(string(topics.Controller), "/") {
		return event.Inbound{}, &event.Refused{Reason: event.RefusedTopic, Detail: "topic " + m.Topic +
			" is not that of thing " + m.ThingName}
	}
	if to != "" && to != controller {
		return event.Inbound{}, &event.Refused{Reason: event.RefusedRecipient, Detail: "topic " + m.Topic +
			" is another controller's"}
	}
	if m.ClientID != thing {
		return event.Inbound{}, &event.Refused{Reason: event.RefusedClient, Detail: "client " + m.ClientID +
			" publishes for thing " + thing}
	}
	payload, err := base64.StdEncoding.DecodeString(m.Record)
	if err != nil {
		return event.Inbound{}, &event.Refused{Reason: event.RefusedUnreadable, Detail: "not base64"}
	}
	record, err := usp.DecodeRecord(payload)
	if err != nil {
		var bad *usp.RecordError
		if errors.As(err, &bad) {
			return event.Inbound{}, &event.Refused{Reason: event.RefusedUnreadable, Detail: bad.Error()}
		}
		return event.Inbound{}, &event.Refused{Reason: event.RefusedUnreadable, Detail: err.Error()}
	}
	if record.To != controller { // R-E2E.1
		return event.Inbound{}, &event.Refused{Reason: event.RefusedRecipient, Detail: "to_id " + string(record.To)}
	}
	if n := len(record.From); n > mostEndpoint {
		return event.Inbound{}, &event.Refused{Reason: event.RefusedSender, Detail: fmt.Sprintf(
			"from_id has %d bytes, more than %d", n, mostEndpoint)}
	}
	if err := record.From.Validate(); err != nil {
		return event.Inbound{}, &event.Refused{Reason: event.RefusedSender, Detail: "from_id is no endpoint id: " +
			err.Error()}
	}
	in := event.Inbound{
		Thing: event.ThingName(thing), Endpoint: event.EndpointID(record.From), Legacy: legacy,
		Event: event.DeviceEvent{
			Kind: event.KindOther, Thing: event.ThingName(thing), Endpoint: event.EndpointID(record.From),
			At: time.UnixMilli(m.ReceivedAt).UTC(),
		},
	}
	own := topics.Agent.Expand(thing, controller)
	for _, topic := range []string{reply, m.ResponseTopic} {
		if listensAt(topic, own) {
			in.AgentTopic = topic
		}
	}
	switch {
	case record.MQTTConnect != nil:
		in.Event.Kind, in.Greets = event.KindConnected, true
		in.Legacy = record.MQTTConnect.GetVersion() == usprecord.MQTTConnectRecord_V3_1_1
		if t := strings.TrimSuffix(record.MQTTConnect.GetSubscribedTopic(), "/#"); listensAt(t, own) {
			in.AgentTopic = t
		}
	case record.Disconnect != nil:
		in.Event.Kind = event.KindDisconnected
	case record.SessionContext != nil:
		return event.Inbound{}, &event.Refused{Reason: event.RefusedSession,
			Detail: "session context is not kept by this controller"}
	case record.Message != nil:
		if _, err := usp.Open(record.Message); err != nil {
			return event.Inbound{}, &event.Refused{Reason: event.RefusedUnreadable, Detail: err.Error()}
		}
		read(&in, record.Message)
	}
	return in, nil
}

// listensAt reports whether an agent may be answered at a topic. An agent may name
// any (08): only its own is used, or one a level below, to which a message can be
// published (AWS IoT: no wildcards, at most 7 slashes and 256 bytes, the reply topic
// of MQTT 3.1.1 among them).
func listensAt(topic, own string) bool {
	if topic == own {
		return true
	}
	below, ok := strings.CutPrefix(topic, own+"/")
	if !ok || below == "" || len(below) > 32 {
		return false
	}
	return !strings.ContainsFunc(below, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_.:", r))
	})
}

func read(in *event.Inbound, m *uspmsg.Msg) {
	ev := &in.Event
	if n, ok := usp.ReadNotify(m); ok {
		// R-NOT: every repeat is answered, also of what was dealt with.
		if n.SendResp {
			in.Answer = &notifyResp{n.ID, n.SubscriptionID}
		}
		readNotification(ev, n)
		return
	}
	id := usp.ID(m)
	if e := usp.ReadError(m); e != nil {
		ev.Kind, ev.Answer = event.KindAnswer, &event.Answer{MessageID: id, Fault: fault(e)}
		for _, p := range e.Params {
			ev.Answer.Results = append(ev.Answer.Results, event.Result{Path: p.Path,
				Fault: &event.Fault{Code: int(p.Code), Text: p.Message}})
		}
		return
	}
	if v, ok := usp.ReadGetResp(m); ok {
		a := &event.Answer{MessageID: id, Params: v.Params, Objects: v.Objects}
		for path, e := range v.Failed {
			if a.Missing == nil {
				a.Missing = map[string]event.Fault{}
			}
			a.Missing[path] = *fault(e)
		}
		ev.Kind, ev.Answer = event.KindAnswer, a
		return
	}
	if results, ok := usp.ReadOperateResp(m); ok {
		a := &event.Answer{MessageID: id}
		for _, r := range results {
			a.Results = append(a.Results, event.Result{
				Path: r.Command, Request: r.RequestPath, Output: r.Output, Fault: fault(r.Failure),
			})
		}
		ev.Kind, ev.Answer = event.KindAnswer, a
		return
	}
	if body, ok := usp.As[*uspmsg.AddResp](m); ok {
		a := &event.Answer{MessageID: id}
		for _, r := range body.GetCreatedObjResults() {
			result := event.Result{Path: r.GetRequestedPath()}
			if path := r.GetOperStatus().GetOperSuccess().GetInstantiatedPath(); path != "" {
				result.Objects = []string{path}
			}
			result.Fault = failure(r.GetOperStatus().GetOperFailure())
			a.Results = append(a.Results, result)
		}
		ev.Kind, ev.Answer = event.KindAnswer, a
		return
	}
	if body, ok := usp.As[*uspmsg.DeleteResp](m); ok {
		a := &event.Answer{MessageID: id}
		for _, r := range body.GetDeletedObjResults() {
			result := event.Result{Path: r.GetRequestedPath(), Objects: r.GetOperStatus().GetOperSuccess().
				GetAffectedPaths()}
			result.Fault = failure(r.GetOperStatus().GetOperFailure())
			a.Results = append(a.Results, result)
		}
		ev.Kind, ev.Answer = event.KindAnswer, a
		return
	}
	if body, ok := usp.As[*uspmsg.SetResp](m); ok {
		a := &event.Answer{MessageID: id}
		for _, r := range body.GetUpdatedObjResults() {
			result := event.Result{Path: r.GetRequestedPath()}
			for _, done := range r.GetOperStatus().GetOperSuccess().GetUpdatedInstResults() {
				result.Objects = append(result.Objects, done.GetAffectedPath())
			}
			result.Fault = failure(r.GetOperStatus().GetOperFailure())
			a.Results = append(a.Results, result)
		}
		ev.Kind, ev.Answer = event.KindAnswer, a
	}
}

// failure is what a part of a response says of its failure, nil for none.
func failure[F interface {
	comparable
	GetErrCode() uint32
	GetErrMsg() string
}](f F) *event.Fault {
	var none F
	if f == none {
		return nil
	}
	return &event.Fault{Code: int(f.GetErrCode()), Text: f.GetErrMsg()}
}

func readNotification(ev *event.DeviceEvent, n usp.Notification) {
	ev.ID, ev.Path = newsID(n), n.Path
	switch {
	case n.Kind == usp.KindEvent && n.Path == usp.EventBoot:
		ev.Kind = event.KindBooted
		// A value that does not parse takes nothing from the news.
		b, err := usp.ReadBoot(n.Params)
		if err != nil {
			b = usp.Boot{Cause: n.Params["Cause"], CommandKey: n.Params["CommandKey"]}
		}
		ev.CommandKey, ev.Cause, ev.FirmwareUpdated = b.CommandKey, b.Cause, b.FirmwareUpdated
		ev.Reset = b.Cause == usp.CauseLocalFactoryReset || b.Cause == usp.CauseRemoteFactoryReset
	case n.Kind == usp.KindEvent && n.Path == usp.EventTransferComplete:
		ev.Kind = event.KindTransferComplete
		t, err := usp.ReadTransferComplete(n.Params)
		ev.CommandKey, ev.CommandPath = n.Params["CommandKey"], n.Params["Command"]
		if err != nil {
			ev.Fault = &event.Fault{Code: int(usp.CommandFailure), Text: err.Error()}
		} else if t.FaultCode != 0 {
			ev.Fault = &event.Fault{Code: int(t.FaultCode), Text: t.FaultString}
		}
	case n.Kind == usp.KindOnBoardRequest:
		ev.Kind = event.KindOnBoardRequest
	case n.Kind == usp.KindOperationComplete:
		ev.Kind, ev.CommandKey, ev.CommandPath = event.KindCommandComplete, n.CommandKey, n.Path
		ev.Fault, ev.Output, ev.Path = fault(n.Failure), n.Output, ""
	case n.Kind == usp.KindEvent:
		ev.Kind, ev.Params = event.KindEvent, n.Params
	case n.Kind == usp.KindValueChange:
		ev.Kind, ev.Value = event.KindValueChanged, n.Value
	}
}

// mostMessageID is how many bytes of a message's id are kept as they are. That of the recorded agent has some 40.
const mostMessageID = 128

// newsID is the same for each copy of a piece of news. The message's id is not enough, because a device whose clock
// begins with each boot uses its ids again (24); nor is the content, because a device may say the same twice.
// Copies by several Subscriptions (17) have the same content.
func newsID(n usp.Notification) string {
	if n.ID == "" {
		return ""
	}
	h := sha256.New()
	write := func(texts ...string) {
		for _, text := range texts {
			fmt.Fprintf(h, "%d:%s", len(text), text)
		}
	}
	write(string(n.Kind), n.Path, n.Value, n.CommandKey)
	for _, m := range []map[string]string{n.Params, n.Output} {
		write(strconv.Itoa(len(m)))
		for _, name := range slices.Sorted(maps.Keys(m)) {
			write(name, m[name])
		}
	}
	if n.Failure != nil {
		write(strconv.Itoa(int(n.Failure.Code)), n.Failure.Message)
	}
	id := n.ID
	if len(id) > mostMessageID {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	return id + event.NewsMark + hex.EncodeToString(h.Sum(nil)[:8])
}

func fault(e *usp.Error) *event.Fault {
	if e == nil {
		return nil
	}
	return &event.Fault{Code: int(e.Code), Text: e.Message}
}
