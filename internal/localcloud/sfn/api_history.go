package sfn

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// GetHistoryInput is the input of GetExecutionHistory.
type GetHistoryInput struct {
	ExecutionARN         string `json:"executionArn"`
	MaxResults           int    `json:"maxResults"`
	ReverseOrder         bool   `json:"reverseOrder"`
	NextToken            string `json:"nextToken"`
	IncludeExecutionData *bool  `json:"includeExecutionData"`
}

// GetHistoryOutput is the output of GetExecutionHistory.
type GetHistoryOutput struct {
	Events    []HistoryEvent `json:"events"`
	NextToken *string        `json:"nextToken,omitempty"`
}

func (s *Service) getHistory(ctx context.Context, c *awsapi.Call, in *GetHistoryInput) (*GetHistoryOutput, error) {
	n, err := limit(in.MaxResults, 100, in.NextToken)
	if err != nil {
		return nil, err
	}
	k, err := s.standardOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	page, err := pageKey(in.NextToken)
	if err != nil {
		return nil, err
	}
	next := int64(0)
	if page != nil {
		if next, err = strconv.ParseInt(page[0], 10, 64); err != nil {
			return nil, invalidToken()
		}
	}
	out := &GetHistoryOutput{Events: []HistoryEvent{}}
	err = s.db.View(func(tx *store.Tx) error {
		if _, ok, err := executions.Get(tx, k.Machine, k.Name); err != nil {
			return err
		} else if !ok {
			return noExecution(in.ExecutionARN)
		}
		q := store.Query{Prefix: []string{k.Machine, k.Name}, Reverse: in.ReverseOrder}
		if next > 0 && in.ReverseOrder {
			q.Before = []string{store.Number(uint64(next + 1))}
		}
		if next > 0 && !in.ReverseOrder {
			// The part that holds event next begins at or before it.
			for row, err := range history.Scan(tx, store.Query{Prefix: q.Prefix,
				Before: []string{store.Number(uint64(next + 1))}, Reverse: true}) {
				if err != nil {
					return err
				}
				q.From = []string{row.Key[2]}
				break
			}
		}
		for row, err := range history.Scan(tx, q) {
			if err != nil {
				return err
			}
			var events []HistoryEvent
			if err := json.Unmarshal(row.Value, &events); err != nil {
				return err
			}
			if in.ReverseOrder {
				for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
					events[i], events[j] = events[j], events[i]
				}
			}
			for _, e := range events {
				if next > 0 && (in.ReverseOrder && e.ID > next || !in.ReverseOrder && e.ID < next) {
					continue
				}
				if len(out.Events) == n {
					out.NextToken = pageToken(strconv.FormatInt(e.ID, 10))
					return nil
				}
				if in.IncludeExecutionData != nil && !*in.IncludeExecutionData {
					e.strip()
				}
				out.Events = append(out.Events, e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// strip takes the payloads out of an event.
func (e *HistoryEvent) strip() {
	for _, d := range []*details{e.ActivityScheduled, e.ActivitySucceeded, e.TaskScheduled, e.TaskSubmitted,
		e.TaskSucceeded, e.ExecutionStarted,
		e.ExecutionSucceeded, e.LambdaScheduled, e.LambdaSucceeded, e.StateEntered, e.StateExited} {
		if d != nil {
			d.Input, d.Output, d.Parameters, d.AssignedVariables = nil, nil, nil, nil
			d.InputDetails, d.OutputDetails, d.AssignedDetails = nil, nil, nil
		}
	}
}
