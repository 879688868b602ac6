package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sns/filterpolicy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Event source mappings, as they are made, read, changed and deleted. What one
// does is in source.go. Sources other than SQS queues are refused by name.
//
// Sources: Lambda API Reference, CreateEventSourceMapping; Developer Guide,
// "Using Lambda with Amazon SQS" and the pages under it (read 2026-11).

const (
	mappingBase   = "/2015-03-31/event-source-mappings"
	partialBatch  = "ReportBatchItemFailures"
	maxFilters    = 5
	receivedMost  = 10 // messages that SQS gives at once
	stateCreating = "Creating"
	stateEnabling = "Enabling"
	stateEnabled  = "Enabled"
	stateUpdating = "Updating"
	stateDisabled = "Disabled"
	stateDeleting = "Deleting"
)

// mapping is an event source mapping.
type mapping struct {
	UUID        string
	Source      string // ARN
	FunctionARN string // with the qualifier, if one was given
	BatchSize   int
	Window      int      // seconds
	Filters     []string `json:",omitempty"` // patterns
	Partial     bool     `json:",omitempty"` // ReportBatchItemFailures
	MaxParallel int      `json:",omitempty"` // MaximumConcurrency
	Enabled     bool
	State       string
	Modified    time.Time
	Tags        map[string]string `json:",omitempty"`
}

type filter struct {
	Pattern string `json:"Pattern" api:"max=4096"`
}

type filterCriteria struct {
	Filters []filter `json:"Filters,omitempty"`
}

type scalingConfig struct {
	MaximumConcurrency *int `json:"MaximumConcurrency,omitempty" api:"min=2,max=1000"`
}

// mappingSettings are what a mapping can be made with and changed to.
type mappingSettings struct {
	FunctionName  string          `json:"FunctionName,omitempty" api:"min=1,max=256,pattern=function reference"`
	Enabled       *bool           `json:"Enabled,omitempty"`
	BatchSize     *int            `json:"BatchSize,omitempty" api:"min=1,max=10000"`
	Window        *int            `json:"MaximumBatchingWindowInSeconds,omitempty" api:"min=0,max=300"`
	Filters       *filterCriteria `json:"FilterCriteria,omitempty"`
	ResponseTypes *[]string       `json:"FunctionResponseTypes,omitempty" api:"each.values=ReportBatchItemFailures,max=1"`
	Scaling       *scalingConfig  `json:"ScalingConfig,omitempty"`

	// Of other sources.
	ParallelizationFactor json.RawMessage `json:"ParallelizationFactor,omitempty"`
	DestinationConfig     json.RawMessage `json:"DestinationConfig,omitempty"`
	MaximumRecordAge      json.RawMessage `json:"MaximumRecordAgeInSeconds,omitempty"`
	Bisect                json.RawMessage `json:"BisectBatchOnFunctionError,omitempty"`
	MaximumRetryAttempts  json.RawMessage `json:"MaximumRetryAttempts,omitempty"`
	TumblingWindow        json.RawMessage `json:"TumblingWindowInSeconds,omitempty"`
	// Not built.
	KMSKeyArn   string          `json:"KMSKeyArn,omitempty" api:"pattern=arn or nothing"`
	Metrics     json.RawMessage `json:"MetricsConfig,omitempty"`
	Logging     json.RawMessage `json:"LoggingConfig,omitempty"`
	Provisioned json.RawMessage `json:"ProvisionedPollerConfig,omitempty"`
}

type createMappingIn struct {
	EventSourceArn string `json:"EventSourceArn,omitempty" api:"pattern=source arn"`
	mappingSettings
	StartingPosition string            `json:"StartingPosition,omitempty" api:"values=AT_TIMESTAMP|LATEST|TRIM_HORIZON"`
	Tags             map[string]string `json:"Tags,omitempty"`
}

type updateMappingIn struct {
	UUID string `json:"UUID" uri:"UUID"`
	mappingSettings
}

type mappingRef struct {
	UUID string `json:"UUID" uri:"UUID"`
}

func (r *mappingRef) uuid() string      { return r.UUID }
func (r *updateMappingIn) uuid() string { return r.UUID }

func onMapping[In any](s *Service) awsapi.Option {
	return awsapi.On(func(_ *awsapi.Call, in *In) []string {
		return []string{s.mappingARN(any(in).(interface{ uuid() string }).uuid())}
	})
}

func (s *Service) mappingARN(uuid string) string {
	return "arn:aws:lambda:" + s.Region + ":" + s.Account + ":event-source-mapping:" + uuid
}

type mappingOut struct {
	UUID                  string          `json:"UUID"`
	EventSourceMappingArn string          `json:"EventSourceMappingArn"`
	EventSourceArn        string          `json:"EventSourceArn"`
	FunctionArn           string          `json:"FunctionArn"`
	BatchSize             int             `json:"BatchSize"`
	Window                int             `json:"MaximumBatchingWindowInSeconds"`
	Filters               *filterCriteria `json:"FilterCriteria,omitempty"`
	ResponseTypes         []string        `json:"FunctionResponseTypes"`
	Scaling               *scalingConfig  `json:"ScalingConfig,omitempty"`
	State                 string          `json:"State"`
	Reason                string          `json:"StateTransitionReason"`
	LastProcessingResult  string          `json:"LastProcessingResult,omitempty"`
	LastModified          awsapi.Time     `json:"LastModified"`
}

func (s *Service) describeMapping(m mapping) *mappingOut {
	out := &mappingOut{
		UUID: m.UUID, EventSourceMappingArn: s.mappingARN(m.UUID), EventSourceArn: m.Source,
		FunctionArn: m.FunctionARN, BatchSize: m.BatchSize,
		Window: m.Window, ResponseTypes: []string{}, State: m.State, Reason: "USER_INITIATED",
		LastModified:         awsapi.Time{Time: m.Modified},
		LastProcessingResult: s.problem(m.UUID),
	}
	if m.Partial {
		out.ResponseTypes = []string{partialBatch}
	}
	if len(m.Filters) > 0 {
		out.Filters = &filterCriteria{}
		for _, p := range m.Filters {
			out.Filters.Filters = append(out.Filters.Filters, filter{p})
		}
	}
	if m.MaxParallel > 0 {
		out.Scaling = &scalingConfig{&m.MaxParallel}
	}
	return out
}

// apply checks settings and lays them over m.
func (in *mappingSettings) apply(m *mapping) error {
	for _, x := range []struct {
		name  string
		given bool
	}{
		{"ParallelizationFactor", in.ParallelizationFactor != nil}, {"DestinationConfig", in.DestinationConfig != nil},
		{"MaximumRecordAgeInSeconds", in.MaximumRecordAge != nil}, {"BisectBatchOnFunctionError", in.Bisect != nil},
		{"MaximumRetryAttempts", in.MaximumRetryAttempts != nil}, {"TumblingWindowInSeconds",
			in.TumblingWindow != nil},
	} {
		if x.given {
			return errInvalidParameter("Unsupported parameters for given event source mapping type: %s", x.name)
		}
	}
	for _, x := range []struct {
		name  string
		given bool
	}{
		{"KMSKeyArn", in.KMSKeyArn != ""}, {"MetricsConfig", in.Metrics != nil}, {"LoggingConfig", in.Logging != nil},
		{"ProvisionedPollerConfig", in.Provisioned != nil},
	} {
		if x.given {
			return awsapi.NotBuilt(x.name + " of event source mappings")
		}
	}
	if in.Enabled != nil {
		m.Enabled = *in.Enabled
	}
	if in.BatchSize != nil {
		m.BatchSize = *in.BatchSize
	}
	if in.Window != nil {
		m.Window = *in.Window
	}
	if in.ResponseTypes != nil {
		m.Partial = len(*in.ResponseTypes) > 0
	}
	if in.Scaling != nil {
		m.MaxParallel = 0
		if n := in.Scaling.MaximumConcurrency; n != nil {
			if *n < 2 {
				return invalidMember("scalingConfig.maximumConcurrency", *n,
					"Member must have value greater than or equal to 2")
			}
			if *n > accountLimit {
				return invalidMember("scalingConfig.maximumConcurrency", *n,
					fmt.Sprint("Member must have value less than or equal to ", accountLimit))
			}
			m.MaxParallel = *n
		}
	}
	if in.Filters != nil {
		m.Filters = nil
		if len(in.Filters.Filters) > maxFilters {
			return errInvalidParameter("Number of filters (%d) exceeds maximum (%d)", len(in.Filters.Filters),
				maxFilters)
		}
		for _, f := range in.Filters.Filters {
			m.Filters = append(m.Filters, f.Pattern)
		}
		if _, err := parseFilters(m.Filters); err != nil {
			return err
		}
	}
	switch {
	case m.BatchSize > receivedMost && m.Window == 0:
		return errInvalidParameter(
			"Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than %d",
			receivedMost)
	}
	return nil
}

func invalidMember(name string, value any, constraint string) *awsapi.Error {
	return awsapi.Errorf("ValidationException",
		"1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: %s", value, name, constraint)
}

// parseFilters reads filter patterns, which are written like SNS's filter
// policies that look at the body.
func parseFilters(patterns []string) (list []*filterpolicy.Policy, err error) {
	for _, p := range patterns {
		f, err := filterpolicy.Parse([]byte(p), filterpolicy.MessageBody)
		if err != nil {
			return nil, errInvalidParameter("Invalid filter pattern definition. (%v)", err)
		}
		list = append(list, f)
	}
	return list, nil
}

// checkMapping looks whether function, role and queue fit each other.
func (s *Service) checkMapping(ctx context.Context, c *awsapi.Call, m *mapping) error {
	var f Function
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		f, err = s.find(tx, m.FunctionARN, "")
		return err
	}); err != nil {
		return err
	}
	m.FunctionARN = f.named()
	id, err := s.Roles.Assume(ctx, f.RoleARN, "lambda.amazonaws.com", f.ARN, f.Name)
	if err != nil {
		return errInvalidParameter("The role defined for the function cannot be assumed by Lambda.")
	}
	as := *c
	as.Identity, as.Service = id, &awsapi.Service{}
	for _, operation := range []string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
		err := as.Authorize(ctx, "sqs:"+operation, m.Source, nil)
		if awsapi.Code(err) == "AccessDeniedException" {
			return errInvalidParameter("The provided execution role does not have permissions to call %s on SQS",
				operation)
		}
		if err != nil {
			return err
		}
	}
	visible, err := s.visibility(ctx, id, m.Source)
	if awsapi.Code(err) == "QueueDoesNotExist" {
		return errInvalidParameter(
			"Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS "+
				"Error Message: %s", awsapi.AsError(err).Message)
	}
	if err != nil {
		return err
	}
	if visible < f.Timeout {
		return errInvalidParameter("Queue visibility timeout: %d seconds is less than Function timeout: %d seconds",
			visible/time.Second, f.Timeout/time.Second)
	}
	return nil
}

// visibility is a queue's visibility timeout.
func (s *Service) visibility(ctx context.Context, id awsapi.Identity, arn string) (time.Duration, error) {
	var out struct {
		Attributes map[string]string `json:"Attributes"`
	}
	in := map[string]any{"QueueUrl": arn[strings.LastIndexByte(arn, ':')+1:],
		"AttributeNames": []string{"VisibilityTimeout"}}
	if err := awsapi.CallInto(ctx, s.Caller, id, "sqs", "GetQueueAttributes", in, &out); err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(out.Attributes["VisibilityTimeout"])
	return time.Duration(n) * time.Second, err
}

func (s *Service) createMapping(ctx context.Context, c *awsapi.Call, in *createMappingIn) (*mappingOut, error) {
	if in.EventSourceArn == "" {
		return nil, errInvalidParameter("EventSourceArn: the ARN of an SQS queue is required")
	}
	if !strings.HasPrefix(in.EventSourceArn, "arn:aws:sqs:") || strings.HasSuffix(in.EventSourceArn, ".fifo") ||
		s.Queues == nil {
		return nil, awsapi.NotBuilt("event source mappings of " + in.EventSourceArn +
			" (standard SQS queues are there)")
	}
	if in.StartingPosition != "" {
		return nil, errInvalidParameter("StartingPosition is not valid for SQS event sources.")
	}
	if in.FunctionName == "" {
		return nil, invalidMember("functionName", "null", "Member must not be null")
	}
	m := mapping{UUID: s.Scheduler.UUID(), Source: in.EventSourceArn, FunctionARN: in.FunctionName,
		BatchSize: receivedMost, Enabled: true, Tags: in.Tags}
	if err := in.apply(&m); err != nil {
		return nil, err
	}
	if err := s.checkMapping(ctx, c, &m); err != nil {
		return nil, err
	}
	m.State, m.Modified = stateCreating, s.Scheduler.Now()
	err := s.Store.Update(func(tx *store.Tx) error {
		for row, err := range mappings.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if have := row.Value; have.Source == m.Source && have.FunctionARN == m.FunctionARN {
				return errConflict("An event source mapping with SQS arn (\" %s \") and function (\" %s \") "+
					"already exists. "+
					"Please update or delete the existing mapping with UUID %s", m.Source, in.FunctionName, have.UUID)
			}
		}
		return s.startTransition(tx, m)
	})
	if err != nil {
		return nil, err
	}
	return s.describeMapping(m), nil
}

// startTransition stores a mapping whose state is on its way, and has it get there.
// On AWS that takes up to a minute; here it is the next task that runs.
func (s *Service) startTransition(tx *store.Tx, m mapping) error {
	tx.OnCommit(func() { s.Scheduler.Go("lambda event source mapping "+m.UUID, func() { s.endTransition(m.UUID) }) })
	return mappings.Put(tx, m, m.UUID)
}

// endTransition ends a transition: the mapping is at work, at rest, or gone.
func (s *Service) endTransition(uuid string) {
	var m mapping
	var there bool
	err := s.Store.Update(func(tx *store.Tx) (err error) {
		if m, there, err = mappings.Get(tx, uuid); err != nil || !there {
			return err
		}
		switch {
		case m.State == stateDeleting:
			there = false
			return mappings.Delete(tx, uuid)
		case m.Enabled:
			m.State = stateEnabled
		default:
			m.State = stateDisabled
		}
		return mappings.Put(tx, m, uuid)
	})
	if err != nil {
		s.Scheduler.Failed("lambda event source mapping "+uuid, err) // Start does it
		return
	}
	s.stopSource(uuid)
	if there && m.State == stateEnabled {
		s.startSource(m)
	}
}

// resume is for Start: it brings a mapping to where it was going, or to work.
func (s *Service) resume(m mapping) {
	switch m.State {
	case stateDisabled:
	case stateEnabled:
		s.startSource(m)
	default:
		s.Scheduler.Go("lambda event source mapping "+m.UUID, func() { s.endTransition(m.UUID) })
	}
}

func (s *Service) oneMapping(tx *store.Tx, uuid string) (mapping, error) {
	m, ok, err := mappings.Get(tx, uuid)
	if err == nil && !ok {
		err = errNotFound("The resource you requested does not exist.")
	}
	return m, err
}

func (s *Service) getMapping(_ context.Context, _ *awsapi.Call, in *mappingRef) (*mappingOut, error) {
	var m mapping
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		m, err = s.oneMapping(tx, in.UUID)
		return err
	}); err != nil {
		return nil, err
	}
	return s.describeMapping(m), nil
}

func errInUse(verb string) *awsapi.Error {
	return awsapi.Errorf("ResourceInUseException", "Cannot %s the event source mapping because it is in use.", verb)
}

func (m mapping) moving() bool { return m.State != stateEnabled && m.State != stateDisabled }

func (s *Service) updateMapping(ctx context.Context, c *awsapi.Call, in *updateMappingIn) (*mappingOut, error) {
	var m mapping
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		m, err = s.oneMapping(tx, in.UUID)
		return err
	}); err != nil {
		return nil, err
	}
	before := m.Modified
	if m.moving() {
		return nil, errInUse("update")
	}
	if in.FunctionName != "" {
		m.FunctionARN = in.FunctionName
	}
	was := m.Enabled
	if err := in.apply(&m); err != nil {
		return nil, err
	}
	if err := s.checkMapping(ctx, c, &m); err != nil {
		return nil, err
	}
	m.Modified = s.Scheduler.Now()
	switch {
	case m.Enabled && !was:
		m.State = stateEnabling
	case was && !m.Enabled:
		m.State = "Disabling"
	default:
		m.State = stateUpdating
	}
	err := s.Store.Update(func(tx *store.Tx) error {
		now, err := s.oneMapping(tx, in.UUID)
		if err != nil {
			return err
		}
		if now.moving() || !now.Modified.Equal(before) {
			return errInUse("update")
		}
		return s.startTransition(tx, m)
	})
	if err != nil {
		return nil, err
	}
	return s.describeMapping(m), nil
}

func (s *Service) deleteMapping(_ context.Context, _ *awsapi.Call, in *mappingRef) (*mappingOut, error) {
	var m mapping
	err := s.Store.Update(func(tx *store.Tx) (err error) {
		if m, err = s.oneMapping(tx, in.UUID); err != nil {
			return err
		}
		if m.moving() {
			return errInUse("delete")
		}
		m.State, m.Modified = stateDeleting, s.Scheduler.Now()
		return s.startTransition(tx, m)
	})
	if err != nil {
		return nil, err
	}
	return s.describeMapping(m), nil
}

type listMappingsIn struct {
	EventSourceArn string `json:"EventSourceArn,omitempty" query:"EventSourceArn" api:"pattern=source arn"`
	FunctionName   string `json:"FunctionName,omitempty" query:"FunctionName" api:"min=1,max=256,pattern=function reference"`
	Marker         string `json:"Marker,omitempty" query:"Marker"`
	MaxItems       *int   `json:"MaxItems,omitempty" query:"MaxItems" api:"min=1,max=10000"`
}

type listMappingsOut struct {
	Mappings   []*mappingOut `json:"EventSourceMappings"`
	NextMarker string        `json:"NextMarker,omitempty"`
}

func (s *Service) listMappings(_ context.Context, _ *awsapi.Call, in *listMappingsIn) (*listMappingsOut, error) {
	out := &listMappingsOut{Mappings: []*mappingOut{}}
	after, err := afterMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	q := store.Query{After: after}
	var found []mapping
	err = s.Store.View(func(tx *store.Tx) error {
		for row, err := range mappings.Scan(tx, q) {
			m := row.Value
			if err != nil {
				return err
			}
			if in.EventSourceArn != "" && m.Source != in.EventSourceArn || in.FunctionName != "" &&
				!slices.Contains(s.resource(in.FunctionName, ""), m.FunctionARN) {
				continue
			}
			if n := len(found); n == awsapi.PageSize(in.MaxItems, 100, 100) {
				out.NextMarker = awsapi.PageToken(found[n-1].UUID)
				return nil
			}
			found = append(found, m)
		}
		return nil
	})
	for _, m := range found {
		out.Mappings = append(out.Mappings, s.describeMapping(m))
	}
	return out, err
}
