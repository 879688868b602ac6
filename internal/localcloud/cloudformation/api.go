package cloudformation

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	stack := func(in *stackRef) string { return in.StackName }
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalFailure", Status: 500},
		Throttled: awsapi.Word{Code: "Throttling", Status: 400},
		ID:        "cloudformation", Signing: "cloudformation", Prefix: "cloudformation",
		Protocols: []awsapi.Protocol{awsapi.Query},
		Namespace: "http://cloudformation.amazonaws.com/doc/2010-05-15/", Version: "2010-05-15",
		DeniedCode: "AccessDenied", Invalid: "ValidationError",
		Operations: []awsapi.Operation{
			awsapi.Op("CreateStack", s.createStack, onStack(func(in *stackIn) string { return in.StackName })),
			awsapi.Op("UpdateStack", s.updateStack, onStack(func(in *stackIn) string { return in.StackName })),
			awsapi.Op("DeleteStack", s.deleteStack, onStack(func(in *deleteStackIn) string { return in.StackName })),
			awsapi.Op("RollbackStack", s.rollbackStack, onStack(func(in *rollbackIn) string { return in.StackName })),
			awsapi.Op("ContinueUpdateRollback", s.continueRollback, onStack(func(in *rollbackIn) string {
				return in.StackName
			}), awsapi.EmptyResult()),
			awsapi.Op("UpdateTerminationProtection", s.protect, onStack(func(in *protectIn) string {
				return in.StackName
			})),
			awsapi.Op("SetStackPolicy", s.setStackPolicy, onStack(func(in *stackPolicyIn) string {
				return in.StackName
			})),
			awsapi.Op("GetStackPolicy", s.getStackPolicy, onStack(stack)),
			awsapi.Op("DescribeStacks", s.describeStacks, onStack(func(in *describeStacksIn) string {
				return in.StackName
			})),
			awsapi.Op("DescribeStackEvents", s.describeStackEvents, onStack(func(in *describeStacksIn) string {
				return in.StackName
			})),
			awsapi.Op("DescribeStackResource", s.describeStackResource, onStack(func(in *stackResourceIn) string {
				return in.StackName
			})),
			awsapi.Op("DescribeStackResources", s.describeStackResources, onStack(func(in *stackResourceIn) string {
				return in.StackName
			})),
			awsapi.Op("ListStackResources", s.listStackResources, onStack(func(in *describeStacksIn) string {
				return in.StackName
			})),
			awsapi.Op("ListStacks", s.listStacks),
			awsapi.Op("ListExports", s.listExports),
			awsapi.Op("ListImports", s.listImports),
			awsapi.Op("GetTemplate", s.getTemplate, onStack(func(in *getTemplateIn) string { return in.StackName })),
			awsapi.Op("GetTemplateSummary", s.getTemplateSummary, onStack(func(in *summaryIn) string {
				return in.StackName
			})),
			awsapi.Op("ValidateTemplate", s.validateTemplate),
			awsapi.Op("DescribeAccountLimits", s.describeAccountLimits),
			awsapi.Op("CreateChangeSet", s.createChangeSet, onStack(func(in *createChangeSetIn) string {
				return in.StackName
			})),
			awsapi.Op("DescribeChangeSet", s.describeChangeSet, onStack(func(in *changeSetRef) string {
				return in.StackName
			})),
			awsapi.Op("ExecuteChangeSet", s.executeChangeSet, onStack(func(in *changeSetRef) string {
				return in.StackName
			}), awsapi.EmptyResult()),
			awsapi.Op("DeleteChangeSet", s.deleteChangeSet, onStack(func(in *changeSetRef) string {
				return in.StackName
			}), awsapi.EmptyResult()),
			awsapi.Op("ListChangeSets", s.listChangeSets, onStack(stack)),
		},
		Unbuilt: unbuilt,
	}
}

func onStack[In any](name func(in *In) string) awsapi.Option {
	return awsapi.On(func(c *awsapi.Call, in *In) []string {
		if n := nameOf(name(in)); n != "" {
			return []string{c.ARN("cloudformation", "stack/"+n+"/*")}
		}
		return []string{"*"}
	})
}

// nameOf is the name of a stack given by name or ARN.
func nameOf(nameOrARN string) string {
	if _, rest, ok := strings.Cut(nameOrARN, ":stack/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	return nameOrARN
}

type parameterShape struct {
	ParameterKey     string `json:"ParameterKey"`
	ParameterValue   string `json:"ParameterValue"`
	UsePreviousValue bool   `json:"UsePreviousValue,omitempty"`
	ResolvedValue    string `json:"ResolvedValue,omitempty"`
}

type stackRef struct {
	StackName string `json:"StackName" api:"min=1,pattern=stack name"`
	NextToken string `json:"NextToken" api:"min=1,max=1024"`
}

type tagShape struct {
	Key   string `json:"Key" api:"min=1,max=128"`
	Value string `json:"Value" api:"min=1,max=256"`
}

type none struct{}

// afterToken is the key after which a list goes on.
func afterToken(token string) ([]string, error) {
	key, ok := awsapi.PageAfter(token, 1)
	if !ok {
		return nil, errToken()
	}
	return key, nil
}

// page is the part of a list that a token names: its key is a position.
func page[T any](list []T, token string, size int) (part []T, next string, err error) {
	after, err := afterToken(token)
	if err != nil {
		return nil, "", err
	}
	from := 0
	if after != nil {
		if from, err = strconv.Atoi(after[0]); err != nil || from < 0 || from > len(list) {
			return nil, "", errToken()
		}
	}
	to := min(len(list), from+size)
	if to < len(list) {
		next = awsapi.PageToken(strconv.Itoa(to))
	}
	return list[from:to], next, nil
}

// find returns one stack, or all of them for "".
func (s *Service) find(nameOrARN string) ([]stackRecord, error) {
	if nameOrARN != "" {
		stack, ok, err := s.stack(nameOf(nameOrARN))
		if err == nil && strings.HasPrefix(nameOrARN, "arn:") && stack.ID != nameOrARN {
			stack, ok, err = s.deletedStack(nameOrARN)
		}
		if err == nil && !ok {
			err = errNoStack(nameOrARN)
		}
		return []stackRecord{stack}, err
	}
	var list []stackRecord
	err := s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range stacks.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			list = append(list, row.Value)
		}
		return nil
	})
	return list, err
}

// deletedStack is a stack that was deleted; only its ARN names it.
func (s *Service) deletedStack(arn string) (rec stackRecord, ok bool, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		rec, ok, err = deleted.Get(tx, arn)
		return err
	})
	return rec, ok, err
}

// shown are the parameters of a stack, those marked NoEcho without their values.
func (t *Template) shown(given, fetched map[string]string) []parameterShape {
	var list []parameterShape
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		d := t.Parameters[name]
		value, ok := given[name]
		if !ok {
			value = shownText(d.Default)
		}
		if shownText(d.NoEcho) == "true" {
			value = "****"
		}
		list = append(list, parameterShape{ParameterKey: name, ParameterValue: value, ResolvedValue: fetched[name]})
	}
	return list
}

type resourceShape struct {
	StackName            string       `json:"StackName,omitempty"`
	StackID              string       `json:"StackId,omitempty"`
	LogicalResourceID    string       `json:"LogicalResourceId"`
	PhysicalResourceID   string       `json:"PhysicalResourceId,omitempty"`
	ResourceType         string       `json:"ResourceType"`
	Timestamp            *awsapi.Time `json:"Timestamp,omitempty"`
	LastUpdatedTimestamp *awsapi.Time `json:"LastUpdatedTimestamp,omitempty"`
	ResourceStatus       string       `json:"ResourceStatus"`
	ResourceStatusReason string       `json:"ResourceStatusReason,omitempty"`
}

// listed are the resources of a stack by logical id.
func (s *Service) listed(nameOrARN string) (stackRecord, []resourceShape, error) {
	if nameOrARN == "" {
		return stackRecord{}, nil, awsapi.Errorf("ValidationError", "StackName is required")
	}
	found, err := s.find(nameOrARN)
	if err != nil {
		return stackRecord{}, nil, err
	}
	records, err := s.stackResources(found[0].Name)
	if err != nil {
		return stackRecord{}, nil, err
	}
	list := []resourceShape{}
	for _, id := range slices.Sorted(maps.Keys(records)) {
		r := records[id]
		list = append(list, resourceShape{
			LogicalResourceID: id, PhysicalResourceID: r.PhysicalID, ResourceType: r.Type,
			LastUpdatedTimestamp: awsapi.TimeOf(r.Updated), ResourceStatus: r.Status, ResourceStatusReason: r.Reason,
		})
	}
	return found[0], list, nil
}

type listStackResourcesOut struct {
	StackResourceSummaries []resourceShape `json:"StackResourceSummaries"`
}

func (s *Service) listStackResources(_ context.Context, _ *awsapi.Call,
	in *describeStacksIn) (*listStackResourcesOut, error) {
	_, list, err := s.listed(in.StackName)
	return &listStackResourcesOut{list}, err
}

type stackResourceIn struct {
	StackName          string `json:"StackName"`
	LogicalResourceID  string `json:"LogicalResourceId"`
	PhysicalResourceID string `json:"PhysicalResourceId"`
}

type describeStackResourcesOut struct {
	StackResources []resourceShape `json:"StackResources"`
}

func (s *Service) describeStackResources(_ context.Context, _ *awsapi.Call, in *stackResourceIn) (
	*describeStackResourcesOut, error) {
	if in.PhysicalResourceID != "" {
		if in.StackName != "" {
			return nil, awsapi.Errorf("ValidationError",
				"Only one of StackName and PhysicalResourceId may be specified.")
		}
		owner, err := s.owner(in.PhysicalResourceID)
		if err != nil {
			return nil, err
		}
		in.StackName = owner
	}
	stack, list, err := s.listed(in.StackName)
	if err != nil {
		return nil, err
	}
	out := &describeStackResourcesOut{StackResources: []resourceShape{}}
	for _, r := range list {
		if in.LogicalResourceID != "" && r.LogicalResourceID != in.LogicalResourceID {
			continue
		}
		r.StackName, r.StackID = stack.Name, stack.ID
		r.Timestamp, r.LastUpdatedTimestamp = r.LastUpdatedTimestamp, nil
		out.StackResources = append(out.StackResources, r)
	}
	return out, nil
}

type describeStackResourceOut struct {
	StackResourceDetail resourceShape `json:"StackResourceDetail"`
}

func (s *Service) describeStackResource(_ context.Context, _ *awsapi.Call, in *stackResourceIn) (
	*describeStackResourceOut, error) {
	stack, list, err := s.listed(in.StackName)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.LogicalResourceID == in.LogicalResourceID {
			r.StackName, r.StackID = stack.Name, stack.ID
			return &describeStackResourceOut{r}, nil
		}
	}
	return nil, awsapi.Errorf("ValidationError", "Resource %s does not exist for stack %s", in.LogicalResourceID,
		stack.Name)
}

// owner is the stack that a physical resource belongs to.
func (s *Service) owner(physicalID string) (stack string, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range resources.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.PhysicalID == physicalID {
				stack = row.Key[0]
				return nil
			}
		}
		return awsapi.Errorf("ValidationError", "Stack for %s does not exist", physicalID)
	})
	return stack, err
}

// Values that members take, for their tags.
var (
	_ = constraint.Set("failure options", "DELETE DO_NOTHING ROLLBACK")
	_ = constraint.Set("capabilities", "CAPABILITY_AUTO_EXPAND CAPABILITY_IAM CAPABILITY_NAMED_IAM")
)
