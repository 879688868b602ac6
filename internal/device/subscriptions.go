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
	Kind string // EventNews, CommandNews or ValueNews
	Of   string // path of the event, command or parameter; a command's may have wildcards
}

// Kinds of subscriptions.
const (
	EventNews   = string(usp.KindEvent)             // that it sends an event
	CommandNews = string(usp.KindOperationComplete) // that a command has ended
	ValueNews   = string(usp.KindValueChange)       // that a parameter has another value
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

// Missing is what is to be done so that an agent has the Subscriptions that a
// controller needs, in this order.
type Missing struct {
	// Remove are those whose ReferenceList or NotifType is another: an agent
	// refuses every change of these (11g), so they are added again, under their ID.
	Remove []string
	Add    []Object
	Repair []Object
}

// CompareSubscriptions compares those that an answer to a Get of Subscriptions shows
// with those that a controller needs.
func CompareSubscriptions(controller event.EndpointID, a *event.Answer, needed []Subscription) (m Missing) {
	there := map[string]Row{}
	for _, row := range Rows(a, usp.Subscriptions) {
		there[row.Params["ID"]] = row
	}
	for _, s := range needed {
		settings := s.settings(usp.EndpointID(controller))
		row, ok := there[settings[1].Value]
		if !ok {
			m.Add = append(m.Add, Object{Path: usp.Subscriptions, Settings: settings})
			continue
		}
		var wrong []Setting
		fixed := false
		for _, want := range settings {
			have := row.Params[want.Param]
			if yes, err := usp.ParseBool(have); err == nil && yes {
				have = "true"
			}
			if have != want.Value {
				wrong = append(wrong, want)
				fixed = fixed || want.Param == "NotifType" || want.Param == "ReferenceList"
			}
		}
		switch {
		case fixed:
			m.Remove = append(m.Remove, row.Path)
			m.Add = append(m.Add, Object{Path: usp.Subscriptions, Settings: settings})
		case len(wrong) > 0:
			m.Repair = append(m.Repair, Object{Path: row.Path, Settings: wrong})
		}
	}
	return m
}
