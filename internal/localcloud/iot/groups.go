package iot

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/fleetindex"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/registry"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	groupDepth        = 7
	dynamicGroupLimit = 100
)

// Statuses of a dynamic group.
const (
	groupBuilding   = "BUILDING"
	groupActive     = "ACTIVE"
	groupRebuilding = "REBUILDING"
)

type groupProperties struct {
	ThingGroupDescription string            `json:"thingGroupDescription,omitempty" api:"max=2028,pattern=iot description"`
	AttributePayload      *attributePayload `json:"attributePayload,omitempty"`
}

type createGroupIn struct {
	ThingGroupName       string          `json:"thingGroupName" uri:"thingGroupName" api:"min=1,max=128,pattern=thing name"`
	ParentGroupName      string          `json:"parentGroupName,omitempty" api:"min=1,max=128,pattern=thing name"`
	ThingGroupProperties groupProperties `json:"thingGroupProperties,omitempty"`
	Tags                 []tag           `json:"tags,omitempty"`
}

type createGroupOut struct {
	ThingGroupName string `json:"thingGroupName"`
	ThingGroupARN  string `json:"thingGroupArn"`
	ThingGroupID   string `json:"thingGroupId"`
}

// check checks a group's description and attributes.
func (g *group) check() error {
	return refused(errors.Join(registry.CheckDescription("thingGroupDescription", g.Description),
		registry.CheckGroup(g.Attributes)))
}

// addGroup writes a new group.
func (s *Service) addGroup(tx *store.Tx, name string, g *group, tags []tag) error {
	if err := g.check(); err != nil {
		return err
	}
	arn := s.arn("thinggroup/" + name)
	old, taken, err := groupTable.Get(tx, name)
	if err != nil {
		return err
	}
	if taken {
		if !g.dynamic() && !old.dynamic() && old.Parent == g.Parent && old.Description == g.Description &&
			len(old.Attributes) == len(g.Attributes) {
			g.ID = old.ID // the same group again: no error, as on AWS
			return nil
		}
		return exists(old.ID, arn, "Thing Group %s already exists in current account with different properties", name)
	}
	if g.Parent != "" {
		parent, err := s.getGroup(tx, g.Parent)
		if err != nil {
			return err
		}
		if parent.dynamic() {
			return invalid("The dynamic thing group %s cannot be a parent.", g.Parent)
		}
		above, err := ancestors(tx, g.Parent)
		if err != nil {
			return err
		}
		if len(above)+2 > groupDepth {
			return invalid("The hierarchy of thing groups would be %d deep; at most %d are allowed.", len(above)+2,
				groupDepth)
		}
		if err := childTable.Put(tx, mark{}, g.Parent, name); err != nil {
			return err
		}
		if err := s.event(tx, "THING_GROUP_HIERARCHY", "thingGroupHierarchy/thingGroup/"+g.Parent+"/childThingGroup/"+
			name+"/added",
			"THING_GROUP_HIERARCHY_EVENT", "ADDED", map[string]any{
				"thingGroupId": parent.ID, "thingGroupName": g.Parent, "childGroupId": g.ID, "childGroupName": name,
			}); err != nil {
			return err
		}
	}
	if err := addTags(tx, arn, tagMap(tags)); err != nil {
		return err
	}
	if err := groupTable.Put(tx, *g, name); err != nil {
		return err
	}
	return s.groupEvent(tx, name, g, "CREATED")
}

func (s *Service) groupEvent(tx *store.Tx, name string, g *group, operation string) error {
	if !s.enabled("THING_GROUP") {
		return nil
	}
	above, err := s.rootToParent(tx, name)
	if err != nil {
		return err
	}
	members := map[string]any{
		"thingGroupId": g.ID, "thingGroupName": name, "versionNumber": g.Version, "parentGroupName": nil,
		"parentGroupId": nil,
		"description":   g.Description, "rootToParentThingGroups": above, "attributes": notNil(g.Attributes),
		"dynamicGroupMappingId": nil,
	}
	if g.Parent != "" {
		parent, _, err := groupTable.Get(tx, g.Parent)
		if err != nil {
			return err
		}
		members["parentGroupName"], members["parentGroupId"] = g.Parent, parent.ID
	}
	return s.event(tx, "THING_GROUP", "thingGroup/"+name+"/"+strings.ToLower(operation), "THING_GROUP_EVENT",
		operation, members)
}

func (s *Service) createGroup(_ context.Context, _ *awsapi.Call, in *createGroupIn) (*createGroupOut, error) {
	if err := checkName("thingGroupName", in.ThingGroupName); err != nil {
		return nil, err
	}
	attributes, err := in.ThingGroupProperties.AttributePayload.applied(nil)
	if err != nil {
		return nil, err
	}
	g := group{
		ID: s.sched.UUID(), Parent: in.ParentGroupName, Description: in.ThingGroupProperties.ThingGroupDescription,
		Attributes: attributes, Version: 1, Created: s.now(),
	}
	if err := s.db.Update(func(tx *store.Tx) error {
		return s.addGroup(tx, in.ThingGroupName, &g, in.Tags)
	}); err != nil {
		return nil, err
	}
	return &createGroupOut{in.ThingGroupName, s.arn("thinggroup/" + in.ThingGroupName), g.ID}, nil
}

type groupIn struct {
	ThingGroupName  string `json:"thingGroupName" uri:"thingGroupName" api:"min=1,max=128,pattern=thing name"`
	ExpectedVersion *int64 `json:"expectedVersion,omitempty" query:"expectedVersion"`
}

type groupRef struct {
	GroupName string `json:"groupName"`
	GroupARN  string `json:"groupArn"`
}

type groupMetadata struct {
	ParentGroupName         string       `json:"parentGroupName,omitempty"`
	RootToParentThingGroups []groupRef   `json:"rootToParentThingGroups,omitempty"`
	CreationDate            *awsapi.Time `json:"creationDate,omitempty"`
}

type groupView struct {
	ThingGroupName       string          `json:"thingGroupName"`
	ThingGroupID         string          `json:"thingGroupId"`
	ThingGroupARN        string          `json:"thingGroupArn"`
	Version              int64           `json:"version"`
	ThingGroupProperties groupProperties `json:"thingGroupProperties"`
	ThingGroupMetadata   groupMetadata   `json:"thingGroupMetadata"`
	IndexName            string          `json:"indexName,omitempty"`
	QueryString          string          `json:"queryString,omitempty"`
	QueryVersion         string          `json:"queryVersion,omitempty"`
	Status               string          `json:"status,omitempty"`
}

func (s *Service) rootToParent(tx *store.Tx, name string) ([]groupRef, error) {
	above, err := ancestors(tx, name)
	refs := []groupRef{}
	for _, g := range slices.Backward(above) {
		refs = append(refs, s.groupRef(g))
	}
	return refs, err
}

func (s *Service) groupRef(name string) groupRef { return groupRef{name, s.arn("thinggroup/" + name)} }

func (s *Service) describeGroup(_ context.Context, _ *awsapi.Call, in *groupIn) (*groupView, error) {
	var v *groupView
	err := s.db.View(func(tx *store.Tx) error {
		g, err := s.getGroup(tx, in.ThingGroupName)
		if err != nil {
			return err
		}
		above, err := s.rootToParent(tx, in.ThingGroupName)
		if err != nil {
			return err
		}
		v = &groupView{
			ThingGroupName: in.ThingGroupName, ThingGroupID: g.ID, ThingGroupARN: s.arn("thinggroup/" +
				in.ThingGroupName), Version: g.Version,
			ThingGroupProperties: groupProperties{ThingGroupDescription: g.Description},
			ThingGroupMetadata:   groupMetadata{g.Parent, above, awsapi.TimeOf(moment(g.Created))},
		}
		if len(g.Attributes) > 0 {
			v.ThingGroupProperties.AttributePayload = &attributePayload{Attributes: g.Attributes}
		}
		if g.dynamic() {
			v.IndexName, v.QueryString, v.QueryVersion, v.Status = thingsIndex, g.Query, queryVersion, g.Status
		}
		return nil
	})
	return v, err
}

type listGroupsIn struct {
	NextToken        string `json:"nextToken,omitempty" query:"nextToken"`
	MaxResults       *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	ParentGroup      string `json:"parentGroup,omitempty" query:"parentGroup" api:"min=1,max=128,pattern=thing name"`
	NamePrefixFilter string `json:"namePrefixFilter,omitempty" query:"namePrefixFilter" api:"min=1,max=128,pattern=thing name"`
	Recursive        *bool  `json:"recursive,omitempty" query:"recursive"`
}

type listGroupsOut struct {
	ThingGroups []groupRef `json:"thingGroups"`
	NextToken   string     `json:"nextToken,omitempty"`
}

func (s *Service) listGroups(_ context.Context, _ *awsapi.Call, in *listGroupsIn) (*listGroupsOut, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	recursive := in.Recursive == nil || *in.Recursive
	out := &listGroupsOut{ThingGroups: []groupRef{}}
	err = s.db.View(func(tx *store.Tx) error {
		if in.ParentGroup != "" {
			if _, err := s.getGroup(tx, in.ParentGroup); err != nil {
				return err
			}
		}
		for row, err := range groupTable.Scan(tx, store.Query{Begins: in.NamePrefixFilter, After: p.after}) {
			if err != nil {
				return err
			}
			name := row.Key[0]
			if !strings.HasPrefix(name, in.NamePrefixFilter) {
				if name > in.NamePrefixFilter { // After replaces the bound below, not the one above
					return nil
				}
				continue
			}
			switch {
			case in.ParentGroup == "" && !recursive && row.Value.Parent != "":
				continue
			case in.ParentGroup != "" && !recursive && row.Value.Parent != in.ParentGroup:
				continue
			case in.ParentGroup != "" && recursive:
				above, err := ancestors(tx, name)
				if err != nil {
					return err
				}
				if !slices.Contains(above, in.ParentGroup) {
					continue
				}
			}
			if p.full() {
				return nil
			}
			out.ThingGroups = append(out.ThingGroups, s.groupRef(name))
			p.add(name)
		}
		return nil
	})
	out.NextToken = p.token
	return out, err
}

func (s *Service) deleteGroupOf(in *groupIn, dynamic bool) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		g, ok, err := groupTable.Get(tx, in.ThingGroupName)
		if err != nil || !ok {
			return err // deleting what is not there succeeds on AWS
		}
		if g.dynamic() != dynamic {
			return invalid("Thing group %s is not of the kind that this operation deletes.", in.ThingGroupName)
		}
		if in.ExpectedVersion != nil && *in.ExpectedVersion != g.Version {
			return versionConflict(*in.ExpectedVersion, g.Version)
		}
		if children, err := all(tx, childTable, in.ThingGroupName); err != nil {
			return err
		} else if len(children) > 0 {
			return invalid("If you attempt to delete a thing group, all child groups must be deleted first.")
		}
		members, err := all(tx, memberTable, in.ThingGroupName)
		if err != nil {
			return err
		}
		for _, name := range members {
			t, ok, err := thingTable.Get(tx, name)
			if err != nil {
				return err
			}
			if ok {
				if err := s.leave(tx, in.ThingGroupName, name, &t); err != nil {
					return err
				}
			}
		}
		if g.Parent != "" {
			if err := childTable.Delete(tx, g.Parent, in.ThingGroupName); err != nil {
				return err
			}
		}
		arn := s.arn("thinggroup/" + in.ThingGroupName)
		if err := s.detachAll(tx, arn); err != nil {
			return err
		}
		if err := tagTable.Delete(tx, arn); err != nil {
			return err
		}
		if err := s.groupEvent(tx, in.ThingGroupName, &g, "DELETED"); err != nil {
			return err
		}
		tx.OnCommit(func() {
			s.mu.Lock()
			delete(s.queries, in.ThingGroupName)
			s.mu.Unlock()
		})
		return groupTable.Delete(tx, in.ThingGroupName)
	})
}

func (s *Service) deleteGroup(_ context.Context, _ *awsapi.Call, in *groupIn) (*empty, error) {
	return s.deleteGroupOf(in, false)
}

func (s *Service) deleteDynamicGroup(_ context.Context, _ *awsapi.Call, in *groupIn) (*empty, error) {
	return s.deleteGroupOf(in, true)
}

type updateGroupIn struct {
	ThingGroupName       string          `json:"thingGroupName" uri:"thingGroupName" api:"min=1,max=128,pattern=thing name"`
	ThingGroupProperties groupProperties `json:"thingGroupProperties"`
	ExpectedVersion      *int64          `json:"expectedVersion,omitempty"`
	IndexName            string          `json:"indexName,omitempty" api:"min=1,max=128,pattern=thing name"`
	QueryString          string          `json:"queryString,omitempty" api:"min=1"`
	QueryVersion         string          `json:"queryVersion,omitempty"`
}

type updateGroupOut struct {
	Version int64 `json:"version"`
}

func (s *Service) updateGroup(_ context.Context, _ *awsapi.Call, in *updateGroupIn) (*updateGroupOut, error) {
	return s.editGroup(in, false, nil)
}

func (s *Service) editGroup(in *updateGroupIn, dynamic bool, query *fleetindex.Query) (*updateGroupOut, error) {
	out := &updateGroupOut{}
	err := s.db.Update(func(tx *store.Tx) error {
		g, err := s.getGroup(tx, in.ThingGroupName)
		if err != nil {
			return err
		}
		if g.dynamic() != dynamic {
			return invalid("Thing group %s is not of the kind that this operation updates.", in.ThingGroupName)
		}
		if in.ExpectedVersion != nil && *in.ExpectedVersion != g.Version {
			return versionConflict(*in.ExpectedVersion, g.Version)
		}
		if g.Attributes, err = in.ThingGroupProperties.AttributePayload.applied(g.Attributes); err != nil {
			return err
		}
		g.Description = in.ThingGroupProperties.ThingGroupDescription
		if err := g.check(); err != nil {
			return err
		}
		g.Version++
		out.Version = g.Version
		if query != nil && in.QueryString != g.Query {
			g.Query, g.Status, g.BuiltAfter = in.QueryString, groupRebuilding, ""
			tx.OnCommit(func() { s.setQuery(in.ThingGroupName, query); s.reindex() })
		}
		if err := groupTable.Put(tx, g, in.ThingGroupName); err != nil {
			return err
		}
		return s.groupEvent(tx, in.ThingGroupName, &g, "UPDATED")
	})
	return out, err
}

type groupsForThingIn struct {
	ThingName  string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	NextToken  string `json:"nextToken,omitempty" query:"nextToken"`
	MaxResults *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
}

func (s *Service) listGroupsForThing(_ context.Context, _ *awsapi.Call, in *groupsForThingIn) (*listGroupsOut, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listGroupsOut{ThingGroups: []groupRef{}}
	err = s.db.View(func(tx *store.Tx) error {
		if _, err := s.getThing(tx, in.ThingName); err != nil {
			return err
		}
		groups, err := names(tx, memberOfTable, p, in.ThingName)
		for _, g := range groups {
			out.ThingGroups = append(out.ThingGroups, s.groupRef(g))
		}
		return err
	})
	out.NextToken = p.token
	return out, err
}
