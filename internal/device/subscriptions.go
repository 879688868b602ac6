package device

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Subscriptions is the table without whose rows no agent ever reports, to be asked
// for by Get.
const Subscriptions = usp.Subscriptions

// Subscription is one that a flow needs.
type Subscription struct {
	Name string // of the flow's own
	Kind string // EventNews or CommandNews
	Of   string // path of the event or command; a command's may have wildcards
}

// Kinds of subscriptions.
const (
	EventNews   = string(usp.KindEvent)             // that it sends an event
	CommandNews = string(usp.KindOperationComplete) // that a command has ended
)

// Events that every agent knows.
const (
	BootEvent     = usp.EventBoot
	TransferEvent = usp.EventTransferComplete
)

// settings are what makes a Subscription of use: the defaults are not. Persistent
// outlives a restart; NotifRetry repeats until answered. The IDs are fixed for a
// controller, so that adding them again is refused (7025) and not doubled; they
// differ between controllers, since one agent may have several.
func (s Subscription) settings(controller usp.EndpointID) []Setting {
	sum := sha256.Sum256([]byte(controller))
	return []Setting{
		{Param: "Enable", Value: "true", Required: true},
		{Param: "ID", Value: "fleetstep-" + hex.EncodeToString(sum[:4]) + "-" + s.Name, Required: true},
		{Param: "NotifType", Value: s.Kind, Required: true},
		{Param: "ReferenceList", Value: s.Of, Required: true},
		{Param: "Persistent", Value: "true", Required: true},
		{Param: "NotifRetry", Value: "true", Required: true},
	}
}

// MissingSubscriptions compares those that an answer to a Get of Subscriptions
// shows with those that a controller needs: what is to be added, and what is to be
// set right.
func MissingSubscriptions(controller event.EndpointID, a *event.Answer, needed []Subscription) (add, repair []Object) {
	there := map[string]Row{}
	for _, row := range Rows(a, usp.Subscriptions) {
		there[row.Params["ID"]] = row
	}
	for _, s := range needed {
		settings := s.settings(usp.EndpointID(controller))
		row, ok := there[settings[1].Value]
		if !ok {
			add = append(add, Object{Path: usp.Subscriptions, Settings: settings})
			continue
		}
		var wrong []Setting
		for _, want := range settings {
			have := row.Params[want.Param]
			if yes, err := usp.ParseBool(have); err == nil && yes {
				have = "true"
			}
			// ID and NotifType cannot be changed, and with our ID are ours.
			if have != want.Value && want.Param != "ID" && want.Param != "NotifType" {
				wrong = append(wrong, want)
			}
		}
		if len(wrong) > 0 {
			repair = append(repair, Object{Path: row.Path, Settings: wrong})
		}
	}
	return add, repair
}
