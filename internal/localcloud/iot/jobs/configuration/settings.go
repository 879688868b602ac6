package configuration

import (
	"fmt"
	"math"
	"time"
)

// Settings are the configurations that jobs and job templates share.
type Settings struct {
	PresignedURLConfig         *PresignedURL `json:"presignedUrlConfig,omitempty"`
	JobExecutionsRolloutConfig *Rollout      `json:"jobExecutionsRolloutConfig,omitempty"`
	AbortConfig                *Abort        `json:"abortConfig,omitempty"`
	TimeoutConfig              *Timeout      `json:"timeoutConfig,omitempty"`
	JobExecutionsRetryConfig   *Retry        `json:"jobExecutionsRetryConfig,omitempty"`
}

// Fill takes what is not set from others.
func (s *Settings) Fill(from Settings) {
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

// Check refuses values that AWS refuses.
func (s *Settings) Check() error {
	for _, check := range []func() error{
		s.PresignedURLConfig.check, s.TimeoutConfig.check, s.JobExecutionsRolloutConfig.check, s.AbortConfig.check,
		func() error { return s.JobExecutionsRetryConfig.check(s.TimeoutConfig != nil) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// PresignedURL is presignedUrlConfig.
type PresignedURL struct {
	RoleARN      string `json:"roleArn,omitempty" api:"min=20,max=2048"`
	ExpiresInSec int64  `json:"expiresInSec,omitempty" api:"min=60,max=3600"`
}

func (p *PresignedURL) check() error {
	if p == nil || p.ExpiresInSec == 0 || p.ExpiresInSec >= 60 && p.ExpiresInSec <= 3600 {
		return nil
	}
	return outside("presignedUrlConfig.expiresInSec", p.ExpiresInSec, 60, 3600)
}

// Role is the role that signs, "" for none.
func (p *PresignedURL) Role() string {
	if p == nil {
		return ""
	}
	return p.RoleARN
}

// Lifetime is how long a URL is good.
func (p *PresignedURL) Lifetime() time.Duration {
	if p == nil || p.ExpiresInSec == 0 {
		return time.Hour
	}
	return time.Duration(p.ExpiresInSec) * time.Second
}

// MaxTimeout is the longest timeout of an execution or of one of its steps, in minutes.
const MaxTimeout = 10080

// Timeout is timeoutConfig.
type Timeout struct {
	InProgressTimeoutInMinutes int64 `json:"inProgressTimeoutInMinutes,omitempty"`
}

func (t *Timeout) check() error {
	if t == nil || t.InProgressTimeoutInMinutes >= 1 && t.InProgressTimeoutInMinutes <= MaxTimeout {
		return nil
	}
	return fmt.Errorf("Provide valid timeout value, inProgressTimeoutInMinutes cannot be %d.",
		t.InProgressTimeoutInMinutes)
}

func outside(member string, value any, low, high any) error {
	return fmt.Errorf("%s is %v; allowed are %v to %v.", member, value, low, high)
}

func decimals(f float64, places int) bool {
	scaled := f * math.Pow10(places)
	return math.Abs(scaled-math.Round(scaled)) < 1e-6
}
