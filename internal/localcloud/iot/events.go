package iot

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/outbox"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// eventTypes are the keys of event configurations, and whether their events
// are built.
var eventTypes = map[string]bool{
	"THING": true, "THING_GROUP": true, "THING_TYPE": true, "THING_GROUP_MEMBERSHIP": true,
	"THING_GROUP_HIERARCHY":  true,
	"THING_TYPE_ASSOCIATION": true, "JOB": true, "JOB_EXECUTION": true, "POLICY": false, "CERTIFICATE": false,
	"CA_CERTIFICATE": false,
}

func (s *Service) enabled(eventType string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[eventType]
}

// event puts an event in the outbox if its type is enabled. Its members are
// completed with those that all registry events have.
func (s *Service) event(tx *store.Tx, configuration, topic, eventType, operation string,
	members map[string]any) error {
	if !s.enabled(configuration) {
		return nil
	}
	members["eventType"], members["eventId"], members["timestamp"] = eventType, s.sched.UUID(), s.now()
	members["operation"], members["accountId"] = operation, s.config.Account
	b, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return s.outbox.Add(tx, outbox.Message{Topic: "$aws/events/" + topic, Payload: b})
}

type eventConfiguration struct {
	Enabled bool `json:"Enabled"`
}

type describeEventsOut struct {
	EventConfigurations map[string]eventConfiguration `json:"eventConfigurations"`
	CreationDate        *awsapi.Time                  `json:"creationDate,omitempty"`
	LastModifiedDate    *awsapi.Time                  `json:"lastModifiedDate,omitempty"`
}

func (s *Service) describeEvents(_ context.Context, _ *awsapi.Call, _ *empty) (*describeEventsOut, error) {
	out := &describeEventsOut{EventConfigurations: map[string]eventConfiguration{}}
	err := s.db.View(func(tx *store.Tx) error {
		e, _, err := eventsTable.Get(tx, single)
		for t := range eventTypes {
			out.EventConfigurations[t] = eventConfiguration{e.Enabled[t]}
		}
		out.CreationDate, out.LastModifiedDate = awsapi.TimeOf(moment(e.Created)), awsapi.TimeOf(moment(e.Modified))
		return err
	})
	return out, err
}

type updateEventsIn struct {
	EventConfigurations map[string]eventConfiguration `json:"eventConfigurations"`
}

func (s *Service) updateEvents(_ context.Context, _ *awsapi.Call, in *updateEventsIn) (*empty, error) {
	for _, t := range slices.Sorted(maps.Keys(in.EventConfigurations)) {
		built, known := eventTypes[t]
		if !known {
			return nil, invalid("%q is not an event type.", t)
		}
		if in.EventConfigurations[t].Enabled && !built {
			return nil, awsapi.NotBuilt("events of type " + t)
		}
	}
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		e, _, err := eventsTable.Get(tx, single)
		if err != nil {
			return err
		}
		if e.Enabled == nil {
			e.Enabled, e.Created = map[string]bool{}, s.now()
		}
		for t, c := range in.EventConfigurations {
			e.Enabled[t] = c.Enabled
		}
		e.Modified = s.now()
		enabled := maps.Clone(e.Enabled)
		tx.OnCommit(func() {
			s.mu.Lock()
			s.events = enabled
			s.mu.Unlock()
		})
		return eventsTable.Put(tx, e, single)
	})
}
