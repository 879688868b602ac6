package iotdataplane

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Presence is a client's connecting or disconnecting, in the words of AWS's
// life cycle events.
type Presence struct {
	ClientID                  string    `json:"clientId"`
	Timestamp                 int64     `json:"timestamp"` // milliseconds
	EventType                 string    `json:"eventType"` // connected, disconnected
	SessionIdentifier         string    `json:"sessionIdentifier"`
	PrincipalIdentifier       string    `json:"principalIdentifier"`
	IPAddress                 string    `json:"ipAddress,omitempty"` // connected
	VersionNumber             uint64    `json:"versionNumber"`
	ClientInitiatedDisconnect *bool     `json:"clientInitiatedDisconnect,omitempty"` // disconnected
	DisconnectReason          string    `json:"disconnectReason,omitempty"`          // disconnected
	ThingName                 string    `json:"thingName,omitempty"`
	At                        time.Time `json:"-"`
}

// Connected reports which of the two it is.
func (p Presence) Connected() bool { return p.EventType == "connected" }

// end makes the disconnected event of a connected one.
func (p *Presence) end(now time.Time, reason string, byClient bool) {
	p.EventType, p.IPAddress = "disconnected", ""
	p.Timestamp, p.At = now.UnixMilli(), now
	p.DisconnectReason, p.ClientInitiatedDisconnect = reason, &byClient
}

// eventless reports whether AWS sends no events for a client ID.
func eventless(clientID string) bool { return strings.ContainsAny(clientID, "#+") }

func (s *Service) event(topic string, body any) Message {
	b, err := json.Marshal(body)
	if err != nil {
		panic("iotdataplane: event does not encode: " + err.Error())
	}
	return Message{Topic: topic, Payload: b, QoS: 1, FromService: true}
}

// announce makes a presence event durable, publishes it, and writes what is
// known of the client in the same transaction.
func (s *Service) announce(ctx context.Context, r presenceRecord, will ...*Message) error {
	p := r.Presence
	var w *Message
	if len(will) > 0 {
		w = will[0]
	}
	err := s.publish(ctx, submission{
		message: s.event("$aws/events/presence/"+p.EventType+"/"+p.ClientID, p),
		silent:  eventless(p.ClientID),
		also: func(tx *store.Tx) error {
			// A takeover announces the new connection before the end of
			// the old one: the older version must not win.
			if have, ok, err := presenceTable.Get(tx, p.ClientID); err != nil {
				return err
			} else if ok && have.Version > r.Version {
				return nil
			}
			if err := presenceTable.Put(tx, r, p.ClientID); err != nil {
				return err
			}
			if !p.Connected() {
				return connectedTable.Delete(tx, p.ClientID)
			}
			return connectedTable.Put(tx, connectedRecord{Will: w}, p.ClientID)
		},
	})
	if err == nil && s.Changed != nil {
		s.Changed(p)
	}
	return err
}

// Connectivity is the latest presence of a client ID; ok is false if it never
// connected.
func (s *Service) Connectivity(clientID string) (p Presence, ok bool, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		var r presenceRecord
		r, ok, err = presenceTable.Get(tx, clientID)
		p = r.Presence
		return err
	})
	p.At = time.UnixMilli(p.Timestamp).UTC()
	return p, ok, err
}

// subscriptionEvent is the payload of $aws/events/subscriptions/...
type subscriptionEvent struct {
	ClientID            string   `json:"clientId"`
	Timestamp           int64    `json:"timestamp"`
	EventType           string   `json:"eventType"`
	SessionIdentifier   string   `json:"sessionIdentifier"`
	PrincipalIdentifier string   `json:"principalIdentifier"`
	Topics              []string `json:"topics"`
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
