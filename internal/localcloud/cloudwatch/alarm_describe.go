package cloudwatch

import (
	"context"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type describeAlarmsIn struct {
	AlarmNames      []string `json:"AlarmNames,omitempty" api:"max=100,each.min=1,each.max=255"`
	AlarmNamePrefix string   `json:"AlarmNamePrefix,omitempty" api:"min=1,max=255"`
	AlarmTypes      []string `json:"AlarmTypes,omitempty" api:"each.values=CompositeAlarm|MetricAlarm|LogAlarm"`
	ChildrenOf      string   `json:"ChildrenOfAlarmName,omitempty" api:"min=1,max=255"`
	ParentsOf       string   `json:"ParentsOfAlarmName,omitempty" api:"min=1,max=255"`
	StateValue      string   `json:"StateValue,omitempty" api:"set=alarm states"`
	ActionPrefix    string   `json:"ActionPrefix,omitempty" api:"min=1,max=1024"`
	MaxRecords      *int     `json:"MaxRecords,omitempty" api:"min=1,max=100"`
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

// mostAlarmNames is how many alarms are described by their names at once.
const mostAlarmNames = 100

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
	return alarmOut{alarmConfig: c, AlarmArn: s.alarmARN(c.AlarmName), Updated: milli(a.Updated), StateValue: a.State,
		StateReason: a.Reason,
		ReasonData:  a.ReasonData, StateUpdated: milli(a.StateUpdated), Transitioned: milli(a.Transitioned)}
}

func (s *Service) describeAlarms(_ context.Context, _ *awsapi.Call, in *describeAlarmsIn) (*describeAlarmsOut, error) {
	if in.ChildrenOf != "" || in.ParentsOf != "" {
		return nil, awsapi.NotBuilt("composite alarms")
	}
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != "" {
		return nil, errCombination("AlarmNames and AlarmNamePrefix are mutually exclusive.")
	}
	if len(in.AlarmNames) > mostAlarmNames {
		return nil, errValidation("1 validation error detected: Value at 'alarmNames' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", mostAlarmNames)
	}
	if in.StateValue != "" && !slices.Contains(states, in.StateValue) {
		return nil, errValidation("The value %s for parameter StateValue is invalid.", in.StateValue)
	}
	most := awsapi.PageSize(in.MaxRecords, 50, 100)
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
		return in.ActionPrefix == "" || slices.ContainsFunc(all, func(x string) bool {
			return strings.HasPrefix(x, in.ActionPrefix)
		})
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
			if n := len(out.MetricAlarms); n == most {
				out.NextToken = awsapi.PageToken(out.MetricAlarms[n-1].AlarmName)
				return nil
			}
			out.MetricAlarms = append(out.MetricAlarms, s.show(row.Value))
		}
		return nil
	})
}

type forMetricIn struct {
	MetricName        string      `json:"MetricName" api:"min=1,max=255"`
	Namespace         string      `json:"Namespace" api:"min=1,max=255,pattern=metric namespace"`
	Statistic         string      `json:"Statistic,omitempty" api:"values=SampleCount|Average|Sum|Minimum|Maximum"`
	ExtendedStatistic string      `json:"ExtendedStatistic,omitempty"`
	Dimensions        []Dimension `json:"Dimensions,omitempty" api:"max=30"`
	Period            int64       `json:"Period,omitempty" api:"min=1"`
	Unit              string      `json:"Unit,omitempty" api:"set=metric units"`
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
				return m != nil && m.id() == id && (in.Period == 0 || m.Period == in.Period) &&
					(in.Unit == "" || m.Unit == in.Unit) &&
					(in.Statistic == "" || m.Stat == in.Statistic) && (in.ExtendedStatistic == "" ||
					m.Stat == in.ExtendedStatistic)
			}) {
				out.MetricAlarms = append(out.MetricAlarms, s.show(row.Value))
			}
		}
		return nil
	})
}
