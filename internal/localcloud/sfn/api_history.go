package sfn

import (
	"context"
	"slices"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/history"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// GetHistoryInput is the input of GetExecutionHistory.
type GetHistoryInput struct {
	ExecutionARN         string `json:"executionArn" api:"required,min=1,max=256"`
	MaxResults           int    `json:"maxResults" api:"min=0,max=1000"`
	ReverseOrder         bool   `json:"reverseOrder"`
	NextToken            string `json:"nextToken" api:"min=1,max=1024"`
	IncludeExecutionData *bool  `json:"includeExecutionData"`
}

// GetHistoryOutput is the output of GetExecutionHistory.
type GetHistoryOutput struct {
	Events    []history.Event `json:"events"`
	NextToken *string         `json:"nextToken,omitempty"`
}

func (s *Service) getHistory(ctx context.Context, c *awsapi.Call, in *GetHistoryInput) (*GetHistoryOutput, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	k, err := standardOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	next := int64(0)
	if p.after != nil {
		if next, err = strconv.ParseInt(p.after[0], 10, 64); err != nil {
			return nil, invalidToken()
		}
	}
	out := &GetHistoryOutput{Events: []history.Event{}}
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
			for row, err := range histories.Scan(tx, store.Query{Prefix: q.Prefix,
				Before: []string{store.Number(uint64(next + 1))}, Reverse: true}) {
				if err != nil {
					return err
				}
				q.From = []string{row.Key[2]}
				break
			}
		}
		for row, err := range histories.Scan(tx, q) {
			if err != nil {
				return err
			}
			events, err := history.Read(row.Value)
			if err != nil {
				return err
			}
			if in.ReverseOrder {
				slices.Reverse(events)
			}
			for _, e := range events {
				if next > 0 && (in.ReverseOrder && e.ID > next || !in.ReverseOrder && e.ID < next) {
					continue
				}
				if len(out.Events) == p.size {
					token := awsapi.PageToken(strconv.FormatInt(e.ID, 10))
					out.NextToken = &token
					return nil
				}
				if in.IncludeExecutionData != nil && !*in.IncludeExecutionData {
					e.OmitData()
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
