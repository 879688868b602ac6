package cloudformation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
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
}

var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

// Deploy creates or updates a stack and returns its outputs. Nothing is rolled back: after a failure the stack is
// CREATE_FAILED or UPDATE_FAILED, and the next Deploy goes on. Deploying what is deployed does nothing. Deployments and
// deletions of one stack wait for each other.
func (s *Service) Deploy(ctx context.Context, id awsapi.Identity, d Deployment) (outputs map[string]string, err error) {
	leave, err := s.enter(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	defer leave()
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

// execute does what begin has announced, and writes how it ended.
func (w *work) execute(ctx context.Context, id awsapi.Identity) error {
	err := w.run(context.WithValue(ctx, identityKey{}, id))
	return errors.Join(err, w.end(err))
}

// work is one deployment.
type work struct {
	s         *Service
	t         *Template
	scope     *scope
	stack     stackRecord
	updating  bool
	unchanged bool
	leave     func() // only of work that announce began

	mu       sync.Mutex // guards the maps; resources that do not need each other are made at once
	records  map[string]resourceRecord
	dirty    map[string]bool // records not yet in the store
	replaced map[string]bool // resources that were deleted and made again
}

// prepare reads and checks everything that can be checked before anything is touched.
func (s *Service) prepare(d Deployment) (*work, error) {
	if !stackName.MatchString(d.Name) {
		return nil, awsapi.Errorf("ValidationError", "%q is not a stack name: letters, digits and hyphens, beginning with a letter", d.Name)
	}
	stack, exists, err := s.stack(d.Name)
	if err != nil {
		return nil, err
	}
	w := &work{s: s, stack: stack, dirty: map[string]bool{}, replaced: map[string]bool{}}
	// A template is kept in one form, the one that the store gives back, so that spaces are no change.
	var compact, body bytes.Buffer
	err = json.Compact(&compact, d.Template)
	json.HTMLEscape(&body, compact.Bytes())
	if err == nil && (stack.Status == createComplete || stack.Status == updateComplete) {
		if w.unchanged = bytes.Equal(stack.Template, body.Bytes()) && maps.Equal(stack.Parameters, d.Parameters); w.unchanged {
			return w, nil
		}
	}
	if w.t, err = Parse(d.Template); err != nil {
		return nil, err
	}
	if err := s.checkTypes(w.t); err != nil {
		return nil, err
	}
	parameters, err := w.t.values(d.Parameters)
	if err != nil {
		return nil, err
	}
	if w.records, err = s.stackResources(d.Name); err != nil {
		return nil, err
	}
	now := s.config.Scheduler.Now()
	if !exists {
		w.stack = stackRecord{
			Name: d.Name, Created: now,
			ID: s.environment.arn("cloudformation", "stack/"+d.Name+"/"+s.config.Scheduler.UUID()),
		}
	}
	switch w.stack.Status {
	case "", createInProgress, createFailed:
	default:
		w.updating = true
	}
	w.stack.Template, w.stack.Parameters, w.stack.Updated = body.Bytes(), d.Parameters, now
	w.scope, err = s.scope(w, parameters)
	return w, err
}

// scope evaluates the conditions and binds resources to the records of the deployment.
func (s *Service) scope(w *work, parameters map[string]any) (*scope, error) {
	c := &scope{
		t: w.t, parameters: parameters, conditions: map[string]bool{},
		pseudo: map[string]any{
			"AWS::AccountId": s.config.Account, "AWS::Region": s.config.Region, "AWS::Partition": "aws",
			"AWS::URLSuffix": "amazonaws.com", "AWS::StackName": w.stack.Name, "AWS::StackId": w.stack.ID,
			"AWS::NotificationARNs": []any{},
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
	if !w.wanted(id) {
		return r, fmt.Errorf("the resource %s is not made: its condition does not hold", id)
	}
	if !ok || !r.made() {
		return r, fmt.Errorf("the resource %s is not made yet", id)
	}
	return r, nil
}

// wanted tells whether the template has the resource and its condition holds.
func (w *work) wanted(id string) bool {
	r, ok := w.t.Resources[id]
	return ok && (r.Condition == "" || w.scope.conditions[r.Condition])
}

// begin writes what the deployment is going to do, so that a restart goes on with it.
func (w *work) begin() error {
	w.stack.Status, w.stack.Reason = createInProgress, ""
	if w.updating {
		w.stack.Status = updateInProgress
	}
	for i, id := range w.t.Order() {
		if !w.wanted(id) {
			continue
		}
		r, ok := w.records[id]
		if !ok {
			r = resourceRecord{LogicalID: id, Type: w.t.Resources[id].Type, Status: ""}
		}
		r.Position, r.DeletionPolicy = i, w.t.Resources[id].DeletionPolicy
		w.put(r)
	}
	return w.save()
}

// put changes a record; save makes changed records durable.
func (w *work) put(r resourceRecord) {
	r.Updated = w.s.config.Scheduler.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[r.LogicalID] = r
	w.dirty[r.LogicalID] = true
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
		return stacks.Put(tx, w.stack, w.stack.Name)
	})
	if err == nil {
		clear(w.dirty)
	}
	return err
}

func (w *work) run(ctx context.Context) error {
	for _, group := range w.t.levels() {
		if err := w.applyAll(ctx, slices.DeleteFunc(group, func(id string) bool { return !w.wanted(id) })); err != nil {
			return err
		}
	}
	if err := w.outputs(); err != nil {
		return err
	}
	return w.removeUnwanted(ctx)
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
		if err := g.Wait(ctx); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// apply brings one resource to what the template says.
func (w *work) apply(ctx context.Context, id string) error {
	w.mu.Lock()
	declared, rec := w.t.Resources[id], w.records[id]
	w.mu.Unlock()
	evaluated, err := w.scope.value("Resources."+id+".Properties", mapOrEmpty(declared.Properties))
	if err != nil {
		return &DeployError{w.stack.Name, id, declared.Type, "evaluate", err}
	}
	properties := evaluated.(map[string]any)
	encoded, err := json.Marshal(properties)
	if err != nil {
		return &DeployError{w.stack.Name, id, declared.Type, "evaluate", err}
	}
	provider := w.s.provider(declared.Type)
	r := Request{
		Stack: w.stack.Name, StackID: w.stack.ID, LogicalID: id, Type: declared.Type, Properties: properties,
		PhysicalID: rec.PhysicalID, Attributes: decode(rec.Attributes), Old: decode(rec.Properties),
	}
	settled := rec.Status == createComplete || rec.Status == updateComplete
	if settled && rec.Type == declared.Type && bytes.Equal(rec.Properties, encoded) {
		_, own := provider.(custom)
		if own || !w.hungOnReplaced(id) {
			return nil
		}
		// What it had put there (a policy, a subscription, a permission) went with the resource that was deleted.
		rec.Status = createInProgress
	}

	var made Resource
	action := "create"
	if rec.made() {
		action = "update"
		if rec.Type == declared.Type {
			made, err = provider.Update(ctx, r)
		} else {
			err = ErrReplace
		}
		if errors.Is(err, ErrReplace) {
			w.mu.Lock()
			w.replaced[id] = true
			w.mu.Unlock()
			made, err = w.replace(ctx, &rec, declared, r)
		}
	} else {
		r.Resume = rec.Status != ""
		r.PhysicalID, r.Attributes, r.Old = "", nil, nil
		made, err = provider.Create(ctx, r)
	}
	if err != nil {
		rec.Status, rec.Reason = map[string]string{"create": createFailed, "update": updateFailed}[action], err.Error()
		w.put(rec)
		return &DeployError{w.stack.Name, id, declared.Type, action, err}
	}
	attributes, err := json.Marshal(made.Attributes)
	if err != nil {
		return &DeployError{w.stack.Name, id, declared.Type, action, err}
	}
	rec.Type, rec.PhysicalID, rec.Properties, rec.Attributes, rec.Reason = declared.Type, made.PhysicalID, encoded, attributes, ""
	rec.Status = map[string]string{"create": createComplete, "update": updateComplete}[action]
	w.put(rec)
	if _, own := provider.(custom); own || action == "update" {
		// What a custom resource has done must not be asked for again. All else can be created twice, so that the
		// records of a new stack are written together.
		return w.save()
	}
	return nil
}

// hungOnReplaced tells whether a resource that this one needs was deleted and made again.
func (w *work) hungOnReplaced(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.t.needs(id), func(n string) bool { return w.replaced[n] })
}

// replace deletes the old resource, unless it is to be retained, and makes the new one.
func (w *work) replace(ctx context.Context, rec *resourceRecord, declared TemplateResource, r Request) (Resource, error) {
	if declared.UpdateReplacePolicy != "Retain" {
		old := r
		old.Type, old.Properties = rec.Type, r.Old
		provider := w.s.provider(rec.Type)
		if provider == nil {
			return Resource{}, fmt.Errorf("the local cloud does not implement the resource type %s any more", rec.Type)
		}
		if err := provider.Delete(ctx, old); err != nil {
			return Resource{}, err
		}
		rec.Type, rec.Status, rec.PhysicalID, rec.Properties, rec.Attributes = declared.Type, createInProgress, "", nil, nil
		w.put(*rec)
		if err := w.save(); err != nil {
			return Resource{}, err
		}
	}
	r.PhysicalID, r.Attributes, r.Old = "", nil, nil
	return w.s.provider(declared.Type).Create(ctx, r)
}

func mapOrEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func (w *work) outputs() error {
	w.stack.Outputs = nil
	for _, name := range slices.Sorted(maps.Keys(w.t.Outputs)) {
		o := w.t.Outputs[name]
		if o.Condition != "" && !w.scope.conditions[o.Condition] {
			continue
		}
		v, err := w.scope.value("Outputs."+name+".Value", o.Value)
		if err == nil {
			var text string
			if text, err = asText(v); err == nil {
				w.stack.Outputs = append(w.stack.Outputs, outputRecord{name, text, o.Description})
				continue
			}
		}
		return fmt.Errorf("cloudformation: stack %s: output %s: %w", w.stack.Name, name, err)
	}
	return nil
}

// removeUnwanted deletes the resources that the template no longer has, those made last first.
func (w *work) removeUnwanted(ctx context.Context) error {
	var gone []resourceRecord
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		r := w.records[id]
		if !w.wanted(id) {
			gone = append(gone, r)
		}
	}
	return w.remove(ctx, gone)
}

func (w *work) remove(ctx context.Context, list []resourceRecord) error {
	slices.SortFunc(list, func(a, b resourceRecord) int { return b.Position - a.Position })
	for _, r := range list {
		if r.DeletionPolicy != "Retain" && r.DeletionPolicy != "RetainExceptOnCreate" && r.made() {
			provider := w.s.provider(r.Type)
			if provider == nil {
				return &DeployError{w.stack.Name, r.LogicalID, r.Type, "delete", awsapi.NotBuilt("the resource type " + r.Type)}
			}
			err := provider.Delete(ctx, Request{
				Stack: w.stack.Name, StackID: w.stack.ID, LogicalID: r.LogicalID, Type: r.Type,
				Properties: decode(r.Properties), PhysicalID: r.PhysicalID, Attributes: decode(r.Attributes),
			})
			if err != nil {
				r.Status, r.Reason = deleteFailed, err.Error()
				w.put(r)
				return &DeployError{w.stack.Name, r.LogicalID, r.Type, "delete", err}
			}
		}
		w.mu.Lock()
		delete(w.records, r.LogicalID)
		w.dirty[r.LogicalID] = true
		w.mu.Unlock()
		if err := w.save(); err != nil {
			return err
		}
	}
	return nil
}

// end writes how the deployment ended.
func (w *work) end(failure error) error {
	w.stack.Status, w.stack.Reason = createComplete, ""
	if w.updating {
		w.stack.Status = updateComplete
	}
	if failure != nil {
		w.stack.Status, w.stack.Reason = createFailed, failure.Error()
		if w.updating {
			w.stack.Status = updateFailed
		}
	}
	w.stack.Updated = w.s.config.Scheduler.Now()
	return w.save()
}

// Delete deletes a stack and its resources, except those with DeletionPolicy Retain. A stack that is not there is no
// error.
func (s *Service) Delete(ctx context.Context, id awsapi.Identity, name string) error {
	leave, err := s.enter(ctx, name)
	if err != nil {
		return err
	}
	defer leave()
	return s.delete(context.WithValue(ctx, identityKey{}, id), name)
}

func (s *Service) delete(ctx context.Context, name string) error {
	stack, ok, err := s.stack(name)
	if err != nil || !ok {
		return err
	}
	w := &work{s: s, stack: stack, dirty: map[string]bool{}}
	if w.records, err = s.stackResources(name); err != nil {
		return err
	}
	w.stack.Status, w.stack.Reason = deleteInProgress, ""
	if err := w.save(); err != nil {
		return err
	}
	if err := w.remove(ctx, slices.Collect(maps.Values(w.records))); err != nil {
		w.stack.Status, w.stack.Reason = deleteFailed, err.Error()
		return errors.Join(err, w.save())
	}
	return s.config.Store.Update(func(tx *store.Tx) error { return stacks.Delete(tx, name) })
}
