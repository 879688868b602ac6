package archtest

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryPackageSaysWhatItIs: exactly one file written by hand has a package
// comment, and it begins as godoc wants it.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	tr := theTree(t)
	comments := map[string][]*file{}
	for _, f := range tr.files {
		if f.syntax.Doc != nil && !f.test && !f.generated {
			comments[f.pkg] = append(comments[f.pkg], f)
		}
	}
	for _, f := range tr.files {
		if f.test {
			if f.syntax.Doc != nil && strings.HasPrefix(f.syntax.Doc.Text(), "Package ") {
				t.Errorf("%s: the package comment belongs in a file that is no test", f.name)
			}
			if !tr.ours(f.pkg) {
				t.Errorf("%s: a package of tests alone needs a file with a package comment", f.pkg)
			}
		}
	}
	for _, p := range tr.packages() {
		switch files := comments[p]; len(files) {
		case 0:
			t.Errorf("%s has no package comment", p)
		case 1:
			want := "Package " + files[0].syntax.Name.Name + " "
			if files[0].syntax.Name.Name == "main" {
				want = "Command " + path.Base(p) + " "
			}
			if text := files[0].syntax.Doc.Text(); !strings.HasPrefix(text, want) {
				t.Errorf("%s: the package comment should begin with %q", files[0].name, want)
			}
		default:
			var names []string
			for _, f := range files {
				names = append(names, path.Base(f.name))
			}
			t.Errorf("%s has %d package comments: %s", p, len(names), strings.Join(names, ", "))
		}
	}
}

// TestNoPackageIsNamedForNothing: such a name says that nobody decided what the
// code is about.
func TestNoPackageIsNamedForNothing(t *testing.T) {
	names := []string{"util", "utils", "common", "helper", "helpers", "base", "types", "models", "misc", "shared"}
	for _, f := range theTree(t).files {
		if slices.Contains(names, f.syntax.Name.Name) || slices.Contains(names, path.Base(f.pkg)) {
			t.Errorf("%s: package %s in folder %s", f.name, f.syntax.Name.Name, f.pkg)
		}
	}
}

// TestWorkflowKnowsNoOperation: executions, claims, tokens and news are the same for
// every operation, so that no identifier, comment or string of package workflow and
// what lies under it has a word of one.
func TestWorkflowKnowsNoOperation(t *testing.T) {
	tr := theTree(t)
	seen := 0
	for _, f := range tr.files {
		if !matches("internal/workflow/...", f.pkg) {
			continue
		}
		seen++
		b, err := os.ReadFile(filepath.Join(tr.root, filepath.FromSlash(f.name)))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(strings.ToLower(string(b)), "\n") {
			for _, word := range []string{"firmware", "upgrade", "image", "download", "activat", "software",
				"rollback", "checksum"} {
				if strings.Contains(line, word) {
					t.Errorf("%s:%d: says %q, which is an operation's word", f.name, i+1, word)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("there is no package internal/workflow any more")
	}
}

// mayNamePlace are files that name a folder of a machine on purpose.
var mayNamePlace = map[string]string{
	"internal/archtest/words_test.go": "this list",
	"infra/template_test.go":          "looks for such folders in the template",
}

// TestNothingNamesTheMachineItWasWrittenOn: a folder of one machine means
// nothing on another.
func TestNothingNamesTheMachineItWasWrittenOn(t *testing.T) {
	tr := theTree(t)
	// a file in a linked working tree
	names := slices.DeleteFunc(slices.Clone(tr.others), func(name string) bool { return name == ".git" })
	for _, f := range tr.files {
		names = append(names, f.name)
	}
	var places [][]byte
	for _, place := range []string{"/home/", "/root/", "/Users/", "/work/", "/workspace/", "C:\\Users"} {
		for _, before := range []string{" ", "\"", "'", "`", "(", "=", "\n", "\t"} {
			places = append(places, []byte(before+place))
		}
	}
	excepted := map[string]bool{}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(tr.root, filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
			continue
		}
		if bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 {
			continue // not text
		}
		for _, place := range places {
			i := bytes.Index(b, place)
			if i < 0 {
				continue
			}
			if _, ok := mayNamePlace[name]; ok {
				excepted[name] = true
				break
			}
			line := 1 + bytes.Count(b[:i+1], []byte("\n"))
			t.Errorf("%s:%d: names the folder %s", name, line, place[1:])
		}
	}
	for name, because := range mayNamePlace {
		if !excepted[name] {
			t.Errorf("table mayNamePlace: %s (%s) does not need its exception any more", name, because)
		}
	}
}
