package iot

import (
	"context"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/registry"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func (p *thingTypeProperties) check() error {
	if len(p.MQTT5Configuration) > 0 {
		return awsapi.NotBuilt("thing types with mqtt5Configuration")
	}
	if err := registry.CheckDescription("thingTypeDescription", p.ThingTypeDescription); err != nil {
		return refused(err)
	}
	return refused(registry.CheckSearchable(p.SearchableAttributes))
}

type thingTypeIn struct {
	ThingTypeName       string              `json:"thingTypeName" uri:"thingTypeName" api:"min=1,max=128,pattern=thing name"`
	ThingTypeProperties thingTypeProperties `json:"thingTypeProperties,omitempty"`
	Tags                []tag               `json:"tags,omitempty"`
	UndoDeprecate       bool                `json:"undoDeprecate,omitempty"`
}

type createThingTypeOut struct {
	ThingTypeName string `json:"thingTypeName"`
	ThingTypeARN  string `json:"thingTypeArn"`
	ThingTypeID   string `json:"thingTypeId"`
}

type thingTypeMetadata struct {
	Deprecated      bool         `json:"deprecated"`
	DeprecationDate *awsapi.Time `json:"deprecationDate,omitempty"`
	CreationDate    *awsapi.Time `json:"creationDate,omitempty"`
}

type thingTypeView struct {
	ThingTypeName       string              `json:"thingTypeName"`
	ThingTypeID         string              `json:"thingTypeId,omitempty"`
	ThingTypeARN        string              `json:"thingTypeArn"`
	ThingTypeProperties thingTypeProperties `json:"thingTypeProperties"`
	ThingTypeMetadata   thingTypeMetadata   `json:"thingTypeMetadata"`
}

func (s *Service) createThingType(_ context.Context, _ *awsapi.Call, in *thingTypeIn) (*createThingTypeOut, error) {
	if err := checkName("thingTypeName", in.ThingTypeName); err != nil {
		return nil, err
	}
	if err := in.ThingTypeProperties.check(); err != nil {
		return nil, err
	}
	t := thingType{ID: s.sched.UUID(), Properties: in.ThingTypeProperties, Created: s.now()}
	arn := s.arn("thingtype/" + in.ThingTypeName)
	err := s.db.Update(func(tx *store.Tx) error {
		if old, taken, err := thingTypeTable.Get(tx, in.ThingTypeName); err != nil {
			return err
		} else if taken {
			return exists(old.ID, arn, "ThingType %s already exists.", in.ThingTypeName)
		}
		if err := addTags(tx, arn, tagMap(in.Tags)); err != nil {
			return err
		}
		if err := thingTypeTable.Put(tx, t, in.ThingTypeName); err != nil {
			return err
		}
		return s.thingTypeEvent(tx, in.ThingTypeName, &t, "CREATED")
	})
	if err != nil {
		return nil, err
	}
	return &createThingTypeOut{in.ThingTypeName, arn, t.ID}, nil
}

func (s *Service) thingTypeEvent(tx *store.Tx, name string, t *thingType, operation string) error {
	members := map[string]any{
		"thingTypeId": t.ID, "thingTypeName": name, "isDeprecated": t.Deprecated != 0, "deprecationDate": nil,
		"searchableAttributes": t.Properties.SearchableAttributes, "description": t.Properties.ThingTypeDescription,
	}
	if t.Deprecated != 0 {
		members["deprecationDate"] = moment(t.Deprecated).Format(time.RFC3339)
	}
	return s.event(tx, "THING_TYPE", "thingType/"+name+"/"+strings.ToLower(operation), "THING_TYPE_EVENT",
		operation, members)
}

func (s *Service) thingTypeView(name string, t *thingType) thingTypeView {
	return thingTypeView{name, t.ID, s.arn("thingtype/" + name), t.Properties,
		thingTypeMetadata{t.Deprecated != 0, awsapi.TimeOf(moment(t.Deprecated)), awsapi.TimeOf(moment(t.Created))}}
}

func (s *Service) describeThingType(_ context.Context, _ *awsapi.Call, in *thingTypeIn) (*thingTypeView, error) {
	var v thingTypeView
	err := s.db.View(func(tx *store.Tx) error {
		t, err := s.getThingType(tx, in.ThingTypeName)
		v = s.thingTypeView(in.ThingTypeName, &t)
		return err
	})
	return &v, err
}

type listThingTypesIn struct {
	NextToken     string `json:"nextToken,omitempty" query:"nextToken"`
	MaxResults    *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	ThingTypeName string `json:"thingTypeName,omitempty" query:"thingTypeName" api:"min=1,max=128,pattern=thing name"`
}

type listThingTypesOut struct {
	ThingTypes []thingTypeView `json:"thingTypes"`
	NextToken  string          `json:"nextToken,omitempty"`
}

func (s *Service) listThingTypes(_ context.Context, _ *awsapi.Call, in *listThingTypesIn) (*listThingTypesOut, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listThingTypesOut{ThingTypes: []thingTypeView{}}
	err = s.db.View(func(tx *store.Tx) error {
		for row, err := range thingTypeTable.Scan(tx, store.Query{After: p.after}) {
			if err != nil || p.full() {
				return err
			}
			if in.ThingTypeName != "" && row.Key[0] != in.ThingTypeName {
				continue
			}
			out.ThingTypes = append(out.ThingTypes, s.thingTypeView(row.Key[0], &row.Value))
			p.add(row.Key[0])
		}
		return nil
	})
	out.NextToken = p.token
	return out, err
}

// editThingType changes a type and tells of it.
func (s *Service) editThingType(name string, fn func(t *thingType) error) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		t, err := s.getThingType(tx, name)
		if err != nil {
			return err
		}
		if err := fn(&t); err != nil {
			return err
		}
		if err := thingTypeTable.Put(tx, t, name); err != nil {
			return err
		}
		return s.thingTypeEvent(tx, name, &t, "UPDATED")
	})
}

func (s *Service) updateThingType(_ context.Context, _ *awsapi.Call, in *thingTypeIn) (*empty, error) {
	if err := in.ThingTypeProperties.check(); err != nil {
		return nil, err
	}
	return s.editThingType(in.ThingTypeName, func(t *thingType) error {
		t.Properties = in.ThingTypeProperties
		return nil
	})
}

func (s *Service) deprecateThingType(_ context.Context, _ *awsapi.Call, in *thingTypeIn) (*empty, error) {
	return s.editThingType(in.ThingTypeName, func(t *thingType) error {
		t.Deprecated = s.now()
		if in.UndoDeprecate {
			t.Deprecated = 0
		}
		return nil
	})
}

// deprecation is how long a type must have been deprecated to be deleted.
const deprecation = 5 * time.Minute

func (s *Service) deleteThingType(_ context.Context, _ *awsapi.Call, in *thingTypeIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		t, err := s.getThingType(tx, in.ThingTypeName)
		if err != nil {
			return err
		}
		if t.Deprecated == 0 || s.sched.Now().Before(moment(t.Deprecated).Add(deprecation)) {
			return invalid("Cannot delete thing type: %s. It must have been deprecated for five minutes.",
				in.ThingTypeName)
		}
		for _, err := range thingsOfType.Scan(tx, store.Query{Prefix: []string{in.ThingTypeName}}) {
			if err != nil {
				return err
			}
			return invalid("Cannot delete thing type: %s. There are still things associated with it.",
				in.ThingTypeName)
		}
		if err := tagTable.Delete(tx, s.arn("thingtype/"+in.ThingTypeName)); err != nil {
			return err
		}
		if err := thingTypeTable.Delete(tx, in.ThingTypeName); err != nil {
			return err
		}
		return s.thingTypeEvent(tx, in.ThingTypeName, &t, "DELETED")
	})
}
