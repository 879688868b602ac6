package cloudwatch

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// alarmConfig is what PutMetricAlarm sets.
type alarmConfig struct {
	AlarmName               string         `json:"AlarmName" api:"min=1,max=255"`
	AlarmDescription        *string        `json:"AlarmDescription,omitempty" api:"max=1024"`
	ActionsEnabled          *bool          `json:"ActionsEnabled,omitempty"`
	OKActions               []string       `json:"OKActions" api:"max=5,each.min=1,each.max=1024"`
	AlarmActions            []string       `json:"AlarmActions" api:"max=5,each.min=1,each.max=1024"`
	InsufficientDataActions []string       `json:"InsufficientDataActions" api:"max=5,each.min=1,each.max=1024"`
	MetricName              string         `json:"MetricName,omitempty" api:"min=1,max=255"`
	Namespace               string         `json:"Namespace,omitempty" api:"min=1,max=255,pattern=metric namespace"`
	Statistic               string         `json:"Statistic,omitempty" api:"set=statistics"`
	ExtendedStatistic       string         `json:"ExtendedStatistic,omitempty"`
	Dimensions              []Dimension    `json:"Dimensions" api:"max=30"`
	Period                  int64          `json:"Period,omitempty" api:"min=1"`
	Unit                    string         `json:"Unit,omitempty" api:"set=metric units"`
	EvaluationPeriods       int64          `json:"EvaluationPeriods" api:"min=1"`
	DatapointsToAlarm       int64          `json:"DatapointsToAlarm,omitempty" api:"min=1"`
	Threshold               *awsapi.Double `json:"Threshold,omitempty"`
	ComparisonOperator      string         `json:"ComparisonOperator" api:"set=comparison operators"`
	TreatMissingData        string         `json:"TreatMissingData,omitempty" api:"min=1,max=255"`
	LowSample               string         `json:"EvaluateLowSampleCountPercentile,omitempty" api:"min=1,max=255"`
	Metrics                 []dataQuery    `json:"Metrics,omitempty"`
	ThresholdMetricID       string         `json:"ThresholdMetricId,omitempty" api:"min=1,max=255"`
}

type putAlarmIn struct {
	alarmConfig
	Tags               []tag          `json:"Tags,omitempty"`
	EvaluationCriteria map[string]any `json:"EvaluationCriteria,omitempty"`
	EvaluationInterval int64          `json:"EvaluationInterval,omitempty" api:"min=10,max=3600"`
}

// queries are those of the alarm: Metrics, or one for its metric.
func (c *alarmConfig) queries() []dataQuery {
	if len(c.Metrics) > 0 {
		return c.Metrics
	}
	stat := c.Statistic
	if stat == "" {
		stat = c.ExtendedStatistic
	}
	return []dataQuery{{ID: "m", MetricStat: &metricStat{Metric: metricOut{c.Namespace, c.MetricName, c.Dimensions},
		Period: c.Period, Stat: stat, Unit: c.Unit}}}
}

// subject is the query whose result is held against the threshold.
func (c *alarmConfig) subject() string {
	for _, q := range c.queries() {
		if q.returned() {
			return q.ID
		}
	}
	return ""
}

// period in seconds.
func (c *alarmConfig) period() int64 {
	if len(c.Metrics) == 0 {
		return c.Period
	}
	p := int64(0)
	for _, q := range c.Metrics {
		p = max(p, q.Period)
		if q.MetricStat != nil {
			p = max(p, q.MetricStat.Period)
		}
	}
	return p
}

// needed is M of "M out of N".
func (c *alarmConfig) needed() int64 {
	if c.DatapointsToAlarm == 0 {
		return c.EvaluationPeriods
	}
	return c.DatapointsToAlarm
}

func (c *alarmConfig) missing() string {
	if c.Namespace == "AWS/DynamoDB" {
		return "ignore"
	}
	if c.TreatMissingData == "" {
		return "missing"
	}
	return c.TreatMissingData
}

func (c *alarmConfig) enabled() bool { return c.ActionsEnabled == nil || *c.ActionsEnabled }

var comparisons = map[string]struct {
	text string
	hit  func(v, threshold float64) bool
}{
	"GreaterThanOrEqualToThreshold": {"greater than or equal to", func(v, t float64) bool { return v >= t }},
	"GreaterThanThreshold":          {"greater than", func(v, t float64) bool { return v > t }},
	"LessThanThreshold":             {"less than", func(v, t float64) bool { return v < t }},
	"LessThanOrEqualToThreshold":    {"less than or equal to", func(v, t float64) bool { return v <= t }},
}

// check holds the configuration against AWS's rules.
func (c *alarmConfig) check() *awsapi.Error {
	if c.AlarmName == "" || len(c.AlarmName) > 255 {
		return errValidation("The parameter AlarmName must be 1 to 255 characters.")
	}
	if c.AlarmDescription != nil && len(*c.AlarmDescription) > 1024 {
		return errValidation("The parameter AlarmDescription must be at most 1024 characters.")
	}
	for _, list := range [][]string{c.OKActions, c.AlarmActions, c.InsufficientDataActions} {
		if len(list) > 5 {
			return errValidation("An alarm has at most 5 actions for each state.")
		}
		for _, arn := range list {
			parts := strings.SplitN(arn, ":", 6)
			if len(parts) != 6 || parts[0] != "arn" {
				return errValidation("Invalid arn syntax: %s", arn)
			}
			if parts[2] != "sns" && parts[2] != "lambda" {
				return awsapi.NotBuilt("alarm action " + arn)
			}
		}
	}
	if len(c.Metrics) > 0 {
		if c.MetricName != "" || c.Namespace != "" || c.Statistic != "" || c.ExtendedStatistic != "" ||
			len(c.Dimensions) > 0 || c.Period != 0 || c.Unit != "" {
			return errValidation("Metrics list and the parameters of a single metric are mutually exclusive.")
		}
		if len(c.Metrics) > 10 {
			return errValidation("An alarm has at most 10 metrics.")
		}
		returned := 0
		periods := map[int64]bool{}
		for _, q := range c.Metrics {
			if q.returned() {
				returned++
			}
			if q.MetricStat != nil {
				periods[q.MetricStat.Period] = true
			}
		}
		if returned != 1 {
			return errValidation("Exactly one element of the metrics list should return data.")
		}
		if len(periods) != 1 {
			return errValidation("The metrics of an alarm must have one period.")
		}
	} else {
		switch {
		case c.MetricName == "":
			return errMissing("MetricName")
		case c.Namespace == "":
			return errMissing("Namespace")
		case (c.Statistic == "") == (c.ExtendedStatistic == ""):
			return errValidation("Exactly one of Statistic and ExtendedStatistic must be given.")
		case c.Statistic != "" && !slices.Contains(simpleStatistics, c.Statistic):
			return errValidation("The value %s for parameter Statistic is invalid.", c.Statistic)
		}
		if c.ExtendedStatistic != "" {
			if st, ok := parseStatistic(c.ExtendedStatistic); !ok || !st.extended() {
				return errValidation("The value %s for parameter ExtendedStatistic is not supported.",
					c.ExtendedStatistic)
			}
		}
	}
	if c.ThresholdMetricID != "" || strings.Contains(c.ComparisonOperator, "Lower") ||
		strings.Contains(c.ComparisonOperator, "Upper") {
		return awsapi.NotBuilt("alarms on anomaly detection bands")
	}
	plan, failed := newPlan(c.queries())
	if failed != nil {
		return failed
	}
	for _, e := range plan.exprs {
		if e.Searches() {
			return errValidation("SEARCH is not supported on Metric Alarms.")
		}
	}
	period := c.period()
	if period < 60 && !slices.Contains([]int64{10, 20, 30}, period) || period%60 != 0 && period > 60 {
		return errValidation("The parameter Period must be 10, 20, 30 or a multiple of 60.")
	}
	longest := int64(86400)
	if period >= 3600 {
		longest = 7 * 86400
	}
	switch {
	case c.EvaluationPeriods < 1:
		return errMissing("EvaluationPeriods")
	case c.EvaluationPeriods > longest/period:
		return errValidation("Metrics cannot be checked across more than %d seconds (EvaluationPeriods * Period "+
			"must be <= %d).", longest, longest)
	case c.DatapointsToAlarm < 0 || c.DatapointsToAlarm > c.EvaluationPeriods:
		return errValidation("The parameter DatapointsToAlarm must be at least 1 and at most EvaluationPeriods.")
	case c.Threshold == nil:
		return errMissing("Threshold")
	case !finite(*c.Threshold):
		return errNumber("Threshold", *c.Threshold)
	case comparisons[c.ComparisonOperator].hit == nil:
		return errValidation("The value %q for parameter ComparisonOperator is invalid.", c.ComparisonOperator)
	case !slices.Contains([]string{"", "missing", "ignore", "breaching", "notBreaching"}, c.TreatMissingData):
		return errValidation("The value %s for parameter TreatMissingData is not supported. It must be one of "+
			"missing, ignore, breaching, notBreaching.", c.TreatMissingData)
	case !slices.Contains([]string{"", "evaluate", "ignore"}, c.LowSample):
		return errValidation("The value %s for parameter EvaluateLowSampleCountPercentile is not supported.",
			c.LowSample)
	}
	return nil
}

func (s *Service) putMetricAlarm(_ context.Context, _ *awsapi.Call, in *putAlarmIn) (*nothing, error) {
	if in.EvaluationCriteria != nil || in.EvaluationInterval != 0 {
		return nil, awsapi.NotBuilt("PutMetricAlarm with EvaluationCriteria or EvaluationInterval")
	}
	c := in.alarmConfig
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if c.ActionsEnabled == nil {
		yes := true
		c.ActionsEnabled = &yes
	}
	now := s.now()
	var before *alarmConfig
	err := s.Store.Update(func(tx *store.Tx) error {
		before = nil
		a, ok, err := alarms.Get(tx, c.AlarmName)
		if err != nil {
			return err
		}
		summary := `Alarm "` + c.AlarmName + `" updated`
		kind := "Update"
		if ok {
			old := a.Config
			before = &old
		} else {
			a = alarm{State: "INSUFFICIENT_DATA", Reason: "Unchecked: Initial alarm creation", StateUpdated: now,
				Transitioned: now}
			summary, kind = `Alarm "`+c.AlarmName+`" created`, "Create"
			if len(in.Tags) > 0 {
				if err := tags.Put(tx, tagMap(nil, in.Tags), s.alarmARN(c.AlarmName)); err != nil {
					return err
				}
			}
		}
		a.Config, a.Updated = c, now
		a.Version++
		if err := alarms.Put(tx, a, c.AlarmName); err != nil {
			return err
		}
		return s.record(tx, c.AlarmName, "ConfigurationUpdate", summary, map[string]any{"version": "1.0", "type": kind,
			"alarmName": c.AlarmName})
	})
	if err != nil {
		return nil, err
	}
	if before != nil {
		s.unwatch(*before)
	}
	s.watch(c)
	s.arm(c, s.Scheduler.Now())
	return &nothing{}, nil
}

type alarmNames struct {
	AlarmNames []string `json:"AlarmNames" api:"max=100,each.min=1,each.max=255"`
}

func (s *Service) deleteAlarms(_ context.Context, _ *awsapi.Call, in *alarmNames) (*nothing, error) {
	if len(in.AlarmNames) > 100 {
		return nil, errValidation("The collection AlarmNames must not have a size greater than 100.")
	}
	var gone []alarm
	err := s.Store.Update(func(tx *store.Tx) error {
		gone = nil
		for _, name := range in.AlarmNames {
			a, ok, err := alarms.Get(tx, name)
			if err != nil {
				return err
			}
			if !ok {
				return errNoAlarm(name) // none is deleted then
			}
			gone = append(gone, a)
			if err := tags.Delete(tx, s.alarmARN(name)); err != nil {
				return err
			}
			if err := s.record(tx, name, "ConfigurationUpdate", `Alarm "`+name+`" deleted`, map[string]any{"version": "1.0", "type": "Delete", "alarmName": name}); err != nil {
				return err
			}
			if err := alarms.Delete(tx, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, a := range gone {
		s.unwatch(a.Config)
		s.disarm(a.Config.AlarmName)
	}
	return &nothing{}, nil
}

func (s *Service) enableActions(_ context.Context, _ *awsapi.Call, in *alarmNames) (*nothing, error) {
	return &nothing{}, s.switchActions(in.AlarmNames, true)
}

func (s *Service) disableActions(_ context.Context, _ *awsapi.Call, in *alarmNames) (*nothing, error) {
	return &nothing{}, s.switchActions(in.AlarmNames, false)
}

// switchActions passes over names that no alarm has, as AWS does.
func (s *Service) switchActions(names []string, on bool) error {
	return s.Store.Update(func(tx *store.Tx) error {
		for _, name := range names {
			a, ok, err := alarms.Get(tx, name)
			if err != nil {
				return err
			}
			if !ok || a.Config.enabled() == on {
				continue
			}
			a.Config.ActionsEnabled = &on
			a.Updated = s.now()
			if err := alarms.Put(tx, a, name); err != nil {
				return err
			}
			if err := s.record(tx, name, "ConfigurationUpdate", `Alarm "`+name+`" updated`, map[string]any{"version": "1.0", "type": "Update", "alarmName": name, "actionsEnabled": on}); err != nil {
				return err
			}
		}
		return nil
	})
}

type setStateIn struct {
	AlarmName       string `json:"AlarmName" api:"min=1,max=255"`
	StateValue      string `json:"StateValue" api:"set=alarm states"`
	StateReason     string `json:"StateReason" api:"max=1023"`
	StateReasonData string `json:"StateReasonData,omitempty" api:"max=4000"`
}

var states = []string{"OK", "ALARM", "INSUFFICIENT_DATA"}

func (s *Service) setAlarmState(_ context.Context, _ *awsapi.Call, in *setStateIn) (*nothing, error) {
	if !slices.Contains(states, in.StateValue) {
		return nil, errValidation("The value %s for parameter StateValue is invalid.", in.StateValue)
	}
	if len(in.StateReason) > 1023 {
		return nil, errValidation("The parameter StateReason must be at most 1023 characters.")
	}
	if in.StateReasonData != "" && !json.Valid([]byte(in.StateReasonData)) {
		return nil, failure("InvalidFormatFault", "InvalidFormat", 400, "StateReasonData is not valid JSON.")
	}
	var c alarmConfig
	err := s.Store.Update(func(tx *store.Tx) error {
		a, ok, err := alarms.Get(tx, in.AlarmName)
		if err != nil {
			return err
		}
		if !ok {
			return errNoAlarm(in.AlarmName)
		}
		a.Version++
		c = a.Config
		return s.enter(tx, a, in.StateValue, in.StateReason, in.StateReasonData)
	})
	if err != nil {
		return nil, err
	}
	s.arm(c, s.Scheduler.Now())
	return &nothing{}, nil
}
