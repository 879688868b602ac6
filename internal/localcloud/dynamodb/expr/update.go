package expr

import (
	"slices"
)

// Update is a parsed update expression.
type Update struct{ actions []action }

type action struct {
	clause string // SET REMOVE ADD DELETE
	path   Path
	set    setValue // SET
	value  Value    // ADD, DELETE
}

// setValue is the right side of a SET action: a term, or term + or - term.
type setValue struct {
	op    string // "", "+", "-"
	terms []setTerm
}

// setTerm is an operand, if_not_exists(path, term) or list_append(term, term).
type setTerm struct {
	function string
	path     Path
	value    Value
	args     []setTerm
}

// ParseUpdate parses an update expression.
func ParseUpdate(src string, names *Names) (*Update, error) {
	p, err := newParser("UpdateExpression", src, names)
	if err != nil {
		return nil, err
	}
	u := &Update{}
	seen := map[string]bool{}
	for p.peek().kind != tokenEnd {
		clause := ""
		for _, c := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
			if p.word(c) {
				clause = c
			}
		}
		if clause == "" {
			return nil, p.syntax()
		}
		if seen[clause] {
			return nil, p.errorf("The %q section can only be used once in an update expression;", clause)
		}
		seen[clause] = true
		for {
			a, err := p.action(clause)
			if err != nil {
				return nil, err
			}
			for _, other := range u.actions {
				if overlap(a.path, other.path) {
					return nil, p.errorf("Two document paths overlap with each other; must remove or rewrite one "+
						"of these paths; path one: [%s], path two: [%s]", other.path, a.path)
				}
			}
			u.actions = append(u.actions, a)
			if !p.symbol(",") {
				break
			}
		}
	}
	return u, nil
}

// Paths are the paths that the update writes.
func (u *Update) Paths() []Path {
	paths := make([]Path, len(u.actions))
	for i, a := range u.actions {
		paths[i] = a.path
	}
	return paths
}

// Changes reports whether the update writes an attribute, or into it.
func (u *Update) Changes(attribute string) bool {
	return slices.ContainsFunc(u.actions, func(a action) bool { return a.path.Root() == attribute })
}

func (p *parser) action(clause string) (a action, err error) {
	a.clause = clause
	if a.path, err = p.path(); err != nil {
		return a, err
	}
	switch clause {
	case "SET":
		if !p.symbol("=") {
			return a, p.syntax()
		}
		a.set, err = p.setValue()
	case "ADD", "DELETE":
		if p.peek().kind != tokenValue {
			return a, p.syntax()
		}
		if a.value, err = p.value(); err != nil {
			return a, err
		}
		set := a.value.Kind == SS || a.value.Kind == NS || a.value.Kind == BS
		if !set && (clause == "DELETE" || a.value.Kind != N) {
			return a, p.errorf("Incorrect operand type for operator or function; operator: %s, operand type: %s, "+
				"typeSet: ALLOWED_FOR_%s_OPERAND", clause, typeName(a.value.Kind), clause)
		}
	}
	return a, err
}

func typeName(k Kind) string {
	return map[Kind]string{S: "STRING", N: "NUMBER", B: "BINARY", M: "MAP", L: "LIST", BOOL: "BOOLEAN", NULL: "NULL",
		SS: "STRING_SET", NS: "NUMBER_SET", BS: "BINARY_SET"}[k]
}

func (p *parser) setValue() (setValue, error) {
	left, err := p.setTerm()
	if err != nil {
		return setValue{}, err
	}
	v := setValue{terms: []setTerm{left}}
	for _, op := range []string{"+", "-"} {
		if p.symbol(op) {
			right, err := p.setTerm()
			v.op, v.terms = op, append(v.terms, right)
			return v, err
		}
	}
	return v, nil
}

func (p *parser) setTerm() (t setTerm, err error) {
	if p.depth++; p.depth > maxParens {
		return t, p.errorf("The expression has too many levels of nesting")
	}
	defer func() { p.depth-- }()
	if p.symbol("(") { // parentheses around one term
		if t, err = p.setTerm(); err == nil && !p.symbol(")") {
			err = p.syntax()
		}
		return t, err
	}
	tok := p.peek()
	if tok.kind == tokenValue {
		t.value, err = p.value()
		return t, err
	}
	if tok.kind == tokenWord && p.tokens[p.at+1].text == "(" {
		if tok.text != "if_not_exists" && tok.text != "list_append" {
			return t, p.errorf("Invalid function name; function: %s", tok.text)
		}
		p.at += 2
		t.function = tok.text
		for i := range 2 {
			arg, err := p.setTerm()
			if err != nil {
				return t, err
			}
			t.args = append(t.args, arg)
			if i == 0 && !p.symbol(",") || i == 1 && !p.symbol(")") {
				return t, p.syntax()
			}
		}
		if t.function == "if_not_exists" && t.args[0].path == nil {
			return t, p.errorf("Operator or function requires a document path; operator or function: if_not_exists")
		}
		return t, nil
	}
	t.path, err = p.path()
	return t, err
}

// Apply returns a copy of item with the update made. All right sides see the
// item as it was before.
func (u *Update) Apply(item Item) (Item, error) {
	out := item.Clone()
	if out == nil {
		out = Item{}
	}
	var removals []Path
	for _, a := range u.actions {
		switch a.clause {
		case "SET":
			v, err := a.set.eval(item)
			if err != nil {
				return nil, err
			}
			if err := out.set(a.path, v.clone()); err != nil {
				return nil, err
			}
		case "REMOVE":
			removals = append(removals, a.path)
		default:
			if err := a.addOrDelete(item, out); err != nil {
				return nil, err
			}
		}
	}
	// Removing from the back keeps the indexes of list elements valid.
	slices.SortStableFunc(removals, func(a, b Path) int { return comparePaths(b, a) })
	for _, p := range removals {
		if err := out.remove(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func comparePaths(a, b Path) int {
	return slices.CompareFunc(a, b, func(x, y step) int { return x.index - y.index })
}

func (v setValue) eval(item Item) (Value, error) {
	left, err := v.terms[0].eval(item)
	if err != nil || v.op == "" {
		return left, err
	}
	right, err := v.terms[1].eval(item)
	if err != nil {
		return Value{}, err
	}
	if left.Kind != N || right.Kind != N {
		return Value{}, errorf("An operand in the update expression has an incorrect data type")
	}
	n, err := addNumbers(left.Str, right.Str, v.op == "-")
	return Value{Kind: N, Str: n}, err
}

func (t setTerm) eval(item Item) (Value, error) {
	switch t.function {
	case "if_not_exists":
		if v, ok := item.Get(t.args[0].path); ok {
			return v, nil
		}
		return t.args[1].eval(item)
	case "list_append":
		a, err := t.args[0].eval(item)
		if err != nil {
			return Value{}, err
		}
		b, err := t.args[1].eval(item)
		if err != nil {
			return Value{}, err
		}
		if a.Kind != L || b.Kind != L {
			return Value{}, errorf("An operand in the update expression has an incorrect data type")
		}
		return Value{Kind: L, List: slices.Concat(a.List, b.List)}, nil
	}
	if t.path == nil {
		return t.value, nil
	}
	v, ok := item.Get(t.path)
	if !ok {
		return Value{}, errorf("The provided expression refers to an attribute that does not exist in the item")
	}
	return v, nil
}

var errInvalidPath = errorf("The document path provided in the update expression is invalid for update")

// set puts v at a path whose parent must be there.
func (i Item) set(p Path, v Value) error {
	root := Value{Kind: M, Map: i}
	return root.put(p, v)
}

func (v *Value) put(p Path, leaf Value) error {
	s := p[0]
	if s.name != "" {
		if v.Kind != M {
			return errInvalidPath
		}
		if len(p) == 1 {
			v.Map[s.name] = leaf
			return nil
		}
		child, ok := v.Map[s.name]
		if !ok {
			return errInvalidPath
		}
		err := child.put(p[1:], leaf)
		v.Map[s.name] = child
		return err
	}
	if v.Kind != L {
		return errInvalidPath
	}
	if len(p) == 1 {
		if s.index >= len(v.List) {
			v.List = append(v.List, leaf)
		} else {
			v.List[s.index] = leaf
		}
		return nil
	}
	if s.index >= len(v.List) {
		return errInvalidPath
	}
	return v.List[s.index].put(p[1:], leaf)
}

// remove deletes what a path leads to; a missing leaf is no error, a missing
// parent is.
func (i Item) remove(p Path) error {
	root := Value{Kind: M, Map: i}
	return root.cut(p)
}

func (v *Value) cut(p Path) error {
	s := p[0]
	if s.name != "" {
		if v.Kind != M {
			return errInvalidPath
		}
		if len(p) == 1 {
			delete(v.Map, s.name)
			return nil
		}
		child, ok := v.Map[s.name]
		if !ok {
			return errInvalidPath
		}
		err := child.cut(p[1:])
		v.Map[s.name] = child
		return err
	}
	if v.Kind != L {
		return errInvalidPath
	}
	if s.index >= len(v.List) {
		if len(p) == 1 {
			return nil
		}
		return errInvalidPath
	}
	if len(p) == 1 {
		v.List = slices.Delete(v.List, s.index, s.index+1)
		return nil
	}
	return v.List[s.index].cut(p[1:])
}

func (a action) addOrDelete(before, out Item) error {
	old, ok := before.Get(a.path)
	if !ok {
		if a.clause == "DELETE" {
			return nil
		}
		return out.set(a.path, a.value.clone())
	}
	if old.Kind != a.value.Kind {
		return errorf("An operand in the update expression has an incorrect data type")
	}
	if old.Kind == N {
		n, err := addNumbers(old.Str, a.value.Str, false)
		if err != nil {
			return err
		}
		return out.set(a.path, Value{Kind: N, Str: n})
	}
	set := Value{Kind: old.Kind}
	if a.clause == "ADD" {
		set.Set = slices.Concat(old.Set, a.value.Set)
		sortSet(set.Kind, set.Set)
		set.Set = slices.Compact(set.Set)
		return out.set(a.path, set)
	}
	for _, m := range old.Set {
		if !slices.Contains(a.value.Set, m) {
			set.Set = append(set.Set, m)
		}
	}
	if len(set.Set) == 0 {
		return out.remove(a.path)
	}
	return out.set(a.path, set)
}
