package configuration

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Values of endBehavior.
const (
	StopRollout = "STOP_ROLLOUT"
	CancelJob   = "CANCEL"
	ForceCancel = "FORCE_CANCEL"
)

// Scheduling is schedulingConfig.
type Scheduling struct {
	StartTime          string   `json:"startTime,omitempty" api:"min=1,max=64"`
	EndTime            string   `json:"endTime,omitempty" api:"min=1,max=64"`
	EndBehavior        string   `json:"endBehavior,omitempty" api:"values=CANCEL|FORCE_CANCEL|STOP_ROLLOUT"`
	MaintenanceWindows []Window `json:"maintenanceWindows,omitempty"`
}

// Window is a maintenance window.
type Window struct {
	StartTime         string `json:"startTime" api:"min=1,max=256"`
	DurationInMinutes int    `json:"durationInMinutes" api:"min=1,max=1430"`
}

// Schedule is when a job begins and ends. A time that is zero was not given.
type Schedule struct {
	Start, End time.Time
	// Config is what was given with defaults filled in, nil if nothing was.
	Config *Scheduling
}

// Schedule reads the configuration of a job that is made now. Maintenance windows are not read.
func (s *Scheduling) Schedule(now time.Time) (Schedule, error) {
	if s == nil || s.StartTime == "" && s.EndTime == "" && s.EndBehavior == "" {
		return Schedule{}, nil
	}
	config := *s
	out := Schedule{Config: &config}
	start := now
	if s.StartTime != "" {
		var err error
		if start, err = parseTime("startTime", s.StartTime); err != nil {
			return Schedule{}, err
		}
		if start.Before(now) || start.After(now.AddDate(1, 0, 0)) {
			return Schedule{}, fmt.Errorf("schedulingConfig.startTime %s is not within a year from now.", s.StartTime)
		}
		out.Start = start
	}
	if s.EndTime == "" {
		if s.EndBehavior != "" {
			return Schedule{}, errors.New("schedulingConfig.endBehavior needs an endTime.")
		}
		return out, nil
	}
	end, err := parseTime("endTime", s.EndTime)
	if err != nil {
		return Schedule{}, err
	}
	if end.Before(start.Add(30*time.Minute)) || end.After(now.AddDate(2, 0, 0)) {
		return Schedule{}, fmt.Errorf("schedulingConfig.endTime %s is not between 30 minutes after the start and two "+
			"years from now.", s.EndTime)
	}
	out.End = end
	switch s.EndBehavior {
	case "":
		config.EndBehavior = StopRollout
	case StopRollout, CancelJob, ForceCancel:
	default:
		return Schedule{}, fmt.Errorf("schedulingConfig.endBehavior is %q; allowed are STOP_ROLLOUT, CANCEL, "+
			"FORCE_CANCEL.", s.EndBehavior)
	}
	return out, nil
}

const timeLayout = "2006-01-02 15:04"

func parseTime(member, text string) (time.Time, error) {
	t, err := time.Parse(timeLayout, strings.TrimSpace(text))
	if err != nil {
		return t, fmt.Errorf("schedulingConfig.%s is %q; expected YYYY-MM-DD HH:MM in UTC.", member, text)
	}
	return t, nil
}
