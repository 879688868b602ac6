package cloudformation

import (
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Exports are outputs under names that are unique in the account and region. They are read from the records of the
// stacks; there are few stacks.

// export is an output that other stacks may use.
type export struct {
	Name, Value, StackID, Stack string
}

// exports lists all, by name.
func (s *Service) exports() ([]export, error) {
	list, err := s.find("")
	if err != nil {
		return nil, err
	}
	var found []export
	for _, stack := range list {
		for _, o := range stack.Outputs {
			if o.Export != "" {
				found = append(found, export{o.Export, o.Value, stack.ID, stack.Name})
			}
		}
	}
	slices.SortFunc(found, func(a, b export) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// importers are the names of the stacks that use an export.
func (s *Service) importers(name string) ([]string, error) {
	list, err := s.find("")
	var found []string
	for _, stack := range list {
		if slices.Contains(stack.Imports, name) {
			found = append(found, stack.Name)
		}
	}
	return found, err
}

// importedBy is the value of an export for the stack that imports it.
func (s *Service) importedBy(w *work, name string) (string, error) {
	list, err := s.exports()
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.Name == name && e.Stack != w.stack.Name {
			w.mu.Lock()
			defer w.mu.Unlock()
			if !slices.Contains(w.stack.Imports, name) {
				w.stack.Imports = append(w.stack.Imports, name)
				slices.Sort(w.stack.Imports)
			}
			return e.Value, nil
		}
	}
	return "", awsapi.Errorf("ValidationError", "No export named %s found. Rollback requested by user.", name)
}

// checkExports refuses names that other stacks have, and changes of what is in use.
func (s *Service) checkExports(w *work) error {
	list, err := s.exports()
	if err != nil {
		return err
	}
	mine := map[string]string{}
	for _, o := range w.stack.Outputs {
		if o.Export == "" {
			continue
		}
		if _, twice := mine[o.Export]; twice {
			return awsapi.Errorf("ValidationError",
				"Template format error: Duplicate Export names. More than one Output uses the Export name %s",
				o.Export)
		}
		mine[o.Export] = o.Value
		for _, e := range list {
			if e.Name == o.Export && e.Stack != w.stack.Name {
				return awsapi.Errorf("ValidationError",
					"Export with name %s is already exported by stack %s. Rollback requested by user.",
					e.Name, e.Stack)
			}
		}
	}
	if w.stack.Before == nil {
		return nil
	}
	before := stackRecord{Name: w.stack.Name, Outputs: w.stack.Before.Outputs}
	return s.exportsFree(before, mine, "updated")
}

// exportsFree refuses when a stack would lose or change an export that another one uses.
func (s *Service) exportsFree(stack stackRecord, after map[string]string, what string) error {
	for _, o := range stack.Outputs {
		if o.Export == "" {
			continue
		}
		value, stays := after[o.Export]
		if stays && value == o.Value {
			continue
		}
		users, err := s.importers(o.Export)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			if after != nil && !stays {
				what = "deleted"
			}
			return awsapi.Errorf("ValidationError", "Export %s cannot be %s as it is in use by %s", o.Export, what,
				strings.Join(users, ", "))
		}
	}
	return nil
}

// sortedTags are tags as the API lists them.
func sortedTags(tags map[string]string) []tagShape {
	var list []tagShape
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tagShape{key, tags[key]})
	}
	return list
}
