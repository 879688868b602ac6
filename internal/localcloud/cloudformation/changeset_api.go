package cloudformation

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type createChangeSetIn struct {
	stackIn
	ChangeSetName       string              `json:"ChangeSetName" api:"min=1,max=128,pattern=change set name"`
	ChangeSetType       string              `json:"ChangeSetType" api:"values=CREATE|IMPORT|UPDATE"`
	Description         string              `json:"Description" api:"min=1,max=1024"`
	ClientToken         string              `json:"ClientToken" api:"min=1,max=128"`
	IncludeNestedStacks bool                `json:"IncludeNestedStacks"`
	ImportExisting      bool                `json:"ImportExistingResources"`
	OnStackFailure      string              `json:"OnStackFailure" api:"set=failure options"`
	ResourcesToImport   []map[string]string `json:"ResourcesToImport" api:"max=200"`
	DeploymentMode      string              `json:"DeploymentMode" api:"values=REVERT_DRIFT"`
}

type createChangeSetOut struct {
	ID      string `json:"Id"`
	StackID string `json:"StackId"`
}

var changeSetName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

// createChangeSet writes a change set and finds out behind the answer what it would do. One that
// creates a stack makes a stack in review, which has no resources.
func (s *Service) createChangeSet(ctx context.Context, c *awsapi.Call,
	in *createChangeSetIn) (*createChangeSetOut, error) {
	in.ChangeSetType = cmp.Or(in.ChangeSetType, "UPDATE")
	switch {
	case in.ChangeSetType == "IMPORT" || len(in.ResourcesToImport) > 0:
		return nil, awsapi.NotBuilt("change sets of the type IMPORT")
	case in.DeploymentMode != "":
		return nil, awsapi.NotBuilt("the member DeploymentMode of a change set")
	case !slices.Contains([]string{"CREATE", "UPDATE"}, in.ChangeSetType):
		return nil, awsapi.Errorf("ValidationError", "ChangeSetType must be one of CREATE, UPDATE, IMPORT")
	case !changeSetName.MatchString(in.ChangeSetName):
		return nil, awsapi.Errorf("ValidationError",
			"1 validation error detected: Value '%s' at 'changeSetName' failed to satisfy constraint: "+
				"Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", in.ChangeSetName)
	case in.OnStackFailure != "" && !slices.Contains([]string{doRollback, doNothing, doDelete}, in.OnStackFailure):
		return nil, awsapi.Errorf("ValidationError", "OnStackFailure must be one of ROLLBACK, DO_NOTHING, DELETE")
	case in.OnStackFailure == doDelete && in.ChangeSetType != "CREATE":
		return nil, awsapi.Errorf("ValidationError",
			"OnStackFailure DELETE is for change sets of the type CREATE only")
	}
	name := nameOf(in.StackName)
	if !stackName.MatchString(name) {
		return nil, awsapi.Errorf("ValidationError",
			"1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: "+
				"Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*",
			in.StackName)
	}
	stack, exists, err := s.stack(name)
	if err != nil {
		return nil, err
	}
	switch {
	case in.ChangeSetType == "CREATE" && exists && stack.Status != reviewInProgress:
		return nil, awsapi.Errorf("ValidationError",
			"Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, in.ChangeSetName)
	case in.ChangeSetType == "UPDATE" && (!exists || stack.Status == reviewInProgress):
		return nil, awsapi.Errorf("ValidationError", "Stack [%s] does not exist", name)
	case in.ChangeSetType == "UPDATE" && !stack.updatable():
		return nil, awsapi.Errorf("ValidationError", "Stack:%s is in %s state and can not be updated.", stack.ID,
			stack.Status)
	}
	d, err := s.deployment(ctx, c, &in.stackIn, stack)
	if err != nil {
		return nil, err
	}
	// What cannot be deployed whatever the stack is, is an error of the request.
	t, err := s.parse(string(d.Template))
	if err != nil {
		return nil, err
	}
	fetched, err := s.fetchParameters(context.WithValue(ctx, identityKey{}, c.Identity), t, d.Parameters)
	if err != nil {
		return nil, err
	}
	if _, err := t.values(d.Parameters, fetched); err != nil {
		return nil, asAnswer(err)
	}
	record := changeSetRecord{
		ID:   s.environment.arn("cloudformation", "changeSet/"+in.ChangeSetName+"/"+s.config.Scheduler.UUID()),
		Name: in.ChangeSetName, Stack: name, Type: in.ChangeSetType, Description: in.Description,
		Status:    createInProgress,
		Execution: unavailable, Template: t.body, Original: d.original, Parameters: d.Parameters, Fetched: fetched,
		Options:   d.options,
		OnFailure: cmp.Or(in.OnStackFailure, d.task.OnFailure), Created: s.config.Scheduler.Now(), As: c.Identity,
		Adopt: in.ImportExisting,
	}
	if !exists {
		stack = s.newStack(name)
	}
	w := &work{s: s, stack: stack, as: c.Identity}
	if !exists {
		w.stack.Status, w.stack.Reason = reviewInProgress, "User Initiated"
		w.recordStackEvent("User Initiated")
	}
	record.StackID = stack.ID
	err = s.config.Store.Update(func(tx *store.Tx) error {
		if _, twice, err := changeSets.Get(tx, stack.ID, record.Name); err != nil || twice {
			return cmp.Or(err, error(awsapi.Errorf("AlreadyExistsException",
				"ChangeSet %s already exists for stack %s", record.Name, name)))
		}
		if !exists {
			if err := putEvents(tx, stack.ID, w.unsaved); err != nil {
				return err
			}
			if err := stacks.Put(tx, w.stack, name); err != nil {
				return err
			}
		}
		return changeSets.Put(tx, record, stack.ID, record.Name)
	})
	if err != nil {
		return nil, err
	}
	s.config.Scheduler.Go("cloudformation change set "+record.Name, func() { s.compute(record) })
	return &createChangeSetOut{record.ID, stack.ID}, nil
}

type changeSetRef struct {
	ChangeSetName         string `json:"ChangeSetName" api:"min=1,max=1600,pattern=change set"`
	StackName             string `json:"StackName" api:"min=1,pattern=stack name"`
	NextToken             string `json:"NextToken" api:"min=1,max=1024"`
	IncludePropertyValues bool   `json:"IncludePropertyValues"`
	ClientRequestToken    string `json:"ClientRequestToken" api:"min=1,max=128,pattern=stack request token"`
	DisableRollback       *bool  `json:"DisableRollback"`
	RetainExceptOnCreate  bool   `json:"RetainExceptOnCreate"`
}

type targetShape struct {
	Attribute           string `json:"Attribute"`
	Name                string `json:"Name,omitempty"`
	RequiresRecreation  string `json:"RequiresRecreation"`
	Path                string `json:"Path,omitempty"`
	BeforeValue         string `json:"BeforeValue,omitempty"`
	AfterValue          string `json:"AfterValue,omitempty"`
	AttributeChangeType string `json:"AttributeChangeType,omitempty"`
}

type detailShape struct {
	Target        targetShape `json:"Target"`
	Evaluation    string      `json:"Evaluation"`
	ChangeSource  string      `json:"ChangeSource"`
	CausingEntity string      `json:"CausingEntity,omitempty"`
}

type resourceChangeShape struct {
	PolicyAction       string        `json:"PolicyAction,omitempty"`
	Action             string        `json:"Action"`
	LogicalResourceID  string        `json:"LogicalResourceId"`
	PhysicalResourceID string        `json:"PhysicalResourceId,omitempty"`
	ResourceType       string        `json:"ResourceType"`
	Replacement        string        `json:"Replacement,omitempty"`
	Scope              []string      `json:"Scope"`
	Details            []detailShape `json:"Details"`
	BeforeContext      string        `json:"BeforeContext,omitempty"`
	AfterContext       string        `json:"AfterContext,omitempty"`
}

type changeShape struct {
	Type           string              `json:"Type"`
	ResourceChange resourceChangeShape `json:"ResourceChange"`
}

type changeSetShape struct {
	ChangeSetName         string           `json:"ChangeSetName"`
	ChangeSetID           string           `json:"ChangeSetId"`
	StackID               string           `json:"StackId"`
	StackName             string           `json:"StackName"`
	Description           string           `json:"Description,omitempty"`
	Parameters            []parameterShape `json:"Parameters"`
	CreationTime          awsapi.Time      `json:"CreationTime"`
	ExecutionStatus       string           `json:"ExecutionStatus"`
	Status                string           `json:"Status"`
	StatusReason          string           `json:"StatusReason,omitempty"`
	NotificationARNs      []string         `json:"NotificationARNs"`
	RollbackConfiguration struct{}         `json:"RollbackConfiguration"`
	Capabilities          []string         `json:"Capabilities"`
	Tags                  []tagShape       `json:"Tags"`
	Changes               []changeShape    `json:"Changes"`
	IncludeNestedStacks   bool             `json:"IncludeNestedStacks"`
	OnStackFailure        string           `json:"OnStackFailure,omitempty"`
	NextToken             string           `json:"NextToken,omitempty"`
}

const changesOfAPage = 100

func (s *Service) describeChangeSet(_ context.Context, _ *awsapi.Call, in *changeSetRef) (*changeSetShape, error) {
	c, err := s.changeSet(in.ChangeSetName, in.StackName)
	if err != nil {
		return nil, err
	}
	out := &changeSetShape{
		ChangeSetName: c.Name, ChangeSetID: c.ID, StackID: c.StackID, StackName: c.Stack, Description: c.Description,
		CreationTime: awsapi.Time{Time: c.Created}, ExecutionStatus: c.Execution, Status: c.Status,
		StatusReason:     c.Reason,
		NotificationARNs: slices.Concat([]string{}, c.Options.Notifications), Capabilities: slices.Concat([]string{},
			c.Options.Capabilities),
		Tags: slices.Concat([]tagShape{}, sortedTags(c.Options.Tags)), Changes: []changeShape{},
		Parameters:     []parameterShape{},
		OnStackFailure: c.OnFailure,
	}
	if t, err := Parse(c.Template); err == nil {
		out.Parameters = slices.Concat(out.Parameters, t.shown(c.Parameters, c.Fetched))
	}
	list, next, err := page(c.Changes, in.NextToken, changesOfAPage)
	if err != nil {
		return nil, err
	}
	out.NextToken = next
	for _, ch := range list {
		out.Changes = append(out.Changes, changeShape{"Resource", ch.shape(in.IncludePropertyValues)})
	}
	return out, nil
}

func (c change) shape(values bool) resourceChangeShape {
	shape := resourceChangeShape{
		Action: c.Action, LogicalResourceID: c.LogicalID, PhysicalResourceID: c.PhysicalID, ResourceType: c.Type,
		Replacement: c.Replacement, Scope: slices.Concat([]string{}, c.Scope), Details: []detailShape{},
		PolicyAction: c.Policy,
	}
	if values {
		shape.BeforeContext, shape.AfterContext = string(c.Before), string(c.After)
	}
	for _, d := range c.Details {
		e := detailShape{
			Target: targetShape{Attribute: d.Attribute, Name: d.Name, RequiresRecreation: d.Recreation,
				AttributeChangeType: d.Change},
			Evaluation: d.Evaluation, ChangeSource: d.Source, CausingEntity: d.Causing,
		}
		if values && d.Name != "" {
			e.Target.Path, e.Target.BeforeValue, e.Target.AfterValue = "/"+d.Attribute+"/"+d.Name, d.Before, d.After
		}
		shape.Details = append(shape.Details, e)
	}
	return shape
}

// executeChangeSet begins what a change set foresees. With it all change sets of the stack go, as
// they predict what is no longer so.
func (s *Service) executeChangeSet(ctx context.Context, call *awsapi.Call, in *changeSetRef) (*none, error) {
	if in.RetainExceptOnCreate {
		return nil, awsapi.NotBuilt("ExecuteChangeSet with RetainExceptOnCreate")
	}
	c, err := s.changeSet(in.ChangeSetName, in.StackName)
	if err != nil {
		return nil, err
	}
	if c.Execution != available {
		return nil, awsapi.Errorf("InvalidChangeSetStatus",
			"ChangeSet [%s] cannot be executed in its current status of [%s]", c.ID, c.Status)
	}
	d := c.deployment()
	d.as, d.task.Token = call.Identity, in.ClientRequestToken
	if in.DisableRollback != nil {
		if d.task.OnFailure = doRollback; *in.DisableRollback {
			d.task.OnFailure = doNothing
		}
	}
	leave, err := s.enter(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	w, err := s.prepare(d)
	if err != nil {
		leave()
		return nil, asAnswer(err)
	}
	w.leave = leave
	if err := s.config.Store.Update(func(tx *store.Tx) error {
		return changeSets.DeleteAll(tx, c.StackID)
	}); err != nil {
		leave()
		return nil, err
	}
	_, err = s.launch(w, func() { w.stack.ChangeSetID = c.ID })
	return &none{}, err
}

// deleteChangeSet deletes a change set; one that is not there is no error. A stack in review stays.
func (s *Service) deleteChangeSet(_ context.Context, _ *awsapi.Call, in *changeSetRef) (*none, error) {
	c, err := s.changeSet(in.ChangeSetName, in.StackName)
	if awsapi.Code(err) == "ChangeSetNotFound" {
		return &none{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &none{}, s.config.Store.Update(func(tx *store.Tx) error { return changeSets.Delete(tx, c.StackID, c.Name) })
}

type changeSetSummary struct {
	StackID         string      `json:"StackId"`
	StackName       string      `json:"StackName"`
	ChangeSetID     string      `json:"ChangeSetId"`
	ChangeSetName   string      `json:"ChangeSetName"`
	ExecutionStatus string      `json:"ExecutionStatus"`
	Status          string      `json:"Status"`
	StatusReason    string      `json:"StatusReason,omitempty"`
	CreationTime    awsapi.Time `json:"CreationTime"`
	Description     string      `json:"Description,omitempty"`
}

type listChangeSetsOut struct {
	Summaries []changeSetSummary `json:"Summaries"`
	NextToken string             `json:"NextToken,omitempty"`
}

func (s *Service) listChangeSets(_ context.Context, _ *awsapi.Call, in *stackRef) (*listChangeSetsOut, error) {
	if in.StackName == "" {
		return nil, awsapi.Errorf("ValidationError", "StackName is required")
	}
	found, err := s.find(in.StackName)
	if err != nil {
		return nil, err
	}
	byName := map[string]changeSetRecord{}
	err = s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range changeSets.Scan(tx, store.Query{Prefix: []string{found[0].ID}}) {
			if err != nil {
				return err
			}
			byName[row.Value.Name] = row.Value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &listChangeSetsOut{Summaries: []changeSetSummary{}}
	names, next, err := page(slices.Sorted(maps.Keys(byName)), in.NextToken, changesOfAPage)
	out.NextToken = next
	for _, name := range names {
		c := byName[name]
		out.Summaries = append(out.Summaries, changeSetSummary{
			c.StackID, c.Stack, c.ID, c.Name, c.Execution, c.Status, c.Reason, awsapi.Time{Time: c.Created},
			c.Description,
		})
	}
	return out, err
}

// needsReplacement implements replacementRules.
func (k bound) needsReplacement(property string, stays bool) bool {
	m := k.properties[property]
	if property == "Tags" && k.tagging != nil || m.inPlace {
		return false
	}
	return m.unused == "" && (m.change() == "" || !stays && !k.canUnset(m))
}
