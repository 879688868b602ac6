package jobs

import (
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Moved tells continuous jobs that a thing has come to groups or left them, as
// part of the transaction that moves it and after its writes. Groups include
// those above.
func (s *Service) Moved(tx *store.Tx, thing string, joined, left []string) error {
	if len(joined) == 0 && len(left) == 0 {
		return nil
	}
	var joinedJobs, leftJobs []string
	for _, group := range joined {
		if err := jobsOf(tx, group, &joinedJobs); err != nil {
			return err
		}
	}
	for _, group := range left {
		if err := jobsOf(tx, group, &leftJobs); err != nil {
			return err
		}
	}
	if len(joinedJobs) == 0 && len(leftJobs) == 0 {
		return nil
	}
	now, err := s.config.Registry.GroupsOf(tx, thing)
	if err != nil {
		return err
	}
	return s.changeIn(tx, func(c *change) error {
		for _, id := range joinedJobs {
			if err := c.join(id, thing, now, joined); err != nil {
				return err
			}
		}
		for _, id := range leftJobs {
			if err := c.leave(id, thing, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func jobsOf(tx *store.Tx, group string, ids *[]string) error {
	for row, err := range jobByGroup.Scan(tx, store.Query{Prefix: []string{group}}) {
		if err != nil {
			return err
		}
		if !slices.Contains(*ids, row.Key[1]) {
			*ids = append(*ids, row.Key[1])
		}
	}
	return nil
}

// targets reports whether the job targets the thing, which is in these groups.
func (c *change) targets(j *loaded, thing string, groups []string) bool {
	return slices.ContainsFunc(j.Targets, func(target string) bool {
		kind, name := resourceOf(target)
		return kind == "thing" && name == thing || kind == "thinggroup" && slices.Contains(groups, name)
	})
}

func (c *change) join(id, thing string, groups, joined []string) error {
	j, err := c.job(id)
	if err != nil || j == nil || j.Status != InProgress || j.Ended {
		return err
	}
	before := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return slices.Contains(joined, g) })
	if c.targets(j, thing, before) {
		return nil
	}
	_, waits, err := waiting.Get(c.tx, id, thing)
	if err != nil || waits {
		return err
	}
	last, err := latest(c.tx, id, thing)
	if err != nil || last != nil && !terminal(last.Status) {
		return err
	}
	return c.create(j, thing)
}

func (c *change) leave(id, thing string, groups []string) error {
	j, err := c.job(id)
	if err != nil || j == nil || c.targets(j, thing, groups) {
		return err
	}
	return c.removeThing(j, thing)
}

func (c *change) removeThing(j *loaded, thing string) error {
	_, waits, err := waiting.Get(c.tx, j.ID, thing)
	if err != nil {
		return err
	}
	if waits {
		j.Waiting--
		j.counted = true
		if err := waiting.Delete(c.tx, j.ID, thing); err != nil {
			return err
		}
	}
	last, err := latest(c.tx, j.ID, thing)
	if err != nil || last == nil || terminal(last.Status) {
		return err
	}
	return c.finish(last, Removed, nil, false)
}

// ThingDeleted removes a thing's pending executions, as part of the
// transaction that deletes it.
func (s *Service) ThingDeleted(tx *store.Tx, thing string) error {
	var keys [][2]string
	for row, err := range pendingTable.Scan(tx, store.Query{Prefix: []string{thing}}) {
		if err != nil {
			return err
		}
		keys = append(keys, [2]string{row.Key[3], string(row.Value)})
	}
	if len(keys) == 0 {
		return nil
	}
	return s.changeIn(tx, func(c *change) error {
		for _, k := range keys {
			e, ok, err := executionTable.Get(tx, k[0], thing, k[1])
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := c.finish(&e, Removed, nil, false); err != nil {
				return err
			}
		}
		return nil
	})
}
