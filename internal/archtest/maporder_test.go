package archtest

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

// orders are the places of a file where the order of a map decides something.
//
// Inside a loop over a map (range m, or over maps.Keys, Values or All of it)
// these do:
//   - x = append(x, …) where x is from outside the loop, and the function does
//     not sort x after the loop;
//   - s += … of a string, and a call that writes to something from outside the
//     loop (Write…, Fprint…, AppendTo…);
//   - return of something that names what the loop declares, or one of several
//     returns that differ;
//   - an assignment to a variable from outside of a loop that has a break;
//   - a call of the scheduler: it numbers its tasks, gates and timers.
//
// A map that was found to have one entry (if len(m) != 1) has no order.
// slices.Collect(maps.Keys(m)) is an append in a loop. Entries put into another
// map, deletes, sums, counts and maxima do not depend on the order.
func (t *typed) orders(f *file) []use {
	var list []use
	for _, d := range f.syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.RangeStmt:
				if t.overMap(n.X) && !t.single(fn.Body, n) {
					list = append(list, t.ordersIn(fn.Body, n)...)
				}
			case *ast.AssignStmt:
				for i, r := range n.Rhs {
					if c, ok := r.(*ast.CallExpr); ok && t.calls(c, "slices", "Collect") && len(c.Args) == 1 &&
						t.overMap(c.Args[0]) && i < len(n.Lhs) {
						if !t.sorts(fn.Body, n.End(), n.Lhs[i]) {
							list = append(list, use{n, "slices.Collect into " + types.ExprString(n.Lhs[i])})
						}
					}
				}
			case *ast.ReturnStmt:
				for _, r := range n.Results {
					if c, ok := r.(*ast.CallExpr); ok && t.calls(c, "slices", "Collect") &&
						len(c.Args) == 1 && t.overMap(c.Args[0]) {
						list = append(list, use{n, "return slices.Collect"})
					}
				}
			}
			return true
		})
	}
	return list
}

// overMap tells whether a loop over x is in the order of a map.
func (t *typed) overMap(x ast.Expr) bool {
	if c, ok := ast.Unparen(x).(*ast.CallExpr); ok {
		for _, name := range []string{"Keys", "Values", "All"} {
			if t.calls(c, "maps", name) {
				return true
			}
		}
		return false
	}
	typ := t.info.TypeOf(x)
	if typ == nil {
		return false
	}
	_, ok := typ.Underlying().(*types.Map)
	return ok
}

// calls tells whether a call is of a package's function; a name that ends in …
// is the beginning of one.
func (t *typed) calls(c *ast.CallExpr, pkg string, names ...string) bool {
	fn := t.callee(c)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != pkg || fn.Signature().Recv() != nil {
		return false
	}
	for _, name := range names {
		if start, open := strings.CutSuffix(name, "…"); fn.Name() == name || open &&
			strings.HasPrefix(fn.Name(), start) {
			return true
		}
	}
	return false
}

// callee is the function that a call names, nil for a value or a type.
func (t *typed) callee(c *ast.CallExpr) *types.Func {
	f := ast.Unparen(c.Fun)
	switch i := f.(type) {
	case *ast.IndexExpr:
		f = i.X
	case *ast.IndexListExpr:
		f = i.X
	}
	switch f := f.(type) {
	case *ast.Ident:
		fn, _ := t.info.Uses[f].(*types.Func)
		return fn
	case *ast.SelectorExpr:
		fn, _ := t.info.Uses[f.Sel].(*types.Func)
		return fn
	}
	return nil
}

// sorts tells whether a function sorts x after a place.
func (t *typed) sorts(body *ast.BlockStmt, after token.Pos, x ast.Expr) bool {
	name, found := types.ExprString(x), false
	ast.Inspect(body, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok || c.Pos() < after || len(c.Args) == 0 {
			return !found
		}
		if t.calls(c, "slices", "Sort…") || t.calls(c, "sort", "…") {
			arg := ast.Unparen(c.Args[0])
			if conv, ok := arg.(*ast.CallExpr); ok && len(conv.Args) == 1 {
				arg = conv.Args[0]
			}
			found = found || types.ExprString(arg) == name
		}
		return !found
	})
	return found
}

// ordersIn are the places in a loop over a map that depend on its order.
func (t *typed) ordersIn(body *ast.BlockStmt, loop *ast.RangeStmt) []use {
	var list []use
	outside := func(x ast.Expr, appended bool) bool {
		for {
			switch e := ast.Unparen(x).(type) {
			case *ast.SelectorExpr:
				x = e.X
			case *ast.StarExpr:
				x = e.X
			case *ast.UnaryExpr:
				x = e.X
			case *ast.IndexExpr:
				if key, ok := loop.Key.(*ast.Ident); ok && types.ExprString(e.Index) == key.Name && t.overMap(e.X) {
					return false
				}
				if t.overMap(e.X) {
					return appended // an entry of its own, if it is no list of several
				}
				x = e.X
			case *ast.SliceExpr:
				x = e.X
			case *ast.Ident:
				o := t.info.Uses[e]
				return o != nil && (o.Pos() < loop.Pos() || o.Pos() > loop.End())
			default:
				return false
			}
		}
	}
	var visit func(n ast.Node) bool
	var returns []*ast.ReturnStmt
	breaks := false
	ast.Inspect(loop.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.SelectStmt, *ast.FuncLit, *ast.TypeSwitchStmt:
			return false
		case *ast.BranchStmt:
			breaks = breaks || n.Tok == token.BREAK
		}
		return true
	})
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if !outside(left, isAppend(n, i)) || n.Tok == token.DEFINE {
					continue
				}
				right := n.Rhs[min(i, len(n.Rhs)-1)]
				if isAppend(n, i) {
					if !t.sorts(body, loop.End(), left) {
						list = append(list, use{n, "append to " + types.ExprString(left)})
					}
					continue
				}
				basic, _ := t.info.TypeOf(left).Underlying().(*types.Basic)
				if n.Tok == token.ADD_ASSIGN && basic != nil && basic.Info()&types.IsString != 0 {
					list = append(list, use{n, types.ExprString(left) + " +="})
				}
				if n.Tok == token.ASSIGN && breaks && !t.constant(right) {
					list = append(list, use{n, "the first " + types.ExprString(left)})
				}
			}
		case *ast.CallExpr:
			fn := t.callee(n)
			if fn == nil {
				return true
			}
			if s, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr); ok && fn.Signature().Recv() != nil &&
				strings.HasPrefix(fn.Name(), "Write") && outside(s.X, true) {
				list = append(list, use{n, types.ExprString(n.Fun)})
			}
			if t.calls(n, "fmt", "Fprint…") && len(n.Args) > 0 && outside(n.Args[0], true) {
				list = append(list, use{n, types.ExprString(n.Fun)})
			}
			if p := fn.Pkg(); p != nil && p.Path() == module+"/internal/localcloud/scheduler" && fn.Name() != "Now" {
				list = append(list, use{n, types.ExprString(n.Fun)})
			}
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			returns = append(returns, n)
		}
		return true
	}
	ast.Inspect(loop.Body, visit)
	// One way out that says nothing of the entry is the same whichever entry
	// takes it.
	ways := map[string]bool{}
	for _, n := range returns {
		var way []string
		for _, r := range n.Results {
			way = append(way, types.ExprString(r))
		}
		ways[strings.Join(way, ", ")] = true
	}
	for _, n := range returns {
		for _, r := range n.Results {
			if len(ways) > 1 && !t.constant(r) || t.mentions(r, loop) {
				list = append(list, use{n, "return " + types.ExprString(r)})
				break
			}
		}
	}
	return list
}

// isAppend tells whether an assignment's i-th value is an append, or a call of a
// function named for one.
func isAppend(n *ast.AssignStmt, i int) bool {
	c, ok := n.Rhs[min(i, len(n.Rhs)-1)].(*ast.CallExpr)
	if !ok {
		return false
	}
	name := called(c)
	return strings.HasPrefix(strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]), "append")
}

// mentions tells whether an expression has a name that the loop declares.
func (t *typed) mentions(e ast.Expr, loop *ast.RangeStmt) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			o := t.info.Uses[id]
			found = found || o != nil && o.Pos() >= loop.Pos() && o.Pos() <= loop.End()
		}
		return !found
	})
	return found
}

// single tells whether a function looks, before a loop over m, whether m has
// one entry: the condition of an if that it has a say in is len(m) != 1.
func (t *typed) single(body *ast.BlockStmt, loop *ast.RangeStmt) bool {
	want, found := "len("+types.ExprString(loop.X)+") != 1", false
	ast.Inspect(body, func(n ast.Node) bool {
		if s, ok := n.(*ast.IfStmt); ok && s.End() < loop.Pos() {
			ast.Inspect(s.Cond, func(n ast.Node) bool {
				if b, ok := n.(*ast.BinaryExpr); ok && types.ExprString(b) == want {
					found = true
				}
				return !found
			})
		}
		return !found
	})
	return found
}

// constant tells whether an expression is the same whatever the entry: a
// constant, nil, or a name that stands for one.
func (t *typed) constant(e ast.Expr) bool {
	v, ok := t.info.Types[e]
	return ok && (v.Value != nil || v.IsNil())
}

// mayFollowMaps are the functions in which a map's order decides nothing that
// anyone sees, although the rule says so, and why.
var mayFollowMaps = map[string]string{}

// TestAnswersDoNotDependOnTheOrderOfAMap: one seed is one run, and what AWS
// answers in an order this answers in the same one each time.
func TestAnswersDoNotDependOnTheOrderOfAMap(t *testing.T) {
	tr := theTree(t)
	used := map[string]bool{}
	for _, p := range theTypes(t) {
		for _, f := range p.files {
			for _, u := range p.orders(f) {
				where := f.name + ": " + enclosing(f, u.at)
				if _, ok := mayFollowMaps[where]; ok {
					used[where] = true
					continue
				}
				t.Errorf(
					"%s: in %s: %s in the order of a map; range over slices.Sorted(maps.Keys(m)), or sort what "+
						"comes of it", tr.fset.Position(u.at.Pos()), enclosing(f, u.at), u.what)
			}
		}
	}
	for where, because := range mayFollowMaps {
		if !used[where] {
			t.Errorf("table mayFollowMaps: %s (%s) does not need its exception any more", where, because)
		}
	}
}

// enclosing is the name of the function that a node is in, "" at top level.
func enclosing(f *file, at ast.Node) string {
	for _, d := range f.syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Pos() <= at.Pos() && at.End() <= fn.End() {
			if fn.Recv == nil {
				return fn.Name.Name
			}
			r := fn.Recv.List[0].Type
			if star, ok := r.(*ast.StarExpr); ok {
				r = star.X
			}
			return types.ExprString(r) + "." + fn.Name.Name
		}
	}
	return ""
}

func TestOrderOfAMapIsSeen(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`func f(m map[string]int) (out []string) { for k := range m { out = append(out, k) }; return out }`,
			"append to out"},
		{`import "slices"; func f(m map[string]int) (out []string) { for k := range m { out = append(out, k) }; slices.Sort(out); return out }`, ""},
		{`import ("maps"; "slices"); func f(m map[string]int) (out []string) { for _, k := range slices.Sorted(maps.Keys(m)) { out = append(out, k) }; return out }`, ""},
		{`import ("maps"; "slices"); func f(m map[string]int) []string { list := slices.Collect(maps.Keys(m)); return list }`, "slices.Collect into list"},
		{`import ("maps"; "slices"); func f(m map[string]int) []string { return slices.Collect(maps.Keys(m)) }`,
			"return slices.Collect"},
		{`import "maps"; func f(m map[string]int) (out []int) { for v := range maps.Values(m) { out = append(out, v) }; return out }`, "append to out"},
		{`func f(m map[string]int) string { for k := range m { return k }; return "" }`, "return k"},
		{`func f(m map[string]int) string { if len(m) != 1 { return "" }; for k := range m { return k }; return "" }`,
			""},
		{`func f(m map[string]int) bool { for _, v := range m { if v > 1 { return true } }; return false }`, ""},
		{`import "errors"; func f(m map[string]int) error { for _, v := range m { if v > 1 { return errors.New("big") } }; return nil }`, ""},
		{`import "errors"; func f(m map[string]int) error { for k, v := range m { if v > 1 { return errors.New(k) } }; return nil }`, "return errors.New(k)"},
		{`import "errors"; func f(m map[string]int) error { for _, v := range m { if v > 1 { return errors.New("a") }; if v < 0 { return errors.New("b") } }; return nil }`,
			`return errors.New("a"), return errors.New("b")`},
		{`func f(m map[string]int) (first string) { for k := range m { first = k; break }; return first }`,
			"the first first"},
		{`func f(m map[string]int) (s string) { for k := range m { s += k }; return s }`, "s +="},
		{`func f(m map[string]int) (n int) { for _, v := range m { n += v }; return n }`, ""},
		{`func f(m, to map[string]int) { for k, v := range m { to[k] = v; delete(m, k) } }`, ""},
		{`func f(m map[string]int, to map[int][]string) { for k, v := range m { to[v] = append(to[v], k) } }`,
			"append to to[v]"},
		{`func f(m map[string]int, to map[string][]int) { for k, v := range m { to[k] = append(to[k], v) } }`, ""},
		{`import "strings"; func f(m map[string]int) string { var b strings.Builder; for k := range m { b.WriteString(k) }; return b.String() }`, "b.WriteString"},
		{`import ("fmt"; "io"); func f(w io.Writer, m map[string]int) { for k := range m { fmt.Fprintln(w, k) } }`,
			"fmt.Fprintln"},
		{`import "github.com/fleetstep/fleetstep/internal/localcloud/scheduler"; func f(s *scheduler.Scheduler, m map[string]func()) { for k, f := range m { s.Go(k, f) } }`, "s.Go"},
	} {
		p, err := typesOfText("package p; " + c.body)
		if err != nil {
			t.Fatalf("%s: %v", c.body, err)
		}
		var got []string
		for _, u := range p.orders(p.files[0]) {
			got = append(got, u.what)
		}
		if g := strings.Join(got, ", "); g != c.want {
			t.Errorf("%s: saw %q, want %q", c.body, g, c.want)
		}
	}
}
