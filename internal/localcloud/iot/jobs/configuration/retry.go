package configuration

import (
	"errors"
	"fmt"
)

// maxRetries is AWS's limit for one thing.
const maxRetries = 10

// Retry is jobExecutionsRetryConfig.
type Retry struct {
	CriteriaList []RetryCriterion `json:"criteriaList" api:"min=1,max=2"`
}

// RetryCriterion is one entry of jobExecutionsRetryConfig.
type RetryCriterion struct {
	FailureType     string `json:"failureType" api:"values=ALL|FAILED|TIMED_OUT"`
	NumberOfRetries int    `json:"numberOfRetries" api:"min=0,max=10"`
}

func (r *Retry) check(hasTimeout bool) error {
	if r == nil {
		return nil
	}
	if n := len(r.CriteriaList); n < 1 || n > 2 {
		return fmt.Errorf("jobExecutionsRetryConfig.criteriaList has %d entries; allowed are 1 or 2.", n)
	}
	total := 0
	given := map[string]bool{}
	for _, c := range r.CriteriaList {
		switch {
		case c.FailureType != failed && c.FailureType != timedOut && c.FailureType != allFailures:
			return fmt.Errorf("jobExecutionsRetryConfig failureType is %q; allowed are FAILED, TIMED_OUT, ALL.",
				c.FailureType)
		case c.NumberOfRetries < 0 || c.NumberOfRetries > maxRetries:
			return outside("jobExecutionsRetryConfig numberOfRetries", c.NumberOfRetries, 0, maxRetries)
		case given[c.FailureType] || given[allFailures] || c.FailureType == allFailures && len(given) > 0:
			return errors.New("jobExecutionsRetryConfig has more than one criterion for the same failure type.")
		case c.FailureType == timedOut && !hasTimeout:
			return errors.New("jobExecutionsRetryConfig has a criterion for TIMED_OUT, but the job has no " +
				"timeoutConfig.")
		}
		given[c.FailureType] = true
		total += c.NumberOfRetries
	}
	if total > maxRetries {
		return fmt.Errorf("jobExecutionsRetryConfig allows %d retries; at most %d are allowed.", total, maxRetries)
	}
	return nil
}

// Criterion names the criterion under which an execution that ended with a status is retried, "" if it is not.
// attempts counts the retries before, and used how many of them each criterion allowed.
func (r *Retry) Criterion(status string, attempts int, used map[string]int) string {
	if r == nil || attempts >= maxRetries || status != failed && status != timedOut {
		return ""
	}
	for _, c := range r.CriteriaList {
		if (c.FailureType == status || c.FailureType == allFailures) && used[c.FailureType] < c.NumberOfRetries {
			return c.FailureType
		}
	}
	return ""
}
