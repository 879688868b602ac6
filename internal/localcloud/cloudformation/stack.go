package cloudformation

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Creating, updating and deleting stacks.

type stackIn struct {
	StackName                   string           `json:"StackName" api:"min=1,pattern=stack name"`
	TemplateBody                string           `json:"TemplateBody" api:"min=1"`
	TemplateURL                 string           `json:"TemplateURL" api:"min=1,max=5120"`
	UsePreviousTemplate         bool             `json:"UsePreviousTemplate"`
	Parameters                  []parameterShape `json:"Parameters"`
	Capabilities                []string         `json:"Capabilities" api:"each.set=capabilities"`
	Tags                        []tagShape       `json:"Tags" api:"max=50"`
	DisableRollback             bool             `json:"DisableRollback"`
	OnFailure                   string           `json:"OnFailure" api:"set=failure options"`
	RoleARN                     string           `json:"RoleARN" api:"min=20,max=2048"`
	StackPolicyBody             string           `json:"StackPolicyBody" api:"min=1,max=16384"`
	StackPolicyURL              string           `json:"StackPolicyURL" api:"min=1,max=5120"`
	StackPolicyDuringUpdateBody string           `json:"StackPolicyDuringUpdateBody" api:"min=1,max=16384"`
	StackPolicyDuringUpdateURL  string           `json:"StackPolicyDuringUpdateURL" api:"min=1,max=5120"`
	TimeoutInMinutes            int              `json:"TimeoutInMinutes" api:"min=1"`
	NotificationARNs            []string         `json:"NotificationARNs" api:"max=5"`
	ResourceTypes               []string         `json:"ResourceTypes" api:"each.min=1,each.max=256"`
	RollbackConfiguration       struct {
		RollbackTriggers []map[string]string `json:"RollbackTriggers" api:"max=5"`
	} `json:"RollbackConfiguration"`
	RetainExceptOnCreate        bool   `json:"RetainExceptOnCreate"`
	EnableTerminationProtection bool   `json:"EnableTerminationProtection"`
	ClientRequestToken          string `json:"ClientRequestToken" api:"min=1,max=128,pattern=stack request token"`
}

type stackOut struct {
	StackID string `json:"StackId"`
}

// deployment checks what creations, updates and change sets have in common.
func (s *Service) deployment(ctx context.Context, c *awsapi.Call, in *stackIn, previous stackRecord) (
	Deployment, error) {
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"StackPolicyURL", in.StackPolicyURL != ""}, {"StackPolicyDuringUpdateURL",
			in.StackPolicyDuringUpdateURL != ""},
		{"RollbackConfiguration.RollbackTriggers", len(in.RollbackConfiguration.RollbackTriggers) > 0},
		{"ResourceTypes", len(in.ResourceTypes) > 0}, {"RetainExceptOnCreate", in.RetainExceptOnCreate},
	} {
		if option.set {
			return Deployment{}, awsapi.NotBuilt("the member " + option.name + " of a stack")
		}
	}
	if len(in.NotificationARNs) > 5 || len(in.Tags) > 50 {
		return Deployment{}, awsapi.Errorf("ValidationError", "a stack has at most 5 notification ARNs and 50 tags")
	}
	body, err := s.templateOf(ctx, c, in, previous)
	if err != nil {
		return Deployment{}, err
	}
	d := Deployment{Name: nameOf(in.StackName), Template: []byte(body), Parameters: map[string]string{},
		original: body, as: c.Identity}
	var absent []string
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
	for _, p := range in.Parameters {
		if _, ok := t.Parameters[p.ParameterKey]; !ok {
			absent = append(absent, p.ParameterKey)
		}
	}
	if absent != nil {
		return d, awsapi.Errorf("ValidationError", "Parameters: [%s] do not exist in the template",
			strings.Join(absent, ", "))
	}
	if missing := t.missing(d.Parameters); missing != nil {
		return d, awsapi.Errorf("ValidationError", "Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	d.options = options{
		RoleARN: cmp.Or(in.RoleARN, previous.Options.RoleARN), Notifications: in.NotificationARNs,
		Capabilities: in.Capabilities,
		Timeout:      time.Duration(in.TimeoutInMinutes) * time.Minute, Tags: previous.Options.Tags,
	}
	if in.NotificationARNs == nil {
		d.options.Notifications = previous.Options.Notifications
	}
	if in.Tags != nil {
		d.options.Tags = map[string]string{}
		for _, tag := range in.Tags {
			if strings.HasPrefix(tag.Key, "aws:") {
				return d, awsapi.Errorf("ValidationError",
					"aws: prefixed tag key names are not allowed for external use.")
			}
			d.options.Tags[tag.Key] = tag.Value
		}
	}
	if in.RoleARN != "" {
		err := c.Authorize(ctx, "iam:PassRole", in.RoleARN,
			map[string][]string{"iam:PassedToService": {"cloudformation.amazonaws.com"}})
		if err != nil {
			return d, err
		}
	}
	d.task = task{Token: in.ClientRequestToken, OnFailure: cmp.Or(in.OnFailure, doRollback)}
	if in.DisableRollback {
		d.task.OnFailure = doNothing
	}
	return d, t.needCapabilities(in.Capabilities)
}

// missing are the parameters that have neither value nor default.
func (t *Template) missing(given map[string]string) []string {
	var list []string
	for name, d := range t.Parameters {
		if _, ok := given[name]; !ok && d.Default == nil {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
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

// expands is CloudFormation's question whether one knows that a template is changed by macros before it is deployed;
// a change set shows what they made of it.
func expands(d Deployment, given []string) error {
	t, err := Parse(d.Template)
	if err != nil || len(t.Transforms) == 0 || slices.Contains(given, "CAPABILITY_AUTO_EXPAND") {
		return asAnswer(err)
	}
	return awsapi.Errorf("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_AUTO_EXPAND]")
}

func (s *Service) createStack(ctx context.Context, c *awsapi.Call, in *stackIn) (*stackOut, error) {
	if _, exists, err := s.stack(in.StackName); err != nil || exists {
		return nil, cmp.Or(err, error(awsapi.Errorf("AlreadyExistsException", "Stack [%s] already exists",
			in.StackName)))
	}
	if in.OnFailure != "" && !slices.Contains([]string{doRollback, doNothing, doDelete}, in.OnFailure) {
		return nil, awsapi.Errorf("ValidationError", "OnFailure must be one of ROLLBACK, DO_NOTHING, DELETE")
	}
	if in.OnFailure != "" && in.DisableRollback {
		return nil, awsapi.Errorf("ValidationError", "Either DisableRollback or OnFailure can be specified, not both.")
	}
	d, err := s.deployment(ctx, c, in, stackRecord{})
	if err != nil {
		return nil, err
	}
	if in.StackPolicyBody != "" {
		if _, err := parseStackPolicy(in.StackPolicyBody); err != nil {
			return nil, awsapi.Errorf("ValidationError", "Error validating stack policy: %v", err)
		}
	}
	if err := expands(d, in.Capabilities); err != nil {
		return nil, err
	}
	w, err := s.prepareDeployment(ctx, d)
	if err != nil {
		return nil, err
	}
	return s.launch(w, func() {
		w.stack.Policy, w.stack.Protected = in.StackPolicyBody, in.EnableTerminationProtection
	})
}

// prepareDeployment prepares a deployment that launch begins; leave of the work ends it.
func (s *Service) prepareDeployment(ctx context.Context, d Deployment) (*work, error) {
	leave, err := s.enter(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	w, err := s.prepare(d)
	if err == nil && w.unchanged {
		err = awsapi.Errorf("ValidationError", "No updates are to be performed.")
	}
	if err == nil && w.updating {
		var list []change
		if list, err = w.changes(); err == nil && !w.changed(list) {
			err = awsapi.Errorf("ValidationError", "No updates are to be performed.")
		}
	}
	if err != nil {
		leave()
		return nil, asAnswer(err)
	}
	w.leave = leave
	return w, nil
}

// launch begins a deployment and executes it behind the answer.
func (s *Service) launch(w *work, with func()) (*stackOut, error) {
	with()
	if err := w.begin(); err != nil {
		w.leave()
		return nil, err
	}
	s.config.Scheduler.Go("cloudformation "+strings.ToLower(w.stack.Status)+" "+w.stack.Name, func() {
		defer w.leave()
		s.report(w.stack.Name, w.execute(context.Background(), w.as))
	})
	return &stackOut{w.stack.ID}, nil
}

// report logs a failure that the stack's status and events tell, too.
func (s *Service) report(stack string, err error) {
	if err != nil {
		s.config.Log.Info("a stack operation failed", "stack", stack, "error", err)
	}
}

func (s *Service) updateStack(ctx context.Context, c *awsapi.Call, in *stackIn) (*stackOut, error) {
	stack, err := s.updatable(in.StackName)
	if err != nil {
		return nil, err
	}
	d, err := s.deployment(ctx, c, in, stack)
	if err != nil {
		return nil, err
	}
	during := in.StackPolicyDuringUpdateBody
	for _, body := range []string{in.StackPolicyBody, during} {
		if body == "" {
			continue
		}
		if _, err := parseStackPolicy(body); err != nil {
			return nil, awsapi.Errorf("ValidationError", "Error validating stack policy: %v", err)
		}
	}
	if during != "" {
		return nil, awsapi.NotBuilt("the member StackPolicyDuringUpdateBody of a stack")
	}
	if err := expands(d, in.Capabilities); err != nil {
		return nil, err
	}
	w, err := s.prepareDeployment(ctx, d)
	if err != nil {
		return nil, err
	}
	return s.launch(w, func() { w.stack.Policy = cmp.Or(in.StackPolicyBody, w.stack.Policy) })
}

// updatable is a stack that may be updated now.
func (s *Service) updatable(nameOrARN string) (stackRecord, error) {
	stack, ok, err := s.stack(nameOf(nameOrARN))
	if err != nil {
		return stack, err
	}
	if !ok || stack.Status == reviewInProgress {
		return stack, awsapi.Errorf("ValidationError", "Stack [%s] does not exist", nameOf(nameOrARN))
	}
	if !stack.updatable() {
		return stack, awsapi.Errorf("ValidationError", "Stack:%s is in %s state and can not be updated.", stack.ID,
			stack.Status)
	}
	return stack, nil
}

type deleteStackIn struct {
	StackName          string   `json:"StackName"`
	RetainResources    []string `json:"RetainResources"`
	RoleARN            string   `json:"RoleARN" api:"min=20,max=2048"`
	DeletionMode       string   `json:"DeletionMode" api:"values=FORCE_DELETE_STACK|STANDARD"`
	ClientRequestToken string   `json:"ClientRequestToken" api:"min=1,max=128,pattern=stack request token"`
}

func (s *Service) deleteStack(ctx context.Context, c *awsapi.Call, in *deleteStackIn) (*none, error) {
	name := nameOf(in.StackName)
	stack, ok, err := s.stack(name)
	if err != nil || !ok || strings.HasPrefix(in.StackName, "arn:") && stack.ID != in.StackName {
		return &none{}, err // deleting what is not there succeeds
	}
	switch {
	case in.DeletionMode != "" && in.DeletionMode != "STANDARD":
		return nil, awsapi.NotBuilt("DeletionMode " + in.DeletionMode)
	case stack.Protected:
		return nil, awsapi.Errorf("ValidationError",
			"Stack [%s] cannot be deleted while TerminationProtection is enabled", name)
	case len(in.RetainResources) > 0 && stack.Status != deleteFailed:
		return nil, awsapi.Errorf("ValidationError",
			"Invalid operation on stack [%s]. RetainResources may only be specified when the stack is in the "+
				"DELETE_FAILED state", stack.ID)
	case stack.Status == deleteInProgress:
		return &none{}, nil
	case stack.underWay() && stack.Status != createInProgress:
		return nil, awsapi.Errorf("ValidationError", "Stack [%s] cannot be deleted while in status %s", name,
			stack.Status)
	}
	if in.RoleARN != "" {
		err := c.Authorize(ctx, "iam:PassRole", in.RoleARN,
			map[string][]string{"iam:PassedToService": {"cloudformation.amazonaws.com"}})
		if err != nil {
			return nil, err
		}
		stack.Options.RoleARN = in.RoleARN
	}
	stack.Task = task{Token: in.ClientRequestToken, Retain: in.RetainResources}
	if stack.Status != createInProgress { // else it is deleted once its creation has ended
		w := &work{s: s, stack: stack, as: c.Identity}
		w.stack.Status, w.stack.Reason = deleteInProgress, ""
		w.recordStackEvent("User Initiated")
		if err := w.save(); err != nil {
			return nil, err
		}
	}
	id := c.Identity
	s.config.Scheduler.Go("cloudformation delete "+name, func() {
		s.report(name, s.Delete(context.Background(), id, name))
	})
	return &none{}, nil
}

type rollbackIn struct {
	StackName          string   `json:"StackName" api:"min=1,pattern=stack name"`
	RoleARN            string   `json:"RoleARN" api:"min=20,max=2048"`
	ResourcesToSkip    []string `json:"ResourcesToSkip" api:"each.pattern=resource to skip"`
	ClientRequestToken string   `json:"ClientRequestToken" api:"min=1,max=128,pattern=stack request token"`
}

// rollbackStack undoes what was kept after a failure.
func (s *Service) rollbackStack(_ context.Context, c *awsapi.Call, in *rollbackIn) (*stackOut, error) {
	stack, ok, err := s.stack(nameOf(in.StackName))
	if err != nil {
		return nil, err
	}
	switch {
	case !ok:
		return nil, errNoStack(in.StackName)
	case in.RoleARN != "":
		return nil, awsapi.NotBuilt("RollbackStack with RoleARN")
	case stack.Status == createFailed:
		return s.startRollback(c, stack, rollbackInProgress, in)
	case stack.Status == updateFailed:
		return s.startRollback(c, stack, updateRollbackInProgress, in)
	}
	return nil, awsapi.Errorf("ValidationError", "Stack:%s is in %s state and can not be rolled back.", stack.ID,
		stack.Status)
}

// continueRollback goes on with a rollback that failed.
func (s *Service) continueRollback(_ context.Context, c *awsapi.Call, in *rollbackIn) (*none, error) {
	stack, ok, err := s.stack(nameOf(in.StackName))
	if err != nil {
		return nil, err
	}
	switch {
	case !ok:
		return nil, errNoStack(in.StackName)
	case in.RoleARN != "":
		return nil, awsapi.NotBuilt("ContinueUpdateRollback with RoleARN")
	case stack.Status != updateRollbackFailed:
		return nil, awsapi.Errorf("ValidationError", "Stack:%s is in %s state and can not be continued.", stack.ID,
			stack.Status)
	}
	_, err = s.startRollback(c, stack, updateRollbackInProgress, in)
	return &none{}, err
}

func (s *Service) startRollback(c *awsapi.Call, stack stackRecord, status string, in *rollbackIn) (*stackOut, error) {
	w := &work{s: s, stack: stack, as: c.Identity}
	w.stack.Status, w.stack.Reason, w.stack.Task = status, "User Initiated", task{Token: in.ClientRequestToken,
		OnFailure: doRollback}
	w.recordStackEvent("User Initiated")
	if err := w.save(); err != nil {
		return nil, err
	}
	id, skip := c.Identity, in.ResourcesToSkip
	s.config.Scheduler.Go("cloudformation roll back "+stack.Name, func() {
		s.report(stack.Name, s.resumeRollback(context.Background(), id, stack.Name, skip...))
	})
	return &stackOut{stack.ID}, nil
}

type protectIn struct {
	StackName                   string `json:"StackName" api:"min=1,pattern=stack name"`
	EnableTerminationProtection bool   `json:"EnableTerminationProtection"`
}

// change writes to the record of a stack that nothing is done with at the moment, or that only reads what is written.
func (s *Service) change(nameOrARN string, fn func(*stackRecord) error) (stack stackRecord, err error) {
	err = s.config.Store.Update(func(tx *store.Tx) error {
		var ok bool
		if stack, ok, err = stacks.Get(tx, nameOf(nameOrARN)); err != nil {
			return err
		}
		if !ok {
			return errNoStack(nameOrARN)
		}
		if stack.underWay() {
			return awsapi.Errorf("ValidationError", "Stack:%s is in %s state and can not be updated.", stack.ID,
				stack.Status)
		}
		if err := fn(&stack); err != nil {
			return err
		}
		return stacks.Put(tx, stack, stack.Name)
	})
	return stack, err
}

func (s *Service) protect(_ context.Context, _ *awsapi.Call, in *protectIn) (*stackOut, error) {
	stack, err := s.change(in.StackName, func(r *stackRecord) error {
		r.Protected = in.EnableTerminationProtection
		return nil
	})
	return &stackOut{stack.ID}, err
}

type stackPolicyIn struct {
	StackName       string `json:"StackName"`
	StackPolicyBody string `json:"StackPolicyBody" api:"min=1,max=16384"`
	StackPolicyURL  string `json:"StackPolicyURL" api:"min=1,max=5120"`
}

func (s *Service) setStackPolicy(_ context.Context, _ *awsapi.Call, in *stackPolicyIn) (*none, error) {
	if in.StackPolicyURL != "" {
		return nil, awsapi.NotBuilt("SetStackPolicy with StackPolicyURL")
	}
	if _, err := parseStackPolicy(in.StackPolicyBody); err != nil {
		return nil, awsapi.Errorf("ValidationError", "Error validating stack policy: %v", err)
	}
	_, err := s.change(in.StackName, func(r *stackRecord) error { r.Policy = in.StackPolicyBody; return nil })
	return &none{}, err
}

type stackPolicyOut struct {
	StackPolicyBody string `json:"StackPolicyBody,omitempty"`
}

func (s *Service) getStackPolicy(_ context.Context, _ *awsapi.Call, in *stackRef) (*stackPolicyOut, error) {
	found, err := s.find(in.StackName)
	if err != nil {
		return nil, err
	}
	return &stackPolicyOut{found[0].Policy}, nil
}
