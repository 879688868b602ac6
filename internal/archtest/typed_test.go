package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// typed is a package of the tree with the types of its own files.
type typed struct {
	path  string // from the root, with slashes
	files []*file
	types *types.Package
	info  *types.Info
}

// exportData imports what the local cloud imports; typedPackages sets it.
var exportData types.Importer

var typedPackages = sync.OnceValues(loadTyped)

// theTypes are the packages of the local cloud, type-checked once. What they
// import comes from the compiler's export data, which `go list -export` names
// and, where it is not there yet, builds.
func theTypes(t *testing.T) []*typed {
	t.Helper()
	list, err := typedPackages()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func loadTyped() ([]*typed, error) {
	tr, err := source()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,GoFiles", "./"+cloud)
	cmd.Dir = tr.root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -export: %w: %s", err, &stderr)
	}
	exports := map[string]string{}
	var ours []struct {
		ImportPath string
		GoFiles    []string
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Export string
			GoFiles            []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if rel, ok := strings.CutPrefix(p.ImportPath, module+"/"); ok && matches(cloud, rel) {
			ours = append(ours, struct {
				ImportPath string
				GoFiles    []string
			}{rel, p.GoFiles})
		}
	}
	byName := map[string]*file{}
	for _, f := range tr.files {
		byName[f.name] = f
	}
	exportData = importer.ForCompiler(tr.fset, "gc", func(path string) (io.ReadCloser, error) {
		name, ok := exports[path]
		if !ok || name == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(name)
	})
	var list []*typed
	for _, p := range ours {
		t := &typed{path: p.ImportPath}
		var syntax []*ast.File
		for _, name := range p.GoFiles {
			f := byName[p.ImportPath+"/"+name]
			if f == nil {
				return nil, fmt.Errorf("%s/%s is not in the tree", p.ImportPath, name)
			}
			t.files = append(t.files, f)
			syntax = append(syntax, f.syntax)
		}
		if err := t.check(tr, syntax, exportData); err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// check finds the types of a package's files.
func (t *typed) check(tr *tree, syntax []*ast.File, from types.Importer) (err error) {
	t.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	config := types.Config{Importer: from}
	t.types, err = config.Check(module+"/"+t.path, tr.fset, syntax, t.info)
	return err
}

// typesOfText are those of a file of the given text, which may import what the
// local cloud imports.
func typesOfText(text string) (*typed, error) {
	tr, err := source()
	if err != nil {
		return nil, err
	}
	if _, err := typedPackages(); err != nil {
		return nil, err
	}
	f, err := parseText(text)
	if err != nil {
		return nil, err
	}
	t := &typed{path: "p", files: []*file{f}}
	return t, t.check(tr, []*ast.File{f.syntax}, exportData)
}
