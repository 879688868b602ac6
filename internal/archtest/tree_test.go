package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is the path of the module. Packages are named by what follows it:
// "internal/jobs". Packages of others keep their whole path.
const module = "github.com/fleetstep/fleetstep"

// file is a Go file of the tree.
type file struct {
	name      string // path from the root, with slashes
	pkg       string
	test      bool
	generated bool
	syntax    *ast.File
	imports   map[string]string // package by the name it has in the file
}

// tree is the module's source.
type tree struct {
	root  string
	fset  *token.FileSet
	files []*file
	// imports are the packages that a package's own code imports, tests are
	// those that its tests import.
	imports, tests map[string][]string
	// others are the files that hold no Go.
	others []string
}

var source = sync.OnceValues(load)

// theTree is the module's source, read once.
func theTree(t *testing.T) *tree {
	t.Helper()
	tr, err := source()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// skipped are folders that hold no source of ours.
func skipped(name string) bool {
	switch name {
	case "bin", "node_modules", "cdk.out":
		return true
	}
	return strings.HasPrefix(name, ".") && name != ".ci"
}

func load() (*tree, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	tr := &tree{root: root, fset: token.NewFileSet(), imports: map[string][]string{}, tests: map[string][]string{}}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && skipped(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case !d.Type().IsRegular():
		case strings.HasSuffix(rel, ".go") && !strings.Contains(rel, "testdata/"):
			tr.files = append(tr.files, &file{name: rel, pkg: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go")})
		default:
			tr.others = append(tr.others, rel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := tr.parse(); err != nil {
		return nil, err
	}
	for _, f := range tr.files {
		set := tr.imports
		if f.test {
			set = tr.tests
		} else if _, ok := tr.imports[f.pkg]; !ok {
			tr.imports[f.pkg] = nil
		}
		for _, p := range f.imports {
			if !slices.Contains(set[f.pkg], p) {
				set[f.pkg] = append(set[f.pkg], p)
			}
		}
		slices.Sort(set[f.pkg])
	}
	return tr, nil
}

func (tr *tree) parse() error {
	errs := make([]error, len(tr.files))
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i, f := range tr.files {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			errs[i] = f.parse(tr)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *file) parse(tr *tree) (err error) {
	f.syntax, err = parser.ParseFile(tr.fset, filepath.Join(tr.root, filepath.FromSlash(f.name)), nil,
		parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f.generated = ast.IsGenerated(f.syntax)
	f.imports = map[string]string{}
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		name := path.Base(p)
		if strings.HasPrefix(name, "v") && strings.Trim(name[1:], "0123456789") == "" {
			name = path.Base(path.Dir(p)) // math/rand/v2 is rand
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "_" || name == "." {
			name = p
		}
		f.imports[name] = strings.TrimPrefix(p, module+"/")
	}
	return nil
}

// findRoot is the folder of go.mod.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", os.ErrNotExist
		}
		dir = up
	}
	return "", err
}

// packages are those of the module, sorted.
func (tr *tree) packages() []string {
	var list []string
	for p := range tr.imports {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// ours tells whether a package is of this module.
func (tr *tree) ours(p string) bool { _, ok := tr.imports[p]; return ok }

// standard tells whether a package is of the standard library.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

// matches tells whether a package is meant by a pattern: a path, or with /...
// at its end the path and everything below it.
func matches(pattern, p string) bool {
	below, tree := strings.CutSuffix(pattern, "/...")
	return p == below || tree && strings.HasPrefix(p, below+"/")
}

func anyMatches(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

// parseText is a file of the given text.
func parseText(text string) (*file, error) {
	dir, err := os.MkdirTemp("", "archtest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	f := &file{name: "p.go"}
	return f, f.parse(&tree{root: dir, fset: token.NewFileSet()})
}
