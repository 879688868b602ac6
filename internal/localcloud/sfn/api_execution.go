package sfn

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// StartExecutionInput is the input of StartExecution and StartSyncExecution.
type StartExecutionInput struct {
	StateMachineARN string  `json:"stateMachineArn"`
	Name            *string `json:"name"`
	Input           *string `json:"input"`
	TraceHeader     string  `json:"traceHeader"`
	IncludedData    string  `json:"includedData"`
}

// StartExecutionOutput is the output of StartExecution.
type StartExecutionOutput struct {
	ExecutionARN string      `json:"executionArn"`
	StartDate    awsapi.Time `json:"startDate"`
}

// prepare checks the input of a start and makes the record.
func (s *Service) prepare(in *StartExecutionInput, typ string) (*executionRecord, *revisionRecord, error) {
	if in.Name != nil && !validName(*in.Name) {
		return nil, nil, invalidName(*in.Name)
	}
	input := "{}"
	if in.Input != nil {
		input = *in.Input
	}
	var m machineRecord
	var rev *revisionRecord
	var v *versionRecord
	var alias string
	name, qualifier, err := s.machineName(in.StateMachineARN)
	if err != nil {
		return nil, nil, err
	}
	if qualifier == "" {
		c, err := s.newest(name)
		if err != nil {
			return nil, nil, err
		}
		if c == nil {
			return nil, nil, noMachine(in.StateMachineARN)
		}
		m, rev = c.machine, c.revision
	} else {
		err := s.db.View(func(tx *store.Tx) (err error) {
			var r revisionRecord
			m, r, v, alias, err = s.selected(tx, in.StateMachineARN)
			rev = &r
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if m.Deleting {
		return nil, nil, awsapi.Errorf("StateMachineDeleting", "State Machine is being deleted: '%s'", in.StateMachineARN)
	}
	if typ != "" && m.Type != typ {
		return nil, nil, awsapi.Errorf("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
	}
	if len(input) > asl.MaxData {
		return nil, nil, validation("1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than or equal to 262144")
	}
	if input == "" {
		return nil, nil, awsapi.Errorf("InvalidExecutionInput", "Invalid State Machine Execution Input: 'Invalid execution input.'")
	}
	if _, err := asl.ParseData(input); err != nil {
		return nil, nil, awsapi.Errorf("InvalidExecutionInput", "Invalid State Machine Execution Input: '%s'", asl.JSONProblem(input, err))
	}
	rec := &executionRecord{Machine: m.Name, Revision: rev.ID, Type: m.Type, Started: s.sched.Now(), Input: input, Alias: alias, TraceHeader: in.TraceHeader}
	rec.Order = s.order(rec.Started)
	if v != nil {
		rec.Version = v.Number
	}
	if in.Name != nil {
		rec.Name = *in.Name
	} else {
		rec.Name = s.sched.UUID()
	}
	if m.Type == express {
		rec.Name += ":" + s.sched.UUID()
		rec.ARN = s.arn("express", m.Name+":"+rec.Name)
	} else {
		rec.ARN = s.arn("execution", m.Name+":"+rec.Name)
	}
	return rec, rev, nil
}

// order makes start times differ, so that lists have one order.
func (s *Service) order(t time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.After(s.lastStart) {
		t = s.lastStart.Add(1)
	}
	s.lastStart = t
	return t
}

// retention is how long the name of a closed execution stays taken.
const retentionDays = 90

func (s *Service) startExecution(ctx context.Context, c *awsapi.Call, in *StartExecutionInput) (*StartExecutionOutput, error) {
	rec, rev, err := s.prepare(in, "")
	if err != nil {
		return nil, err
	}
	errSame := awsapi.Errorf("Same", "")
	started := rec.Started
	err = s.begin(rec, rev, func(tx *store.Tx) error {
		if rec.Type == express || in.Name == nil {
			return nil
		}
		old, ok, err := executions.Get(tx, rec.Machine, rec.Name)
		if err != nil || !ok {
			return err
		}
		if old.Status == asl.Running && old.Input == rec.Input {
			started = old.Started
			return errSame
		}
		if old.Status != asl.Running && old.Stopped.AddDate(0, 0, retentionDays).Before(rec.Started) {
			return s.forget(tx, &old)
		}
		return awsapi.Errorf("ExecutionAlreadyExists", "Execution Already Exists: '%s'", rec.ARN)
	})
	if err != nil && err != error(errSame) {
		return nil, err
	}
	if err == nil {
		s.trace(ctx, c, rec, rev)
	}
	return &StartExecutionOutput{rec.ARN, awsapi.Time{Time: started}}, nil
}

// forget removes an execution that is past its retention.
func (s *Service) forget(tx *store.Tx, old *executionRecord) error {
	if err := history.DeleteAll(tx, old.Machine, old.Name); err != nil {
		return err
	}
	if err := byStart.Delete(tx, old.Machine, backward(old.Order), old.Name); err != nil {
		return err
	}
	return byStatus.Delete(tx, old.Machine, old.Status, backward(old.Order), old.Name)
}

// SyncOutput is the output of StartSyncExecution.
type SyncOutput struct {
	ExecutionARN    string         `json:"executionArn"`
	StateMachineARN string         `json:"stateMachineArn"`
	Name            string         `json:"name"`
	StartDate       awsapi.Time    `json:"startDate"`
	StopDate        awsapi.Time    `json:"stopDate"`
	Status          string         `json:"status"`
	Error           *string        `json:"error,omitempty"`
	Cause           *string        `json:"cause,omitempty"`
	Input           *string        `json:"input,omitempty"`
	InputDetails    *included      `json:"inputDetails,omitempty"`
	Output          *string        `json:"output,omitempty"`
	OutputDetails   *included      `json:"outputDetails,omitempty"`
	Billing         billingDetails `json:"billingDetails"`
}

type included struct {
	Included bool `json:"included"`
}

type billingDetails struct {
	BilledDurationInMilliseconds int64 `json:"billedDurationInMilliseconds"`
	BilledMemoryUsedInMB         int64 `json:"billedMemoryUsedInMB"`
}

func (s *Service) startSyncExecution(ctx context.Context, c *awsapi.Call, in *StartExecutionInput) (*SyncOutput, error) {
	rec, rev, err := s.prepare(in, express)
	if err != nil {
		return nil, err
	}
	e := s.ender(rec.key())
	s.trace(ctx, c, rec, rev)
	if err := s.begin(rec, rev, nil); err != nil {
		s.unwait(rec.key(), e)
		return nil, err
	}
	if err := e.gate.Wait(ctx); err != nil {
		s.unwait(rec.key(), e)
		return nil, err
	}
	rec = e.rec
	millis := rec.Stopped.Sub(rec.Started).Milliseconds()
	out := &SyncOutput{
		ExecutionARN: rec.ARN, StateMachineARN: s.arn("stateMachine", rec.Machine), Name: rec.name(),
		StartDate: awsapi.Time{Time: rec.Started}, StopDate: awsapi.Time{Time: rec.Stopped}, Status: rec.Status, Error: rec.Error, Cause: rec.Cause,
		Input: &rec.Input, InputDetails: &included{true}, Output: rec.Output, OutputDetails: outputIncluded(rec.Output),
		Billing: billingDetails{max(100, (millis+99)/100*100), 64},
	}
	if in.IncludedData == metadataOnly {
		out.Input, out.InputDetails = nil, &included{}
		if out.Output != nil {
			out.Output, out.OutputDetails = nil, &included{}
		}
	}
	return out, nil
}

func outputIncluded(output *string) *included {
	if output == nil {
		return nil
	}
	return &included{true}
}

// StopExecutionInput is the input of StopExecution.
type StopExecutionInput struct {
	ExecutionARN string  `json:"executionArn"`
	Error        *string `json:"error"`
	Cause        *string `json:"cause"`
}

// StopExecutionOutput is the output of StopExecution.
type StopExecutionOutput struct {
	StopDate awsapi.Time `json:"stopDate"`
}

func (s *Service) stopExecution(ctx context.Context, c *awsapi.Call, in *StopExecutionInput) (*StopExecutionOutput, error) {
	if err := checkError(in.Error, in.Cause); err != nil {
		return nil, err
	}
	k, err := s.standardOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	err = s.move(k, func(run *asl.Run) error {
		run.Abort(in.Error, in.Cause)
		return nil
	})
	if err != nil && err != asl.ErrClosed {
		return nil, err
	}
	rec, _, _, err := s.load(k)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, noExecution(in.ExecutionARN)
	}
	return &StopExecutionOutput{awsapi.Time{Time: rec.Stopped}}, nil
}

// ExecutionRef names an execution.
type ExecutionRef struct {
	ExecutionARN string `json:"executionArn"`
	IncludedData string `json:"includedData"`
}

// Execution is an execution as it is described.
type Execution struct {
	ExecutionARN           string       `json:"executionArn"`
	StateMachineARN        string       `json:"stateMachineArn"`
	Name                   string       `json:"name"`
	Status                 string       `json:"status"`
	StartDate              awsapi.Time  `json:"startDate"`
	StopDate               *awsapi.Time `json:"stopDate,omitempty"`
	Input                  *string      `json:"input,omitempty"`
	InputDetails           *included    `json:"inputDetails,omitempty"`
	Output                 *string      `json:"output,omitempty"`
	OutputDetails          *included    `json:"outputDetails,omitempty"`
	Error                  *string      `json:"error,omitempty"`
	Cause                  *string      `json:"cause,omitempty"`
	StateMachineVersionARN string       `json:"stateMachineVersionArn,omitempty"`
	StateMachineAliasARN   string       `json:"stateMachineAliasArn,omitempty"`
	TraceHeader            string       `json:"traceHeader,omitempty"`
	MapRunARN              string       `json:"mapRunArn,omitempty"`
	RedriveCount           int          `json:"redriveCount"`
	RedriveDate            *awsapi.Time `json:"redriveDate,omitempty"`
	RedriveStatus          string       `json:"redriveStatus,omitempty"`
	RedriveStatusReason    string       `json:"redriveStatusReason,omitempty"`
}

func (s *Service) describeExecution(ctx context.Context, c *awsapi.Call, in *ExecutionRef) (*Execution, error) {
	k, err := s.executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	rec, _, _, err := s.load(k)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, noExecution(in.ExecutionARN)
	}
	out := &Execution{
		ExecutionARN: rec.ARN, StateMachineARN: s.arn("stateMachine", rec.machine()), Name: rec.name(), Status: rec.Status,
		StartDate: awsapi.Time{Time: rec.Started}, StopDate: awsapi.TimeOf(rec.Stopped), Input: &rec.Input, InputDetails: &included{true},
		Output: rec.Output, OutputDetails: outputIncluded(rec.Output), Error: rec.Error, Cause: rec.Cause, TraceHeader: rec.TraceHeader,
		StateMachineAliasARN: rec.Alias, RedriveCount: rec.RedriveCount, RedriveDate: awsapi.TimeOf(rec.Redriven),
	}
	if rec.Child != nil {
		out.MapRunARN = rec.Child.MapRun
	}
	out.RedriveStatus, out.RedriveStatusReason = redriveStatus(rec)
	if in.IncludedData == metadataOnly {
		out.Input, out.InputDetails, out.Error, out.Cause = nil, &included{}, nil, nil
		if out.Output != nil {
			out.Output, out.OutputDetails = nil, &included{}
		}
	}
	if rec.Version != 0 {
		out.StateMachineVersionARN = out.StateMachineARN + ":" + strconv.Itoa(rec.Version)
	}
	return out, nil
}

// redriveStatus says whether an execution can be redriven.
func redriveStatus(rec *executionRecord) (status, reason string) {
	switch rec.Status {
	case asl.Running:
		return "NOT_REDRIVABLE", "Execution is RUNNING and cannot be redriven"
	case asl.Succeeded:
		return "NOT_REDRIVABLE", "Execution is SUCCEEDED and cannot be redriven"
	}
	if rec.Child != nil {
		return "REDRIVABLE_BY_MAP_RUN", ""
	}
	return "REDRIVABLE", ""
}

func (s *Service) describeForExecution(ctx context.Context, c *awsapi.Call, in *ExecutionRef) (*StateMachine, error) {
	k, err := s.executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	rec, _, rev, err := s.load(k)
	if err != nil {
		return nil, err
	}
	if rec == nil || rev == nil {
		return nil, noExecution(in.ExecutionARN)
	}
	var m machineRecord
	err = s.db.View(func(tx *store.Tx) (err error) {
		m, _, err = machines.Get(tx, k.Machine)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := s.describe(m, *rev, nil)
	out.Status, out.Type, out.CreationDate = "", "", nil
	out.UpdateDate = awsapi.TimeOf(rev.Updated)
	if rec.Child != nil {
		out.StateMachineARN, out.MapRunARN, out.Label = s.arn("stateMachine", rec.machine()), rec.Child.MapRun, mapRunLabel(rec.Child.MapRun)
	}
	return out, nil
}

// ListExecutionsInput is the input of ListExecutions.
type ListExecutionsInput struct {
	StateMachineARN string `json:"stateMachineArn"`
	StatusFilter    string `json:"statusFilter"`
	MaxResults      int    `json:"maxResults"`
	NextToken       string `json:"nextToken"`
	MapRunARN       string `json:"mapRunArn"`
	RedriveFilter   string `json:"redriveFilter"`
}

// ExecutionItem is an execution in a list.
type ExecutionItem struct {
	ExecutionARN           string       `json:"executionArn"`
	StateMachineARN        string       `json:"stateMachineArn"`
	Name                   string       `json:"name"`
	Status                 string       `json:"status"`
	StartDate              awsapi.Time  `json:"startDate"`
	StopDate               *awsapi.Time `json:"stopDate,omitempty"`
	StateMachineVersionARN string       `json:"stateMachineVersionArn,omitempty"`
	StateMachineAliasARN   string       `json:"stateMachineAliasArn,omitempty"`
	MapRunARN              string       `json:"mapRunArn,omitempty"`
	ItemCount              *int         `json:"itemCount,omitempty"`
	RedriveCount           int          `json:"redriveCount"`
	RedriveDate            *awsapi.Time `json:"redriveDate,omitempty"`
}

// ListExecutionsOutput is the output of ListExecutions.
type ListExecutionsOutput struct {
	Executions []ExecutionItem `json:"executions"`
	NextToken  *string         `json:"nextToken,omitempty"`
}

func (s *Service) listExecutions(ctx context.Context, c *awsapi.Call, in *ListExecutionsInput) (*ListExecutionsOutput, error) {
	n, err := limitWith(in.MaxResults, 100, in.NextToken, 3096)
	if err != nil {
		return nil, err
	}
	if (in.MapRunARN == "") == (in.StateMachineARN == "") {
		return nil, validation("Exactly one of 'stateMachineArn' and 'mapRunArn' must be specified")
	}
	var name, qualifier, list string
	if in.MapRunARN != "" {
		m, err := s.mapRun(in.MapRunARN)
		if err != nil {
			return nil, err
		}
		name, list = m.Execution.Machine, in.MapRunARN
	} else {
		if name, qualifier, err = s.machineName(in.StateMachineARN); err != nil {
			return nil, err
		}
		list = name
		if in.StatusFilter == "PENDING_REDRIVE" {
			return nil, validation("The statusFilter PENDING_REDRIVE is only supported with a mapRunArn")
		}
	}
	switch in.RedriveFilter {
	case "", "REDRIVEN", "NOT_REDRIVEN":
	default:
		return nil, validation("1 validation error detected: Value '%s' at 'redriveFilter' failed to satisfy constraint: Member must satisfy enum value set: [REDRIVEN, NOT_REDRIVEN]", in.RedriveFilter)
	}
	switch in.StatusFilter {
	case "", asl.Running, asl.Succeeded, asl.Failed, asl.TimedOut, asl.Aborted, "PENDING_REDRIVE":
	default:
		return nil, validation("1 validation error detected: Value '%s' at 'statusFilter' failed to satisfy constraint: Member must satisfy enum value set: [RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE]", in.StatusFilter)
	}
	after, err := pageKey(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ListExecutionsOutput{Executions: []ExecutionItem{}}
	err = s.db.View(func(tx *store.Tx) error {
		m, ok, err := machines.Get(tx, name)
		if err != nil {
			return err
		}
		if !ok {
			return noMachine(in.StateMachineARN)
		}
		if m.Type == express {
			return awsapi.Errorf("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
		}
		table, prefix := byStart, []string{list}
		if in.StatusFilter != "" {
			table, prefix = byStatus, []string{list, in.StatusFilter}
		}
		var last []string
		for row, err := range table.Scan(tx, store.Query{Prefix: prefix, After: after}) {
			if err != nil {
				return err
			}
			rest := row.Key[len(prefix):]
			rec, ok, err := executions.Get(tx, name, rest[1])
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if qualifier != "" && strconv.Itoa(rec.Version) != qualifier && !strings.HasSuffix(rec.Alias, ":"+qualifier) {
				continue
			}
			if in.RedriveFilter == "REDRIVEN" && rec.RedriveCount == 0 || in.RedriveFilter == "NOT_REDRIVEN" && rec.RedriveCount > 0 {
				continue
			}
			if len(out.Executions) == n {
				out.NextToken = pageToken(last...)
				break
			}
			last = rest
			item := ExecutionItem{ExecutionARN: rec.ARN, StateMachineARN: s.arn("stateMachine", rec.machine()), Name: rec.name(), Status: rec.Status,
				StartDate: awsapi.Time{Time: rec.Started}, StopDate: awsapi.TimeOf(rec.Stopped), StateMachineAliasARN: rec.Alias,
				RedriveCount: rec.RedriveCount, RedriveDate: awsapi.TimeOf(rec.Redriven)}
			if rec.Version != 0 {
				item.StateMachineVersionARN = item.StateMachineARN + ":" + strconv.Itoa(rec.Version)
			}
			if rec.Child != nil {
				item.MapRunARN, item.ItemCount = rec.Child.MapRun, &rec.Child.Items
			}
			out.Executions = append(out.Executions, item)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

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
			for row, err := range history.Scan(tx, store.Query{Prefix: q.Prefix, Before: []string{store.Number(uint64(next + 1))}, Reverse: true}) {
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
	for _, d := range []*details{e.ActivityScheduled, e.ActivitySucceeded, e.TaskScheduled, e.TaskSubmitted, e.TaskSucceeded, e.ExecutionStarted,
		e.ExecutionSucceeded, e.LambdaScheduled, e.LambdaSucceeded, e.StateEntered, e.StateExited} {
		if d != nil {
			d.Input, d.Output, d.Parameters, d.AssignedVariables = nil, nil, nil, nil
			d.InputDetails, d.OutputDetails, d.AssignedDetails = nil, nil, nil
		}
	}
}
