package cloudformation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Deployment is what Deploy makes true.
type Deployment struct {
	Name       string
	Template   []byte
	Parameters map[string]string // those that differ from their defaults

	original string // the template's text as a client gave it
	options  options
	task     task
	as       awsapi.Identity // who asked
}

var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

// Deploy creates or updates a stack and returns its outputs. Nothing is rolled back: after a failure the stack is
// CREATE_FAILED or UPDATE_FAILED, and the next Deploy goes on. Deploying what is deployed does
// nothing. Deployments and deletions of one stack wait for each other.
func (s *Service) Deploy(ctx context.Context, id awsapi.Identity,
	d Deployment) (outputs map[string]string, err error) {
	leave, err := s.enter(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	defer leave()
	d.task.OnFailure, d.as = doKeep, id
	w, err := s.prepare(d)
	if err != nil {
		return nil, err
	}
	if !w.unchanged {
		if err := w.begin(); err != nil {
			return nil, err
		}
		if err := w.execute(ctx, id); err != nil {
			return nil, err
		}
	}
	outputs = map[string]string{}
	for _, o := range w.stack.Outputs {
		outputs[o.Key] = o.Value
	}
	return outputs, nil
}

// What becomes of a stack whose creation failed.
const (
	doRollback = "ROLLBACK"
	doNothing  = "DO_NOTHING"
	doDelete   = "DELETE"
	doKeep     = "KEEP" // as DO_NOTHING, for Deploy
)

// execute does what begin has announced, undoes it if it fails and is to be undone, and writes how it ended. The error
// is that of the deployment.
func (w *work) execute(ctx context.Context, id awsapi.Identity) error {
	ctx, err := w.identify(ctx, id)
	if err == nil {
		err = w.runInTime(ctx)
	}
	if err == nil {
		return w.succeed(ctx)
	}
	if errors.Is(err, store.ErrClosed) {
		return err // the process ends; the next one goes on
	}
	return errors.Join(err, w.fail(ctx, err))
}

// identify gives the calls that make resources the stack's role, or else the caller's identity.
func (w *work) identify(ctx context.Context, id awsapi.Identity) (context.Context, error) {
	if role := w.stack.Options.RoleARN; role != "" {
		if w.s.config.Roles == nil {
			return ctx, awsapi.NotBuilt("the role of a stack without IAM")
		}
		assumed, err := w.s.config.Roles.Assume(ctx, role, "cloudformation.amazonaws.com", w.stack.ID,
			"AWSCloudFormation")
		if err != nil {
			return context.WithValue(ctx, identityKey{}, id), awsapi.Errorf("ValidationError",
				"Role %s is invalid or cannot be assumed", role)
		}
		id = assumed
	}
	w.as = id
	return context.WithValue(ctx, identityKey{}, id), nil
}

// runInTime is run with the time limit of a creation.
func (w *work) runInTime(ctx context.Context) error {
	if w.updating || w.stack.Options.Timeout == 0 {
		return w.run(ctx)
	}
	ctx, cancel := w.s.config.Scheduler.WithTimeout(ctx, w.stack.Options.Timeout)
	defer cancel()
	return w.run(ctx)
}

// work is one operation on one stack.
type work struct {
	s         *Service
	t         *Template
	scope     *scope
	stack     stackRecord
	updating  bool
	unchanged bool
	leave     func() // only of work that prepareDeployment began

	mu      sync.Mutex // guards what follows; resources that do not need each other are made at once
	records map[string]resourceRecord
	dirty   map[string]bool // records not yet in the store
	unsaved []numbered      // events not yet in the store
	failed  map[string]bool // resources that failed in this operation, by logical id: whether they were being created
	as      awsapi.Identity // who works
	skip    []string        // resources that a rollback leaves as they are
}

// prepare reads and checks everything that can be checked before anything is touched.
func (s *Service) prepare(d Deployment) (*work, error) {
	if !stackName.MatchString(d.Name) {
		return nil, awsapi.Errorf("ValidationError",
			"%q is not a stack name: letters, digits and hyphens, beginning with a letter", d.Name)
	}
	stack, exists, err := s.stack(d.Name)
	if err != nil {
		return nil, err
	}
	w := &work{s: s, stack: stack, dirty: map[string]bool{}, failed: map[string]bool{}}
	if w.t, err = Parse(d.Template); err != nil {
		return nil, err
	}
	if err := s.checkTypes(w.t); err != nil {
		return nil, err
	}
	ctx := context.Background()
	if w.as = d.as; d.as.ARN != "" {
		ctx = context.WithValue(ctx, identityKey{}, d.as)
	}
	fetched, err := s.fetchParameters(ctx, w.t, d.Parameters)
	if err != nil {
		return nil, err
	}
	if stack.Status == createComplete || stack.Status == updateComplete {
		w.unchanged = bytes.Equal(stack.Template, w.t.body) && maps.Equal(stack.Parameters, d.Parameters) &&
			maps.Equal(stack.Fetched, fetched) && stack.Options.same(d.options)
		if w.unchanged {
			return w, nil
		}
	}
	parameters, err := w.t.values(d.Parameters, fetched)
	if err != nil {
		return nil, err
	}
	if w.records, err = s.stackResources(d.Name); err != nil {
		return nil, err
	}
	now := s.config.Scheduler.Now()
	if !exists {
		w.stack = s.newStack(d.Name)
	}
	switch w.stack.Status {
	case "", reviewInProgress, createInProgress, createFailed:
		w.stack.Created = cmp.Or(w.stack.Created, now)
	default:
		w.updating = true
		if w.stack.Before == nil {
			w.stack.Before = &stackBefore{
				stack.Template, stack.Original, stack.Parameters, stack.Fetched, stack.Outputs, stack.Imports,
				stack.Options,
			}
		}
	}
	w.stack.Template, w.stack.Original, w.stack.Parameters, w.stack.Fetched = w.t.body, d.original,
		d.Parameters, fetched
	w.stack.Options, w.stack.Task, w.stack.Updated = d.options, d.task, now
	w.scope, err = s.scope(w, parameters)
	return w, err
}

// newStack is a stack that does not exist yet.
func (s *Service) newStack(name string) stackRecord {
	return stackRecord{
		Name: name, Created: s.config.Scheduler.Now(),
		ID: s.environment.arn("cloudformation", "stack/"+name+"/"+s.config.Scheduler.UUID()),
	}
}

func (o options) same(other options) bool {
	return maps.Equal(o.Tags, other.Tags) && slices.Equal(o.Notifications, other.Notifications) &&
		o.RoleARN == other.RoleARN
}

// scope evaluates rules and conditions and binds resources to the records of the deployment.
func (s *Service) scope(w *work, parameters map[string]any) (*scope, error) {
	notifications := make([]any, len(w.stack.Options.Notifications))
	for i, arn := range w.stack.Options.Notifications {
		notifications[i] = arn
	}
	c := &scope{
		t: w.t, parameters: parameters, conditions: map[string]bool{},
		pseudo: map[string]any{
			"AWS::AccountId": s.config.Account, "AWS::Region": s.config.Region, "AWS::Partition": "aws",
			"AWS::URLSuffix": "amazonaws.com", "AWS::StackName": w.stack.Name, "AWS::StackId": w.stack.ID,
			"AWS::NotificationARNs": notifications,
		},
		zones: []string{s.config.Region + "a", s.config.Region + "b", s.config.Region + "c"},
		resource: func(id string) (any, error) {
			r, err := w.present(id)
			return r.PhysicalID, err
		},
		attribute: func(id, name string) (any, error) {
			r, err := w.present(id)
			if err != nil {
				return nil, err
			}
			v, ok := decode(r.Attributes)[name]
			if !ok || v == nil {
				return nil, fmt.Errorf("%s (%s) has no attribute %s", id, r.Type, name)
			}
			return v, nil
		},
		imported: func(name string) (string, error) { return s.importedBy(w, name) },
	}
	if err := c.keepRules(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(w.t.Conditions)) {
		if _, err := c.condition(name); err != nil {
			return nil, &TemplateError{[]Problem{{"Conditions." + name, err.Error()}}}
		}
	}
	return c, nil
}

// present is a resource that another one refers to.
func (w *work) present(id string) (resourceRecord, error) {
	w.mu.Lock()
	r, ok := w.records[id]
	w.mu.Unlock()
	if !w.included(id) {
		return r, fmt.Errorf("the resource %s is not made: its condition does not hold", id)
	}
	if !ok || !r.exists() {
		return r, fmt.Errorf("the resource %s is not made yet", id)
	}
	return r, nil
}

// included tells whether the template has the resource and its condition holds.
func (w *work) included(id string) bool {
	r, ok := w.t.Resources[id]
	return ok && (r.Condition == "" || w.scope.conditions[r.Condition])
}

// begin writes what the deployment is going to do, so that a restart goes on with it.
func (w *work) begin() error {
	w.stack.Status, w.stack.Reason = createInProgress, ""
	if w.updating {
		w.stack.Status, w.stack.Changed = updateInProgress, w.s.config.Scheduler.Now()
	}
	w.stack.Imports = nil
	w.recordStackEvent("User Initiated")
	for i, id := range w.t.Order() {
		if !w.included(id) {
			continue
		}
		declared := w.t.Resources[id]
		r, ok := w.records[id]
		if !ok {
			r = resourceRecord{LogicalID: id, Type: declared.Type, Status: "", New: w.updating}
		}
		r.Position = i
		if r.complete() {
			w.keepBefore(&r)
		}
		r.DeletionPolicy, r.Metadata = declared.DeletionPolicy, nil
		if declared.Metadata != nil {
			var err error
			if r.Metadata, err = json.Marshal(declared.Metadata); err != nil {
				return err
			}
		}
		w.put(r)
	}
	return w.save()
}

// keepBefore keeps what a resource was before the update under way, once.
func (w *work) keepBefore(r *resourceRecord) {
	if w.updating && !r.New && r.Before == nil {
		v := r.version()
		r.Before = &v
	}
}

// put changes a record; save makes changed records durable.
func (w *work) put(r resourceRecord) {
	r.Updated = w.s.config.Scheduler.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[r.LogicalID] = r
	w.dirty[r.LogicalID] = true
}

// drop forgets a record.
func (w *work) drop(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.records, id)
	w.dirty[id] = true
}

func (w *work) save() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.s.config.Store.Update(func(tx *store.Tx) error {
		for _, id := range slices.Sorted(maps.Keys(w.dirty)) {
			r, ok := w.records[id]
			if !ok {
				if err := resources.Delete(tx, w.stack.Name, id); err != nil {
					return err
				}
				continue
			}
			if r.Status == "" {
				r.Status = createInProgress // from here on it may exist
			}
			if err := resources.Put(tx, r, w.stack.Name, id); err != nil {
				return err
			}
		}
		if err := putEvents(tx, w.stack.ID, w.unsaved); err != nil {
			return err
		}
		return stacks.Put(tx, w.stack, w.stack.Name)
	})
	if err == nil {
		clear(w.dirty)
		w.sendStackEvents()
	}
	return err
}

// sendStackEvents hands the events that are now durable to the stack's topics. The caller holds w.mu.
func (w *work) sendStackEvents() {
	list := w.unsaved
	w.unsaved = nil
	if len(list) == 0 || len(w.stack.Options.Notifications) == 0 {
		return
	}
	id := w.as
	w.s.config.Scheduler.Go("cloudformation notify "+w.stack.Name, func() {
		w.notify(context.WithValue(context.Background(), identityKey{}, id), list)
	})
}

func (w *work) run(ctx context.Context) error {
	if err := w.keepStackPolicy(); err != nil {
		return err
	}
	for _, group := range w.t.levels() {
		err := w.applyAll(ctx, slices.DeleteFunc(group, func(id string) bool { return !w.included(id) }))
		if err != nil {
			return err
		}
	}
	return w.outputs(ctx)
}

// applyAll applies resources that do not need each other, all at once: a store syncs many writes in the time of one.
func (w *work) applyAll(ctx context.Context, ids []string) error {
	gates, failures := make([]*scheduler.Gate, len(ids)), make([]error, len(ids))
	for i, id := range ids {
		gates[i] = w.s.config.Scheduler.NewGate()
		w.s.config.Scheduler.Go("cloudformation "+w.stack.Name+" "+id, func() {
			failures[i] = w.apply(ctx, id)
			gates[i].Open()
		})
	}
	for _, g := range gates {
		if err := g.Wait(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// properties evaluates what the template says of a resource.
func (w *work) properties(ctx context.Context, id string) (map[string]any, error) {
	declared := w.t.Resources[id]
	evaluated, err := w.scope.value("Resources."+id+".Properties", mapOrEmpty(declared.Properties))
	if err != nil {
		return nil, err
	}
	if evaluated, err = w.s.resolve(ctx, evaluated); err != nil {
		return nil, err
	}
	properties := evaluated.(map[string]any)
	if tagger, ok := w.s.provider(declared.Type).(tagged); ok && len(w.stack.Options.Tags) > 0 {
		tagger.addTags(properties, w.stack.Options.Tags)
	}
	return properties, nil
}

// apply brings one resource to what the template says.
func (w *work) apply(ctx context.Context, id string) error {
	w.mu.Lock()
	declared, rec := w.t.Resources[id], w.records[id]
	w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return w.recordFailure(rec, declared, "create",
			awsapi.Errorf("ValidationError", "Resource creation cancelled"))
	}
	properties, err := w.properties(ctx, id)
	if err != nil {
		return w.recordFailure(rec, declared, "evaluate", err)
	}
	encoded, err := json.Marshal(properties)
	if err != nil {
		return w.recordFailure(rec, declared, "evaluate", err)
	}
	provider := w.s.provider(declared.Type)
	r := Request{
		Stack: w.stack.Name, StackID: w.stack.ID, LogicalID: id, Type: declared.Type, Generation: rec.Generation,
		Properties: properties,
		PhysicalID: rec.PhysicalID, Attributes: decode(rec.Attributes), Old: decode(rec.Properties),
	}
	if rec.complete() && rec.Type == declared.Type && bytes.Equal(rec.Properties, encoded) {
		return nil
	}

	var made Resource
	action := "create"
	if rec.exists() {
		action = "update"
		w.keepBefore(&rec)
		w.recordResourceEvent(rec, updateInProgress, "", encoded)
		if rec.Type == declared.Type {
			made, err = provider.Update(ctx, r)
		} else {
			err = ErrReplace
		}
		switch {
		case errors.Is(err, ErrReplace):
			made, err = w.replace(ctx, &rec, declared, r)
		case err != nil:
			rec.Attempted = encoded
		case made.PhysicalID != rec.PhysicalID:
			w.setAsideReplaced(&rec, declared)
		}
	} else {
		w.recordResourceEvent(rec, createInProgress, "", encoded)
		r.Resume = rec.Status != "" || w.adopts(declared)
		r.PhysicalID, r.Attributes, r.Old = "", nil, nil
		if made, err = provider.Create(ctx, r); err != nil && made.PhysicalID != "" {
			// Half of it is there, and must go with the rest.
			rec.PhysicalID, rec.Properties = made.PhysicalID, encoded
			rec.Attributes = encode(made.Attributes)
		}
	}
	if err != nil {
		return w.recordFailure(rec, declared, action, err)
	}
	attributes, err := json.Marshal(made.Attributes)
	if err != nil {
		return w.recordFailure(rec, declared, action, err)
	}
	rec.Type, rec.PhysicalID, rec.Properties, rec.Attributes, rec.Reason = declared.Type, made.PhysicalID, encoded,
		attributes, ""
	rec.Status, rec.Attempted, rec.Replacing = map[string]string{"create": createComplete,
		"update": updateComplete}[action], nil, false
	w.put(rec)
	w.recordResourceEvent(rec, rec.Status, "", encoded)
	if _, own := provider.(custom); own || action == "update" {
		// What a custom resource has done must not be asked for again. All else can be created twice, so that the
		// records of a new stack are written together.
		return w.save()
	}
	return nil
}

// adopts tells whether a resource that is there already becomes the stack's: if the client wants
// that, the template gives its name in plain text, and it would be retained. One of another stack
// does not.
//
// Source: AWS CloudFormation User Guide, "Import AWS resources into a CloudFormation stack automatically" (2026-11).
func (w *work) adopts(declared TemplateResource) bool {
	if !w.stack.Task.Adopt || !retains(declared.DeletionPolicy) {
		return false
	}
	name := w.s.customName(declared.Type, declared.Properties)
	if name == "" {
		return false
	}
	_, err := w.s.owner(name)
	return err != nil
}

// recordFailure writes that a resource could not be made or changed.
func (w *work) recordFailure(rec resourceRecord, declared TemplateResource, action string, err error) error {
	var call *failedCall
	service := ""
	if errors.As(err, &call) {
		service = call.service
	}
	creating := !rec.exists()
	rec.Status, rec.Reason = updateFailed, w.s.reason(service, err)
	if creating {
		rec.Status = createFailed
	}
	if rec.Type == "" {
		rec.Type = declared.Type
	}
	w.put(rec)
	w.recordResourceEvent(rec, rec.Status, rec.Reason, nil)
	w.mu.Lock()
	w.failed[rec.LogicalID] = creating
	w.mu.Unlock()
	return &DeployError{w.stack.Name, rec.LogicalID, declared.Type, action, err}
}

// replace makes the resource that takes the place of the old one, which is deleted when the update is complete.
func (w *work) replace(ctx context.Context, rec *resourceRecord, declared TemplateResource, r Request) (
	Resource, error) {
	if name := w.s.customName(declared.Type, r.Properties); name != "" && rec.Type == declared.Type &&
		name == w.s.customName(rec.Type, r.Old) {
		return Resource{}, errCustomNamed(name)
	}
	w.recordResourceEvent(*rec, updateInProgress,
		"Requested update requires the creation of a new physical resource; hence creating one.", nil)
	r.Resume = rec.Replacing
	rec.Replacing = true
	w.put(*rec)
	if err := w.save(); err != nil {
		return Resource{}, err
	}
	r.PhysicalID, r.Attributes, r.Old = "", nil, nil
	r.Generation++
	made, err := w.s.provider(declared.Type).Create(ctx, r)
	if err != nil {
		if made.PhysicalID != "" {
			half := resourceVersion{Type: declared.Type, PhysicalID: made.PhysicalID, Generation: r.Generation}
			half.Properties, half.Attributes = encode(r.Properties), encode(made.Attributes)
			rec.Stale = append(rec.Stale, half)
		}
		return made, err
	}
	w.setAsideReplaced(rec, declared)
	rec.Generation = r.Generation
	return made, nil
}

// setAsideReplaced puts the resource aside that a new one has taken the place of.
func (w *work) setAsideReplaced(rec *resourceRecord, declared TemplateResource) {
	old := rec.version()
	old.Retain = declared.UpdateReplacePolicy == "Retain"
	rec.Stale = append(rec.Stale, old)
}

func mapOrEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func (w *work) outputs(ctx context.Context) error {
	w.stack.Outputs = nil
	for _, name := range slices.Sorted(maps.Keys(w.t.Outputs)) {
		o := w.t.Outputs[name]
		if o.Condition != "" && !w.scope.conditions[o.Condition] {
			continue
		}
		record, err := w.output(ctx, name, o)
		if err != nil {
			return fmt.Errorf("cloudformation: stack %s: output %s: %w", w.stack.Name, name, err)
		}
		w.stack.Outputs = append(w.stack.Outputs, record)
	}
	return w.s.checkExports(w)
}

func (w *work) output(ctx context.Context, name string, o Output) (outputRecord, error) {
	record := outputRecord{Key: name, Description: o.Description}
	for _, part := range []struct {
		member string
		from   any
		to     *string
	}{{"Value", o.Value, &record.Value}, {"Export.Name", o.Export, &record.Export}} {
		if part.from == nil {
			continue
		}
		v, err := w.scope.value("Outputs."+name+"."+part.member, part.from)
		if err != nil {
			return record, err
		}
		if *part.to, err = asText(v); err != nil {
			return record, err
		}
		if *part.to, err = w.s.resolveText(ctx, *part.to); err != nil {
			return record, err
		}
	}
	return record, nil
}

// succeed ends a deployment that did what it should: what was replaced or is no longer wanted goes now.
func (w *work) succeed(ctx context.Context) error {
	var failures error
	if w.updating {
		w.stack.Status, w.stack.Reason = updateCleanup, ""
		w.recordStackEvent("")
		if err := w.save(); err != nil {
			return err
		}
		if failures = w.cleanUp(ctx); errors.Is(failures, store.ErrClosed) {
			return failures
		}
	}
	w.stack.Status, w.stack.Reason = createComplete, ""
	if w.updating {
		w.stack.Status = updateComplete
	}
	return errors.Join(failures, w.conclude(""))
}

// conclude writes the status in which an operation ends.
func (w *work) conclude(reason string) error {
	w.stack.Reason, w.stack.Updated = reason, w.s.config.Scheduler.Now()
	w.recordStackEvent(reason)
	switch w.stack.Status {
	case createComplete, updateComplete, updateRollbackComplete:
		w.dropUndo()
	}
	w.stack.Task.Token = ""
	return w.save()
}

// dropUndo forgets what a rollback would have needed.
func (w *work) dropUndo() {
	w.stack.Before = nil
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		if r := w.records[id]; r.New || r.Before != nil || r.Attempted != nil || r.Replacing || r.Stale != nil {
			r.New, r.Before, r.Attempted, r.Replacing, r.Stale = false, nil, nil, false, nil
			w.put(r)
		}
	}
}

// fail ends a deployment that failed, and undoes it unless it is to be kept.
func (w *work) fail(ctx context.Context, failure error) error {
	reason := w.failureReason(failure)
	if how := w.stack.Task.OnFailure; how == doNothing || how == doKeep {
		w.stack.Status = createFailed
		if w.updating {
			w.stack.Status = updateFailed
		}
		if how == doKeep {
			reason = failure.Error()
		}
		return w.conclude(reason)
	}
	if w.updating {
		return w.rollBackUpdate(ctx, reason)
	}
	return w.rollBackCreate(ctx, reason)
}

// failureReason is what the stack's event says.
func (w *work) failureReason(failure error) string {
	var created, updated []string
	for _, id := range slices.Sorted(maps.Keys(w.failed)) {
		if w.failed[id] {
			created = append(created, id)
		} else {
			updated = append(updated, id)
		}
	}
	text := ""
	if created != nil {
		text += "The following resource(s) failed to create: [" + strings.Join(created, ", ") + "]. "
	}
	if updated != nil {
		text += "The following resource(s) failed to update: [" + strings.Join(updated, ", ") + "]. "
	}
	if text == "" && awsapi.Code(failure) == "InternalFailure" {
		return failure.Error()
	} else if text == "" {
		return awsapi.AsError(failure).Message
	}
	return text
}
