package jobs

import (
	"math"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Values of members, as AWS spells them.
const (
	allFailures  = "ALL"
	stopRollout  = "STOP_ROLLOUT"
	cancelQueued = "CANCEL"
	forceCancel  = "FORCE_CANCEL"
)

// fill takes what is not set from others.
func (s *settings) fill(from settings) {
	if s.PresignedURLConfig == nil {
		s.PresignedURLConfig = from.PresignedURLConfig
	}
	if s.JobExecutionsRolloutConfig == nil {
		s.JobExecutionsRolloutConfig = from.JobExecutionsRolloutConfig
	}
	if s.AbortConfig == nil {
		s.AbortConfig = from.AbortConfig
	}
	if s.TimeoutConfig == nil {
		s.TimeoutConfig = from.TimeoutConfig
	}
	if s.JobExecutionsRetryConfig == nil {
		s.JobExecutionsRetryConfig = from.JobExecutionsRetryConfig
	}
}

// check refuses values that AWS refuses.
func (s *settings) check() error {
	if p := s.PresignedURLConfig; p != nil {
		if p.ExpiresInSec != 0 && (p.ExpiresInSec < 60 || p.ExpiresInSec > 3600) {
			return outside("presignedUrlConfig.expiresInSec", p.ExpiresInSec, 60, 3600)
		}
	}
	if t := s.TimeoutConfig; t != nil && (t.InProgressTimeoutInMinutes < 1 ||
		t.InProgressTimeoutInMinutes > maxTimeoutMinutes) {
		return outside("timeoutConfig.inProgressTimeoutInMinutes", t.InProgressTimeoutInMinutes, 1, maxTimeoutMinutes)
	}
	if err := s.JobExecutionsRolloutConfig.check(); err != nil {
		return err
	}
	if err := s.AbortConfig.check(); err != nil {
		return err
	}
	return s.JobExecutionsRetryConfig.check(s.TimeoutConfig != nil)
}

func (r *Rollout) check() error {
	if r == nil {
		return nil
	}
	if m := r.MaximumPerMinute; m != nil && (*m < 1 || *m > 1000) {
		return outside("jobExecutionsRolloutConfig.maximumPerMinute", *m, 1, 1000)
	}
	x := r.ExponentialRate
	if x == nil {
		return nil
	}
	if x.BaseRatePerMinute < 1 || x.BaseRatePerMinute > 1000 {
		return outside("exponentialRate.baseRatePerMinute", x.BaseRatePerMinute, 1, 1000)
	}
	if x.IncrementFactor < 1.1 || x.IncrementFactor > 5 || !decimals(x.IncrementFactor, 1) {
		return invalid("exponentialRate.incrementFactor is %v; allowed are 1.1 to 5 with one decimal.",
			x.IncrementFactor)
	}
	c := x.RateIncreaseCriteria
	if (c.NumberOfNotifiedThings == nil) == (c.NumberOfSucceededThings == nil) {
		return invalid("rateIncreaseCriteria must have exactly one of numberOfNotifiedThings and " +
			"numberOfSucceededThings.")
	}
	for _, n := range []*int{c.NumberOfNotifiedThings, c.NumberOfSucceededThings} {
		if n != nil && *n < 1 {
			return invalid("rateIncreaseCriteria is %d; allowed are 1 and more.", *n)
		}
	}
	if r.MaximumPerMinute != nil && *r.MaximumPerMinute < x.BaseRatePerMinute {
		return invalid("maximumPerMinute %d is less than baseRatePerMinute %d.", *r.MaximumPerMinute,
			x.BaseRatePerMinute)
	}
	return nil
}

func decimals(f float64, places int) bool {
	scaled := f * math.Pow10(places)
	return math.Abs(scaled-math.Round(scaled)) < 1e-6
}

func (a *Abort) check() error {
	if a == nil {
		return nil
	}
	if len(a.CriteriaList) == 0 {
		return invalid("abortConfig.criteriaList is empty.")
	}
	for _, c := range a.CriteriaList {
		switch {
		case c.FailureType != Failed && c.FailureType != Rejected && c.FailureType != TimedOut &&
			c.FailureType != allFailures:
			return invalid("abortConfig failureType is %q; allowed are FAILED, REJECTED, TIMED_OUT, ALL.",
				c.FailureType)
		case c.Action != cancelQueued:
			return invalid("abortConfig action is %q; allowed is CANCEL.", c.Action)
		case c.ThresholdPercentage < 0 || c.ThresholdPercentage > 100 || !decimals(c.ThresholdPercentage, 2):
			return invalid("abortConfig thresholdPercentage is %v; allowed are 0 to 100 with two decimals.",
				c.ThresholdPercentage)
		case c.MinNumberOfExecutedThings < 1:
			return invalid("abortConfig minNumberOfExecutedThings is %d; allowed are 1 and more.",
				c.MinNumberOfExecutedThings)
		}
	}
	return nil
}

func (r *Retry) check(hasTimeout bool) error {
	if r == nil {
		return nil
	}
	if n := len(r.CriteriaList); n < 1 || n > 2 {
		return invalid("jobExecutionsRetryConfig.criteriaList has %d entries; allowed are 1 or 2.", n)
	}
	total := 0
	seen := map[string]bool{}
	for _, c := range r.CriteriaList {
		switch {
		case c.FailureType != Failed && c.FailureType != TimedOut && c.FailureType != allFailures:
			return invalid("jobExecutionsRetryConfig failureType is %q; allowed are FAILED, TIMED_OUT, ALL.",
				c.FailureType)
		case c.NumberOfRetries < 0 || c.NumberOfRetries > maxRetries:
			return outside("jobExecutionsRetryConfig numberOfRetries", c.NumberOfRetries, 0, maxRetries)
		case seen[c.FailureType] || seen[allFailures] || c.FailureType == allFailures && len(seen) > 0:
			return invalid("jobExecutionsRetryConfig has more than one criterion for the same failure type.")
		case c.FailureType == TimedOut && !hasTimeout:
			return invalid("jobExecutionsRetryConfig has a criterion for TIMED_OUT, but the job has no timeoutConfig.")
		}
		seen[c.FailureType] = true
		total += c.NumberOfRetries
	}
	if total > maxRetries {
		return invalid("jobExecutionsRetryConfig allows %d retries; at most %d are allowed.", total, maxRetries)
	}
	return nil
}

const scheduleLayout = "2006-01-02 15:04"

func parseSchedule(member, text string) (time.Time, error) {
	t, err := time.Parse(scheduleLayout, strings.TrimSpace(text))
	if err != nil {
		if t, err = time.Parse(time.RFC3339, text); err != nil {
			return t, invalid("schedulingConfig.%s is %q; expected YYYY-MM-DD HH:MM in UTC.", member, text)
		}
	}
	return t, nil
}

// apply puts a schedule into a job.
func (s *Scheduling) apply(j *job, now time.Time) error {
	if s == nil || s.empty() {
		return nil
	}
	if len(s.MaintenanceWindows) > 0 {
		return awsapi.NotBuilt("schedulingConfig.maintenanceWindows")
	}
	start := now
	if s.StartTime != "" {
		var err error
		if start, err = parseSchedule("startTime", s.StartTime); err != nil {
			return err
		}
		if start.Before(now) || start.After(now.AddDate(1, 0, 0)) {
			return invalid("schedulingConfig.startTime %s is not within a year from now.", s.StartTime)
		}
		j.Start = millis(start)
	}
	c := *s
	switch {
	case c.EndTime == "" && c.EndBehavior != "":
		return invalid("schedulingConfig.endBehavior needs an endTime.")
	case c.EndTime != "":
		end, err := parseSchedule("endTime", c.EndTime)
		if err != nil {
			return err
		}
		if end.Before(start.Add(30*time.Minute)) || end.After(now.AddDate(2, 0, 0)) {
			return invalid("schedulingConfig.endTime %s is not between 30 minutes after the start and two years "+
				"from now.", c.EndTime)
		}
		j.End = millis(end)
		switch c.EndBehavior {
		case "":
			c.EndBehavior = stopRollout
		case stopRollout, cancelQueued, forceCancel:
		default:
			return invalid("schedulingConfig.endBehavior is %q; allowed are STOP_ROLLOUT, CANCEL, FORCE_CANCEL.",
				c.EndBehavior)
		}
	}
	j.Scheduling = &c
	return nil
}

func (s *Scheduling) empty() bool {
	return s.StartTime == "" && s.EndTime == "" && s.EndBehavior == "" && len(s.MaintenanceWindows) == 0
}

const maxTimeoutMinutes = 10080

// maxRetries is AWS's limit for one thing.
const maxRetries = 10
