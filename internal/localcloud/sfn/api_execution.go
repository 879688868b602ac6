package sfn

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// StartExecutionInput is the input of StartExecution and StartSyncExecution.
type StartExecutionInput struct {
	StateMachineARN string  `json:"stateMachineArn" api:"required,min=1,max=256"`
	Name            *string `json:"name" api:"min=1,max=80"`
	Input           *string `json:"input" api:"max=262144,bytes,hidden"`
	TraceHeader     string  `json:"traceHeader" api:"max=256,pattern=ascii"`
	IncludedData    string  `json:"includedData" api:"values=ALL_DATA|METADATA_ONLY"`
}

// StartExecutionOutput is the output of StartExecution.
type StartExecutionOutput struct {
	ExecutionARN string      `json:"executionArn"`
	StartDate    awsapi.Time `json:"startDate"`
}

// prepare checks the input of a start and makes the record.
func (s *Service) prepare(in *StartExecutionInput, typ string) (*executionRecord, *revisionRecord, error) {
	if in.Name != nil && !names.Valid(*in.Name) {
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
	name, qualifier, err := machineName(in.StateMachineARN)
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
		return nil, nil, machineDeleting(in.StateMachineARN)
	}
	if typ != "" && m.Type != typ {
		return nil, nil, awsapi.Errorf("StateMachineTypeNotSupported",
			"This operation is not supported by this type of state machine")
	}
	if input == "" {
		return nil, nil, awsapi.Errorf("InvalidExecutionInput",
			"Invalid State Machine Execution Input: 'Invalid execution input.'")
	}
	if _, err := asl.ParseData(input); err != nil {
		return nil, nil, awsapi.Errorf("InvalidExecutionInput", "Invalid State Machine Execution Input: '%s'",
			asl.JSONProblem(input, err))
	}
	rec := &executionRecord{Machine: m.Name, Revision: rev.ID, Type: m.Type, Started: s.sched.Now(), Input: input,
		Alias: alias, TraceHeader: in.TraceHeader}
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
		rec.ARN = s.arn(names.Express, m.Name+":"+rec.Name)
	} else {
		rec.ARN = s.arn(names.Execution, m.Name+":"+rec.Name)
	}
	return rec, rev, nil
}

// retention is how long the name of a closed execution stays taken.
const retentionDays = 90

func (s *Service) startExecution(ctx context.Context, c *awsapi.Call,
	in *StartExecutionInput) (*StartExecutionOutput, error) {
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
			return s.removeExecution(tx, &old)
		}
		return awsapi.Errorf("ExecutionAlreadyExists", "Execution Already Exists: '%s'", rec.ARN)
	})
	if err != nil && !errors.Is(err, error(errSame)) {
		return nil, err
	}
	if err == nil {
		s.trace(ctx, c, rec, rev)
	}
	return &StartExecutionOutput{rec.ARN, awsapi.Time{Time: started}}, nil
}

// removeExecution removes an execution that is past its retention.
func (s *Service) removeExecution(tx *store.Tx, old *executionRecord) error {
	if err := histories.DeleteAll(tx, old.Machine, old.Name); err != nil {
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
	TraceHeader     string         `json:"traceHeader,omitempty"`
	Billing         billingDetails `json:"billingDetails"`
}

type included struct {
	Included bool `json:"included"`
}

type billingDetails struct {
	BilledDurationInMilliseconds int64 `json:"billedDurationInMilliseconds"`
	BilledMemoryUsedInMB         int64 `json:"billedMemoryUsedInMB"`
}

func (s *Service) startSyncExecution(ctx context.Context, c *awsapi.Call, in *StartExecutionInput) (
	*SyncOutput, error) {
	rec, rev, err := s.prepare(in, express)
	if err != nil {
		return nil, err
	}
	rec.Synchronous = true
	e := s.addEndWaiter(rec.key())
	s.trace(ctx, c, rec, rev)
	if err := s.begin(rec, rev, nil); err != nil {
		s.removeEndWaiter(rec.key(), e)
		return nil, err
	}
	if err := e.gate.Wait(ctx); err != nil {
		s.removeEndWaiter(rec.key(), e)
		return nil, err
	}
	rec = e.rec
	millis := rec.Stopped.Sub(rec.Started).Milliseconds()
	out := &SyncOutput{
		ExecutionARN: rec.ARN, StateMachineARN: s.arn(names.StateMachine, rec.Machine), Name: rec.name(),
		StartDate: awsapi.Time{Time: rec.Started}, StopDate: awsapi.Time{Time: rec.Stopped}, Status: rec.Status,
		Error: rec.Error, Cause: rec.Cause,
		Input: &rec.Input, InputDetails: &included{true}, Output: rec.Output,
		OutputDetails: &included{true}, TraceHeader: rec.TraceHeader,
		Billing: billingDetails{max(100, (millis+99)/100*100), 64},
	}
	if in.IncludedData == metadataOnly {
		out.Input, out.InputDetails = nil, &included{}
		out.Output, out.OutputDetails = nil, &included{}
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
	ExecutionARN string  `json:"executionArn" api:"required,min=1,max=256"`
	Error        *string `json:"error" api:"max=256,hidden"`
	Cause        *string `json:"cause" api:"max=32768,hidden"`
}

// StopExecutionOutput is the output of StopExecution.
type StopExecutionOutput struct {
	StopDate awsapi.Time `json:"stopDate"`
}

func (s *Service) stopExecution(ctx context.Context, c *awsapi.Call,
	in *StopExecutionInput) (*StopExecutionOutput, error) {
	k, err := standardOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	err = s.move(k, func(run *asl.Run) error {
		run.Abort(in.Error, in.Cause)
		return nil
	})
	if err != nil && !errors.Is(err, asl.ErrClosed) {
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
	ExecutionARN string `json:"executionArn" api:"required,min=1,max=256"`
	IncludedData string `json:"includedData" api:"values=ALL_DATA|METADATA_ONLY"`
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

// lag is how long a description may be behind: "This operation is eventually
// consistent. The results are best effort and may not reflect very recent updates
// and changes" (API reference, DescribeExecution).
const lag = 2 * time.Second

// eventually is an execution as who reads it may see it: in bad weather as it was a
// moment ago, nil if it was not there.
func (s *Service) eventually(c *awsapi.Call, rec *executionRecord) *executionRecord {
	if rec == nil || s.Weather == nil || c.Identity.Root {
		return rec
	}
	now := s.Scheduler.Now()
	begun, ended := now.Sub(rec.Started) < lag, !rec.Stopped.IsZero() && now.Sub(rec.Stopped) < lag
	if !begun && !ended || !s.Weather.Draw(weather.Stale, "sfn:"+c.Operation) {
		return rec
	}
	if begun {
		return nil
	}
	old := *rec
	old.Status, old.Stopped, old.Output, old.Error, old.Cause = asl.Running, time.Time{}, nil, nil, nil
	return &old
}

func (s *Service) describeExecution(ctx context.Context, c *awsapi.Call, in *ExecutionRef) (*Execution, error) {
	k, err := executionOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	rec, _, _, err := s.load(k)
	if err != nil {
		return nil, err
	}
	if rec = s.eventually(c, rec); rec == nil {
		return nil, noExecution(in.ExecutionARN)
	}
	out := &Execution{
		ExecutionARN: rec.ARN, StateMachineARN: s.arn(names.StateMachine, rec.machine()), Name: rec.name(),
		Status:    rec.Status,
		StartDate: awsapi.Time{Time: rec.Started}, StopDate: awsapi.TimeOf(rec.Stopped), Input: &rec.Input,
		InputDetails: &included{true},
		Output:       rec.Output, OutputDetails: outputIncluded(rec.Output), Error: rec.Error, Cause: rec.Cause,
		TraceHeader:          rec.TraceHeader,
		StateMachineAliasARN: rec.Alias, StateMachineVersionARN: s.versionARN(rec),
		RedriveCount: rec.RedriveCount, RedriveDate: awsapi.TimeOf(rec.Redriven),
	}
	if rec.Child != nil {
		out.MapRunARN = rec.Child.MapRun
	}
	if out.RedriveStatus, out.RedriveStatusReason, err = s.redriveStatus(rec); err != nil {
		return nil, err
	}
	if in.IncludedData == metadataOnly {
		out.Input, out.InputDetails, out.Error, out.Cause = nil, &included{}, nil, nil
		if out.Output != nil {
			out.Output, out.OutputDetails = nil, &included{}
		}
	}
	return out, nil
}

func (s *Service) describeForExecution(ctx context.Context, c *awsapi.Call, in *ExecutionRef) (*StateMachine, error) {
	k, err := executionOf(in.ExecutionARN)
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
		out.StateMachineARN, out.MapRunARN, out.Label = s.arn(names.StateMachine, rec.machine()), rec.Child.MapRun,
			names.LabelOf(rec.Child.MapRun)
	}
	return out, nil
}

// ListExecutionsInput is the input of ListExecutions.
type ListExecutionsInput struct {
	StateMachineARN string `json:"stateMachineArn" api:"min=1,max=256"`
	StatusFilter    string `json:"statusFilter" api:"values=SUCCEEDED|TIMED_OUT|PENDING_REDRIVE|ABORTED|FAILED|RUNNING"`
	MaxResults      int    `json:"maxResults" api:"min=0,max=1000"`
	NextToken       string `json:"nextToken" api:"min=1,max=3096"`
	MapRunARN       string `json:"mapRunArn" api:"min=1,max=2000"`
	RedriveFilter   string `json:"redriveFilter" api:"values=REDRIVEN|NOT_REDRIVEN"`
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

// check refuses filters that AWS does not know.
func (in *ListExecutionsInput) check() error {
	if (in.MapRunARN == "") == (in.StateMachineARN == "") {
		return refusal("MISSING_REQUIRED_PARAMETER", "Must provide a StateMachine ARN or MapRun ARN")
	}
	if in.StatusFilter == "PENDING_REDRIVE" && in.MapRunARN == "" {
		return validation("The statusFilter PENDING_REDRIVE is only supported with a mapRunArn")
	}
	return nil
}

// lists reports whether the filters let an execution through; qualifier is a version, an alias or "".
func (in *ListExecutionsInput) lists(rec *executionRecord, qualifier string) bool {
	switch {
	case qualifier != "" && strconv.Itoa(rec.Version) != qualifier && !strings.HasSuffix(rec.Alias, ":"+qualifier):
		return false
	case in.RedriveFilter == "REDRIVEN":
		return rec.RedriveCount > 0
	case in.RedriveFilter == "NOT_REDRIVEN":
		return rec.RedriveCount == 0
	}
	return true
}

func (s *Service) listExecutions(ctx context.Context, c *awsapi.Call,
	in *ListExecutionsInput) (*ListExecutionsOutput, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var machine, qualifier, under string
	if in.MapRunARN != "" {
		m, err := s.mapRun(in.MapRunARN)
		if err != nil {
			return nil, err
		}
		machine, under = m.Execution.Machine, in.MapRunARN
	} else {
		if machine, qualifier, err = machineName(in.StateMachineARN); err != nil {
			return nil, err
		}
		under = machine
	}
	out := &ListExecutionsOutput{}
	err = s.db.View(func(tx *store.Tx) error {
		m, ok, err := machines.Get(tx, machine)
		if err != nil {
			return err
		}
		if !ok {
			return noMachine(in.StateMachineARN)
		}
		if m.Type == express {
			return awsapi.Errorf("StateMachineTypeNotSupported",
				"This operation is not supported by this type of state machine")
		}
		table, q := byStart, store.Query{Prefix: []string{under}}
		if in.StatusFilter != "" {
			table, q.Prefix = byStatus, []string{under, in.StatusFilter}
		}
		out.Executions, out.NextToken, err = list(tx, table, q, p,
			func(row store.Row[[]byte]) (ExecutionItem, bool, error) {
				rec, ok, err := executions.Get(tx, machine, row.Key[len(row.Key)-1])
				if err != nil || !ok || !in.lists(&rec, qualifier) {
					return ExecutionItem{}, false, err
				}
				return s.item(&rec), true, nil
			})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// item is an execution in a list.
func (s *Service) item(rec *executionRecord) ExecutionItem {
	out := ExecutionItem{
		ExecutionARN: rec.ARN, StateMachineARN: s.arn(names.StateMachine, rec.machine()), Name: rec.name(),
		Status: rec.Status, StartDate: awsapi.Time{Time: rec.Started}, StopDate: awsapi.TimeOf(rec.Stopped),
		StateMachineAliasARN: rec.Alias, StateMachineVersionARN: s.versionARN(rec),
		RedriveCount: rec.RedriveCount, RedriveDate: awsapi.TimeOf(rec.Redriven),
	}
	if rec.Child != nil {
		out.MapRunARN, out.ItemCount = rec.Child.MapRun, &rec.Child.Items
	}
	return out
}

// RedriveExecutionInput is the input of RedriveExecution.
type RedriveExecutionInput struct {
	ExecutionARN string `json:"executionArn" api:"required,min=1,max=256"`
	ClientToken  string `json:"clientToken" api:"min=1,max=64,pattern=visible"`
}

// RedriveExecutionOutput is the output of RedriveExecution.
type RedriveExecutionOutput struct {
	RedriveDate awsapi.Time `json:"redriveDate"`
}

func (s *Service) redriveExecution(ctx context.Context, c *awsapi.Call, in *RedriveExecutionInput) (
	*RedriveExecutionOutput, error) {
	k, err := standardOf(in.ExecutionARN)
	if err != nil {
		return nil, err
	}
	at, reason, err := s.redrive(k, in.ClientToken, nil)
	switch {
	case errors.Is(err, asl.ErrClosed):
		return nil, noExecution(in.ExecutionARN)
	case err != nil:
		return nil, err
	case reason != "":
		return nil, awsapi.Errorf("ExecutionNotRedrivable", "Redrive execution failed: '%s': '%s'", reason,
			in.ExecutionARN)
	}
	return &RedriveExecutionOutput{awsapi.Time{Time: at}}, nil
}
