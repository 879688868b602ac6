package iot

import (
	"context"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/fleetindex"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type createDynamicGroupIn struct {
	ThingGroupName       string          `json:"thingGroupName" uri:"thingGroupName" api:"min=1,max=128,pattern=thing name"`
	ThingGroupProperties groupProperties `json:"thingGroupProperties,omitempty"`
	IndexName            string          `json:"indexName,omitempty" api:"min=1,max=128,pattern=thing name"`
	QueryString          string          `json:"queryString" api:"min=1"`
	QueryVersion         string          `json:"queryVersion,omitempty"`
	Tags                 []tag           `json:"tags,omitempty"`
}

type createDynamicGroupOut struct {
	createGroupOut
	IndexName    string `json:"indexName"`
	QueryString  string `json:"queryString"`
	QueryVersion string `json:"queryVersion"`
}

func (s *Service) parseGroupQuery(index, version, text string) (*fleetindex.Query, error) {
	q, err := s.parseQuery(index, version, text)
	if awsapi.Code(err) == "IndexNotReadyException" {
		return nil, invalid("Fleet indexing must be enabled to make a dynamic thing group.")
	}
	if err == nil && q.Terms() > dynamicQueryTerms {
		return nil, awsapi.Errorf("InvalidQueryException",
			"The query has %d terms; at most %d are allowed for a dynamic thing group.", q.Terms(), dynamicQueryTerms)
	}
	return q, err
}

func (s *Service) createDynamicGroup(_ context.Context, _ *awsapi.Call, in *createDynamicGroupIn) (
	*createDynamicGroupOut, error) {
	if err := checkName("thingGroupName", in.ThingGroupName); err != nil {
		return nil, err
	}
	q, err := s.parseGroupQuery(in.IndexName, in.QueryVersion, in.QueryString)
	if err != nil {
		return nil, err
	}
	attributes, err := in.ThingGroupProperties.AttributePayload.applied(nil)
	if err != nil {
		return nil, err
	}
	g := group{
		ID: s.sched.UUID(), Description: in.ThingGroupProperties.ThingGroupDescription, Attributes: attributes,
		Version: 1, Created: s.now(), Query: in.QueryString, Status: groupBuilding,
	}
	err = s.db.Update(func(tx *store.Tx) error {
		s.mu.Lock()
		n := len(s.queries)
		s.mu.Unlock()
		if n >= dynamicGroupLimit {
			return limitExceeded("The account has %d dynamic thing groups; at most %d are allowed.", n,
				dynamicGroupLimit)
		}
		tx.OnCommit(func() { s.setQuery(in.ThingGroupName, q); s.reindex() })
		return s.addGroup(tx, in.ThingGroupName, &g, in.Tags)
	})
	if err != nil {
		return nil, err
	}
	return &createDynamicGroupOut{
		createGroupOut: createGroupOut{in.ThingGroupName, s.arn("thinggroup/" + in.ThingGroupName), g.ID},
		IndexName:      thingsIndex, QueryString: in.QueryString, QueryVersion: queryVersion,
	}, nil
}

func (s *Service) updateDynamicGroup(_ context.Context, _ *awsapi.Call, in *updateGroupIn) (*updateGroupOut, error) {
	var q *fleetindex.Query
	if in.QueryString != "" {
		var err error
		if q, err = s.parseGroupQuery(in.IndexName, in.QueryVersion, in.QueryString); err != nil {
			return nil, err
		}
	}
	return s.editGroup(in, true, q)
}

func (s *Service) reindexAll() {
	for {
		more := false
		err := s.db.Update(func(tx *store.Tx) (err error) {
			if more, err = s.reindexThings(tx); err != nil || more {
				return err
			}
			if more, err = s.buildGroups(tx); err == nil && !more {
				// Under the store's write lock: a later change starts anew.
				s.mu.Lock()
				s.reindexing = false
				s.mu.Unlock()
			}
			return err
		})
		if err != nil {
			s.mu.Lock()
			s.reindexing = false
			s.mu.Unlock()
			return
		}
		if !more {
			return
		}
	}
}

// reindexThings looks at things that have changed.
func (s *Service) reindexThings(tx *store.Tx) (more bool, err error) {
	var changed []string
	for row, err := range reindexTable.Scan(tx, store.Query{}) {
		if err != nil {
			return false, err
		}
		if changed = append(changed, row.Key[0]); len(changed) == reindexBatch {
			break
		}
	}
	queries, groups := s.dynamicGroups()
	for _, name := range changed {
		if err := reindexTable.Delete(tx, name); err != nil {
			return false, err
		}
		t, ok, err := thingTable.Get(tx, name)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		for _, g := range groups {
			if err := s.place(tx, g, queries[g], name, t); err != nil {
				return false, err
			}
		}
	}
	return len(changed) > 0, nil
}

// place makes a thing a member of a dynamic group or not, as its query says.
func (s *Service) place(tx *store.Tx, groupName string, q *fleetindex.Query, name string, t thing) error {
	if _, ok, err := groupTable.Get(tx, groupName); err != nil || !ok {
		return err
	}
	x, err := s.indexed(tx, name, t)
	if err != nil {
		return err
	}
	if !q.Match(x.document(name)) {
		return s.leave(tx, groupName, name, &t)
	}
	if !slices.Contains(x.groups, groupName) && len(x.groups) >= groupsOfThing {
		return nil // the older groups win, as on AWS
	}
	return s.join(tx, groupName, name, &t)
}

// buildGroups asks the queries of new groups of the next things.
func (s *Service) buildGroups(tx *store.Tx) (more bool, err error) {
	queries, groups := s.dynamicGroups()
	for _, name := range groups {
		g, ok, err := groupTable.Get(tx, name)
		if err != nil {
			return false, err
		}
		if !ok || g.Status == groupActive {
			continue
		}
		q := store.Query{}
		if g.BuiltAfter != "" {
			q.After = []string{g.BuiltAfter}
		}
		var things []store.Row[thing]
		for row, err := range thingTable.Scan(tx, q) {
			if err != nil {
				return false, err
			}
			if things = append(things, row); len(things) == reindexBatch {
				break
			}
		}
		for _, row := range things {
			if err := s.place(tx, name, queries[name], row.Key[0], row.Value); err != nil {
				return false, err
			}
			g.BuiltAfter = row.Key[0]
		}
		if len(things) < reindexBatch {
			g.Status, g.BuiltAfter = groupActive, ""
		}
		return true, groupTable.Put(tx, g, name)
	}
	return false, nil
}
