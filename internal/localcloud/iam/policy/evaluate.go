package policy

import (
	"slices"
	"strings"
)

// Decision is what documents say about a request.
type Decision int

const (
	// None: no statement matches. The request is refused by default.
	None Decision = iota
	// Allow: a statement allows it and none denies it.
	Allow
	// ExplicitDeny: a statement denies it, whatever the others say.
	ExplicitDeny
	// Delegated: no statement allows the caller itself, but one allows the
	// account it belongs to, whose identity policies then decide.
	Delegated
)

func (d Decision) String() string {
	return [...]string{"None", "Allow", "ExplicitDeny", "Delegated"}[d]
}

// Request is what documents are asked about.
type Request struct {
	Action   string // "dynamodb:PutItem"
	Resource string // an ARN or "*"
	// Principal is compared with statements that name principals; those that
	// name none (identity policies, IoT policies) match every principal.
	Principal Principal
	// Values are those of condition keys and policy variables, under names
	// such as "aws:SourceArn" or "iot:Connection.Thing.ThingName". No value
	// means that the key is absent.
	Values map[string][]string
	// Find makes Values when they are nil, and a statement is reached that
	// depends on them. Most decisions need none.
	Find func() map[string][]string
}

// allValues are the request's values, made now if need be.
func (r *Request) allValues() map[string][]string {
	if r.Values == nil && r.Find != nil {
		r.Values = r.Find()
	}
	return r.Values
}

// Principal is who makes a request, as Principal elements name it.
type Principal struct {
	// AWS are the names of the caller: the ARN of its role or user, of its
	// session, its unique id.
	AWS []string
	// Account is the caller's account, "" for a service.
	Account string
	// Services are the caller's service principals, if it is a service.
	Services []string
}

// values are the values of a request.
type values map[string][]string

// key returns the values of a condition key, whatever the case of its name.
func (v values) key(name string) []string {
	if got, ok := v[name]; ok {
		return got
	}
	first := ""
	for k := range v {
		if strings.EqualFold(k, name) && (first == "" || k < first) {
			first = k
		}
	}
	return v[first]
}

func (v values) variable(e element) (string, bool) {
	if got := v.key(e.text); len(got) == 1 {
		return got[0], true
	}
	return e.fallback, e.hasFallback
}

// UsesValues reports whether the decision may depend on Request.Values, so
// that a caller can save itself collecting them.
func (d *Document) UsesValues() bool {
	uses := func(a arnPattern) bool {
		return slices.ContainsFunc(a.parts, func(p pattern) bool { return p.variables })
	}
	return slices.ContainsFunc(d.Statements, func(s Statement) bool {
		return len(s.conditions) > 0 || slices.ContainsFunc(s.resources, uses) ||
			slices.ContainsFunc(s.notResources, uses)
	})
}

// Evaluate says what the documents together decide. The statement is the one
// that denies, or the first that allows; nil for None. Nil documents are
// skipped.
func Evaluate(docs []*Document, r Request) (Decision, *Statement) {
	action := strings.ToLower(r.Action)
	decision, by := None, (*Statement)(nil)
	for _, d := range docs {
		if d == nil {
			continue
		}
		for i := range d.Statements {
			s := &d.Statements[i]
			if !s.Deny && decision == Allow {
				continue
			}
			who := s.namesPrincipal(r.Principal)
			if who == notNamed || !s.covers(action, &r) {
				continue
			}
			switch {
			case s.Deny:
				return ExplicitDeny, s
			case who == named:
				decision, by = Allow, s
			case decision == None:
				decision, by = Delegated, s
			}
		}
	}
	return decision, by
}

func (s *Statement) covers(action string, r *Request) bool {
	if s.actions != nil && !slices.ContainsFunc(s.actions, func(p pattern) bool { return p.match(action) }) {
		return false
	}
	if s.notActions != nil && slices.ContainsFunc(s.notActions, func(p pattern) bool { return p.match(action) }) {
		return false
	}
	if s.resources != nil && !slices.ContainsFunc(s.resources, func(a arnPattern) bool {
		matched, _ := a.match(r.Resource, r.allValues)
		return matched
	}) {
		return false
	}
	for _, a := range s.notResources {
		if matched, ok := a.match(r.Resource, r.allValues); matched || !ok {
			return false
		}
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r.allValues()) {
			return false
		}
	}
	return true
}

type naming int

const (
	notNamed naming = iota
	named
	accountNamed
)

func (s *Statement) namesPrincipal(p Principal) naming {
	switch {
	case s.principal != nil:
		return s.principal.name(p)
	case s.notPrincipal != nil:
		if s.notPrincipal.name(p) == notNamed {
			return named
		}
		return notNamed
	default:
		return named
	}
}

func (ps *principals) name(p Principal) naming {
	if ps.any {
		return named
	}
	for _, s := range p.Services {
		if slices.Contains(ps.service, s) {
			return named
		}
	}
	for _, a := range p.AWS {
		if slices.Contains(ps.aws, a) {
			return named
		}
	}
	if p.Account != "" && slices.Contains(ps.aws, "arn:aws:iam::"+p.Account+":root") {
		return accountNamed
	}
	return notNamed
}
