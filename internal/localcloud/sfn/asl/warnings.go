package asl

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// Warnings says what in a definition works but is probably not what was meant:
// texts that look like paths or intrinsic functions where they are just texts.
func Warnings(definition string) Diagnostics {
	v, err := document.ParseString(definition)
	if err != nil {
		return nil
	}
	w := &warningFinder{}
	w.flow(v, "", false)
	return w.found
}

type warningFinder struct{ found Diagnostics }

var dynamic = regexp.MustCompile(`^(\$\$?([.\[]|$)|States\.[A-Z]\w*\()`)

func looksDynamic(v any) bool {
	s, ok := v.(string)
	return ok && dynamic.MatchString(s)
}

func (w *warningFinder) warn(code, location, format string, args ...any) {
	if len(w.found) == maxDiagnostics {
		return
	}
	w.found = append(w.found, Diagnostic{"WARNING", code, fmt.Sprintf(format, args...), location})
}

func (w *warningFinder) flow(v any, where string, jsonata bool) {
	flow, ok := v.(*document.Object)
	if !ok {
		return
	}
	jsonata = language(flow, jsonata)
	v, _ = flow.Get("States")
	states, ok := v.(*document.Object)
	if !ok {
		return
	}
	for _, m := range states.Members() {
		if st, ok := m.Value.(*document.Object); ok {
			w.state(st, below(where+"/States", m.Name), jsonata)
		}
	}
}

// language is the query language of an object inside one of another.
func language(o *document.Object, jsonata bool) bool {
	if q, ok := o.Get("QueryLanguage"); ok {
		return q != "JSONPath"
	}
	return jsonata
}

func (w *warningFinder) state(st *document.Object, where string, outer bool) {
	jsonata := language(st, outer)
	for _, m := range st.Members() {
		at := below(where, m.Name)
		switch m.Name {
		case "Branches":
			if list, ok := m.Value.([]any); ok {
				for i, b := range list {
					w.flow(b, element(at, i), outer)
				}
			}
			continue
		case "ItemProcessor", "Iterator":
			w.flow(m.Value, at, outer)
			continue
		}
		if jsonata {
			continue
		}
		switch m.Name {
		case "Comment", "Type", "Next", "Default", "Resource", "Label":
		case "Parameters", "ResultSelector", "ItemSelector", "Assign":
			w.template(m.Value, at)
		case "Result":
			w.static(m.Value, at)
		case "Credentials":
			w.template(m.Value, at)
		case "ItemReader", "ResultWriter", "ItemBatcher":
			if o, ok := m.Value.(*document.Object); ok {
				for _, f := range o.Members() {
					if f.Name == "Parameters" || f.Name == "BatchInput" {
						w.template(f.Value, at+"/"+f.Name)
					}
				}
			}
		case "Choices", "Catch":
			if list, ok := m.Value.([]any); ok {
				for i, r := range list {
					w.rule(r, element(at, i))
				}
			}
		default:
			w.field(m, at)
		}
	}
}

// field warns of a path in a field that takes none.
func (w *warningFinder) field(m document.Member, at string) {
	if !strings.HasSuffix(m.Name, "Path") && looksDynamic(m.Value) {
		w.warn("NO_PATH", at, "The value of the field '%s' looks like a path, but the name of the field does not "+
			"end with 'Path'", m.Name)
	}
}

// rule looks at a choice rule or a catcher.
func (w *warningFinder) rule(v any, where string) {
	o, ok := v.(*document.Object)
	if !ok {
		return
	}
	for _, m := range o.Members() {
		at := below(where, m.Name)
		switch m.Name {
		case "Variable", "Comment", "Next", "ErrorEquals":
		case "Assign":
			w.template(m.Value, at)
		case "Not":
			w.rule(m.Value, at)
		case "And", "Or":
			if list, ok := m.Value.([]any); ok {
				for i, r := range list {
					w.rule(r, element(at, i))
				}
			}
		default:
			w.field(m, at)
		}
	}
}

// template looks at a payload template.
func (w *warningFinder) template(v any, where string) {
	switch v := v.(type) {
	case *document.Object:
		for _, m := range v.Members() {
			at := below(where, m.Name)
			if strings.HasSuffix(m.Name, ".$") {
				continue
			}
			if looksDynamic(m.Value) {
				w.warn("NO_DOLLAR", at, "The value of the field '%s' looks like a JSONPath or an intrinsic "+
					"function, but the name of the field does not end with '.$'", m.Name)
			}
			w.template(m.Value, at)
		}
	case []any:
		for i, e := range v {
			at := element(where, i)
			if looksDynamic(e) {
				w.warn("NO_DOLLAR", at, "An element of an array looks like a JSONPath or an intrinsic function, "+
					"but is not evaluated")
			}
			w.template(e, at)
		}
	}
}

// static looks at the Result of a Pass state, in which nothing is evaluated.
func (w *warningFinder) static(v any, where string) {
	if looksDynamic(v) {
		w.warn("PASS_RESULT_IS_STATIC", where, "The Result of a Pass state is static; a path in it is not evaluated")
		return
	}
	switch v := v.(type) {
	case *document.Object:
		for _, m := range v.Members() {
			w.static(m.Value, below(where, m.Name))
		}
	case []any:
		for i, e := range v {
			w.static(e, element(where, i))
		}
	}
}
