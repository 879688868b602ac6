package cloudformation

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault: awsapi.Word{Code: "InternalFailure", Status: 500},
		ID:    "cloudformation", Signing: "cloudformation", Prefix: "cloudformation", Protocols: []awsapi.Protocol{awsapi.Query},
		Namespace: "http://cloudformation.amazonaws.com/doc/2010-05-15/", Version: "2010-05-15", DeniedCode: "AccessDenied",
		Operations: []awsapi.Operation{
			awsapi.Op("CreateStack", s.createStack, onStack(func(in *stackIn) string { return in.StackName })),
			awsapi.Op("UpdateStack", s.updateStack, onStack(func(in *stackIn) string { return in.StackName })),
			awsapi.Op("DeleteStack", s.deleteStack, onStack(func(in *deleteStackIn) string { return in.StackName })),
			awsapi.Op("DescribeStacks", s.describeStacks, onStack(func(in *describeStacksIn) string { return in.StackName })),
			awsapi.Op("DescribeStackResource", s.describeStackResource, onStack(func(in *stackResourceIn) string { return in.StackName })),
			awsapi.Op("DescribeStackResources", s.describeStackResources, onStack(func(in *stackResourceIn) string { return in.StackName })),
			awsapi.Op("GetTemplate", s.getTemplate, onStack(func(in *describeStacksIn) string { return in.StackName })),
			awsapi.Op("ListStackResources", s.listStackResources, onStack(func(in *describeStacksIn) string { return in.StackName })),
			awsapi.Op("ListStacks", s.listStacks),
			awsapi.Op("ValidateTemplate", s.validateTemplate),
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
}

type stackIn struct {
	StackName           string           `json:"StackName"`
	TemplateBody        string           `json:"TemplateBody"`
	TemplateURL         string           `json:"TemplateURL"`
	UsePreviousTemplate bool             `json:"UsePreviousTemplate"`
	Parameters          []parameterShape `json:"Parameters"`
	Capabilities        []string         `json:"Capabilities"`
	DisableRollback     bool             `json:"DisableRollback"`
	OnFailure           string           `json:"OnFailure"`
	RoleARN             string           `json:"RoleARN"`
	StackPolicyBody     string           `json:"StackPolicyBody"`
	StackPolicyURL      string           `json:"StackPolicyURL"`
	TimeoutInMinutes    int              `json:"TimeoutInMinutes"`
	NotificationARNs    []string         `json:"NotificationARNs"`
	ClientRequestToken  string           `json:"ClientRequestToken"`
}

type stackOut struct {
	StackID string `json:"StackId"`
}

// deployment checks what create and update have in common.
func (s *Service) deployment(in *stackIn, previous stackRecord) (Deployment, error) {
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"TemplateURL", in.TemplateURL != ""}, {"RoleARN", in.RoleARN != ""}, {"StackPolicyBody", in.StackPolicyBody != ""},
		{"StackPolicyURL", in.StackPolicyURL != ""}, {"TimeoutInMinutes", in.TimeoutInMinutes != 0},
		{"NotificationARNs", len(in.NotificationARNs) > 0},
	} {
		if option.set {
			return Deployment{}, awsapi.NotBuilt("the member " + option.name + " of a stack")
		}
	}
	d := Deployment{Name: in.StackName, Template: []byte(in.TemplateBody), Parameters: map[string]string{}}
	if in.UsePreviousTemplate {
		d.Template = previous.Template
	} else if in.TemplateBody == "" {
		return d, awsapi.Errorf("ValidationError", "Either Template URL or Template Body must be specified.")
	}
	for _, p := range in.Parameters {
		d.Parameters[p.ParameterKey] = p.ParameterValue
		if p.UsePreviousValue {
			if v, ok := previous.Parameters[p.ParameterKey]; ok {
				d.Parameters[p.ParameterKey] = v
			} else {
				delete(d.Parameters, p.ParameterKey)
			}
		}
	}
	t, err := Parse(d.Template)
	if err != nil {
		return d, asAnswer(err)
	}
	return d, t.needCapabilities(in.Capabilities)
}

// asAnswer makes AWS's answer of our errors.
func asAnswer(err error) error {
	if t, ok := err.(*TemplateError); ok {
		var e *awsapi.Error
		t.As(&e)
		return e
	}
	return err
}

// needCapabilities is CloudFormation's question whether one knows that a template makes roles.
func (t *Template) needCapabilities(given []string) error {
	need := ""
	for _, r := range t.Resources {
		if !strings.HasPrefix(r.Type, "AWS::IAM::") {
			continue
		}
		if need == "" {
			need = "CAPABILITY_IAM"
		}
		for _, name := range []string{"RoleName", "UserName", "GroupName", "ManagedPolicyName"} {
			if _, ok := r.Properties[name]; ok {
				need = "CAPABILITY_NAMED_IAM"
			}
		}
	}
	if need == "" || slices.Contains(given, need) || slices.Contains(given, "CAPABILITY_NAMED_IAM") {
		return nil
	}
	return awsapi.Errorf("InsufficientCapabilitiesException", "Requires capabilities : [%s]", need)
}

func (s *Service) createStack(ctx context.Context, c *awsapi.Call, in *stackIn) (*stackOut, error) {
	if _, exists, err := s.stack(in.StackName); err != nil || exists {
		return nil, cmp.Or(err, error(awsapi.Errorf("AlreadyExistsException", "Stack [%s] already exists", in.StackName)))
	}
	d, err := s.deployment(in, stackRecord{})
	if err != nil {
		return nil, err
	}
	onFailure := cmp.Or(in.OnFailure, "ROLLBACK")
	if in.DisableRollback {
		onFailure = "DO_NOTHING"
	}
	w, err := s.announce(ctx, d)
	if err != nil {
		return nil, err
	}
	id := c.Identity
	s.config.Scheduler.Go("cloudformation create "+d.Name, func() {
		defer w.leave()
		ctx := context.Background()
		if err := w.execute(ctx, id); err == nil || onFailure == "DO_NOTHING" {
			return
		}
		s.rollBack(context.WithValue(ctx, identityKey{}, id), d.Name, onFailure == "DELETE")
	})
	return &stackOut{w.stack.ID}, nil
}

// announce begins a deployment that a task will execute; leave of the work ends it.
func (s *Service) announce(ctx context.Context, d Deployment) (*work, error) {
	leave, err := s.enter(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	w, err := s.prepare(d)
	if err == nil && w.unchanged {
		err = awsapi.Errorf("ValidationError", "No updates are to be performed.")
	}
	if err == nil {
		err = w.begin()
	}
	if err != nil {
		leave()
		return nil, asAnswer(err)
	}
	w.leave = leave
	return w, nil
}

// rollBack undoes a stack that could not be created. Failures end in the stack's status.
func (s *Service) rollBack(ctx context.Context, name string, forget bool) {
	failed, ok, err := s.stack(name)
	if err != nil || !ok {
		s.config.Scheduler.Failed("cloudformation roll back "+name, err)
		return
	}
	if s.delete(ctx, name) != nil || forget {
		return
	}
	failed.Status, failed.Outputs = "ROLLBACK_COMPLETE", nil
	err = s.config.Store.Update(func(tx *store.Tx) error { return stacks.Put(tx, failed, name) })
	s.config.Scheduler.Failed("cloudformation roll back "+name, err)
}

func (s *Service) updateStack(ctx context.Context, c *awsapi.Call, in *stackIn) (*stackOut, error) {
	in.StackName = nameOf(in.StackName)
	stack, ok, err := s.stack(in.StackName)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoStack(in.StackName)
	}
	if stack.Status == "ROLLBACK_COMPLETE" || strings.HasSuffix(stack.Status, "_IN_PROGRESS") {
		return nil, awsapi.Errorf("ValidationError", "Stack:%s is in %s state and can not be updated.", stack.ID, stack.Status)
	}
	if !in.DisableRollback {
		return nil, awsapi.NotBuilt("UpdateStack with rollback: pass DisableRollback")
	}
	d, err := s.deployment(in, stack)
	if err != nil {
		return nil, err
	}
	w, err := s.announce(ctx, d)
	if err != nil {
		return nil, err
	}
	id := c.Identity
	s.config.Scheduler.Go("cloudformation update "+d.Name, func() {
		defer w.leave()
		_ = w.execute(context.Background(), id) // the failure is in the stack's status
	})
	return &stackOut{stack.ID}, nil
}

type deleteStackIn struct {
	StackName       string   `json:"StackName"`
	RetainResources []string `json:"RetainResources"`
	RoleARN         string   `json:"RoleARN"`
}

func (s *Service) deleteStack(_ context.Context, c *awsapi.Call, in *deleteStackIn) (*struct{}, error) {
	if len(in.RetainResources) > 0 || in.RoleARN != "" {
		return nil, awsapi.NotBuilt("DeleteStack with RetainResources or RoleARN")
	}
	name := nameOf(in.StackName)
	stack, ok, err := s.stack(name)
	if err != nil || !ok {
		return &struct{}{}, err // deleting what is not there succeeds
	}
	stack.Status = deleteInProgress
	if err := s.config.Store.Update(func(tx *store.Tx) error { return stacks.Put(tx, stack, name) }); err != nil {
		return nil, err
	}
	id := c.Identity
	s.config.Scheduler.Go("cloudformation delete "+name, func() { _ = s.Delete(context.Background(), id, name) })
	return &struct{}{}, nil
}

type describeStacksIn struct {
	StackName string `json:"StackName"`
	NextToken string `json:"NextToken"`
}

type outputShape struct {
	OutputKey   string `json:"OutputKey"`
	OutputValue string `json:"OutputValue"`
	Description string `json:"Description,omitempty"`
}

type stackShape struct {
	StackID           string           `json:"StackId"`
	StackName         string           `json:"StackName"`
	Description       string           `json:"Description,omitempty"`
	Parameters        []parameterShape `json:"Parameters,omitempty"`
	CreationTime      awsapi.Time      `json:"CreationTime"`
	LastUpdatedTime   *awsapi.Time     `json:"LastUpdatedTime,omitempty"`
	StackStatus       string           `json:"StackStatus"`
	StackStatusReason string           `json:"StackStatusReason,omitempty"`
	DisableRollback   bool             `json:"DisableRollback"`
	Outputs           []outputShape    `json:"Outputs,omitempty"`
}

type describeStacksOut struct {
	Stacks []stackShape `json:"Stacks"`
}

func (s *Service) describeStacks(_ context.Context, _ *awsapi.Call, in *describeStacksIn) (*describeStacksOut, error) {
	list, err := s.find(in.StackName)
	if err != nil {
		return nil, err
	}
	out := &describeStacksOut{Stacks: []stackShape{}}
	for _, stack := range list {
		shape := stackShape{
			StackID: stack.ID, StackName: stack.Name, CreationTime: awsapi.Time{Time: stack.Created},
			StackStatus: stack.Status, StackStatusReason: stack.Reason,
		}
		if strings.HasPrefix(stack.Status, "UPDATE_") {
			shape.LastUpdatedTime = awsapi.TimeOf(stack.Updated)
		}
		for _, o := range stack.Outputs {
			shape.Outputs = append(shape.Outputs, outputShape{o.Key, o.Value, o.Description})
		}
		if t, err := Parse(stack.Template); err == nil {
			shape.Description = t.Description
			shape.Parameters = t.shown(stack.Parameters)
		}
		out.Stacks = append(out.Stacks, shape)
	}
	return out, nil
}

// shown are the parameters of a stack, those marked NoEcho without their values.
func (t *Template) shown(given map[string]string) []parameterShape {
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
		list = append(list, parameterShape{ParameterKey: name, ParameterValue: value})
	}
	return list
}

// find returns one stack, or all of them for "".
func (s *Service) find(nameOrARN string) ([]stackRecord, error) {
	if nameOrARN != "" {
		stack, ok, err := s.stack(nameOf(nameOrARN))
		if err == nil && (!ok || strings.HasPrefix(nameOrARN, "arn:") && stack.ID != nameOrARN) {
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

func (s *Service) listStackResources(_ context.Context, _ *awsapi.Call, in *describeStacksIn) (*listStackResourcesOut, error) {
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

func (s *Service) describeStackResources(_ context.Context, _ *awsapi.Call, in *stackResourceIn) (*describeStackResourcesOut, error) {
	if in.PhysicalResourceID != "" {
		return nil, awsapi.NotBuilt("DescribeStackResources by PhysicalResourceId")
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

func (s *Service) describeStackResource(_ context.Context, _ *awsapi.Call, in *stackResourceIn) (*describeStackResourceOut, error) {
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
	return nil, awsapi.Errorf("ValidationError", "Resource %s does not exist for stack %s", in.LogicalResourceID, stack.Name)
}

type getTemplateOut struct {
	TemplateBody    string   `json:"TemplateBody"`
	StagesAvailable []string `json:"StagesAvailable"`
}

func (s *Service) getTemplate(_ context.Context, _ *awsapi.Call, in *describeStacksIn) (*getTemplateOut, error) {
	found, err := s.find(in.StackName)
	if err != nil {
		return nil, err
	}
	if in.StackName == "" {
		return nil, awsapi.Errorf("ValidationError", "StackName is required")
	}
	return &getTemplateOut{string(found[0].Template), []string{"Original", "Processed"}}, nil
}

type listStacksIn struct {
	StackStatusFilter []string `json:"StackStatusFilter"`
	NextToken         string   `json:"NextToken"`
}

type listStacksOut struct {
	StackSummaries []stackSummary `json:"StackSummaries"`
}

type stackSummary struct {
	StackID           string      `json:"StackId"`
	StackName         string      `json:"StackName"`
	CreationTime      awsapi.Time `json:"CreationTime"`
	StackStatus       string      `json:"StackStatus"`
	StackStatusReason string      `json:"StackStatusReason,omitempty"`
}

func (s *Service) listStacks(_ context.Context, _ *awsapi.Call, in *listStacksIn) (*listStacksOut, error) {
	list, err := s.find("")
	if err != nil {
		return nil, err
	}
	out := &listStacksOut{StackSummaries: []stackSummary{}}
	for _, stack := range list {
		if len(in.StackStatusFilter) == 0 || slices.Contains(in.StackStatusFilter, stack.Status) {
			out.StackSummaries = append(out.StackSummaries, stackSummary{
				stack.ID, stack.Name, awsapi.Time{Time: stack.Created}, stack.Status, stack.Reason,
			})
		}
	}
	return out, nil
}

type validateTemplateIn struct {
	TemplateBody string `json:"TemplateBody"`
	TemplateURL  string `json:"TemplateURL"`
}

type validateTemplateOut struct {
	Description  string              `json:"Description,omitempty"`
	Parameters   []templateParameter `json:"Parameters"`
	Capabilities []string            `json:"Capabilities,omitempty"`
}

type templateParameter struct {
	ParameterKey string `json:"ParameterKey"`
	DefaultValue string `json:"DefaultValue,omitempty"`
	NoEcho       bool   `json:"NoEcho"`
	Description  string `json:"Description,omitempty"`
}

// validateTemplate goes further than AWS: types and properties are checked too, as they would be by a deployment.
func (s *Service) validateTemplate(_ context.Context, _ *awsapi.Call, in *validateTemplateIn) (*validateTemplateOut, error) {
	if in.TemplateURL != "" {
		return nil, awsapi.NotBuilt("ValidateTemplate with TemplateURL")
	}
	t, err := Parse([]byte(in.TemplateBody))
	if err != nil {
		return nil, asAnswer(err)
	}
	if err := s.checkTypes(t); err != nil {
		return nil, asAnswer(err)
	}
	out := &validateTemplateOut{Description: t.Description, Parameters: []templateParameter{}}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		d := t.Parameters[name]
		value, hidden := shownText(d.Default), shownText(d.NoEcho)
		out.Parameters = append(out.Parameters, templateParameter{name, value, hidden == "true", d.Description})
	}
	if t.needCapabilities(nil) != nil {
		out.Capabilities = []string{"CAPABILITY_IAM"}
		if t.needCapabilities([]string{"CAPABILITY_IAM"}) != nil {
			out.Capabilities = []string{"CAPABILITY_NAMED_IAM"}
		}
	}
	return out, nil
}
