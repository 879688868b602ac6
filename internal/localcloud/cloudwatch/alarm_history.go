package cloudwatch

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

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
	for row, err := range history.Scan(tx, store.Query{Prefix: []string{name},
		Before: []string{store.Number(uint64(max(now-keepHistory, 0)))}}) {
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
	return history.Put(tx, historyItem{name, now, kind, summary, string(b)}, name, store.Number(uint64(now)),
		s.Scheduler.UUID())
}

type historyIn struct {
	AlarmName       string       `json:"AlarmName,omitempty" api:"min=1,max=255"`
	Contributor     string       `json:"AlarmContributorId,omitempty" api:"min=1,max=16"`
	AlarmTypes      []string     `json:"AlarmTypes,omitempty" api:"each.values=CompositeAlarm|MetricAlarm|LogAlarm"`
	HistoryItemType string       `json:"HistoryItemType,omitempty" api:"values=ConfigurationUpdate|StateUpdate|Action|AlarmContributorStateUpdate|AlarmContributorAction"`
	StartDate       *awsapi.Time `json:"StartDate,omitempty"`
	EndDate         *awsapi.Time `json:"EndDate,omitempty"`
	MaxRecords      *int         `json:"MaxRecords,omitempty" api:"min=1,max=100"`
	NextToken       string       `json:"NextToken,omitempty"`
	ScanBy          string       `json:"ScanBy,omitempty" api:"values=TimestampDescending|TimestampAscending"`
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
	most := awsapi.PageSize(in.MaxRecords, 100, 100)
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
			if in.HistoryItemType != "" && h.Type != in.HistoryItemType || in.StartDate != nil &&
				h.Time < in.StartDate.UnixMilli() ||
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
		if len(out.Items) == most {
			out.NextToken = awsapi.PageToken(last...)
			break
		}
		h := row.Value
		out.Items = append(out.Items, historyEntry{h.Alarm, "MetricAlarm", milli(h.Time), h.Type, h.Summary, h.Data})
		last = row.Key
	}
	return out, nil
}
