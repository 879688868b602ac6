package iot

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// jobsView is the registry as jobs sees it.
type jobsView struct{ s *Service }

var _ jobs.Registry = jobsView{}

func (r jobsView) HasThing(tx *store.Tx, name string) (bool, error) {
	return thingTable.Has(tx, name)
}

func (r jobsView) HasGroup(tx *store.Tx, name string) (bool, error) {
	return groupTable.Has(tx, name)
}

func (r jobsView) Members(tx *store.Tx, group, after string, limit int) ([]string, error) {
	q := store.Query{Prefix: []string{group}}
	if after != "" {
		q.After = []string{after}
	}
	var list []string
	for row, err := range memberTable.Scan(tx, q) {
		if err != nil {
			return nil, err
		}
		if list = append(list, row.Key[1]); len(list) == limit {
			break
		}
	}
	return list, nil
}

func (r jobsView) Children(tx *store.Tx, group string) ([]string, error) {
	return all(tx, childTable, group)
}

func (r jobsView) GroupsOf(tx *store.Tx, thing string) ([]string, error) { return groupsOf(tx, thing) }

func (r jobsView) EventsEnabled(_ *store.Tx, eventType string) (bool, error) {
	return r.s.enabled(eventType), nil
}

func (r jobsView) Tag(tx *store.Tx, arn string, tags map[string]string) error {
	return addTags(tx, arn, tags)
}

func (r jobsView) Untag(tx *store.Tx, arn string) error { return tagTable.Delete(tx, arn) }
