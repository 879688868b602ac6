package cloudformation

import (
	"context"
	"maps"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// tableProvider is the Provider of AWS::DynamoDB::Table, whose indexes change by an operation that makes or deletes
// one at a time.
//
// Sources: AWS CloudFormation User Guide, AWS::DynamoDB::Table, GlobalSecondaryIndexes (one is added or deleted in
// an update; the stack's update goes on while an index is backfilled; 2026-11). The words of the two refusals are
// those of public reports, for instance aws/aws-cdk#12246 and aws-amplify/amplify-hosting#2379.
type tableProvider struct{ bound }

var (
	errOneIndex = awsapi.Errorf("ValidationError",
		"Cannot perform more than one GSI creation or deletion in a single update")
	errIndexStays = awsapi.Errorf("ValidationError", "Cannot update GSI's properties other than Provisioned "+
		"Throughput and Contributor Insights Specification. You can create a new GSI with a different name.")
)

const indexes, definitions = "GlobalSecondaryIndexes", "AttributeDefinitions"

// Update implements Provider.
func (p tableProvider) Update(ctx context.Context, r Request) (Resource, error) {
	updates, wrong := indexUpdates(namedEntries(r.Old[indexes], "IndexName"),
		namedEntries(r.Properties[indexes], "IndexName"))
	rest := r
	rest.Old, rest.Properties = maps.Clone(r.Old), maps.Clone(r.Properties)
	for _, name := range []string{indexes, definitions} {
		delete(rest.Old, name)
		delete(rest.Properties, name)
	}
	if retyped(r.Old[definitions], r.Properties[definitions]) {
		return Resource{}, ErrReplace
	}
	if wrong != nil && !p.replaces(rest) {
		return Resource{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, wrong
	}
	made, err := p.bound.Update(ctx, rest)
	if err != nil || len(updates) == 0 {
		return made, err
	}
	if updates, err = p.remaining(ctx, r.PhysicalID, updates); err != nil || len(updates) == 0 {
		return made, err
	}
	in, err := object(p.properties).convertObject("Properties", map[string]any{
		definitions: r.Properties[definitions],
	}, asSpelled)
	if err != nil {
		return made, err
	}
	in["TableName"] = r.PhysicalID
	list := make([]any, len(updates))
	for i, u := range updates {
		if list[i], err = u.input(); err != nil {
			return made, err
		}
	}
	in["GlobalSecondaryIndexUpdates"] = list
	if _, err := p.s.call(ctx, p.service, "UpdateTable", in); err != nil {
		return made, err
	}
	return made, p.awaitUsable(ctx, p.s, r.PhysicalID)
}

// replaces reports whether an update needs a new table.
func (p tableProvider) replaces(r Request) bool {
	return slices.ContainsFunc(slices.Sorted(maps.Keys(p.properties)), func(name string) bool {
		_, stays := r.Properties[name]
		return !equalJSON(r.Old[name], r.Properties[name]) && p.needsReplacement(name, stays)
	})
}

// indexUpdate is an entry of GlobalSecondaryIndexUpdates.
type indexUpdate struct {
	action, name string
	index        map[string]any // as the template has it
}

func (u indexUpdate) input() (map[string]any, error) {
	in := map[string]any{"IndexName": u.name}
	switch u.action {
	case "Create":
		var err error
		if in, err = object(secondaryIndex).convertObject("Properties."+indexes, u.index, asSpelled); err != nil {
			return nil, err
		}
	case "Update":
		var err error
		if in["ProvisionedThroughput"], err = throughput.convert("Properties."+indexes+".ProvisionedThroughput",
			u.index["ProvisionedThroughput"], asSpelled); err != nil {
			return nil, err
		}
	}
	return map[string]any{u.action: in}, nil
}

// indexUpdates are what makes one list of indexes of another, and why that cannot be done.
func indexUpdates(before, after map[string]map[string]any) (updates []indexUpdate, wrong error) {
	made := 0
	for _, name := range slices.Sorted(maps.Keys(after)) {
		old, was := before[name]
		switch now := after[name]; {
		case !was:
			updates, made = append(updates, indexUpdate{"Create", name, now}), made+1
		case !equalJSON(old["KeySchema"], now["KeySchema"]) || !equalJSON(old["Projection"], now["Projection"]):
			wrong = errIndexStays
		case now["ProvisionedThroughput"] != nil &&
			!equalJSON(old["ProvisionedThroughput"], now["ProvisionedThroughput"]):
			updates = append(updates, indexUpdate{"Update", name, now})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[name]; !stays {
			updates, made = append(updates, indexUpdate{"Delete", name, nil}), made+1
		}
	}
	if made > 1 {
		wrong = errOneIndex
	}
	return updates, wrong
}

// remaining leaves out what the table has already: an update that was cut short is made again.
func (p tableProvider) remaining(ctx context.Context, table string, updates []indexUpdate) ([]indexUpdate, error) {
	out, err := p.s.call(ctx, p.service, "DescribeTable", map[string]any{"TableName": table})
	if err != nil {
		return nil, err
	}
	description, _ := out["Table"].(map[string]any)
	has := namedEntries(description[indexes], "IndexName")
	return slices.DeleteFunc(updates, func(u indexUpdate) bool {
		_, is := has[u.name]
		return u.action == "Create" && is || u.action == "Delete" && !is
	}), nil
}

// retyped reports whether an attribute that stays is defined with another type.
func retyped(before, after any) bool {
	old := namedEntries(before, "AttributeName")
	for name, a := range namedEntries(after, "AttributeName") {
		if was, ok := old[name]; ok && !equalJSON(was["AttributeType"], a["AttributeType"]) {
			return true
		}
	}
	return false
}

// namedEntries are the objects of a list by the member that names them.
func namedEntries(list any, by string) map[string]map[string]any {
	entries, _ := list.([]any)
	named := make(map[string]map[string]any, len(entries))
	for _, e := range entries {
		m, _ := e.(map[string]any)
		if name, err := asText(m[by]); err == nil {
			named[name] = m
		}
	}
	return named
}
