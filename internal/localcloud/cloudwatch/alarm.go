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
	AlarmName               string      `json:"AlarmName"`
	AlarmDescription        *string     `json:"AlarmDescription,omitempty"`
	ActionsEnabled          *bool       `json:"ActionsEnabled,omitempty"`
	OKActions               []string    `json:"OKActions"`
	AlarmActions            []string    `json:"AlarmActions"`
	InsufficientDataActions []string    `json:"InsufficientDataActions"`
	MetricName              string      `json:"MetricName,omitempty"`
	Namespace               string      `json:"Namespace,omitempty"`
	Statistic               string      `json:"Statistic,omitempty"`
	ExtendedStatistic       string      `json:"ExtendedStatistic,omitempty"`
	Dimensions              []Dimension `json:"Dimensions"`
	Period                  int64       `json:"Period,omitempty"`
	Unit                    string      `json:"Unit,omitempty"`
	EvaluationPeriods       int64       `json:"EvaluationPeriods"`
	DatapointsToAlarm       int64       `json:"DatapointsToAlarm,omitempty"`
	Threshold               *float64    `json:"Threshold,omitempty"`
	ComparisonOperator      string      `json:"ComparisonOperator"`
	TreatMissingData        string      `json:"TreatMissingData,omitempty"`
	LowSample               string      `json:"EvaluateLowSampleCountPercentile,omitempty"`
	Metrics                 []dataQuery `json:"Metrics,omitempty"`
	ThresholdMetricID       string      `json:"ThresholdMetricId,omitempty"`
}

type putAlarmIn struct {
	alarmConfig
	Tags               []tag          `json:"Tags,omitempty"`
	EvaluationCriteria map[string]any `json:"EvaluationCriteria,omitempty"`
	EvaluationInterval int64          `json:"EvaluationInterval,omitempty"`
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
	return []dataQuery{{ID: "m", MetricStat: &metricStat{Metric: metricOut{c.Namespace, c.MetricName, c.Dimensions}, Period: c.Period, Stat: stat, Unit: c.Unit}}}
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
		if c.MetricName != "" || c.Namespace != "" || c.Statistic != "" || c.ExtendedStatistic != "" || len(c.Dimensions) > 0 || c.Period != 0 || c.Unit != "" {
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
				return errValidation("The value %s for parameter ExtendedStatistic is not supported.", c.ExtendedStatistic)
			}
		}
	}
	if c.ThresholdMetricID != "" || strings.Contains(c.ComparisonOperator, "Lower") || strings.Contains(c.ComparisonOperator, "Upper") {
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
		return errValidation("Metrics cannot be checked across more than %d seconds (EvaluationPeriods * Period must be <= %d).", longest, longest)
	case c.DatapointsToAlarm < 0 || c.DatapointsToAlarm > c.EvaluationPeriods:
		return errValidation("The parameter DatapointsToAlarm must be at least 1 and at most EvaluationPeriods.")
	case c.Threshold == nil:
		return errMissing("Threshold")
	case !finite(*c.Threshold):
		return errNumber("Threshold", *c.Threshold)
	case comparisons[c.ComparisonOperator].hit == nil:
		return errValidation("The value %q for parameter ComparisonOperator is invalid.", c.ComparisonOperator)
	case !slices.Contains([]string{"", "missing", "ignore", "breaching", "notBreaching"}, c.TreatMissingData):
		return errValidation("The value %s for parameter TreatMissingData is not supported. It must be one of missing, ignore, breaching, notBreaching.", c.TreatMissingData)
	case !slices.Contains([]string{"", "evaluate", "ignore"}, c.LowSample):
		return errValidation("The value %s for parameter EvaluateLowSampleCountPercentile is not supported.", c.LowSample)
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
			a = alarm{State: "INSUFFICIENT_DATA", Reason: "Unchecked: Initial alarm creation", StateUpdated: now, Transitioned: now}
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
		return s.record(tx, c.AlarmName, "ConfigurationUpdate", summary, map[string]any{"version": "1.0", "type": kind, "alarmName": c.AlarmName})
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

// keepHistory in ms is how long the history of alarms is kept.
const keepHistory = 30 * 86400 * 1000

// record adds to an alarm's history and drops what is too old.
func (s *Service) record(tx *store.Tx, name, kind, summary string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	now := s.now()
	var old [][]string
	for row, err := range history.Scan(tx, store.Query{Prefix: []string{name}, Before: []string{store.Number(uint64(max(now-keepHistory, 0)))}}) {
		if err != nil {
			return err
		}
		old = append(old, row.Key)
	}
	for _, key := range old {
		if err := history.Delete(tx, key...); err != nil {
			return err
		}
	}
	return history.Put(tx, historyItem{name, now, kind, summary, string(b)}, name, store.Number(uint64(now)), s.Scheduler.UUID())
}

type alarmNames struct {
	AlarmNames []string `json:"AlarmNames"`
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
	AlarmName       string `json:"AlarmName"`
	StateValue      string `json:"StateValue"`
	StateReason     string `json:"StateReason"`
	StateReasonData string `json:"StateReasonData,omitempty"`
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

type describeAlarmsIn struct {
	AlarmNames      []string `json:"AlarmNames,omitempty"`
	AlarmNamePrefix string   `json:"AlarmNamePrefix,omitempty"`
	AlarmTypes      []string `json:"AlarmTypes,omitempty"`
	ChildrenOf      string   `json:"ChildrenOfAlarmName,omitempty"`
	ParentsOf       string   `json:"ParentsOfAlarmName,omitempty"`
	StateValue      string   `json:"StateValue,omitempty"`
	ActionPrefix    string   `json:"ActionPrefix,omitempty"`
	MaxRecords      int      `json:"MaxRecords,omitempty"`
	NextToken       string   `json:"NextToken,omitempty"`
}

type alarmOut struct {
	alarmConfig
	AlarmArn     string      `json:"AlarmArn"`
	Updated      awsapi.Time `json:"AlarmConfigurationUpdatedTimestamp"`
	StateValue   string      `json:"StateValue"`
	StateReason  string      `json:"StateReason"`
	ReasonData   string      `json:"StateReasonData,omitempty"`
	StateUpdated awsapi.Time `json:"StateUpdatedTimestamp"`
	Transitioned awsapi.Time `json:"StateTransitionedTimestamp"`
}

type describeAlarmsOut struct {
	CompositeAlarms []nothing  `json:"CompositeAlarms"`
	MetricAlarms    []alarmOut `json:"MetricAlarms"`
	NextToken       string     `json:"NextToken,omitempty"`
}

func (s *Service) show(a alarm) alarmOut {
	c := a.Config
	for _, list := range []*[]string{&c.OKActions, &c.AlarmActions, &c.InsufficientDataActions} {
		if *list == nil {
			*list = []string{}
		}
	}
	if c.Dimensions == nil {
		c.Dimensions = []Dimension{}
	}
	return alarmOut{alarmConfig: c, AlarmArn: s.alarmARN(c.AlarmName), Updated: milli(a.Updated), StateValue: a.State, StateReason: a.Reason,
		ReasonData: a.ReasonData, StateUpdated: milli(a.StateUpdated), Transitioned: milli(a.Transitioned)}
}

func (s *Service) describeAlarms(_ context.Context, _ *awsapi.Call, in *describeAlarmsIn) (*describeAlarmsOut, error) {
	if in.ChildrenOf != "" || in.ParentsOf != "" {
		return nil, awsapi.NotBuilt("composite alarms")
	}
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != "" {
		return nil, errCombination("AlarmNames and AlarmNamePrefix are mutually exclusive.")
	}
	if in.StateValue != "" && !slices.Contains(states, in.StateValue) {
		return nil, errValidation("The value %s for parameter StateValue is invalid.", in.StateValue)
	}
	if in.MaxRecords < 0 || in.MaxRecords > 100 {
		return nil, errValidation("The parameter MaxRecords must be between 1 and 100.")
	}
	if in.MaxRecords == 0 {
		in.MaxRecords = 50
	}
	after, err := fromToken(in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	out := &describeAlarmsOut{CompositeAlarms: []nothing{}, MetricAlarms: []alarmOut{}}
	if len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, "MetricAlarm") {
		return out, nil
	}
	fits := func(a alarm) bool {
		if in.StateValue != "" && a.State != in.StateValue {
			return false
		}
		all := slices.Concat(a.Config.AlarmActions, a.Config.OKActions, a.Config.InsufficientDataActions)
		return in.ActionPrefix == "" || slices.ContainsFunc(all, func(x string) bool { return strings.HasPrefix(x, in.ActionPrefix) })
	}
	return out, s.Store.View(func(tx *store.Tx) error {
		if len(in.AlarmNames) > 0 {
			for _, name := range in.AlarmNames {
				a, ok, err := alarms.Get(tx, name)
				if err != nil {
					return err
				}
				if ok && fits(a) {
					out.MetricAlarms = append(out.MetricAlarms, s.show(a))
				}
			}
			return nil
		}
		for row, err := range alarms.Scan(tx, store.Query{Begins: in.AlarmNamePrefix, After: after}) {
			if err != nil {
				return err
			}
			if !strings.HasPrefix(row.Key[0], in.AlarmNamePrefix) {
				break
			}
			if !fits(row.Value) {
				continue
			}
			if n := len(out.MetricAlarms); n == in.MaxRecords {
				out.NextToken = awsapi.PageToken(out.MetricAlarms[n-1].AlarmName)
				return nil
			}
			out.MetricAlarms = append(out.MetricAlarms, s.show(row.Value))
		}
		return nil
	})
}

type forMetricIn struct {
	MetricName        string      `json:"MetricName"`
	Namespace         string      `json:"Namespace"`
	Statistic         string      `json:"Statistic,omitempty"`
	ExtendedStatistic string      `json:"ExtendedStatistic,omitempty"`
	Dimensions        []Dimension `json:"Dimensions,omitempty"`
	Period            int64       `json:"Period,omitempty"`
	Unit              string      `json:"Unit,omitempty"`
}

type forMetricOut struct {
	MetricAlarms []alarmOut `json:"MetricAlarms"`
}

func (s *Service) describeAlarmsForMetric(_ context.Context, _ *awsapi.Call, in *forMetricIn) (*forMetricOut, error) {
	id := metricID{in.Namespace, in.MetricName, dimensionKey(in.Dimensions)}
	out := &forMetricOut{MetricAlarms: []alarmOut{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		for row, err := range alarms.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			c := row.Value.Config
			if slices.ContainsFunc(c.queries(), func(q dataQuery) bool {
				m := q.MetricStat
				return m != nil && m.id() == id && (in.Period == 0 || m.Period == in.Period) && (in.Unit == "" || m.Unit == in.Unit) &&
					(in.Statistic == "" || m.Stat == in.Statistic) && (in.ExtendedStatistic == "" || m.Stat == in.ExtendedStatistic)
			}) {
				out.MetricAlarms = append(out.MetricAlarms, s.show(row.Value))
			}
		}
		return nil
	})
}

type historyIn struct {
	AlarmName       string       `json:"AlarmName,omitempty"`
	Contributor     string       `json:"AlarmContributorId,omitempty"`
	AlarmTypes      []string     `json:"AlarmTypes,omitempty"`
	HistoryItemType string       `json:"HistoryItemType,omitempty"`
	StartDate       *awsapi.Time `json:"StartDate,omitempty"`
	EndDate         *awsapi.Time `json:"EndDate,omitempty"`
	MaxRecords      int          `json:"MaxRecords,omitempty"`
	NextToken       string       `json:"NextToken,omitempty"`
	ScanBy          string       `json:"ScanBy,omitempty"`
}

type historyOut struct {
	Items     []historyEntry `json:"AlarmHistoryItems"`
	NextToken string         `json:"NextToken,omitempty"`
}

type historyEntry struct {
	AlarmName       string      `json:"AlarmName"`
	AlarmType       string      `json:"AlarmType"`
	Timestamp       awsapi.Time `json:"Timestamp"`
	HistoryItemType string      `json:"HistoryItemType"`
	HistorySummary  string      `json:"HistorySummary"`
	HistoryData     string      `json:"HistoryData"`
}

func (s *Service) describeHistory(_ context.Context, _ *awsapi.Call, in *historyIn) (*historyOut, error) {
	if in.Contributor != "" {
		return nil, awsapi.NotBuilt("alarm contributors")
	}
	if in.MaxRecords < 0 || in.MaxRecords > 100 {
		return nil, errValidation("The parameter MaxRecords must be between 1 and 100.")
	}
	if in.MaxRecords == 0 {
		in.MaxRecords = 100
	}
	after, err := fromToken(in.NextToken, 3)
	if err != nil {
		return nil, err
	}
	out := &historyOut{Items: []historyEntry{}}
	var rows []store.Row[historyItem]
	err = s.Store.View(func(tx *store.Tx) error {
		rows = nil
		q := store.Query{}
		if in.AlarmName != "" {
			q.Prefix = []string{in.AlarmName}
		}
		for row, err := range history.Scan(tx, q) {
			if err != nil {
				return err
			}
			h := row.Value
			if in.HistoryItemType != "" && h.Type != in.HistoryItemType || in.StartDate != nil && h.Time < in.StartDate.UnixMilli() ||
				in.EndDate != nil && h.Time > in.EndDate.UnixMilli() {
				continue
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	order := func(a, b []string) int { // by time, then id
		return slices.Compare([]string{a[1], a[2], a[0]}, []string{b[1], b[2], b[0]})
	}
	sign := -1
	if in.ScanBy == "TimestampAscending" {
		sign = 1
	}
	slices.SortFunc(rows, func(a, b store.Row[historyItem]) int { return sign * order(a.Key, b.Key) })
	var last []string
	for _, row := range rows {
		if after != nil && sign*order(row.Key, after) <= 0 {
			continue
		}
		if len(out.Items) == in.MaxRecords {
			out.NextToken = awsapi.PageToken(last...)
			break
		}
		h := row.Value
		out.Items = append(out.Items, historyEntry{h.Alarm, "MetricAlarm", milli(h.Time), h.Type, h.Summary, h.Data})
		last = row.Key
	}
	return out, nil
}
