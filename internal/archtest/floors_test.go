package archtest

import (
	"go/ast"
	"go/parser"
	"maps"
	"path"
	"slices"
	"testing"
)

// arrows are the dependencies between the files of a package: from a file to
// each other one that declares something it names, a function, a type, a
// variable, a method or a field. what is one such name.
func (t *typed) arrows(tr *tree) map[[2]string]string {
	declared := func(name string) string { return path.Base(name) }
	arrows := map[[2]string]string{}
	for _, f := range t.files {
		from := declared(f.name)
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			o := t.info.Uses[id]
			if o == nil || o.Pkg() != t.types || !o.Pos().IsValid() {
				return true
			}
			if to := declared(tr.fset.Position(o.Pos()).Filename); to != from {
				if what := arrows[[2]string{from, to}]; what == "" || id.Name < what {
					arrows[[2]string{from, to}] = id.Name
				}
			}
			return true
		})
	}
	return arrows
}

// floors are the files of a service folder, from the top down. A file names what
// lies on lower floors only: neither what lies above it, nor what lies beside it.
var floors = map[string][][]string{
	"internal/localcloud/sfn": {
		{"api.go", "start.go"},
		{"api_execution.go", "tasks.go", "follow.go"},
		{"api_alias.go", "api_machine.go", "api_tag.go", "api_test_state.go", "child.go", "result_writer.go"},
		{"api_activity.go", "api_map_run.go", "api_task.go", "api_version.go", "item_reader.go",
			"jobs.go", "redrive.go"},
		{"integration.go", "machines.go"},
		{"move.go"},
		{"histories.go", "api_history.go"},
		{"logging.go", "map_runs.go", "plan.go", "role.go"},
		{"failures.go", "names.go"},
		{"record.go", "service.go", "token.go"},
		{"state.go"},
		{"configuration.go", "page.go"},
		{"errors.go", "route.go"},
	},
	"internal/localcloud/iot": {
		{"api.go"},
		{"dynamicgroups.go"},
		{"clients.go", "groups.go", "principals.go"},
		{"certificates.go", "indexing.go", "thingtypes.go"},
		{"attachments.go", "policyversions.go", "things.go"},
		{"terms.go"},
		{"groupmembers.go", "jobsview.go", "policies.go"},
		{"authority.go", "events.go", "groupqueries.go", "records.go", "tags.go"},
		{"hierarchy.go", "service.go"},
		{"page.go", "term.go"},
		{"changes.go", "errors.go", "operations.go", "state.go"},
	},
	"internal/localcloud/iot/jobs": {
		{"api.go"},
		{"templates.go"},
		{"device.go", "due.go", "executions.go", "jobs.go", "membership.go"},
		{"transaction.go"},
		{"cancellation.go", "rollout.go"},
		{"execution.go"},
		{"metrics.go", "notify.go", "target.go"},
		{"change.go", "check.go"},
		{"document.go", "page.go", "records.go", "shapes.go"},
		{"errors.go", "service.go", "state.go"},
	},
}

// mayGoUp are the arrows that run back up, from a file to one on a higher
// floor, and why. A folder may have as many as mostUp says.
var mayGoUp = map[string]string{
	"internal/localcloud/sfn: service.go -> integration.go": "the constructor gives the service its " +
		"integrations",
	"internal/localcloud/sfn: service.go -> follow.go": "the constructor says what follows a move, so " +
		"that moving knows nothing of it",
	"internal/localcloud/iot: groupqueries.go -> dynamicgroups.go": "a stale group starts the work that brings " +
		"groups up to date, whose moves make others stale",
	"internal/localcloud/iot: service.go -> groupqueries.go": "Start resumes dynamic groups",
	"internal/localcloud/iot: service.go -> jobsview.go":     "the constructor shows the registry to jobs",
	"internal/localcloud/iot: service.go -> policies.go":     "the service caches compiled policies",
	"internal/localcloud/iot/jobs: transaction.go -> due.go": "a change sets the timer of the work that is changes",
}

var mostUp = map[string]int{
	"internal/localcloud/iot":      4,
	"internal/localcloud/iot/jobs": 1,
	"internal/localcloud/sfn":      2,
}

func TestFilesNameOnlyWhatLiesBelow(t *testing.T) {
	tr := theTree(t)
	used, ups := map[string]bool{}, map[string]int{}
	for _, p := range theTypes(t) {
		list, ok := floors[p.path]
		if !ok {
			continue
		}
		floor := map[string]int{}
		for i, files := range list {
			for _, f := range files {
				floor[f] = len(list) - i
			}
		}
		for _, f := range p.files {
			if name := path.Base(f.name); name != "doc.go" && floor[name] == 0 {
				t.Errorf("table floors: %s is on no floor", f.name)
			}
		}
		arrows := p.arrows(tr)
		for _, a := range slices.SortedFunc(maps.Keys(arrows),
			func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
			if floor[a[1]] < floor[a[0]] {
				continue
			}
			where := p.path + ": " + a[0] + " -> " + a[1]
			ups[p.path]++
			if _, ok := mayGoUp[where]; ok {
				used[where] = true
				continue
			}
			t.Errorf("%s names %s of %s, which does not lie below it", a[0], arrows[a], a[1])
		}
		if ups[p.path] > mostUp[p.path] {
			t.Errorf("%s: %d of %d arrows run back up; at most %d may", p.path, ups[p.path],
				len(arrows), mostUp[p.path])
		}
		t.Logf("%s: %d of %d arrows between files run back up", p.path, ups[p.path], len(arrows))
	}
	for where, because := range mayGoUp {
		if !used[where] {
			t.Errorf("table mayGoUp: %s (%s) does not need its exception any more", where, because)
		}
	}
}

func TestArrowsBetweenFilesAreSeen(t *testing.T) {
	tr := theTree(t)
	if _, err := typedPackages(); err != nil {
		t.Fatal(err)
	}
	p := &typed{path: "p"}
	var syntax []*ast.File
	for name, text := range map[string]string{
		"a.go": `package p; func A(b B) int { b.method(); return b.field + c }`,
		"b.go": `package p; type B struct{ field int }; func (B) method() {}`,
		"c.go": `package p; import "os"; var c = len(os.Args)`,
	} {
		s, err := parser.ParseFile(tr.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		p.files, syntax = append(p.files, &file{name: name, syntax: s}), append(syntax, s)
	}
	if err := p.check(tr, syntax, exportData); err != nil {
		t.Fatal(err)
	}
	want := map[[2]string]string{{"a.go", "b.go"}: "B", {"a.go", "c.go"}: "c"}
	if got := p.arrows(tr); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
