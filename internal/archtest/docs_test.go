package archtest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// markdown are the pages of the tree that people read, by name.
func (tr *tree) markdown(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, name := range tr.others {
		if strings.HasSuffix(name, ".md") {
			b, err := os.ReadFile(filepath.Join(tr.root, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			pages[name] = string(b)
		}
	}
	return pages
}

// TestEveryDecisionHasItsNumber: a page is cited by its number.
func TestEveryDecisionHasItsNumber(t *testing.T) {
	form := regexp.MustCompile(`^docs/decisions/([0-9]{4})-[a-z0-9-]+\.md$`)
	byNumber := map[string]string{}
	for name, text := range theTree(t).markdown(t) {
		if path.Dir(name) != "docs/decisions" || path.Base(name) == "README.md" {
			continue
		}
		m := form.FindStringSubmatch(name)
		if m == nil {
			t.Errorf("%s: a decision's page is named like 0001-one-module.md", name)
			continue
		}
		if other := byNumber[m[1]]; other != "" {
			t.Errorf("%s and %s have one number: give the later one the next that is free", other, name)
		}
		byNumber[m[1]] = name
		if !strings.HasPrefix(text, "# "+m[1]+": ") {
			t.Errorf("%s: its title should begin with %q", name, "# "+m[1]+": ")
		}
	}
	if len(byNumber) == 0 {
		t.Error("there are no decisions any more")
	}
}

// TestTheReadmeNamesEveryTarget: a target of the Makefile that has a description is one that people call, except
// those that only prepare another.
func TestTheReadmeNamesEveryTarget(t *testing.T) {
	prepare := []string{"deploy-clients", "lint-clients", "build-lambdas"}
	tr := theTree(t)
	readme := tr.markdown(t)["README.md"]
	makefile, err := os.ReadFile(filepath.Join(tr.root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`(?m)^([a-z][a-z-]*):.* ## `).FindAllSubmatch(makefile, -1)
	if len(targets) < 20 {
		t.Fatalf("%d targets: the Makefile has another form", len(targets))
	}
	for _, m := range targets {
		name := string(m[1])
		named := regexp.MustCompile("make " + name + "([^a-z-]|$)").MatchString(readme)
		if !named && !slices.Contains(prepare, name) {
			t.Errorf("README.md does not name make %s", name)
		}
	}
}

// TestLinksLeadSomewhere: what a page links to in this repository is there.
func TestLinksLeadSomewhere(t *testing.T) {
	tr := theTree(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for name, text := range tr.markdown(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			target := path.Join(path.Dir(name), to)
			if _, err := os.Stat(filepath.Join(tr.root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			}
		}
	}
}

// TestPathsInPagesExist: a file or folder that a page names is there.
func TestPathsInPagesExist(t *testing.T) {
	tr := theTree(t)
	named := regexp.MustCompile("`((?:cmd|docs|events|infra|internal|lambdas|proto|statemachines)/[A-Za-z0-9_./-]+)`")
	for name, text := range tr.markdown(t) {
		if name == "CHANGELOG.md" {
			continue // it names what has been
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(tr.root, filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
	}
}

// TestNamesInPagesExist: what a page says to be in a file is a word there.
func TestNamesInPagesExist(t *testing.T) {
	tr := theTree(t)
	named := regexp.MustCompile("`([A-Za-z]+)`(?: and `([A-Za-z]+)`)? in `((?:cmd|infra|internal)/[a-z0-9_/]+\\.go)`")
	n := 0
	for name, text := range tr.markdown(t) {
		if name == "CHANGELOG.md" {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			b, err := os.ReadFile(filepath.Join(tr.root, filepath.FromSlash(m[3])))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, word := range m[1:3] {
				if word != "" && !regexp.MustCompile(`\b`+word+`\b`).Match(b) {
					t.Errorf("%s says that %s is in %s", name, word, m[3])
				}
			}
			n++
		}
	}
	if n == 0 {
		t.Error("no page says what is where any more")
	}
}
