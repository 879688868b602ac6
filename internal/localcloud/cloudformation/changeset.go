package cloudformation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// changeSetRecord is a change set: a deployment that waits for somebody to want it.
type changeSetRecord struct {
	ID          string // ARN
	Name        string
	StackID     string
	Stack       string
	Type        string // CREATE, UPDATE, IMPORT
	Description string `json:",omitempty"`
	Status      string
	Reason      string `json:",omitempty"`
	Execution   string
	Template    json.RawMessage
	Original    string            `json:",omitempty"`
	Parameters  map[string]string `json:",omitempty"`
	Fetched     map[string]string `json:",omitempty"`
	Options     options
	OnFailure   string   `json:",omitempty"`
	Changes     []change `json:",omitempty"`
	Created     time.Time
	As          awsapi.Identity
	Adopt       bool `json:",omitempty"` // ImportExistingResources
}

const (
	available      = "AVAILABLE"
	unavailable    = "UNAVAILABLE"
	executing      = "EXECUTE_IN_PROGRESS"
	executed       = "EXECUTE_COMPLETE"
	executionEnded = "EXECUTE_FAILED"
)

// noChanges is why a change set without changes fails. The CDK, SAM and the AWS CLI look for these words.
const noChanges = "The submitted information didn't contain changes. Submit different information to create a " +
	"change set."

// change is what an update would do to a resource.
type change struct {
	Action      string // Add, Modify, Remove
	LogicalID   string
	PhysicalID  string   `json:",omitempty"`
	Type        string   `json:",omitempty"`
	Replacement string   `json:",omitempty"` // True, False, Conditional
	Scope       []string `json:",omitempty"`
	Details     []detail `json:",omitempty"`
	// Policy is what becomes of the resource that goes: Delete, Retain; "" where none goes.
	Policy        string          `json:",omitempty"`
	Before, After json.RawMessage `json:",omitempty"`
}

// detail is one property that changes.
type detail struct {
	Attribute  string // Properties, Metadata, DeletionPolicy, Tags
	Name       string `json:",omitempty"`
	Recreation string // Never, Conditionally, Always
	Evaluation string // Static, Dynamic
	Source     string // DirectModification, ParameterReference, ResourceReference, ResourceAttribute
	Causing    string `json:",omitempty"`
	Before     string `json:",omitempty"`
	After      string `json:",omitempty"`
	Change     string // Add, Modify, Remove
}

// afterApply stands for what is known once the change is made.
const afterApply = "{{changeSet:KNOWN_AFTER_APPLY}}"

// changes foresees what a deployment would do, in the order in which it would. Nothing is touched.
func (w *work) changes() ([]change, error) {
	byID := map[string]change{}
	predicted := *w.scope
	unknown := func(id string) bool {
		c, ok := byID[id]
		return ok && (c.Action == "Add" || c.Replacement == "True")
	}
	predicted.resource = func(id string) (any, error) {
		if unknown(id) {
			return afterApply, nil
		}
		return w.scope.resource(id)
	}
	predicted.attribute = func(id, name string) (any, error) {
		if unknown(id) {
			return afterApply, nil
		}
		return w.scope.attribute(id, name)
	}
	ctx := context.WithValue(context.Background(), identityKey{}, w.as)
	var list []change
	for _, id := range w.t.Order() {
		if !w.included(id) {
			continue
		}
		c, err := w.predictChange(ctx, &predicted, id, byID)
		if err != nil {
			return nil, err
		}
		if c.Action != "" {
			byID[id] = c
			list = append(list, c)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.records)) {
		if r := w.records[id]; !w.included(id) {
			policy := "Delete"
			if retains(r.DeletionPolicy) {
				policy = "Retain"
			}
			list = append(list, change{
				Action: "Remove", LogicalID: id, PhysicalID: r.PhysicalID, Type: r.Type, Policy: policy,
				Before: contextOf(r.Properties),
			})
		}
	}
	return list, nil
}

func contextOf(properties json.RawMessage) json.RawMessage {
	if properties == nil {
		properties = json.RawMessage("{}")
	}
	return json.RawMessage(`{"Properties":` + string(properties) + `}`)
}

// predictChange is what becomes of one resource; the zero change if nothing does.
func (w *work) predictChange(ctx context.Context, scope *scope, id string, byID map[string]change) (change, error) {
	declared := w.t.Resources[id]
	evaluated, err := scope.value("Resources."+id+".Properties", mapOrEmpty(declared.Properties))
	if err != nil {
		return change{}, err
	}
	if evaluated, err = w.s.resolve(ctx, evaluated); err != nil {
		return change{}, err
	}
	properties := evaluated.(map[string]any)
	if tagger, ok := w.s.provider(declared.Type).(tagged); ok && len(w.stack.Options.Tags) > 0 {
		tagger.addTags(properties, w.stack.Options.Tags)
	}
	encoded, err := json.Marshal(properties)
	if err != nil {
		return change{}, err
	}
	rec, there := w.records[id]
	if !there || !rec.exists() {
		return change{Action: "Add", LogicalID: id, Type: declared.Type, After: contextOf(encoded)}, nil
	}
	c := change{
		Action: "Modify", LogicalID: id, PhysicalID: rec.PhysicalID, Type: declared.Type, Replacement: "False",
		Before: contextOf(rec.Properties), After: contextOf(encoded),
	}
	if rec.Type != declared.Type {
		c.Replacement = "True"
		c.Details = []detail{{Attribute: "Properties", Recreation: "Always", Evaluation: "Static",
			Source: "DirectModification", Change: "Modify"}}
	}
	old := decode(rec.Properties)
	names := maps.Clone(old)
	maps.Copy(names, properties)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, had := old[name]
		after, has := properties[name]
		if had == has && equalJSON(before, after) {
			continue
		}
		d := detail{Attribute: "Properties", Name: name, Recreation: "Never", Evaluation: "Static",
			Source: "DirectModification", Change: "Modify"}
		if name == "Tags" {
			d.Attribute, d.Name = "Tags", ""
		}
		if !had {
			d.Change = "Add"
		} else if !has {
			d.Change = "Remove"
		}
		d.Before, d.After = shown(before, had), shown(after, has)
		if asks, ok := w.s.provider(declared.Type).(replacementRules); ok && asks.needsReplacement(name, has) {
			d.Recreation = "Always"
			c.Replacement = "True"
		}
		if strings.Contains(d.After, afterApply) {
			d.Evaluation = "Dynamic"
			if d.Recreation == "Always" && c.Replacement != "True" {
				d.Recreation = "Conditionally"
			}
		}
		d.Source, d.Causing = w.cause(declared.Properties[name], byID)
		c.Details = append(c.Details, d)
	}
	if metadata, err := json.Marshal(declared.Metadata); err == nil && declared.Metadata != nil &&
		!bytes.Equal(metadata, rec.Metadata) {
		c.Details = append(c.Details, detail{Attribute: "Metadata", Recreation: "Never", Evaluation: "Static",
			Source: "DirectModification", Change: "Modify"})
	}
	if declared.DeletionPolicy != rec.DeletionPolicy {
		c.Details = append(c.Details, detail{Attribute: "DeletionPolicy", Recreation: "Never", Evaluation: "Static",
			Source: "DirectModification", Change: "Modify"})
	}
	if len(c.Details) == 0 {
		if rec.complete() {
			return change{}, nil
		}
		c.Details = []detail{{Attribute: "Properties", Recreation: "Never", Evaluation: "Static",
			Source: "DirectModification", Change: "Modify"}}
	}
	for _, d := range c.Details {
		if !slices.Contains(c.Scope, d.Attribute) {
			c.Scope = append(c.Scope, d.Attribute)
		}
	}
	slices.Sort(c.Scope)
	if c.Replacement == "True" {
		c.Policy = "ReplaceAndDelete"
		if declared.UpdateReplacePolicy == "Retain" {
			c.Policy = "ReplaceAndRetain"
		}
	}
	return c, nil
}

func shown(v any, is bool) string {
	if !is {
		return ""
	}
	if t, err := asText(v); err == nil {
		return t
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// cause tells where the change of a property comes from.
func (w *work) cause(expression any, byID map[string]change) (source, causing string) {
	found := ""
	w.t.uses(expression, func(id string) {
		if _, changes := byID[id]; changes && found == "" {
			found = id
		}
	})
	if found == "" {
		return "DirectModification", ""
	}
	source, causing = "ResourceReference", found
	walkAttributes("", expression, func(_, id, name string) {
		if id == found {
			source, causing = "ResourceAttribute", id+"."+name
		}
	})
	return source, causing
}

// replacementRules is a Provider that knows which properties cannot be changed in place.
type replacementRules interface {
	needsReplacement(property string, stays bool) bool
}

// changed tells whether a deployment does anything: to a resource, to the outputs or to the stack's tags and topics.
func (w *work) changed(list []change) bool {
	before := w.stack.Before
	if len(list) > 0 || before == nil {
		return true
	}
	if !maps.Equal(before.Options.Tags, w.stack.Options.Tags) || !slices.Equal(before.Options.Notifications,
		w.stack.Options.Notifications) {
		return true
	}
	outputs := len(before.Outputs)
	for _, name := range slices.Sorted(maps.Keys(w.t.Outputs)) {
		o := w.t.Outputs[name]
		if o.Condition != "" && !w.scope.conditions[o.Condition] {
			continue
		}
		now, err := w.output(context.WithValue(context.Background(), identityKey{}, w.as), name, o)
		if err != nil || !slices.Contains(before.Outputs, now) {
			return true
		}
		outputs--
	}
	return outputs != 0
}

// compute finds out what a change set would do. It runs behind the answer to CreateChangeSet.
func (s *Service) compute(c changeSetRecord) {
	fail := func(reason string) {
		c.Status, c.Reason, c.Execution = "FAILED", reason, unavailable
	}
	w, err := s.prepare(c.deployment())
	switch {
	case err != nil:
		fail(awsapi.AsError(asAnswer(err)).Message)
	default:
		var list []change
		if !w.unchanged {
			list, err = w.changes()
		}
		switch {
		case err != nil:
			fail(awsapi.AsError(err).Message)
		case w.unchanged || w.updating && !w.changed(list):
			fail(noChanges)
		default:
			c.Status, c.Execution, c.Changes, c.Fetched = createComplete, available, list, w.stack.Fetched
		}
	}
	err = s.config.Store.Update(func(tx *store.Tx) error {
		// It may have been deleted meanwhile.
		if now, ok, err := changeSets.Get(tx, c.StackID, c.Name); err != nil || !ok || now.ID != c.ID {
			return err
		}
		return changeSets.Put(tx, c, c.StackID, c.Name)
	})
	if err != nil && !errors.Is(err, store.ErrClosed) {
		s.config.Log.Error("a change set could not be written", "changeSet", c.ID, "error", err)
	}
}

func (c changeSetRecord) deployment() Deployment {
	return Deployment{
		Name: c.Stack, Template: c.Template, Parameters: c.Parameters, original: c.Original, options: c.Options,
		task: task{OnFailure: c.OnFailure, Adopt: c.Adopt}, as: c.As,
	}
}

// resumeChangeSets takes up those that were being computed.
func (s *Service) resumeChangeSets() error {
	var open []changeSetRecord
	err := s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range changeSets.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.Status == createInProgress {
				open = append(open, row.Value)
			}
		}
		return nil
	})
	for _, c := range open {
		s.config.Scheduler.Go("cloudformation change set "+c.Name, func() { s.compute(c) })
	}
	return err
}

// changeSet finds a change set by ARN, or by its name and its stack.
func (s *Service) changeSet(name, stack string) (c changeSetRecord, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		if strings.HasPrefix(name, "arn:") {
			for row, err := range changeSets.Scan(tx, store.Query{}) {
				if err != nil {
					return err
				}
				if row.Value.ID == name {
					c = row.Value
					return nil
				}
			}
			return errNoChangeSet(name)
		}
		if stack == "" {
			return awsapi.Errorf("ValidationError",
				"StackName must be specified if ChangeSetName is not specified as an ARN.")
		}
		rec, ok, err := stacks.Get(tx, nameOf(stack))
		if err != nil {
			return err
		}
		if !ok {
			return awsapi.Errorf("ValidationError", "Stack [%s] does not exist", stack)
		}
		c, ok, err = changeSets.Get(tx, rec.ID, name)
		if err == nil && !ok {
			err = errNoChangeSet(name)
		}
		return err
	})
	return c, err
}

func errNoChangeSet(name string) error {
	return awsapi.Errorf("ChangeSetNotFound", "ChangeSet [%s] does not exist", name).WithStatus(404)
}
