package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	blues "github.com/blues/jsonata-go"
	"github.com/dop251/goja"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonata"
)

// engine is one implementation of the language.
type engine struct {
	name string
	// prepare compiles an expression and binds $states to a document already
	// in the engine's own form, the way that costs the engine the least.
	prepare func(tb testing.TB, expression, states string) evaluation
	// compile only compiles.
	compile func(tb testing.TB) func(expression string) error
	// text goes from the text of $states to the text of the result.
	text func(tb testing.TB, expression string) func(states string) (string, error)
}

// evaluation is a compiled expression with its document.
type evaluation struct {
	eval func() (any, error)
	// json is a result as JSON.
	json func(result any) (string, error)
}

var engines = []engine{
	{"fleetstep", prepareOurs, compileOurs, textOurs},
	{"blues", prepareBlues, compileBlues, textBlues},
	{"reference", prepareReference, compileReference, textReference},
}

func prepareOurs(tb testing.TB, expression, states string) evaluation {
	e, err := jsonata.Compile(expression, jsonata.StepFunctions())
	if err != nil {
		tb.Fatal(err)
	}
	document, err := jsonata.DecodeJSON([]byte(states))
	if err != nil {
		tb.Fatal(err)
	}
	bindings := map[string]jsonata.Value{"states": document}
	return evaluation{
		eval: func() (any, error) { return e.Eval(nil, jsonata.Undefined, bindings) },
		json: func(v any) (string, error) { text, err := jsonata.EncodeJSON(v); return string(text), err },
	}
}

func compileOurs(testing.TB) func(string) error {
	return func(expression string) error {
		_, err := jsonata.Compile(expression, jsonata.StepFunctions())
		return err
	}
}

func textOurs(tb testing.TB, expression string) func(string) (string, error) {
	e, err := jsonata.Compile(expression, jsonata.StepFunctions())
	if err != nil {
		tb.Fatal(err)
	}
	return func(states string) (string, error) {
		document, err := jsonata.DecodeJSON([]byte(states))
		if err != nil {
			return "", err
		}
		v, err := e.Eval(nil, jsonata.Undefined, map[string]jsonata.Value{"states": document})
		if err != nil {
			return "", err
		}
		text, err := jsonata.EncodeJSON(v)
		return string(text), err
	}
}

// prepareBlues binds once, outside of what is measured: binding takes a lock
// and reflection.
func prepareBlues(tb testing.TB, expression, states string) evaluation {
	e, err := blues.Compile(expression)
	if err != nil {
		tb.Fatal(err)
	}
	var document any
	if err := json.Unmarshal([]byte(states), &document); err != nil {
		tb.Fatal(err)
	}
	if err := e.RegisterVars(map[string]any{"states": document}); err != nil {
		tb.Fatal(err)
	}
	return evaluation{
		eval: func() (any, error) { return e.Eval(nil) },
		json: func(v any) (string, error) { text, err := json.Marshal(v); return string(text), err },
	}
}

func compileBlues(testing.TB) func(string) error {
	return func(expression string) error {
		_, err := blues.Compile(expression)
		return err
	}
}

func textBlues(tb testing.TB, expression string) func(string) (string, error) {
	e, err := blues.Compile(expression)
	if err != nil {
		tb.Fatal(err)
	}
	return func(states string) (string, error) {
		var document any
		if err := json.Unmarshal([]byte(states), &document); err != nil {
			return "", err
		}
		if err := e.RegisterVars(map[string]any{"states": document}); err != nil {
			return "", err
		}
		v, err := e.Eval(nil)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(v)
		return string(text), err
	}
}

// reference is the JavaScript implementation in a runtime of its own.
type reference struct {
	vm                     *goja.Runtime
	jsonata, parse, toText goja.Callable
}

var referenceProgram = sync.OnceValues(func() (*goja.Program, error) {
	path, err := referencePath()
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// A CommonJS module, as a function of what such a module expects.
	return goja.Compile(path, "(function(module, exports) {"+string(source)+"\n})", false)
})

var errNoReference = errors.New(
	"the reference implementation is not there: set FLEETSTEP_JSONATA_JS, or run npm install --prefix " +
		".build/jsonata jsonata@2.0.6 beside go.mod")

func referencePath() (string, error) {
	if path := os.Getenv("FLEETSTEP_JSONATA_JS"); path != "" {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		for _, name := range []string{"jsonata.js", "jsonata-es5.js"} {
			path := filepath.Join(dir, ".build", "jsonata", "node_modules", "jsonata", name)
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
	}
	return "", errNoReference
}

func newReference(tb testing.TB) *reference {
	program, err := referenceProgram()
	if errors.Is(err, errNoReference) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	r := &reference{vm: goja.New()}
	wrapped, err := r.vm.RunProgram(program)
	if err != nil {
		tb.Fatal(err)
	}
	load, _ := goja.AssertFunction(wrapped)
	module := r.vm.NewObject()
	exports := r.vm.NewObject()
	if err := module.Set("exports", exports); err != nil {
		tb.Fatal(err)
	}
	if _, err := load(goja.Undefined(), module, exports); err != nil {
		tb.Fatal(err)
	}
	var ok bool
	if r.jsonata, ok = goja.AssertFunction(module.Get("exports")); !ok {
		tb.Fatal("the reference implementation exports no function")
	}
	object := r.vm.GlobalObject().Get("JSON").ToObject(r.vm)
	r.parse, _ = goja.AssertFunction(object.Get("parse"))
	r.toText, _ = goja.AssertFunction(object.Get("stringify"))
	return r
}

// compile gives the method evaluate of an expression, bound to it.
func (r *reference) compile(expression string) (func(bindings goja.Value) (goja.Value, error), error) {
	compiled, err := r.jsonata(goja.Undefined(), r.vm.ToValue(expression))
	if err != nil {
		return nil, err
	}
	evaluate, ok := goja.AssertFunction(compiled.ToObject(r.vm).Get("evaluate"))
	if !ok {
		return nil, errors.New("no method evaluate")
	}
	return func(bindings goja.Value) (goja.Value, error) {
		v, err := evaluate(compiled, goja.Undefined(), bindings)
		if err != nil {
			return nil, err
		}
		return settled(v)
	}, nil
}

// settled gives the outcome of a promise. A call from Go returns only when the
// runtime's queue of jobs is empty, so a promise that waits for nothing outside
// is settled by then; one that is not will never be.
func settled(v goja.Value) (goja.Value, error) {
	promise, ok := v.Export().(*goja.Promise)
	if !ok {
		return nil, fmt.Errorf("evaluate gave %s, not a promise", v)
	}
	switch promise.State() {
	case goja.PromiseStateFulfilled:
		return promise.Result(), nil
	case goja.PromiseStateRejected:
		text, _ := json.Marshal(promise.Result())
		return nil, fmt.Errorf("evaluate: %s", text)
	}
	return nil, errors.New("the promise is still pending with no job left")
}

func (r *reference) bind(states string) (goja.Value, error) {
	document, err := r.parse(goja.Undefined(), r.vm.ToValue(states))
	if err != nil {
		return nil, err
	}
	bindings := r.vm.NewObject()
	return bindings, bindings.Set("states", document)
}

func (r *reference) stringify(v goja.Value) (string, error) {
	text, err := r.toText(goja.Undefined(), v)
	if err != nil {
		return "", err
	}
	return text.String(), nil
}

func prepareReference(tb testing.TB, expression, states string) evaluation {
	r := newReference(tb)
	evaluate, err := r.compile(expression)
	if err != nil {
		tb.Fatal(err)
	}
	bindings, err := r.bind(states)
	if err != nil {
		tb.Fatal(err)
	}
	return evaluation{
		eval: func() (any, error) { return evaluate(bindings) },
		json: func(v any) (string, error) { return r.stringify(v.(goja.Value)) },
	}
}

func compileReference(tb testing.TB) func(string) error {
	r := newReference(tb)
	return func(expression string) error {
		_, err := r.jsonata(goja.Undefined(), r.vm.ToValue(expression))
		return err
	}
}

func textReference(tb testing.TB, expression string) func(string) (string, error) {
	r := newReference(tb)
	evaluate, err := r.compile(expression)
	if err != nil {
		tb.Fatal(err)
	}
	return func(states string) (string, error) {
		bindings, err := r.bind(states)
		if err != nil {
			return "", err
		}
		v, err := evaluate(bindings)
		if err != nil {
			return "", err
		}
		return r.stringify(v)
	}
}

// sameJSON compares documents without the order of keys.
func sameJSON(tb testing.TB, a, b string) bool {
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		tb.Fatalf("%s, %s: %v", a, b, err)
	}
	return reflect.DeepEqual(x, y)
}
