package jobs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// rollOut gives the next minute's things their execution.
func (c *change) rollOut(j *loaded) error {
	limit := j.Rollout.Rate(j.Notified, j.By[Succeeded])
	var things []string
	for row, err := range waiting.Scan(c.tx, store.Query{Prefix: []string{j.ID}}) {
		if err != nil {
			return err
		}
		if len(things) == limit {
			break
		}
		things = append(things, row.Key[1])
	}
	for _, thing := range things {
		if err := waiting.Delete(c.tx, j.ID, thing); err != nil {
			return err
		}
		j.Waiting--
		j.counted = true
		ok, err := c.s.config.Registry.HasThing(c.tx, thing)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := c.create(j, thing); err != nil {
			return err
		}
	}
	if j.Waiting > 0 {
		c.next(j, rollingOut, c.ms+minute)
		return nil
	}
	c.next(j, resting, 0)
	return nil
}
