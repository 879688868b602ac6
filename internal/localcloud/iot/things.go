package iot

import (
	"context"
	"maps"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/registry"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func checkName(member, name string) error { return refused(registry.CheckName(member, name)) }

type attributePayload struct {
	Attributes map[string]string `json:"attributes,omitempty" api:"each.max=800,each.pattern=attribute value,key.max=128,key.pattern=attribute name"`
	Merge      bool              `json:"merge,omitempty"`
}

// applied returns attributes with the payload's in their place or merged in.
func (p *attributePayload) applied(to map[string]string) (map[string]string, error) {
	if p == nil {
		return to, nil
	}
	out, err := registry.Changed(to, p.Attributes, p.Merge)
	return out, refused(err)
}

func (t *thing) check() error { return refused(registry.CheckThing(t.Type, t.Attributes)) }

type createThingIn struct {
	ThingName        string            `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	ThingTypeName    string            `json:"thingTypeName,omitempty" api:"min=1,max=128,pattern=thing name"`
	AttributePayload *attributePayload `json:"attributePayload,omitempty"`
	BillingGroupName string            `json:"billingGroupName,omitempty" api:"min=1,max=128,pattern=thing name"`
}

type createThingOut struct {
	ThingName string `json:"thingName"`
	ThingARN  string `json:"thingArn"`
	ThingID   string `json:"thingId"`
}

func (s *Service) createThing(_ context.Context, _ *awsapi.Call, in *createThingIn) (*createThingOut, error) {
	if err := checkName("thingName", in.ThingName); err != nil {
		return nil, err
	}
	if in.BillingGroupName != "" {
		return nil, awsapi.NotBuilt("CreateThing with billingGroupName")
	}
	attributes, err := in.AttributePayload.applied(nil)
	if err != nil {
		return nil, err
	}
	t := thing{ID: s.sched.UUID(), Type: in.ThingTypeName, Attributes: attributes, Version: 1}
	if err := t.check(); err != nil {
		return nil, err
	}
	err = s.db.Update(func(tx *store.Tx) error {
		old, taken, err := thingTable.Get(tx, in.ThingName)
		if err != nil {
			return err
		}
		if taken {
			if old.Type == t.Type && maps.Equal(old.Attributes, t.Attributes) {
				t.ID = old.ID // the same thing again: no error, as on AWS
				return nil
			}
			return exists(in.ThingName, s.arn("thing/"+in.ThingName),
				"Thing %s already exists in account with different properties", in.ThingName)
		}
		if err := s.checkType(tx, t.Type); err != nil {
			return err
		}
		if err := s.putThing(tx, in.ThingName, nil, &t); err != nil {
			return err
		}
		return s.thingEvent(tx, in.ThingName, &t, "CREATED")
	})
	if err != nil {
		return nil, err
	}
	return &createThingOut{in.ThingName, s.arn("thing/" + in.ThingName), t.ID}, nil
}

func (s *Service) checkType(tx *store.Tx, name string) error {
	if name == "" {
		return nil
	}
	t, ok, err := thingTypeTable.Get(tx, name)
	if err != nil {
		return err
	}
	if !ok {
		return notFound("Thing type %s cannot be found.", name)
	}
	if t.Deprecated != 0 {
		return invalid("Thing type %s is deprecated.", name)
	}
	return nil
}

// putThing writes a thing (nil: it goes) with its index by type, tells of a
// changed type, and has its dynamic groups looked at.
func (s *Service) putThing(tx *store.Tx, name string, old, t *thing) error {
	before, after, id := "", "", ""
	if old != nil {
		before, id = old.Type, old.ID
	}
	if t != nil {
		after, id = t.Type, t.ID
	}
	associate := func(typeName, operation string) error {
		return s.event(tx, "THING_TYPE_ASSOCIATION", "thingTypeAssociation/thing/"+name+"/thingType/"+typeName+"/"+
			strings.ToLower(operation),
			"THING_TYPE_ASSOCIATION_EVENT", operation, map[string]any{"thingId": id, "thingName": name,
				"thingTypeName": typeName})
	}
	if before != after {
		if before != "" {
			if err := thingsOfType.Delete(tx, before, name); err != nil {
				return err
			}
			if err := associate(before, "REMOVED"); err != nil {
				return err
			}
		}
		if after != "" {
			if err := thingsOfType.Put(tx, mark{}, after, name); err != nil {
				return err
			}
			if err := associate(after, "ADDED"); err != nil {
				return err
			}
		}
	}
	if err := s.putTerms(tx, name, old, t); err != nil {
		return err
	}
	tx.OnCommit(s.changedOf(s.arn("thing/" + name)))
	if t == nil {
		return thingTable.Delete(tx, name)
	}
	if err := thingTable.Put(tx, *t, name); err != nil {
		return err
	}
	return s.markGroupsStale(tx, name)
}

func (s *Service) thingEvent(tx *store.Tx, name string, t *thing, operation string) error {
	var typeName any
	if t.Type != "" {
		typeName = t.Type
	}
	attributes := t.Attributes
	if attributes == nil {
		attributes = map[string]string{}
	}
	return s.event(tx, "THING", "thing/"+name+"/"+strings.ToLower(operation), "THING_EVENT", operation, map[string]any{
		"thingId": t.ID, "thingName": name, "versionNumber": t.Version, "thingTypeName": typeName,
		"attributes": attributes,
	})
}

type updateThingIn struct {
	ThingName        string            `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	ThingTypeName    string            `json:"thingTypeName,omitempty" api:"min=1,max=128,pattern=thing name"`
	AttributePayload *attributePayload `json:"attributePayload,omitempty"`
	ExpectedVersion  *int64            `json:"expectedVersion,omitempty"`
	RemoveThingType  bool              `json:"removeThingType,omitempty"`
}

func (s *Service) updateThing(_ context.Context, _ *awsapi.Call, in *updateThingIn) (*empty, error) {
	if in.RemoveThingType && in.ThingTypeName != "" {
		return nil, invalid("removeThingType and thingTypeName exclude each other.")
	}
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		old, err := s.getThing(tx, in.ThingName)
		if err != nil {
			return err
		}
		if in.ExpectedVersion != nil && *in.ExpectedVersion != old.Version {
			return versionConflict(*in.ExpectedVersion, old.Version)
		}
		t := old
		if t.Attributes, err = in.AttributePayload.applied(old.Attributes); err != nil {
			return err
		}
		if in.ThingTypeName != "" {
			t.Type = in.ThingTypeName
			if err := s.checkType(tx, t.Type); err != nil {
				return err
			}
		}
		if in.RemoveThingType {
			t.Type = ""
		}
		if err := t.check(); err != nil {
			return err
		}
		t.Version++
		if err := s.putThing(tx, in.ThingName, &old, &t); err != nil {
			return err
		}
		return s.thingEvent(tx, in.ThingName, &t, "UPDATED")
	})
}

type thingIn struct {
	ThingName       string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	ExpectedVersion *int64 `json:"expectedVersion,omitempty" query:"expectedVersion"`
}

func (s *Service) deleteThing(_ context.Context, _ *awsapi.Call, in *thingIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		t, ok, err := thingTable.Get(tx, in.ThingName)
		if err != nil || !ok {
			return err // deleting what is not there succeeds on AWS
		}
		if in.ExpectedVersion != nil && *in.ExpectedVersion != t.Version {
			return versionConflict(*in.ExpectedVersion, t.Version)
		}
		principals, err := all(tx, thingPrincipal, in.ThingName)
		if err != nil {
			return err
		}
		if len(principals) > 0 {
			return invalid("Cannot delete. Thing %s is still attached to one or more principals", in.ThingName)
		}
		groups, err := all(tx, memberOfTable, in.ThingName)
		if err != nil {
			return err
		}
		if err := s.jobs.ThingDeleted(tx, in.ThingName); err != nil {
			return err
		}
		for _, g := range groups {
			if err := s.leave(tx, g, in.ThingName, &t); err != nil {
				return err
			}
		}
		for _, err := range []error{
			connectivityTable.Delete(tx, in.ThingName), reindexTable.Delete(tx, in.ThingName),
			tagTable.Delete(tx, s.arn("thing/"+in.ThingName)),
			s.putThing(tx, in.ThingName, &t, nil),
		} {
			if err != nil {
				return err
			}
		}
		return s.thingEvent(tx, in.ThingName, &t, "DELETED")
	})
}

type describeThingOut struct {
	DefaultClientID string            `json:"defaultClientId"`
	ThingName       string            `json:"thingName"`
	ThingID         string            `json:"thingId"`
	ThingARN        string            `json:"thingArn"`
	ThingTypeName   string            `json:"thingTypeName,omitempty"`
	Attributes      map[string]string `json:"attributes"`
	Version         int64             `json:"version"`
}

func (s *Service) describeThing(_ context.Context, _ *awsapi.Call, in *thingIn) (*describeThingOut, error) {
	var t thing
	err := s.db.View(func(tx *store.Tx) (err error) {
		t, err = s.getThing(tx, in.ThingName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &describeThingOut{in.ThingName, in.ThingName, t.ID, s.arn("thing/" + in.ThingName), t.Type,
		notNil(t.Attributes), t.Version}, nil
}

func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

type listThingsIn struct {
	NextToken               string `json:"nextToken,omitempty" query:"nextToken"`
	MaxResults              *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	AttributeName           string `json:"attributeName,omitempty" query:"attributeName" api:"max=128,pattern=attribute name"`
	AttributeValue          string `json:"attributeValue,omitempty" query:"attributeValue" api:"max=800,pattern=attribute value"`
	ThingTypeName           string `json:"thingTypeName,omitempty" query:"thingTypeName" api:"min=1,max=128,pattern=thing name"`
	UsePrefixAttributeValue bool   `json:"usePrefixAttributeValue,omitempty" query:"usePrefixAttributeValue"`
}

type thingView struct {
	ThingName     string            `json:"thingName"`
	ThingTypeName string            `json:"thingTypeName,omitempty"`
	ThingARN      string            `json:"thingArn"`
	Attributes    map[string]string `json:"attributes"`
	Version       int64             `json:"version"`
}

type listThingsOut struct {
	Things    []thingView `json:"things"`
	NextToken string      `json:"nextToken,omitempty"`
}

func (s *Service) listThings(_ context.Context, _ *awsapi.Call, in *listThingsIn) (*listThingsOut, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	if in.AttributeName == "" && in.AttributeValue != "" {
		return nil, invalid("attributeValue needs attributeName.")
	}
	out := &listThingsOut{Things: []thingView{}}
	show := func(name string, t thing) {
		if in.AttributeName != "" {
			v, ok := t.Attributes[in.AttributeName]
			if !ok || in.UsePrefixAttributeValue && !strings.HasPrefix(v, in.AttributeValue) ||
				!in.UsePrefixAttributeValue && in.AttributeValue != "" && v != in.AttributeValue {
				return
			}
		}
		out.Things = append(out.Things, thingView{name, t.Type, s.arn("thing/" + name), notNil(t.Attributes),
			t.Version})
		p.add(name)
	}
	err = s.db.View(func(tx *store.Tx) error {
		if in.ThingTypeName == "" && in.AttributeValue != "" && !in.UsePrefixAttributeValue {
			return s.withTerm(tx, attributeField+in.AttributeName, in.AttributeValue, p.after,
				func(name string, t thing) (more bool, err error) {
					if p.full() {
						return false, nil
					}
					show(name, t)
					return true, nil
				})
		}
		if in.ThingTypeName == "" {
			for row, err := range thingTable.Scan(tx, store.Query{After: p.after}) {
				if err != nil || p.full() {
					return err
				}
				show(row.Key[0], row.Value)
			}
			return nil
		}
		for row, err := range thingsOfType.Scan(tx, store.Query{Prefix: []string{in.ThingTypeName}, After: p.after}) {
			if err != nil || p.full() {
				return err
			}
			t, ok, err := thingTable.Get(tx, row.Key[1])
			if err != nil {
				return err
			}
			if ok {
				show(row.Key[1], t)
			}
		}
		return nil
	})
	out.NextToken = p.token
	return out, err
}
