package jobs

import (
	"math"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	minute = 60_000
	// defaultRate is the rate without a rollout configuration.
	defaultRate = 1000
	// chunk bounds the things one step handles.
	chunk = 1000
)

// rate is how many things a job notifies a minute, when so many were notified
// and have succeeded. Each time the criterion is met once more, the base rate
// is multiplied; fractions of a thing are dropped.
func (r *Rollout) rate(notified, succeeded int) int {
	if r == nil {
		return defaultRate
	}
	ceiling := defaultRate
	if r.MaximumPerMinute != nil {
		ceiling = *r.MaximumPerMinute
	}
	x := r.ExponentialRate
	if x == nil {
		return ceiling
	}
	steps := 0
	if n := x.RateIncreaseCriteria.NumberOfNotifiedThings; n != nil {
		steps = notified / *n
	} else if n := x.RateIncreaseCriteria.NumberOfSucceededThings; n != nil {
		steps = succeeded / *n
	}
	rate := float64(x.BaseRatePerMinute) * math.Pow(x.IncrementFactor, float64(steps))
	return int(min(rate+1e-9, float64(ceiling)))
}

// advance does a job's due step.
func (c *change) advance(j *loaded) error {
	running := j.Status == Scheduled || j.Status == InProgress
	if running && j.End != 0 && !j.Ended && c.ms >= j.End {
		c.endSchedule(j)
		return nil
	}
	switch j.Work {
	case starting:
		j.Status, j.Updated = InProgress, c.ms
		c.next(j, resolving, c.ms)
		return nil
	case resolving:
		return c.resolve(j)
	case rollingOut:
		return c.rollOut(j)
	case canceling, ending:
		return c.cancelSome(j)
	case deleting:
		return c.deleteSome(j)
	}
	c.next(j, resting, 0)
	return nil
}

// rollOut gives the next minute's things their execution.
func (c *change) rollOut(j *loaded) error {
	limit := j.Rollout.rate(j.Notified, j.By[Succeeded])
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
