package iot

import (
	"context"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// join makes a thing a member of a group, and leave ends it; jobs hear of it.
func (s *Service) join(tx *store.Tx, groupName, name string, t *thing) error {
	if _, is, err := memberTable.Get(tx, groupName, name); err != nil || is {
		return err
	}
	before, err := groupsOf(tx, name)
	if err != nil {
		return err
	}
	if err := memberTable.Put(tx, mark{}, groupName, name); err != nil {
		return err
	}
	if err := memberOfTable.Put(tx, mark{}, name, groupName); err != nil {
		return err
	}
	return s.moved(tx, groupName, name, t, before, "ADDED")
}

func (s *Service) leave(tx *store.Tx, groupName, name string, t *thing) error {
	if _, is, err := memberTable.Get(tx, groupName, name); err != nil || !is {
		return err
	}
	before, err := groupsOf(tx, name)
	if err != nil {
		return err
	}
	if err := memberTable.Delete(tx, groupName, name); err != nil {
		return err
	}
	if err := memberOfTable.Delete(tx, name, groupName); err != nil {
		return err
	}
	return s.moved(tx, groupName, name, t, before, "REMOVED")
}

func (s *Service) moved(tx *store.Tx, groupName, name string, t *thing, before []string, operation string) error {
	now, err := groupsOf(tx, name)
	if err != nil {
		return err
	}
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(g string) bool { return slices.Contains(other, g) })
	}
	if err := s.jobs.Moved(tx, name, without(now, before), without(before, now)); err != nil {
		return err
	}
	tx.OnCommit(s.changedOf(s.arn("thing/" + name)))
	g, _, err := groupTable.Get(tx, groupName)
	if err != nil {
		return err
	}
	if !g.dynamic() {
		if err := s.markGroupsStale(tx, name); err != nil {
			return err
		}
	}
	return s.event(tx, "THING_GROUP_MEMBERSHIP", "thingGroupMembership/thingGroup/"+groupName+"/thing/"+name+"/"+
		strings.ToLower(operation),
		"THING_GROUP_MEMBERSHIP_EVENT", operation, map[string]any{
			"groupArn": s.arn("thinggroup/" + groupName), "groupId": g.ID, "thingArn": s.arn("thing/" + name),
			"thingId":      t.ID,
			"membershipId": g.ID + t.ID,
		})
}

type membershipIn struct {
	ThingGroupName        string `json:"thingGroupName,omitempty" api:"min=1,max=128,pattern=thing name"`
	ThingGroupARN         string `json:"thingGroupArn,omitempty"`
	ThingName             string `json:"thingName,omitempty" api:"min=1,max=128,pattern=thing name"`
	ThingARN              string `json:"thingArn,omitempty"`
	OverrideDynamicGroups bool   `json:"overrideDynamicGroups,omitempty"`
}

// named fills in names that were given as ARNs.
func (s *Service) named(in *membershipIn) error {
	if in.ThingGroupName == "" {
		in.ThingGroupName = s.nameIn("thinggroup", in.ThingGroupARN)
	}
	if in.ThingName == "" {
		in.ThingName = s.nameIn("thing", in.ThingARN)
	}
	if in.ThingGroupName == "" || in.ThingName == "" {
		return invalid("A thing group and a thing are required, by name or by ARN.")
	}
	return nil
}

func (s *Service) addToGroup(_ context.Context, _ *awsapi.Call, in *membershipIn) (*empty, error) {
	if err := s.named(in); err != nil {
		return nil, err
	}
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		return s.addMember(tx, in.ThingGroupName, in.ThingName, in.OverrideDynamicGroups)
	})
}

func (s *Service) addMember(tx *store.Tx, groupName, name string, override bool) error {
	g, err := s.getGroup(tx, groupName)
	if err != nil {
		return err
	}
	if g.dynamic() {
		return invalid("Things cannot be added to the dynamic thing group %s.", groupName)
	}
	t, err := s.getThing(tx, name)
	if err != nil {
		return err
	}
	groups, err := all(tx, memberOfTable, name)
	if err != nil || slices.Contains(groups, groupName) {
		return err
	}
	root, err := rootOf(tx, groupName)
	if err != nil {
		return err
	}
	var evict string
	for _, other := range groups {
		o, _, err := groupTable.Get(tx, other)
		if err != nil {
			return err
		}
		if o.dynamic() {
			evict = other
			continue
		}
		if r, err := rootOf(tx, other); err != nil {
			return err
		} else if r == root {
			return invalid("Thing %s is already in group %s of the same hierarchy.", name, other)
		}
	}
	if len(groups) >= groupsOfThing {
		if evict == "" || !override {
			return invalid("Thing %s is in %d groups; at most %d are allowed.", name, len(groups), groupsOfThing)
		}
		if err := s.leave(tx, evict, name, &t); err != nil {
			return err
		}
	}
	return s.join(tx, groupName, name, &t)
}

func rootOf(tx *store.Tx, name string) (string, error) {
	above, err := ancestors(tx, name)
	if len(above) > 0 {
		name = above[len(above)-1]
	}
	return name, err
}

func (s *Service) removeMember(tx *store.Tx, groupName, name string) error {
	g, err := s.getGroup(tx, groupName)
	if err != nil {
		return err
	}
	if g.dynamic() {
		return invalid("Things cannot be removed from the dynamic thing group %s.", groupName)
	}
	t, err := s.getThing(tx, name)
	if err != nil {
		return err
	}
	return s.leave(tx, groupName, name, &t)
}

func (s *Service) removeFromGroup(_ context.Context, _ *awsapi.Call, in *membershipIn) (*empty, error) {
	if err := s.named(in); err != nil {
		return nil, err
	}
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		return s.removeMember(tx, in.ThingGroupName, in.ThingName)
	})
}

type updateGroupsIn struct {
	ThingName             string   `json:"thingName" api:"min=1,max=128,pattern=thing name"`
	ThingGroupsToAdd      []string `json:"thingGroupsToAdd,omitempty" api:"each.min=1,each.max=128,each.pattern=thing name"`
	ThingGroupsToRemove   []string `json:"thingGroupsToRemove,omitempty" api:"each.min=1,each.max=128,each.pattern=thing name"`
	OverrideDynamicGroups bool     `json:"overrideDynamicGroups,omitempty"`
}

func (s *Service) updateGroupsForThing(_ context.Context, _ *awsapi.Call, in *updateGroupsIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		for _, g := range in.ThingGroupsToRemove {
			if err := s.removeMember(tx, g, in.ThingName); err != nil {
				return err
			}
		}
		for _, g := range in.ThingGroupsToAdd {
			if err := s.addMember(tx, g, in.ThingName, in.OverrideDynamicGroups); err != nil {
				return err
			}
		}
		return nil
	})
}

type listMembersIn struct {
	ThingGroupName string `json:"thingGroupName" uri:"thingGroupName" api:"min=1,max=128,pattern=thing name"`
	Recursive      bool   `json:"recursive,omitempty" query:"recursive"`
	NextToken      string `json:"nextToken,omitempty" query:"nextToken"`
	MaxResults     *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
}

type listMembersOut struct {
	Things    []string `json:"things"`
	NextToken string   `json:"nextToken,omitempty"`
}

func (s *Service) listMembers(_ context.Context, _ *awsapi.Call, in *listMembersIn) (*listMembersOut, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listMembersOut{Things: []string{}}
	err = s.db.View(func(tx *store.Tx) error {
		if _, err := s.getGroup(tx, in.ThingGroupName); err != nil {
			return err
		}
		if !in.Recursive {
			var err error
			out.Things, err = names(tx, memberTable, p, in.ThingGroupName)
			return err
		}
		// A token is "group/thing": the groups of the hierarchy follow one
		// another in the order of descent, and a thing is in one of them only.
		groups := []string{in.ThingGroupName}
		for i := 0; i < len(groups); i++ {
			children, err := all(tx, childTable, groups[i])
			if err != nil {
				return err
			}
			groups = append(groups, children...)
		}
		startGroup, startThing := "", ""
		if len(p.after) == 1 {
			startGroup, startThing, _ = strings.Cut(p.after[0], "/")
		}
		for _, g := range groups {
			q := store.Query{Prefix: []string{g}}
			if startGroup != "" {
				if g != startGroup {
					continue
				}
				q.After, startGroup = []string{startThing}, ""
			}
			for row, err := range memberTable.Scan(tx, q) {
				if err != nil || p.full() {
					return err
				}
				out.Things = append(out.Things, row.Key[1])
				p.add(g + "/" + row.Key[1])
			}
		}
		return nil
	})
	out.NextToken = p.token
	return out, err
}

const groupsOfThing = 10 // static and dynamic together
