package iot

import (
	"maps"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/fleetindex"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// setQuery has a dynamic group ask this query from now on.
func (s *Service) setQuery(name string, q *fleetindex.Query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries[name] = q
}

// dynamicGroups are the queries of all dynamic groups, and their names in order.
func (s *Service) dynamicGroups() (map[string]*fleetindex.Query, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.queries), slices.Sorted(maps.Keys(s.queries))
}

// markGroupsStale has a thing's dynamic groups looked at once the transaction is durable.
func (s *Service) markGroupsStale(tx *store.Tx, name string) error {
	s.mu.Lock()
	n := len(s.queries)
	s.mu.Unlock()
	if n == 0 {
		return nil
	}
	tx.OnCommit(s.reindex)
	return reindexTable.Put(tx, mark{}, name)
}

// reindex starts the task that brings dynamic groups up to date.
func (s *Service) reindex() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reindexing {
		return
	}
	s.reindexing = true
	s.sched.Go("iot dynamic groups", s.reindexAll)
}
