package configuration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	n := func(i int) *int { return &i }
	documented := &Exponential{50, 2, RateIncrease{NumberOfNotifiedThings: n(1000)}}
	slow := &Rollout{ExponentialRate: &Exponential{10, 1.1, RateIncrease{NumberOfSucceededThings: n(10)}}}
	for _, tt := range []struct {
		rollout             *Rollout
		notified, succeeded int
		want                int
	}{
		{nil, 0, 0, 1000},
		{&Rollout{MaximumPerMinute: n(7)}, 5000, 5000, 7},
		{&Rollout{ExponentialRate: documented}, 0, 0, 50},
		{&Rollout{ExponentialRate: documented}, 999, 0, 50},
		{&Rollout{ExponentialRate: documented}, 1000, 0, 100},
		{&Rollout{ExponentialRate: documented}, 2000, 0, 200},
		{&Rollout{ExponentialRate: documented}, 3000, 0, 400},
		{&Rollout{ExponentialRate: documented}, 1_000_000, 0, 1000}, // the ceiling
		{&Rollout{MaximumPerMinute: n(300), ExponentialRate: documented}, 3000, 0, 300},
		{slow, 1000, 0, 10},
		{slow, 1000, 10, 11},
	} {
		if got := tt.rollout.Rate(tt.notified, tt.succeeded); got != tt.want {
			t.Errorf("%+v after %d notified, %d succeeded: got %d, want %d", tt.rollout, tt.notified, tt.succeeded,
				got, tt.want)
		}
	}
}

// TestLimits: each configuration is refused for the one thing that is wrong with it.
func TestLimits(t *testing.T) {
	for _, tt := range []struct{ settings, want string }{ // want is part of the refusal, "" for none
		{`{}`, ""},
		{`{"presignedUrlConfig":{"roleArn":"r"}}`, ""},
		{`{"presignedUrlConfig":{"expiresInSec":59}}`, "allowed are 60 to 3600"},
		{`{"presignedUrlConfig":{"expiresInSec":3600}}`, ""},
		{`{"timeoutConfig":{"inProgressTimeoutInMinutes":10080}}`, ""},
		{`{"timeoutConfig":{"inProgressTimeoutInMinutes":10081}}`, "inProgressTimeoutInMinutes cannot be 10081."},
		{`{"timeoutConfig":{}}`, "inProgressTimeoutInMinutes cannot be 0."},

		{`{"jobExecutionsRolloutConfig":{"maximumPerMinute":1001}}`, "allowed are 1 to 1000"},
		{`{"jobExecutionsRolloutConfig":{"maximumPerMinute":40,"exponentialRate":{"baseRatePerMinute":50,
			"incrementFactor":2,"rateIncreaseCriteria":{"numberOfNotifiedThings":1}}}}`, "less than baseRatePerMinute"},
		{`{"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":0}}}`, "baseRatePerMinute is 0"},
		{`{"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":1,"incrementFactor":1.15}}}`,
			"1.1 to 5 with one decimal"},
		{`{"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":1,"incrementFactor":5}}}`,
			"exactly one of"},
		{`{"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":1,"incrementFactor":5,
			"rateIncreaseCriteria":{"numberOfSucceededThings":0}}}}`, "1 and more"},

		{`{"abortConfig":{"criteriaList":[]}}`, "criteriaList is empty"},
		{`{"abortConfig":{"criteriaList":[{"failureType":"LATE"}]}}`, "FAILED, REJECTED, TIMED_OUT, ALL"},
		{`{"abortConfig":{"criteriaList":[{"failureType":"ALL","action":"STOP"}]}}`, "allowed is CANCEL"},
		{`{"abortConfig":{"criteriaList":[{"failureType":"ALL","action":"CANCEL","thresholdPercentage":33.333}]}}`,
			"two decimals"},
		{`{"abortConfig":{"criteriaList":[{"failureType":"ALL","action":"CANCEL","thresholdPercentage":33.33}]}}`,
			"minNumberOfExecutedThings is 0"},

		{`{"jobExecutionsRetryConfig":{"criteriaList":[]}}`, "allowed are 1 or 2"},
		{`{"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"REJECTED","numberOfRetries":1}]}}`,
			"FAILED, TIMED_OUT, ALL"},
		{`{"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED","numberOfRetries":11}]}}`,
			"allowed are 0 to 10"},
		{`{"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED"},{"failureType":"ALL"}]}}`,
			"same failure type"},
		{`{"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"TIMED_OUT"}]}}`, "no timeoutConfig"},
		{`{"timeoutConfig":{"inProgressTimeoutInMinutes":1},"jobExecutionsRetryConfig":{"criteriaList":[
			{"failureType":"TIMED_OUT","numberOfRetries":6},{"failureType":"FAILED","numberOfRetries":5}]}}`,
			"allows 11 retries"},
	} {
		var s Settings
		if err := json.Unmarshal([]byte(tt.settings), &s); err != nil {
			t.Fatalf("%s: %v", tt.settings, err)
		}
		err := s.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.settings, err, tt.want)
		}
	}
}

func TestAbort(t *testing.T) {
	abort := func(failureType string, percentage float64, least int) *Abort {
		return &Abort{[]AbortCriterion{{failureType, "CANCEL", percentage, least}}}
	}
	by := map[string]int{"FAILED": 2, "REJECTED": 1, "TIMED_OUT": 1, "SUCCEEDED": 6}
	for _, tt := range []struct {
		abort          *Abort
		notified, base int
		want           bool
	}{
		{nil, 10, 10, false},
		{abort("FAILED", 20, 10), 10, 10, true},
		{abort("FAILED", 20.01, 10), 10, 10, false},
		{abort("FAILED", 20, 11), 10, 10, false}, // too few yet
		{abort("ALL", 40, 1), 10, 10, true},
		{abort("REJECTED", 20, 1), 10, 5, true}, // of those that ended
		{abort("ALL", 0, 1), 10, 0, false},
	} {
		if got := tt.abort.Met(tt.notified, tt.base, by); got != tt.want {
			t.Errorf("%+v, %d notified, of %d: got %v", tt.abort, tt.notified, tt.base, got)
		}
	}
	if abort("TIMED_OUT", 0, 1).Met(10, 10, map[string]int{"FAILED": 1}) {
		t.Error("a threshold of 0 % is met without a failure")
	}
}

func TestRetry(t *testing.T) {
	both := &Retry{[]RetryCriterion{{"FAILED", 2}, {"TIMED_OUT", 1}}}
	all := &Retry{[]RetryCriterion{{"ALL", 10}}}
	for _, tt := range []struct {
		retry    *Retry
		status   string
		attempts int
		used     map[string]int
		want     string
	}{
		{nil, "FAILED", 0, nil, ""},
		{both, "FAILED", 0, nil, "FAILED"},
		{both, "FAILED", 1, map[string]int{"TIMED_OUT": 1}, "FAILED"},
		{both, "FAILED", 2, map[string]int{"FAILED": 2}, ""},
		{both, "TIMED_OUT", 1, map[string]int{"TIMED_OUT": 1}, ""},
		{both, "REJECTED", 0, nil, ""},
		{all, "TIMED_OUT", 9, map[string]int{"ALL": 9}, "ALL"},
		{all, "TIMED_OUT", 10, map[string]int{"FAILED": 10}, ""},
	} {
		if got := tt.retry.Criterion(tt.status, tt.attempts, tt.used); got != tt.want {
			t.Errorf("%+v, %s after %d (%v): got %q, want %q", tt.retry, tt.status, tt.attempts, tt.used, got, tt.want)
		}
	}
}

func TestSchedule(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		config     *Scheduling
		start, end string // RFC 3339, "" for none
		behaviour  string
		refusal    string // part of it
	}{
		{config: nil},
		{config: &Scheduling{}},
		{config: &Scheduling{StartTime: "2026-03-01 13:00"}, start: "2026-03-01T13:00:00Z"},
		{config: &Scheduling{StartTime: "2026-03-01T13:00:00+01:00"}, refusal: "expected YYYY-MM-DD HH:MM"},
		{config: &Scheduling{StartTime: "2026-03-01 11:59"}, refusal: "within a year"},
		{config: &Scheduling{StartTime: "noon"}, refusal: "expected YYYY-MM-DD HH:MM"},
		{config: &Scheduling{EndTime: "2026-03-01 12:30"}, end: "2026-03-01T12:30:00Z", behaviour: StopRollout},
		{config: &Scheduling{StartTime: "2026-03-01 13:00", EndTime: "2026-03-01 13:29"}, refusal: "30 minutes"},
		{config: &Scheduling{EndTime: "2028-03-01 12:01"}, refusal: "two years"},
		{config: &Scheduling{EndTime: "later"}, refusal: "schedulingConfig.endTime"},
		{config: &Scheduling{EndTime: "2026-03-02 12:00", EndBehavior: ForceCancel}, end: "2026-03-02T12:00:00Z",
			behaviour: ForceCancel},
		{config: &Scheduling{EndTime: "2026-03-02 12:00", EndBehavior: "GO_ON"}, refusal: "FORCE_CANCEL"},
		{config: &Scheduling{EndBehavior: CancelJob}, refusal: "needs an endTime"},
	} {
		got, err := tt.config.Schedule(now)
		if tt.refusal != "" {
			if err == nil || !strings.Contains(err.Error(), tt.refusal) || got != (Schedule{}) {
				t.Errorf("%+v: got %+v, %v", tt.config, got, err)
			}
			continue
		}
		text := func(at time.Time) string {
			if at.IsZero() {
				return ""
			}
			return at.UTC().Format(time.RFC3339)
		}
		behaviour := ""
		if got.Config != nil {
			behaviour = got.Config.EndBehavior
		}
		if err != nil || text(got.Start) != tt.start || text(got.End) != tt.end || behaviour != tt.behaviour {
			t.Errorf("%+v: got %+v %q, %v", tt.config, got, behaviour, err)
		}
	}
}

func TestFillKeepsWhatIsSet(t *testing.T) {
	own := &Timeout{5}
	s := Settings{TimeoutConfig: own}
	from := Settings{&PresignedURL{RoleARN: "r"}, &Rollout{}, &Abort{}, &Timeout{9}, &Retry{}}
	s.Fill(from)
	from.TimeoutConfig = own
	if s != from {
		t.Errorf("got %+v", s)
	}
}
