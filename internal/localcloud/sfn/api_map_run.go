package sfn

import (
	"context"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// ListMapRunsInput is the input of ListMapRuns.
type ListMapRunsInput struct {
	ExecutionARN string `json:"executionArn" api:"required,min=1,max=256"`
	MaxResults   int    `json:"maxResults" api:"min=0,max=1000"`
	NextToken    string `json:"nextToken" api:"min=1,max=1024"`
}

// MapRunItem is a Map Run in a list.
type MapRunItem struct {
	ExecutionARN    string       `json:"executionArn"`
	MapRunARN       string       `json:"mapRunArn"`
	StateMachineARN string       `json:"stateMachineArn"`
	StartDate       awsapi.Time  `json:"startDate"`
	StopDate        *awsapi.Time `json:"stopDate,omitempty"`
}

// ListMapRunsOutput is the output of ListMapRuns.
type ListMapRunsOutput struct {
	MapRuns   []MapRunItem `json:"mapRuns"`
	NextToken *string      `json:"nextToken,omitempty"`
}

func (s *Service) listMapRuns(ctx context.Context, c *awsapi.Call, in *ListMapRunsInput) (*ListMapRunsOutput, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	k, err := executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	out := &ListMapRunsOutput{}
	err = s.db.View(func(tx *store.Tx) error {
		if _, ok, err := executions.Get(tx, k.Machine, k.Name); err != nil {
			return err
		} else if !ok {
			return noExecution(in.ExecutionARN)
		}
		var err error
		out.MapRuns, out.NextToken, err = list(tx, mapRuns, store.Query{Prefix: []string{k.Machine, k.Name}}, p,
			func(row store.Row[mapRunRecord]) (MapRunItem, bool, error) {
				m := row.Value
				return MapRunItem{in.ExecutionARN, m.ARN,
					s.arn(names.StateMachine, k.Machine+"/"+names.LabelOf(m.ARN)),
					awsapi.Time{Time: m.Started}, awsapi.TimeOf(m.Stopped)}, true, nil
			})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// MapRunRef names a Map Run.
type MapRunRef struct {
	MapRunARN string `json:"mapRunArn" api:"required,min=1,max=2000"`
}

// MapRunCounts counts items or child executions.
type MapRunCounts struct {
	Pending               int  `json:"pending"`
	Running               int  `json:"running"`
	Succeeded             int  `json:"succeeded"`
	Failed                int  `json:"failed"`
	TimedOut              int  `json:"timedOut"`
	Aborted               int  `json:"aborted"`
	Total                 int  `json:"total"`
	ResultsWritten        int  `json:"resultsWritten"`
	FailuresNotRedrivable *int `json:"failuresNotRedrivable,omitempty"`
	PendingRedrive        *int `json:"pendingRedrive,omitempty"`
}

// MapRunOutput is a Map Run as it is described.
type MapRunOutput struct {
	MapRunARN                  string       `json:"mapRunArn"`
	ExecutionARN               string       `json:"executionArn"`
	Status                     string       `json:"status"`
	StartDate                  awsapi.Time  `json:"startDate"`
	StopDate                   *awsapi.Time `json:"stopDate,omitempty"`
	MaxConcurrency             int          `json:"maxConcurrency"`
	ToleratedFailurePercentage float64      `json:"toleratedFailurePercentage"`
	ToleratedFailureCount      int          `json:"toleratedFailureCount"`
	ItemCounts                 MapRunCounts `json:"itemCounts"`
	ExecutionCounts            MapRunCounts `json:"executionCounts"`
	RedriveCount               int          `json:"redriveCount"`
	RedriveDate                *awsapi.Time `json:"redriveDate,omitempty"`
}

// counts are what DescribeMapRun tells of the children or their items. What runs
// when the Map Run ends is stopped; what has not begun stays pending.
func (m *mapRunRecord) counts(c asl.MapRunCounts) MapRunCounts {
	zero, redrive := 0, c.PendingRedrive
	out := MapRunCounts{Running: c.Running, Succeeded: c.Succeeded, Failed: c.Failed, TimedOut: c.TimedOut,
		Aborted: c.Aborted, Total: c.Total,
		FailuresNotRedrivable: &zero, PendingRedrive: &redrive}
	if m.Status != asl.Running {
		out.Aborted, out.Running = out.Aborted+out.Running, 0
	}
	ended := out.Succeeded + out.Failed + out.TimedOut + out.Aborted
	out.Pending = max(0, c.Total-out.Running-ended-redrive)
	if m.Status == asl.Succeeded { // also without a ResultWriter
		out.ResultsWritten = ended
	}
	return out
}

func (s *Service) describeMapRun(ctx context.Context, c *awsapi.Call, in *MapRunRef) (*MapRunOutput, error) {
	m, err := s.mapRun(in.MapRunARN)
	if err != nil {
		return nil, err
	}
	return &MapRunOutput{MapRunARN: m.ARN, ExecutionARN: s.executionARN(m.Execution), Status: m.Status,
		StartDate: awsapi.Time{Time: m.Started}, StopDate: awsapi.TimeOf(m.Stopped), MaxConcurrency: m.Limit,
		ToleratedFailurePercentage: m.Share, ToleratedFailureCount: m.Count, ItemCounts: m.counts(m.Items),
		ExecutionCounts: m.counts(m.Children),
		RedriveCount:    m.Redrives, RedriveDate: awsapi.TimeOf(m.Redriven)}, nil
}

// UpdateMapRunInput is the input of UpdateMapRun.
type UpdateMapRunInput struct {
	MapRunARN                  string   `json:"mapRunArn" api:"required,min=1,max=2000"`
	MaxConcurrency             *int     `json:"maxConcurrency" api:"min=0"`
	ToleratedFailurePercentage *float64 `json:"toleratedFailurePercentage" api:"min=0,max=100"`
	ToleratedFailureCount      *int     `json:"toleratedFailureCount" api:"min=0"`
}

func (s *Service) updateMapRun(ctx context.Context, c *awsapi.Call, in *UpdateMapRunInput) (*Empty, error) {
	m, err := s.mapRun(in.MapRunARN)
	if err != nil {
		return nil, err
	}
	err = s.move(m.Execution, func(run *asl.Run) error {
		return run.UpdateMapRun(in.MapRunARN, in.MaxConcurrency, in.ToleratedFailureCount,
			in.ToleratedFailurePercentage)
	})
	if errors.Is(err, asl.ErrClosed) {
		return nil, refusal("CANNOT_UPDATE_COMPLETED_MAP_RUN", "The Map Run is not running: '%s'", in.MapRunARN)
	}
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}
