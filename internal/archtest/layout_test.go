package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// topLevel is all that the repository has in its root.
var topLevel = []string{
	".ci", ".github", ".gitignore", ".golangci.yml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile",
	"README.md", "SECURITY.md", "cmd", "docs", "events", "examples", "go.mod", "go.sum", "infra", "internal",
	"lambdas", "proto", "statemachines",
}

// mostBytes is the size of the largest file that a commit may have.
const mostBytes = 1 << 20

// TestOnlySourceIsCommitted: what somebody tried something with in the root is no source.
func TestOnlySourceIsCommitted(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("not a clone: ", err)
	}
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(files) < 1000 {
		t.Errorf("only %d files", len(files))
	}
	for _, name := range files {
		if top, _, _ := strings.Cut(name, "/"); !slices.Contains(topLevel, top) {
			t.Errorf("%s: the root has %s only", name, strings.Join(topLevel, ", "))
		}
		info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(name)))
		switch {
		case os.IsNotExist(err): // removed, not yet committed
		case err != nil:
			t.Error(err)
		case info.Size() > mostBytes:
			t.Errorf("%s has %d bytes, more than %d", name, info.Size(), mostBytes)
		}
	}
}
