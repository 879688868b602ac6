package infra

import (
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/infra/operation"
	"github.com/fleetstep/fleetstep/statemachines"
)

func machine(t *testing.T, name string) []byte {
	t.Helper()
	b, err := fs.ReadFile(statemachines.Files(), name+".asl.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tree is a template as JSON.
func tree(t *testing.T, template []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(template, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMergedIsWhatTheCDKMakes takes the operations out of the committed template, merges them into the rest, and has
// the committed template again.
func TestMergedIsWhatTheCDKMakes(t *testing.T) {
	names, tasks := operations(t), operation.Tasks{UspTask: "UspTaskVersionCurrent",
		Finalize: "FinalizeVersionCurrent"}
	without := tree(t, Template)
	resources := without["Resources"].(map[string]any)
	taken := 0
	for _, name := range names {
		own, err := operation.Resources(name, machine(t, name), tasks)
		if err != nil {
			t.Fatal(err)
		}
		for id := range own {
			if resources[id] == nil {
				t.Errorf("%s: the template has no %s", name, id)
			}
			delete(resources, id)
			taken++
		}
	}
	told := 0
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		if variables, ok := at(resources[id], "Properties", "Environment", "Variables").(map[string]any); ok &&
			variables["OPERATIONS"] != nil {
			if variables["OPERATIONS"] != strings.Join(names, ",") {
				t.Errorf("%s is told of %v", id, variables["OPERATIONS"])
			}
			variables["OPERATIONS"] = ""
			told++
		}
	}
	if taken != 11*len(names) || told != 7 {
		t.Errorf("%d resources of operations, %d functions that are told of them", taken, told)
	}
	emptied := 0
	body := at(resources, "Dashboard", "Properties", "DashboardBody").(map[string]any)
	dashboard := tree(t, []byte(body["Fn::Sub"].(string)))
	for _, w := range list(dashboard["widgets"]) {
		if title, _ := at(w, "properties", "title").(string); operation.Charts[title] != nil {
			at(w, "properties").(map[string]any)["metrics"] = []any{}
			emptied++
		}
	}
	body["Fn::Sub"] = text(dashboard)
	if emptied != len(operation.Charts) {
		t.Errorf("%d charts of operations", emptied)
	}
	rest, err := json.Marshal(without)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := operation.Merge(rest, names, func(name string) []byte { return machine(t, name) })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tree(t, merged), tree(t, Template); text(got) != text(want) {
		for _, id := range slices.Sorted(maps.Keys(want["Resources"].(map[string]any))) {
			if g, w := text(at(got, "Resources", id)), text(at(want, "Resources", id)); g != w {
				t.Errorf("%s is\n%s\nby the CDK\n%s", id, g, w)
			}
		}
	}
	// What is not touched stays as it is, to the byte.
	if same, err := operation.Merge(Template, nil, nil); err != nil || string(same) != string(Template) {
		t.Errorf("nothing merged: %d bytes of %d, %v", len(same), len(Template), err)
	}
}

func TestAnOperationIsNotMergedTwice(t *testing.T) {
	if _, err := operation.Merge(Template, []string{"reboot"}, func(name string) []byte {
		return machine(t,
			name)
	}); err == nil ||
		!strings.Contains(err.Error(), "RebootHandleDeviceMessagePolicy already") {
		t.Errorf("got %v", err)
	}
	for _, template := range []string{`[]`, `{}`, `nonsense`} {
		if _, err := operation.Merge([]byte(template), nil, nil); err == nil {
			t.Errorf("%s: no error", template)
		}
	}
	if _, err := operation.Merge([]byte(`{"Resources": {"UspTaskVersionCurrent": {"Type": "other"}}}`), []string{"x"},
		func(string) []byte { return []byte("{}") }); err == nil || !strings.Contains(err.Error(), "no versions") {
		t.Errorf("without versions of the functions: %v", err)
	}
	if _, err := operation.Merge(Template, []string{"x"},
		func(string) []byte { return []byte("nonsense") }); err == nil {
		t.Error("a state machine that is no JSON is merged")
	}
}

// TestOperationsMayDoWhatTheirStatesNeed: a role has two functions, and the results of its own operation if it writes
// any.
func TestOperationsMayDoWhatTheirStatesNeed(t *testing.T) {
	resources := parse(t).Resources
	for _, name := range operations(t) {
		id := operation.ID(name)
		var sids []string
		for _, s := range list(at(resources[id+"Role"].Properties, "Policies", 0, "PolicyDocument", "Statement")) {
			sids = append(sids, at(s, "Sid").(string))
		}
		want := []string{"InvokeSteps", "LogDelivery", "Tracing"}
		if strings.Contains(string(machine(t, name)), "s3:putObject") {
			want = append(want, "WriteResults")
		}
		if !slices.Equal(sids, want) {
			t.Errorf("%s may %v, want %v", name, sids, want)
		}
		substitutions, _ := resources[id+"StateMachine"].Properties["DefinitionSubstitutions"].(map[string]any)
		definition, _ := resources[id+"StateMachine"].Properties["DefinitionString"].(string)
		for _, placeholder := range slices.Sorted(maps.Keys(substitutions)) {
			if !strings.Contains(definition, "${"+placeholder+"}") {
				t.Errorf("%s: nothing is substituted for %s", name, placeholder)
			}
		}
	}
}
