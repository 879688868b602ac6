package cloudformation

import (
	"context"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// What there is: stacks, their events, exports.

type describeStacksIn struct {
	StackName string `json:"StackName" api:"min=1,pattern=stack name"`
	NextToken string `json:"NextToken" api:"min=1,max=1024"`
}

type outputShape struct {
	OutputKey   string `json:"OutputKey"`
	OutputValue string `json:"OutputValue"`
	Description string `json:"Description,omitempty"`
	ExportName  string `json:"ExportName,omitempty"`
}

type driftShape struct {
	StackDriftStatus string `json:"StackDriftStatus"`
}

type stackShape struct {
	StackID                     string           `json:"StackId"`
	StackName                   string           `json:"StackName"`
	ChangeSetID                 string           `json:"ChangeSetId,omitempty"`
	Description                 string           `json:"Description,omitempty"`
	Parameters                  []parameterShape `json:"Parameters,omitempty"`
	CreationTime                awsapi.Time      `json:"CreationTime"`
	DeletionTime                *awsapi.Time     `json:"DeletionTime,omitempty"`
	LastUpdatedTime             *awsapi.Time     `json:"LastUpdatedTime,omitempty"`
	RollbackConfiguration       struct{}         `json:"RollbackConfiguration"`
	StackStatus                 string           `json:"StackStatus"`
	StackStatusReason           string           `json:"StackStatusReason,omitempty"`
	DisableRollback             bool             `json:"DisableRollback"`
	NotificationARNs            []string         `json:"NotificationARNs"`
	TimeoutInMinutes            int              `json:"TimeoutInMinutes,omitempty"`
	Capabilities                []string         `json:"Capabilities,omitempty"`
	Outputs                     []outputShape    `json:"Outputs,omitempty"`
	RoleARN                     string           `json:"RoleARN,omitempty"`
	Tags                        []tagShape       `json:"Tags"`
	EnableTerminationProtection bool             `json:"EnableTerminationProtection"`
	DriftInformation            driftShape       `json:"DriftInformation"`
}

type describeStacksOut struct {
	Stacks    []stackShape `json:"Stacks"`
	NextToken string       `json:"NextToken,omitempty"`
}

const stacksOfAPage = 100

func (s *Service) describeStacks(_ context.Context, _ *awsapi.Call, in *describeStacksIn) (*describeStacksOut, error) {
	list, err := s.find(in.StackName)
	if err != nil {
		return nil, err
	}
	out := &describeStacksOut{Stacks: []stackShape{}}
	if list, out.NextToken, err = page(list, in.NextToken, stacksOfAPage); err != nil {
		return nil, err
	}
	for _, stack := range list {
		shape := stackShape{
			StackID: stack.ID, StackName: stack.Name, ChangeSetID: stack.ChangeSetID,
			CreationTime: awsapi.Time{Time: stack.Created}, LastUpdatedTime: awsapi.TimeOf(stack.Changed),
			DeletionTime: awsapi.TimeOf(stack.Deleted), StackStatus: stack.Status, StackStatusReason: stack.Reason,
			DisableRollback:  stack.Task.OnFailure == doNothing || stack.Task.OnFailure == doKeep,
			NotificationARNs: slices.Concat([]string{}, stack.Options.Notifications),
			TimeoutInMinutes: int(stack.Options.Timeout.Minutes()), Capabilities: stack.Options.Capabilities,
			RoleARN: stack.Options.RoleARN, Tags: slices.Concat([]tagShape{}, sortedTags(stack.Options.Tags)),
			EnableTerminationProtection: stack.Protected, DriftInformation: driftShape{"NOT_CHECKED"},
		}
		for _, o := range stack.Outputs {
			shape.Outputs = append(shape.Outputs, outputShape{o.Key, o.Value, o.Description, o.Export})
		}
		if stack.Template != nil {
			if t, err := Parse(stack.Template); err == nil {
				shape.Description = t.Description
				shape.Parameters = t.shown(stack.Parameters, stack.Fetched)
			}
		}
		out.Stacks = append(out.Stacks, shape)
	}
	return out, nil
}

type eventShape struct {
	StackID              string      `json:"StackId"`
	EventID              string      `json:"EventId"`
	StackName            string      `json:"StackName"`
	LogicalResourceID    string      `json:"LogicalResourceId"`
	PhysicalResourceID   string      `json:"PhysicalResourceId"`
	ResourceType         string      `json:"ResourceType"`
	Timestamp            awsapi.Time `json:"Timestamp"`
	ResourceStatus       string      `json:"ResourceStatus"`
	ResourceStatusReason string      `json:"ResourceStatusReason,omitempty"`
	ResourceProperties   string      `json:"ResourceProperties,omitempty"`
	ClientRequestToken   string      `json:"ClientRequestToken,omitempty"`
}

type describeStackEventsOut struct {
	StackEvents []eventShape `json:"StackEvents"`
	NextToken   string       `json:"NextToken,omitempty"`
}

const eventsOfAPage = 100

func (s *Service) describeStackEvents(_ context.Context, _ *awsapi.Call, in *describeStacksIn) (
	*describeStackEventsOut, error) {
	if in.StackName == "" {
		return nil, awsapi.Errorf("ValidationError",
			"1 validation error detected: Value null at 'stackName' failed to satisfy constraint: "+
				"Member must not be null")
	}
	found, err := s.find(in.StackName)
	if awsapi.Code(err) == "ValidationError" {
		return nil, awsapi.Errorf("ValidationError", "Stack [%s] does not exist", in.StackName)
	}
	if err != nil {
		return nil, err
	}
	stack, out := found[0], &describeStackEventsOut{StackEvents: []eventShape{}}
	after, err := afterToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	q := store.Query{Prefix: []string{stack.ID}, After: after}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		last := ""
		for row, err := range events.Scan(tx, q) {
			if err != nil {
				return err
			}
			if len(out.StackEvents) == eventsOfAPage {
				out.NextToken = awsapi.PageToken(last)
				return nil
			}
			e := row.Value
			last = row.Key[1]
			out.StackEvents = append(out.StackEvents, eventShape{
				StackID: stack.ID, EventID: e.ID, StackName: stack.Name, LogicalResourceID: e.LogicalID,
				PhysicalResourceID: e.PhysicalID,
				ResourceType:       e.Type, Timestamp: awsapi.Time{Time: e.Time}, ResourceStatus: e.Status,
				ResourceStatusReason: e.Reason,
				ResourceProperties:   string(e.Properties), ClientRequestToken: e.Token,
			})
		}
		return nil
	})
}

type listStacksIn struct {
	StackStatusFilter []string `json:"StackStatusFilter" api:"each.set=stack statuses"`
	NextToken         string   `json:"NextToken" api:"min=1,max=1024"`
}

var _ = constraint.Set("stack statuses", "CREATE_IN_PROGRESS CREATE_FAILED CREATE_COMPLETE "+
	"ROLLBACK_IN_PROGRESS ROLLBACK_FAILED ROLLBACK_COMPLETE DELETE_IN_PROGRESS DELETE_FAILED DELETE_COMPLETE "+
	"UPDATE_IN_PROGRESS "+
	"UPDATE_COMPLETE_CLEANUP_IN_PROGRESS UPDATE_COMPLETE UPDATE_FAILED UPDATE_ROLLBACK_IN_PROGRESS "+
	"UPDATE_ROLLBACK_FAILED UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS UPDATE_ROLLBACK_COMPLETE "+
	"REVIEW_IN_PROGRESS IMPORT_IN_PROGRESS IMPORT_COMPLETE IMPORT_ROLLBACK_IN_PROGRESS IMPORT_ROLLBACK_FAILED "+
	"IMPORT_ROLLBACK_COMPLETE")

type listStacksOut struct {
	StackSummaries []stackSummary `json:"StackSummaries"`
	NextToken      string         `json:"NextToken,omitempty"`
}

type stackSummary struct {
	StackID             string       `json:"StackId"`
	StackName           string       `json:"StackName"`
	TemplateDescription string       `json:"TemplateDescription,omitempty"`
	CreationTime        awsapi.Time  `json:"CreationTime"`
	LastUpdatedTime     *awsapi.Time `json:"LastUpdatedTime,omitempty"`
	DeletionTime        *awsapi.Time `json:"DeletionTime,omitempty"`
	StackStatus         string       `json:"StackStatus"`
	StackStatusReason   string       `json:"StackStatusReason,omitempty"`
	DriftInformation    driftShape   `json:"DriftInformation"`
}

func (s *Service) listStacks(_ context.Context, _ *awsapi.Call, in *listStacksIn) (*listStacksOut, error) {
	list, err := s.find("")
	if err != nil {
		return nil, err
	}
	err = s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range deleted.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			list = append(list, row.Value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(stack stackRecord) bool {
		return len(in.StackStatusFilter) > 0 && !slices.Contains(in.StackStatusFilter, stack.Status)
	})
	out := &listStacksOut{StackSummaries: []stackSummary{}}
	if list, out.NextToken, err = page(list, in.NextToken, stacksOfAPage); err != nil {
		return nil, err
	}
	for _, stack := range list {
		summary := stackSummary{
			StackID: stack.ID, StackName: stack.Name, CreationTime: awsapi.Time{Time: stack.Created},
			LastUpdatedTime: awsapi.TimeOf(stack.Changed), DeletionTime: awsapi.TimeOf(stack.Deleted),
			StackStatus: stack.Status, StackStatusReason: stack.Reason, DriftInformation: driftShape{"NOT_CHECKED"},
		}
		if stack.Template != nil {
			if t, err := Parse(stack.Template); err == nil {
				summary.TemplateDescription = t.Description
			}
		}
		out.StackSummaries = append(out.StackSummaries, summary)
	}
	return out, nil
}

type exportShape struct {
	ExportingStackID string `json:"ExportingStackId"`
	Name             string `json:"Name"`
	Value            string `json:"Value"`
}

type listExportsOut struct {
	Exports   []exportShape `json:"Exports"`
	NextToken string        `json:"NextToken,omitempty"`
}

func (s *Service) listExports(_ context.Context, _ *awsapi.Call, in *stackRef) (*listExportsOut, error) {
	list, err := s.exports()
	if err != nil {
		return nil, err
	}
	out := &listExportsOut{Exports: []exportShape{}}
	if list, out.NextToken, err = page(list, in.NextToken, stacksOfAPage); err != nil {
		return nil, err
	}
	for _, e := range list {
		out.Exports = append(out.Exports, exportShape{e.StackID, e.Name, e.Value})
	}
	return out, nil
}

type listImportsIn struct {
	ExportName string `json:"ExportName"`
	NextToken  string `json:"NextToken" api:"min=1,max=1024"`
}

type listImportsOut struct {
	Imports   []string `json:"Imports"`
	NextToken string   `json:"NextToken,omitempty"`
}

func (s *Service) listImports(_ context.Context, _ *awsapi.Call, in *listImportsIn) (*listImportsOut, error) {
	list, err := s.importers(in.ExportName)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, awsapi.Errorf("ValidationError", "Export '%s' is not imported by any stack.", in.ExportName)
	}
	out := &listImportsOut{}
	out.Imports, out.NextToken, err = page(list, in.NextToken, stacksOfAPage)
	return out, err
}

type accountLimit struct {
	Name  string `json:"Name"`
	Value int    `json:"Value"`
}

type accountLimitsOut struct {
	AccountLimits []accountLimit `json:"AccountLimits"`
}

func (s *Service) describeAccountLimits(context.Context, *awsapi.Call, *stackRef) (*accountLimitsOut, error) {
	return &accountLimitsOut{[]accountLimit{{"StackLimit", maxStacks}, {"StackOutputsLimit", maxOutputs}}}, nil
}
