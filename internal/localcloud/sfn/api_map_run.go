package sfn

import (
	"context"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// saveMapRuns stores what a move has done to Map Runs.
func (s *Service) saveMapRuns(tx *store.Tx, rec *executionRecord, run *asl.Run) error {
	now := run.MapRuns
	run.Branches(func(b *asl.Branch) {
		if m, ok := asl.MapRunOf(b); ok {
			if run.Status != asl.Running {
				m.Status = run.Status
				if m.Status == asl.TimedOut {
					m.Status = asl.Aborted
				}
			}
			now = append(now, m)
		}
	})
	for _, m := range now {
		k := []string{rec.Machine, rec.Name, store.Number(uint64(m.Entered)), m.ARN}
		old, ok, err := mapRuns.Get(tx, k...)
		if err != nil {
			return err
		}
		if !ok {
			old.Started, old.Execution = s.sched.Now(), rec.key()
			if err := mapRunKeys.Put(tx, k, m.ARN); err != nil {
				return err
			}
		}
		if m.Redrives > old.Redrives {
			old.Redriven, old.Stopped = s.sched.Now(), time.Time{}
		}
		old.MapRun = m
		if m.Status != asl.Running && old.Stopped.IsZero() {
			old.Stopped = s.sched.Now()
		}
		if err := mapRuns.Put(tx, old, k...); err != nil {
			return err
		}
	}
	return nil
}

// ListMapRunsInput is the input of ListMapRuns.
type ListMapRunsInput struct {
	ExecutionARN string `json:"executionArn"`
	MaxResults   int    `json:"maxResults"`
	NextToken    string `json:"nextToken"`
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
	n, err := limit(in.MaxResults, 100, in.NextToken)
	if err != nil {
		return nil, err
	}
	k, err := s.executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	after, err := pageKey(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ListMapRunsOutput{MapRuns: []MapRunItem{}}
	err = s.db.View(func(tx *store.Tx) error {
		if _, ok, err := executions.Get(tx, k.Machine, k.Name); err != nil {
			return err
		} else if !ok {
			return noExecution(in.ExecutionARN)
		}
		var last []string
		for row, err := range mapRuns.Scan(tx, store.Query{Prefix: []string{k.Machine, k.Name}, After: after}) {
			if err != nil {
				return err
			}
			if len(out.MapRuns) == n {
				out.NextToken = pageToken(last...)
				break
			}
			last = row.Key[2:]
			out.MapRuns = append(out.MapRuns, MapRunItem{in.ExecutionARN, row.Value.ARN, s.arn("stateMachine", k.Machine),
				awsapi.Time{Time: row.Value.Started}, awsapi.TimeOf(row.Value.Stopped)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// MapRunRef names a Map Run.
type MapRunRef struct {
	MapRunARN string `json:"mapRunArn"`
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

func (s *Service) mapRun(arn string) (*mapRunRecord, error) {
	kind, _, err := s.splitARN(arn)
	if err != nil {
		return nil, err
	}
	if kind != "mapRun" {
		return nil, invalidARN(kind)
	}
	var out *mapRunRecord
	err = s.db.View(func(tx *store.Tx) (err error) {
		out, err = mapRunIn(tx, arn)
		return err
	})
	if err == nil && out == nil {
		err = noResource(arn)
	}
	return out, err
}

// mapRunIn reads a Map Run, nil if there is none.
func mapRunIn(tx *store.Tx, arn string) (*mapRunRecord, error) {
	k, ok, err := mapRunKeys.Get(tx, arn)
	if err != nil || !ok {
		return nil, err
	}
	m, ok, err := mapRuns.Get(tx, k...)
	if err != nil || !ok {
		return nil, err
	}
	return &m, nil
}

// counts are what DescribeMapRun tells of the children or their items. What runs
// when the Map Run ends is stopped; what has not begun stays pending.
func (m *mapRunRecord) counts(c asl.MapRunCounts) MapRunCounts {
	zero, redrive := 0, c.PendingRedrive
	out := MapRunCounts{Running: c.Running, Succeeded: c.Succeeded, Failed: c.Failed, TimedOut: c.TimedOut, Aborted: c.Aborted, Total: c.Total,
		FailuresNotRedrivable: &zero, PendingRedrive: &redrive}
	if m.Status != asl.Running {
		out.Aborted, out.Running = out.Aborted+out.Running, 0
	}
	ended := out.Succeeded + out.Failed + out.TimedOut + out.Aborted
	out.Pending = max(0, c.Total-out.Running-ended-redrive)
	if m.Writes && m.Status == asl.Succeeded {
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
		ToleratedFailurePercentage: m.Share, ToleratedFailureCount: m.Count, ItemCounts: m.counts(m.Items), ExecutionCounts: m.counts(m.Children),
		RedriveCount: m.Redrives, RedriveDate: awsapi.TimeOf(m.Redriven)}, nil
}

// executionARN is the ARN of an execution that has a history.
func (s *Service) executionARN(k key) string {
	if label, name, isChild := strings.Cut(k.Name, "/"); isChild {
		return s.arn("execution", k.Machine+"/"+label+":"+name)
	}
	return s.arn("execution", k.Machine+":"+k.Name)
}

// UpdateMapRunInput is the input of UpdateMapRun.
type UpdateMapRunInput struct {
	MapRunARN                  string   `json:"mapRunArn"`
	MaxConcurrency             *int     `json:"maxConcurrency"`
	ToleratedFailurePercentage *float64 `json:"toleratedFailurePercentage"`
	ToleratedFailureCount      *int     `json:"toleratedFailureCount"`
}

func (s *Service) updateMapRun(ctx context.Context, c *awsapi.Call, in *UpdateMapRunInput) (*Empty, error) {
	m, err := s.mapRun(in.MapRunARN)
	if err != nil {
		return nil, err
	}
	if in.MaxConcurrency != nil && *in.MaxConcurrency < 0 || in.ToleratedFailureCount != nil && *in.ToleratedFailureCount < 0 ||
		in.ToleratedFailurePercentage != nil && (*in.ToleratedFailurePercentage < 0 || *in.ToleratedFailurePercentage > 100) {
		return nil, validation("The limits of a Map Run must not be negative, and a percentage at most 100")
	}
	err = s.move(m.Execution, func(run *asl.Run) error {
		return run.UpdateMapRun(in.MapRunARN, in.MaxConcurrency, in.ToleratedFailureCount, in.ToleratedFailurePercentage)
	})
	if err == asl.ErrClosed {
		return nil, validation("The Map Run is not running: '%s'", in.MapRunARN)
	}
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}

// RedriveExecutionInput is the input of RedriveExecution.
type RedriveExecutionInput struct {
	ExecutionARN string `json:"executionArn"`
	ClientToken  string `json:"clientToken"`
}

// RedriveExecutionOutput is the output of RedriveExecution.
type RedriveExecutionOutput struct {
	RedriveDate awsapi.Time `json:"redriveDate"`
}

// redriveDays is how long after its end an execution can be redriven.
const redriveDays = 14

// redriveTokenLife is how long a redrive can be asked for again with its token.
const redriveTokenLife = 15 * time.Minute

func (s *Service) redriveExecution(ctx context.Context, c *awsapi.Call, in *RedriveExecutionInput) (*RedriveExecutionOutput, error) {
	k, err := s.standardOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	at, reason, err := s.redrive(k, in.ClientToken, nil)
	switch {
	case err == asl.ErrClosed:
		return nil, noExecution(in.ExecutionARN)
	case err != nil:
		return nil, err
	case reason != "":
		return nil, awsapi.Errorf("ExecutionNotRedrivable", "Redrive execution failed: '%s': '%s'", reason, in.ExecutionARN)
	}
	return &RedriveExecutionOutput{awsapi.Time{Time: at}}, nil
}

// redrive takes an execution up again; reason says why it cannot be. A child is
// taken up by its Map Run, which notes that with change. A request with the token
// of one of the last ten redrives, at most a quarter of an hour old, is the same
// request. ErrClosed means that there is no such execution.
func (s *Service) redrive(k key, token string, change func(rec *executionRecord)) (at time.Time, reason string, err error) {
	l := s.lock(k)
	defer s.unlock(k, l)
	rec, _, rev, err := s.load(k)
	if err != nil {
		return at, "", err
	}
	if rec == nil {
		return at, "", asl.ErrClosed
	}
	now := s.sched.Now()
	for _, r := range rec.Redrives {
		if token != "" && r.Token == token && now.Sub(r.At) < redriveTokenLife {
			return r.At, "", nil
		}
	}
	status, reason := redriveStatus(rec)
	if status == "REDRIVABLE_BY_MAP_RUN" {
		if change != nil {
			status = "REDRIVABLE"
		} else {
			reason = "Execution is redrivable by its Map Run only"
		}
	}
	if status == "REDRIVABLE" && rec.Stopped.AddDate(0, 0, redriveDays).Before(now) {
		status, reason = "NOT_REDRIVABLE", "Execution redrivable period exceeded"
	}
	var snap asl.Snapshot
	found := false
	if err := s.db.View(func(tx *store.Tx) (err error) {
		snap, found, err = redrivable.Get(tx, k.Machine, k.Name)
		return err
	}); err != nil {
		return at, "", err
	}
	if status == "REDRIVABLE" && (!found || snap.Next >= asl.MaxEvents-1) {
		status, reason = "NOT_REDRIVABLE", "Execution history event limit exceeded"
	}
	if status != "REDRIVABLE" {
		return at, reason, nil
	}
	old := rec.Status
	rec.RedriveCount++
	rec.Redriven, rec.Status = now, asl.Running
	rec.Stopped, rec.Output, rec.Error, rec.Cause = time.Time{}, nil, nil, nil
	if token != "" {
		rec.Redrives = append(rec.Redrives, redriveToken{token, now})
		rec.Redrives = rec.Redrives[max(0, len(rec.Redrives)-10):]
	}
	if change != nil {
		change(rec)
	}
	m, err := s.program(rec, rev)
	if err != nil {
		return at, "", err
	}
	sink := &asl.Run{}
	events := s.record(rec, rev, sink)
	defer events.release()
	run := asl.Redrive(m, host{s, k}, s.info(rec, rev), snap, sink.Record)
	calls := run.Calls
	err = s.db.Update(func(tx *store.Tx) error {
		if err := redrivable.Delete(tx, k.Machine, k.Name); err != nil {
			return err
		}
		if err := s.index(tx, rec, old); err != nil {
			return err
		}
		return s.save(tx, rec, run, events)
	})
	if err != nil {
		return at, "", err
	}
	s.timer(k, l, run)
	s.done(rec, rev, run, events, calls)
	return now, "", nil
}
