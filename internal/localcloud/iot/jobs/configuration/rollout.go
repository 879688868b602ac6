package configuration

import (
	"errors"
	"fmt"
	"math"
)

// DefaultRate is how many things a minute a job without a rollout configuration notifies. It is AWS's account quota,
// and the ceiling of an exponential rate that has none.
const DefaultRate = 1000

// Rollout is jobExecutionsRolloutConfig.
type Rollout struct {
	MaximumPerMinute *int         `json:"maximumPerMinute,omitempty" api:"min=1"`
	ExponentialRate  *Exponential `json:"exponentialRate,omitempty"`
}

// Exponential is exponentialRate.
type Exponential struct {
	BaseRatePerMinute    int          `json:"baseRatePerMinute" api:"min=1,max=1000"`
	IncrementFactor      float64      `json:"incrementFactor" api:"min=1.1,max=5"`
	RateIncreaseCriteria RateIncrease `json:"rateIncreaseCriteria"`
}

// RateIncrease is rateIncreaseCriteria: exactly one of its members is set.
type RateIncrease struct {
	NumberOfNotifiedThings  *int `json:"numberOfNotifiedThings,omitempty" api:"min=1"`
	NumberOfSucceededThings *int `json:"numberOfSucceededThings,omitempty" api:"min=1"`
}

func (r *Rollout) check() error {
	if r == nil {
		return nil
	}
	if m := r.MaximumPerMinute; m != nil && (*m < 1 || *m > DefaultRate) {
		return outside("jobExecutionsRolloutConfig.maximumPerMinute", *m, 1, DefaultRate)
	}
	x := r.ExponentialRate
	if x == nil {
		return nil
	}
	if x.BaseRatePerMinute < 1 || x.BaseRatePerMinute > DefaultRate {
		return outside("exponentialRate.baseRatePerMinute", x.BaseRatePerMinute, 1, DefaultRate)
	}
	if x.IncrementFactor < 1.1 || x.IncrementFactor > 5 || !decimals(x.IncrementFactor, 1) {
		return fmt.Errorf("exponentialRate.incrementFactor is %v; allowed are 1.1 to 5 with one decimal.",
			x.IncrementFactor)
	}
	c := x.RateIncreaseCriteria
	if (c.NumberOfNotifiedThings == nil) == (c.NumberOfSucceededThings == nil) {
		return errors.New("rateIncreaseCriteria must have exactly one of numberOfNotifiedThings and " +
			"numberOfSucceededThings.")
	}
	for _, n := range []*int{c.NumberOfNotifiedThings, c.NumberOfSucceededThings} {
		if n != nil && *n < 1 {
			return fmt.Errorf("rateIncreaseCriteria is %d; allowed are 1 and more.", *n)
		}
	}
	if r.MaximumPerMinute != nil && *r.MaximumPerMinute < x.BaseRatePerMinute {
		return fmt.Errorf("maximumPerMinute %d is less than baseRatePerMinute %d.", *r.MaximumPerMinute,
			x.BaseRatePerMinute)
	}
	return nil
}

// Rate is how many things a job notifies a minute, when so many were notified and have succeeded. Each time the
// criterion is met once more, the base rate is multiplied; fractions of a thing are dropped.
func (r *Rollout) Rate(notified, succeeded int) int {
	if r == nil {
		return DefaultRate
	}
	ceiling := DefaultRate
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
