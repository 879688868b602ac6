package sfn

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// newest returns a state machine as it is now, nil if there is none.
func (s *Service) newest(name string) (*current, error) {
	s.mu.Lock()
	c, changes := s.current[name], s.changes
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	err := s.db.View(func(tx *store.Tx) error {
		m, ok, err := machines.Get(tx, name)
		if err != nil || !ok {
			return err
		}
		rev, _, err := revisions.Get(tx, name, m.Revision)
		c = &current{m, &rev}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if c != nil && s.changes == changes {
		s.current[name] = c
	}
	s.mu.Unlock()
	return c, nil
}

// putMachine stores a state machine.
func (s *Service) putMachine(tx *store.Tx, m machineRecord) error {
	s.changed(tx, m.Name)
	return machines.Put(tx, m, m.Name)
}

// changed forgets what memory holds of a state machine.
func (s *Service) changed(tx *store.Tx, name string) {
	tx.OnCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changes++
		delete(s.current, name)
	})
}

// maxVersions is how many versions a state machine may have.
const maxVersions = 1000

// publish makes a version of the newest revision, if it has none yet, and
// stores the machine.
func (s *Service) publish(tx *store.Tx, m *machineRecord, description string) (versionRecord, error) {
	for row, err := range versions.Scan(tx, store.Query{Prefix: []string{m.Name}, Reverse: true}) {
		if err != nil {
			return versionRecord{}, err
		}
		if row.Value.Revision == m.Revision {
			return row.Value, nil
		}
		break
	}
	n := 0
	for _, err := range versions.Scan(tx, store.Query{Prefix: []string{m.Name}}) {
		if n++; err != nil {
			return versionRecord{}, err
		}
	}
	if n >= maxVersions {
		return versionRecord{}, awsapi.Errorf("ServiceQuotaExceededException",
			"Failed to publish the State Machine version: there are %d versions already.", maxVersions).WithStatus(402)
	}
	m.Versions++
	v := versionRecord{Number: m.Versions, Revision: m.Revision, Description: description, Created: s.sched.Now()}
	if err := versions.Put(tx, v, m.Name, store.Number(uint64(v.Number))); err != nil {
		return v, err
	}
	return v, s.putMachine(tx, *m)
}

// selected resolves a state machine's ARN, qualified or not, to a revision.
func (s *Service) selected(tx *store.Tx, arn string) (m machineRecord, rev revisionRecord, v *versionRecord,
	alias string, err error) {
	name, qualifier, err := machineName(arn)
	if err != nil {
		return m, rev, nil, "", err
	}
	m, ok, err := machines.Get(tx, name)
	if err != nil {
		return m, rev, nil, "", err
	}
	if !ok {
		return m, rev, nil, "", noMachine(arn)
	}
	id := m.Revision
	if qualifier != "" {
		n, numberErr := strconv.Atoi(qualifier)
		if numberErr != nil {
			a, ok, err := aliases.Get(tx, name, qualifier)
			if err != nil {
				return m, rev, nil, "", err
			}
			if !ok {
				return m, rev, nil, "", noMachine(arn)
			}
			alias = arn
			n = s.pick(a.Routing)
		}
		found, ok, err := versions.Get(tx, name, store.Number(uint64(n)))
		if err != nil {
			return m, rev, nil, "", err
		}
		if !ok {
			return m, rev, nil, "", noMachine(arn)
		}
		v, id = &found, found.Revision
	}
	rev, _, err = revisions.Get(tx, name, id)
	return m, rev, v, alias, err
}

// pick chooses a version by the weights of an alias.
func (s *Service) pick(routing []RoutingConfigurationListItem) int {
	n := s.sched.Rand().IntN(100)
	for _, r := range routing {
		if n -= r.Weight; n < 0 {
			return r.version()
		}
	}
	return 0
}

// purge removes all of a state machine.
func (s *Service) purge(tx *store.Tx, name string) error {
	s.changed(tx, name)
	if err := machines.Delete(tx, name); err != nil {
		return err
	}
	for row, err := range mapRuns.Scan(tx, store.Query{Prefix: []string{name}}) {
		if err != nil {
			return err
		}
		for _, remove := range []func(*store.Tx, ...string) error{mapRunKeys.DeleteAll, byStart.DeleteAll,
			byStatus.DeleteAll} {
			if err := remove(tx, row.Value.ARN); err != nil {
				return err
			}
		}
	}
	for _, remove := range []func(*store.Tx, ...string) error{revisions.DeleteAll, versions.DeleteAll,
		aliases.DeleteAll, executions.DeleteAll,
		open.DeleteAll, histories.DeleteAll, byStart.DeleteAll, byStatus.DeleteAll, waiters.DeleteAll,
		redrivable.DeleteAll, mapRuns.DeleteAll} {
		if err := remove(tx, name); err != nil {
			return err
		}
	}
	tx.OnCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for id := range s.plans {
			if strings.HasPrefix(id, name+"/") {
				delete(s.plans, id)
			}
		}
	})
	return nil
}

// drain removes a state machine that is being deleted once its executions have ended, which they do at their next
// transition.
func (s *Service) drain(name string) {
	s.sched.Go("sfn.delete "+name, func() {
		if err := s.doom(name); err != nil {
			s.sched.Failed("sfn: deletion of state machine "+name, err)
			return
		}
		for {
			k := key{Machine: name}
			err := s.db.Update(func(tx *store.Tx) error {
				m, ok, err := machines.Get(tx, name)
				if err != nil || !ok || !m.Deleting {
					return err
				}
				for row, err := range open.Scan(tx, store.Query{Prefix: []string{name}}) {
					if err != nil {
						return err
					}
					k.Name = row.Key[1]
					return nil
				}
				return s.purge(tx, name)
			})
			if err != nil || k.Name == "" {
				s.sched.Failed("sfn: deletion of state machine "+name, err)
				return
			}
			e := s.addEndWaiter(k)
			if _, o, _, err := s.load(k); err != nil {
				s.sched.Failed("sfn: deletion of state machine "+name, err)
				s.removeEndWaiter(k, e)
				return
			} else if o == nil {
				s.removeEndWaiter(k, e)
				continue
			}
			if e.gate.Wait(context.Background()) != nil {
				return
			}
		}
	})
}

// doom lets the executions of a state machine end at their next transition.
func (s *Service) doom(name string) error {
	var keys []key
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range open.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			keys = append(keys, key{name, row.Key[1]})
		}
		return nil
	})
	for _, k := range keys {
		if err != nil {
			return err
		}
		err = s.move(k, func(run *asl.Run) error {
			run.Doom()
			return nil
		})
		if errors.Is(err, asl.ErrClosed) {
			err = nil
		}
	}
	return err
}
