package jobs

import (
	"math"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// defaultRate is the rate without a rollout configuration.
const defaultRate = 1000

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
