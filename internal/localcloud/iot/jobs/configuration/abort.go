package configuration

import (
	"errors"
	"fmt"
)

// Values of failureType.
const (
	failed      = "FAILED"
	rejected    = "REJECTED"
	timedOut    = "TIMED_OUT"
	allFailures = "ALL"
)

// Abort is abortConfig.
type Abort struct {
	CriteriaList []AbortCriterion `json:"criteriaList" api:"min=1"`
}

// AbortCriterion is one entry of abortConfig.
type AbortCriterion struct {
	FailureType               string  `json:"failureType" api:"values=ALL|FAILED|REJECTED|TIMED_OUT"`
	Action                    string  `json:"action" api:"values=CANCEL"`
	ThresholdPercentage       float64 `json:"thresholdPercentage" api:"max=100"`
	MinNumberOfExecutedThings int     `json:"minNumberOfExecutedThings" api:"min=1"`
}

func (a *Abort) check() error {
	if a == nil {
		return nil
	}
	if len(a.CriteriaList) == 0 {
		return errors.New("abortConfig.criteriaList is empty.")
	}
	for _, c := range a.CriteriaList {
		switch {
		case c.FailureType != failed && c.FailureType != rejected && c.FailureType != timedOut &&
			c.FailureType != allFailures:
			return fmt.Errorf("abortConfig failureType is %q; allowed are FAILED, REJECTED, TIMED_OUT, ALL.",
				c.FailureType)
		case c.Action != "CANCEL":
			return fmt.Errorf("abortConfig action is %q; allowed is CANCEL.", c.Action)
		case c.ThresholdPercentage < 0 || c.ThresholdPercentage > 100 || !decimals(c.ThresholdPercentage, 2):
			return fmt.Errorf("abortConfig thresholdPercentage is %v; allowed are 0 to 100 with two decimals.",
				c.ThresholdPercentage)
		case c.MinNumberOfExecutedThings < 1:
			return fmt.Errorf("abortConfig minNumberOfExecutedThings is %d; allowed are 1 and more.",
				c.MinNumberOfExecutedThings)
		}
	}
	return nil
}

// Met reports whether a criterion is met, when so many things were notified and so many are at each status. The
// percentage is of the number of things given as base.
func (a *Abort) Met(notified, base int, byStatus map[string]int) bool {
	if a == nil || base == 0 {
		return false
	}
	for _, c := range a.CriteriaList {
		if notified < c.MinNumberOfExecutedThings {
			continue
		}
		n := byStatus[c.FailureType]
		if c.FailureType == allFailures {
			n = byStatus[failed] + byStatus[rejected] + byStatus[timedOut]
		}
		if n > 0 && float64(n)*100 >= c.ThresholdPercentage*float64(base) {
			return true
		}
	}
	return false
}
