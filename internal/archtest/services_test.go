package archtest

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// serviceFiles are the files that each service of the local cloud has, and what
// may be nowhere else: knowing one service is knowing all.
var serviceFiles = []string{"doc.go", "service.go", "api.go", "state.go", "errors.go"}

// serviceParts are the places in a service of its parts, by name of file.
func (f *file) serviceParts() map[string]string {
	parts := map[string]string{}
	for _, d := range f.syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			switch {
			case d.Recv == nil && d.Name.Name == "New":
				parts["func New"] = "service.go"
			case d.Recv != nil && receiver(d) == "Service" && (d.Name.Name == "API" || d.Name.Name == "Operations") &&
				d.Type.Params.NumFields() == 0 && speaksAPI(d):
				parts["method Service."+d.Name.Name] = "api.go"
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if t, ok := s.(*ast.TypeSpec); ok && (t.Name.Name == "Service" || t.Name.Name == "Config") {
					parts["type "+t.Name.Name] = "service.go"
				}
			}
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "NewTable" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "store" {
				parts["a table of the store"] = "state.go"
			}
		}
		return true
	})
	return parts
}

// stands reports whether a file has a Config, whether that embeds
// platform.Platform, and which of the platform's fields it declares itself.
func (f *file) stands() (embeds, has bool, own []string) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		t, ok := n.(*ast.TypeSpec)
		if !ok || t.Name.Name != "Config" {
			return true
		}
		s, ok := t.Type.(*ast.StructType)
		if !ok {
			return true
		}
		has = true
		for _, field := range s.Fields.List {
			if x, ok := field.Type.(*ast.SelectorExpr); ok && len(field.Names) == 0 && x.Sel.Name == "Platform" {
				embeds = true
			}
			for _, name := range field.Names {
				switch name.Name {
				case "Scheduler", "Store", "Account", "Region", "Caller", "Log":
					own = append(own, name.Name)
				}
			}
		}
		return false
	})
	return embeds, has, own
}

func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// speaksAPI reports whether a method gives awsapi.Service or a list of
// awsapi.Operation.
func speaksAPI(d *ast.FuncDecl) bool {
	if d.Type.Results.NumFields() != 1 {
		return false
	}
	t := d.Type.Results.List[0].Type
	if a, ok := t.(*ast.ArrayType); ok {
		t = a.Elt
	}
	s, ok := t.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "awsapi" && (s.Sel.Name == "Service" || s.Sel.Name == "Operation")
}

func TestServicesHaveOneShape(t *testing.T) {
	tr := theTree(t)
	services, files := map[string]bool{}, map[string]bool{}
	for _, f := range tr.files {
		if f.test || !strings.HasPrefix(f.pkg, "internal/localcloud/") {
			continue
		}
		files[f.pkg+": "+path.Base(f.name)] = true
		parts := f.serviceParts()
		services[f.pkg] = services[f.pkg] || parts["method Service.API"] != "" ||
			parts["method Service.Operations"] != ""
	}
	n := 0
	for _, pkg := range slices.Sorted(maps.Keys(services)) {
		if !services[pkg] {
			continue
		}
		n++
		for _, name := range serviceFiles {
			if !files[pkg+": "+name] {
				t.Errorf("%s has no %s", pkg, name)
			}
		}
	}
	for _, f := range tr.files {
		if f.test || !services[f.pkg] {
			continue
		}
		if embeds, has, own := f.stands(); has && !embeds {
			t.Errorf("%s: Config does not embed platform.Platform", f.name)
		} else if len(own) > 0 {
			t.Errorf("%s: Config declares %v, which the platform has", f.name, own)
		}
		for part, want := range f.serviceParts() {
			if got := path.Base(f.name); got != want {
				t.Errorf("%s: %s belongs in %s", f.name, part, want)
			}
		}
	}
	if n < 17 {
		t.Errorf("found %d services", n)
	}
}
