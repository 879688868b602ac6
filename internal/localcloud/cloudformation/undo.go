package cloudformation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Rollback, clean-up and deletion.

// removal is a physical resource that is to go.
type removal struct {
	id       string // logical
	position int
	resourceVersion
}

// cleanUp deletes, after an update, what was replaced and what the template no longer has. A resource that cannot be
// deleted is told and forgotten: the update stays complete, as on AWS.
func (w *work) cleanUp(ctx context.Context) error {
	var list []removal
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		r := w.records[id]
		for _, old := range r.Stale {
			list = append(list, removal{id, r.Position, old})
		}
		if !w.included(id) {
			v := r.version()
			v.Retain = retains(r.DeletionPolicy)
			if r.exists() || r.PhysicalID != "" {
				list = append(list, removal{id, r.Position, v})
			}
		}
	}
	failures := w.removeAll(ctx, list)
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		if !w.included(id) {
			w.drop(id)
		}
	}
	return failures
}

func retains(policy string) bool { return policy == "Retain" || policy == "RetainExceptOnCreate" }

// removeAll deletes physical resources, those made last first, and goes on after a failure.
func (w *work) removeAll(ctx context.Context, list []removal) error {
	slices.SortStableFunc(list, func(a, b removal) int { return b.position - a.position })
	var failures error
	for _, g := range list {
		rec := resourceRecord{LogicalID: g.id, Type: g.Type, PhysicalID: g.PhysicalID}
		if g.Retain {
			w.recordResourceEvent(rec, deleteSkipped, "", nil)
			continue
		}
		w.recordResourceEvent(rec, deleteInProgress, "", nil)
		if err := w.remove(ctx, g); err != nil {
			if errors.Is(err, store.ErrClosed) {
				return err
			}
			failures = errors.Join(failures, err)
			w.recordResourceEvent(rec, deleteFailed, w.deletionReason(err), nil)
		} else {
			w.recordResourceEvent(rec, deleteComplete, "", nil)
		}
		if err := w.save(); err != nil {
			return err
		}
	}
	return failures
}

func (w *work) deletionReason(err error) string {
	var call *failedCall
	if errors.As(err, &call) {
		return w.s.reason(call.service, err)
	}
	return err.Error()
}

// remove deletes one physical resource.
func (w *work) remove(ctx context.Context, g removal) error {
	provider := w.s.provider(g.Type)
	if provider == nil {
		return &DeployError{w.stack.Name, g.id, g.Type, "delete", awsapi.NotBuilt("the resource type " + g.Type)}
	}
	err := provider.Delete(ctx, Request{
		Stack: w.stack.Name, StackID: w.stack.ID, LogicalID: g.id, Type: g.Type, Generation: g.Generation,
		Properties: decode(g.Properties), PhysicalID: g.PhysicalID, Attributes: decode(g.Attributes),
	})
	if err != nil {
		return &DeployError{w.stack.Name, g.id, g.Type, "delete", err}
	}
	return nil
}

// rollBackCreate deletes what a failed creation has made.
func (w *work) rollBackCreate(ctx context.Context, reason string) error {
	if w.stack.Task.OnFailure == doDelete {
		return w.deleteAll(ctx)
	}
	if w.stack.Status != rollbackInProgress {
		w.stack.Status, w.stack.Reason = rollbackInProgress, strings.TrimSpace(reason)+" Rollback requested by user."
		w.recordStackEvent(w.stack.Reason)
		if err := w.save(); err != nil {
			return err
		}
	}
	// With RetainExceptOnCreate a resource goes with the creation that is undone.
	left, err := w.removeRecords(ctx, func(r resourceRecord) bool { return r.DeletionPolicy == "Retain" })
	if errors.Is(err, store.ErrClosed) {
		return err
	}
	w.stack.Status, w.stack.Outputs = rollbackComplete, nil
	if left != nil {
		w.stack.Status = rollbackFailed
		return errors.Join(err, w.conclude("The following resource(s) failed to delete: ["+strings.Join(left, ", ")+
			"]. "))
	}
	return errors.Join(err, w.conclude(""))
}

// removeRecords deletes the resources of the stack, those made last first. What a resource that could not be deleted
// needs is left, too. It returns the resources that failed.
func (w *work) removeRecords(ctx context.Context, retained func(resourceRecord) bool) (left []string, failures error) {
	list := slices.SortedFunc(maps.Values(w.records), func(a, b resourceRecord) int {
		if a.Position != b.Position {
			return b.Position - a.Position
		}
		return strings.Compare(a.LogicalID, b.LogicalID)
	})
	needed := map[string]bool{}
	for _, r := range list {
		if needed[r.LogicalID] {
			w.markNeeded(needed, r.LogicalID)
			continue
		}
		if err := w.removeRecord(ctx, r, retained(r)); err != nil {
			if errors.Is(err, store.ErrClosed) {
				return nil, err
			}
			failures = errors.Join(failures, err)
			left = append(left, r.LogicalID)
			w.markNeeded(needed, r.LogicalID)
		}
	}
	slices.Sort(left)
	return left, failures
}

// markNeeded marks what a resource needs.
func (w *work) markNeeded(needed map[string]bool, id string) {
	if w.t == nil {
		return
	}
	for _, n := range w.t.needs(id) {
		needed[n] = true
	}
}

// removeRecord deletes a resource with all that it has replaced, and forgets it.
func (w *work) removeRecord(ctx context.Context, r resourceRecord, retained bool) error {
	for _, old := range r.Stale {
		if old.Retain {
			continue
		}
		if err := w.remove(ctx, removal{r.LogicalID, r.Position, old}); err != nil {
			return err
		}
	}
	switch {
	case retained && r.exists():
		w.recordResourceEvent(r, deleteSkipped, "", nil)
	case r.exists() || r.PhysicalID != "":
		w.recordResourceEvent(r, deleteInProgress, "", nil)
		if err := w.remove(ctx, removal{r.LogicalID, r.Position, r.version()}); err != nil {
			if errors.Is(err, store.ErrClosed) {
				return err
			}
			r.Status, r.Reason = deleteFailed, w.deletionReason(err)
			w.put(r)
			w.recordResourceEvent(r, deleteFailed, r.Reason, nil)
			return errors.Join(err, w.save())
		}
		w.recordResourceEvent(r, deleteComplete, "", nil)
	}
	w.drop(r.LogicalID)
	return w.save()
}

// rollBackUpdate brings a stack back to what it was before an update.
func (w *work) rollBackUpdate(ctx context.Context, reason string) error {
	before := w.stack.Before
	if before == nil {
		return fmt.Errorf("cloudformation: stack %s: nothing is known of what it was before the update", w.stack.Name)
	}
	if w.stack.Status != updateRollbackInProgress && w.stack.Status != updateRollbackCleanup {
		w.stack.Status, w.stack.Reason = updateRollbackInProgress, reason
		w.recordStackEvent(reason)
		if err := w.save(); err != nil {
			return err
		}
	}
	if failed, err := w.restoreAll(ctx); err != nil {
		if errors.Is(err, store.ErrClosed) {
			return err
		}
		w.stack.Status = updateRollbackFailed
		return errors.Join(err, w.conclude("The following resource(s) failed to update: ["+strings.Join(failed, ", ")+
			"]. "))
	}
	w.stack.Status = updateRollbackCleanup
	w.recordStackEvent("")
	w.stack.Template, w.stack.Original, w.stack.Parameters, w.stack.Fetched = before.Template, before.Original,
		before.Parameters, before.Fetched
	w.stack.Outputs, w.stack.Imports, w.stack.Options = before.Outputs, before.Imports, before.Options
	if err := w.save(); err != nil {
		return err
	}
	var list []removal
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		r := w.records[id]
		for _, old := range r.Stale {
			list = append(list, removal{id, r.Position, old})
		}
		if r.New && (r.exists() || r.PhysicalID != "") {
			v := r.version()
			v.Retain = r.DeletionPolicy == "Retain"
			list = append(list, removal{id, r.Position, v})
		}
	}
	failures := w.removeAll(ctx, list)
	if errors.Is(failures, store.ErrClosed) {
		return failures
	}
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		if w.records[id].New {
			w.drop(id)
		}
	}
	w.stack.Status = updateRollbackComplete
	return errors.Join(failures, w.conclude(""))
}

// restoreAll brings every resource that the update has changed back to what it was.
func (w *work) restoreAll(ctx context.Context) (failed []string, failures error) {
	list := slices.SortedFunc(maps.Values(w.records), func(a, b resourceRecord) int {
		if a.Position != b.Position {
			return a.Position - b.Position
		}
		return strings.Compare(a.LogicalID, b.LogicalID)
	})
	for _, r := range list {
		if r.Before == nil || slices.Contains(w.skip, r.LogicalID) {
			if r.Before != nil {
				r.Status = updateComplete
				w.put(r)
			}
			continue
		}
		if err := w.restore(ctx, r); err != nil {
			failures = errors.Join(failures, err)
			failed = append(failed, r.LogicalID)
			if errors.Is(err, store.ErrClosed) {
				return failed, failures
			}
		}
	}
	return failed, failures
}

func (w *work) restore(ctx context.Context, r resourceRecord) error {
	before := *r.Before
	if r.PhysicalID != before.PhysicalID || r.Type != before.Type {
		made := r.version() // the one that the update made goes, the old one is there still
		r.Stale = slices.DeleteFunc(r.Stale, func(v resourceVersion) bool {
			return v.PhysicalID == before.PhysicalID && v.Type == before.Type
		})
		r.Stale = append(r.Stale, made)
	} else if attempted := r.Attempted; attempted != nil || !bytes.Equal(r.Properties, before.Properties) {
		if attempted == nil {
			attempted = r.Properties
		}
		w.recordResourceEvent(r, updateInProgress, "", before.Properties)
		made, err := w.s.provider(r.Type).Update(ctx, Request{
			Stack: w.stack.Name, StackID: w.stack.ID, LogicalID: r.LogicalID, Type: r.Type, Generation: r.Generation,
			Properties: decode(before.Properties), PhysicalID: r.PhysicalID, Attributes: decode(r.Attributes),
			Old: decode(attempted),
		})
		if err != nil {
			r.Status, r.Reason = updateFailed, w.deletionReason(err)
			w.put(r)
			w.recordResourceEvent(r, updateFailed, r.Reason, nil)
			return errors.Join(&DeployError{w.stack.Name, r.LogicalID, r.Type, "roll back", err}, w.save())
		}
		if made.PhysicalID != before.PhysicalID { // a custom resource that has replaced itself
			r.Stale = append(r.Stale, r.version())
			before.PhysicalID = made.PhysicalID
			var err error
			if before.Attributes, err = json.Marshal(made.Attributes); err != nil {
				return err
			}
		}
	}
	told := r.Status != updateComplete || !bytes.Equal(r.Properties, before.Properties) ||
		r.PhysicalID != before.PhysicalID
	r.Type, r.PhysicalID, r.Properties, r.Attributes = before.Type, before.PhysicalID, before.Properties,
		before.Attributes
	r.Metadata, r.DeletionPolicy, r.Attempted, r.Replacing = before.Metadata, before.DeletionPolicy, nil, false
	// The names that the update has used are not free before the clean-up: the generation stays where it is.
	if !r.complete() {
		r.Status, r.Reason = updateComplete, ""
	}
	w.put(r)
	if !told {
		return nil
	}
	w.recordResourceEvent(r, updateComplete, "", nil)
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
	w, ok, err := s.existing(name)
	if err != nil || !ok {
		return err
	}
	if ctx, err = w.identify(ctx, id); err != nil {
		w.stack.Status = deleteFailed
		return errors.Join(err, w.conclude(awsapi.AsError(err).Message))
	}
	return w.deleteAll(ctx)
}

// existing is work on a stack that is there, with the template that it has.
func (s *Service) existing(name string) (*work, bool, error) {
	stack, ok, err := s.stack(name)
	if err != nil || !ok {
		return nil, ok, err
	}
	w := &work{s: s, stack: stack, dirty: map[string]bool{}, failed: map[string]bool{}}
	if w.t, err = Parse(stack.Template); err != nil {
		w.t = nil // nothing but the order of deletion depends on it
	}
	w.records, err = s.stackResources(name)
	return w, true, err
}

// deleteAll deletes the stack.
func (w *work) deleteAll(ctx context.Context) error {
	if w.stack.Status != deleteInProgress {
		w.stack.Status, w.stack.Reason = deleteInProgress, ""
		w.recordStackEvent("User Initiated")
	}
	if err := w.save(); err != nil {
		return err
	}
	if err := w.s.exportsFree(w.stack, nil, "deleted"); err != nil {
		w.stack.Status = deleteFailed
		return errors.Join(err, w.conclude(awsapi.AsError(err).Message))
	}
	retain := w.stack.Task.Retain
	left, err := w.removeRecords(ctx, func(r resourceRecord) bool {
		return retains(r.DeletionPolicy) || slices.Contains(retain, r.LogicalID)
	})
	if errors.Is(err, store.ErrClosed) {
		return err
	}
	if left != nil {
		w.stack.Status = deleteFailed
		return errors.Join(err, w.conclude("The following resource(s) failed to delete: ["+strings.Join(left, ", ")+
			"]. "))
	}
	return errors.Join(err, w.removeStack())
}

// removeStack takes the stack out of those that exist. It can still be described by its ARN.
func (w *work) removeStack() error {
	w.stack.Status, w.stack.Reason, w.stack.Deleted = deleteComplete, "", w.s.config.Scheduler.Now()
	w.stack.Before = nil
	w.recordStackEvent("")
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.s.config.Store.Update(func(tx *store.Tx) error {
		if err := putEvents(tx, w.stack.ID, w.unsaved); err != nil {
			return err
		}
		if err := changeSets.DeleteAll(tx, w.stack.ID); err != nil {
			return err
		}
		if err := deleted.Put(tx, w.stack, w.stack.ID); err != nil {
			return err
		}
		return stacks.Delete(tx, w.stack.Name)
	})
	if err == nil {
		w.sendStackEvents()
	}
	return err
}
