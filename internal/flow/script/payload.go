package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// task is what a state hands over. Which members there may be depends on Task.
type task struct {
	Task Task `json:"task"`

	Paths        []string `json:"paths,omitempty"`        // GET
	AllowPartial bool     `json:"allowPartial,omitempty"` // GET: what cannot be read is told, and no failure

	Parameters values   `json:"parameters,omitempty"` // SET: full path to value
	Objects    []object `json:"objects,omitempty"`    // ADD, DELETE
	Undoes     bool     `json:"undoes,omitempty"`     // it undoes: done also where the job was cancelled meanwhile

	Command   string `json:"command,omitempty"` // OPERATE: full path
	Arguments values `json:"arguments,omitempty"`
	EndsWith  string `json:"endsWith,omitempty"`

	Event       string `json:"event,omitempty"` // AWAIT: one of these three
	ValueChange string `json:"valueChange,omitempty"`
	Presence    string `json:"presence,omitempty"`
	Where       values `json:"where,omitempty"` // parameters that the event must have
	Value       *value `json:"value,omitempty"` // that the parameter must have come to
}

// object is a row to add to the table Path, or one to delete: the row of the table
// Path that has the keys, or the object Path.
type object struct {
	Path       string `json:"path"`
	Parameters values `json:"parameters,omitempty"` // ADD
	Keys       keys   `json:"keys,omitempty"`       // ADD: names of unique keys; DELETE: with their values
}

// keys are unique keys of a row: names, whose values are among its parameters, or
// names with values.
type keys struct {
	Names  []string
	Values values
}

func (k keys) none() bool { return len(k.Names) == 0 && len(k.Values) == 0 }

// IsZero is for omitzero.
func (k keys) IsZero() bool { return k.none() }

// UnmarshalJSON reads a list of names, or an object.
func (k *keys) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("[")) {
		return json.Unmarshal(b, &k.Names)
	}
	return json.Unmarshal(b, &k.Values)
}

// MarshalJSON writes what UnmarshalJSON reads.
func (k keys) MarshalJSON() ([]byte, error) {
	if len(k.Values) > 0 {
		return json.Marshal(k.Values)
	}
	return json.Marshal(k.Names)
}

// value is a value of USP, which is text. Numbers and booleans of JSON are taken as
// they are written.
type value string

// UnmarshalJSON reads text, a number or a boolean.
func (v *value) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err == nil && string(b) != "null" {
		*v = value(text)
		return nil
	}
	switch b[0] {
	case 't', 'f', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		*v = value(b)
		return nil
	}
	return fmt.Errorf("%s is neither text nor a number nor a boolean", b)
}

type values map[string]value

// names in order, so that nothing depends on the order of a map.
func (v values) names() []string { return slices.Sorted(maps.Keys(v)) }

func (v values) text() map[string]string {
	out := make(map[string]string, len(v))
	for name, value := range v {
		out[name] = string(value)
	}
	return out
}

// Results of tasks.
type (
	// Got is the result of GET.
	Got struct {
		Parameters map[string]string      `json:"parameters"`        // full path to value
		Missing    map[string]event.Fault `json:"missing,omitempty"` // path asked for, to why it cannot be read
	}
	// Written is the result of SET.
	Written struct {
		Parameters map[string]string `json:"parameters"`
	}
	// Objects is the result of ADD and DELETE, in the order of the task.
	Objects struct {
		Objects []Object `json:"objects"`
	}
	// Object is one of them.
	Object struct {
		Path    string `json:"path"`
		Existed bool   `json:"existed,omitempty"` // ADD: it was there before the first request
	}
	// Operated is the result of OPERATE.
	Operated struct {
		CommandKey string            `json:"commandKey"`
		Output     map[string]string `json:"output"`
		Boot       *Boot             `json:"boot,omitempty"` // with endsWith Boot!
	}
	// Boot is what a device says of a restart.
	Boot struct {
		Cause           string    `json:"cause,omitempty"`
		CommandKey      string    `json:"commandKey,omitempty"`
		FirmwareUpdated bool      `json:"firmwareUpdated"`
		At              time.Time `json:"at"`
	}
	// News is the result of AWAIT.
	News struct {
		Path       string            `json:"path,omitempty"`
		Parameters map[string]string `json:"parameters,omitempty"` // of an event
		Value      string            `json:"value,omitempty"`      // with valueChange
		At         time.Time         `json:"at"`
	}
)

// members are those that a task may have, beside task and context; needs those that it
// must.
var members = map[Task]struct{ may, needs []string }{
	Get:     {[]string{"paths", "allowPartial"}, []string{"paths"}},
	Set:     {[]string{"parameters", "undoes"}, []string{"parameters"}},
	Add:     {[]string{"objects", "undoes"}, []string{"objects"}},
	Delete:  {[]string{"objects", "undoes"}, []string{"objects"}},
	Operate: {[]string{"command", "arguments", "endsWith", "undoes"}, []string{"command"}},
	Await:   {[]string{"event", "valueChange", "presence", "where", "value"}, nil},
}

// readTask reads what a state handed over; a Failure names all that is wrong with it.
func readTask(raw json.RawMessage) (t task, failure *event.Failure) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return t, event.Failf(TaskInvalid, "%s", err)
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return t, event.Failf(TaskInvalid, "%s", err)
	}
	known, ok := members[t.Task]
	if !ok {
		return t, event.Failf(TaskInvalid, "task is %q; it is one of GET, SET, ADD, DELETE, OPERATE, AWAIT", t.Task)
	}
	bad := wrong{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if name != "task" && name != "context" && !slices.Contains(known.may, name) {
			bad.add("%s is no member of %s, which has %s", name, t.Task, strings.Join(known.may, ", "))
		}
	}
	for _, name := range known.needs {
		if _, there := given[name]; !there {
			bad.add("%s needs %s", t.Task, name)
		}
	}
	t.check(&bad)
	if len(bad.list) > 0 {
		return t, event.Failf(TaskInvalid, "%s", strings.Join(bad.list, "; "))
	}
	return t, nil
}

type wrong struct{ list []string }

func (w *wrong) add(format string, args ...any) {
	w.list = append(w.list, fmt.Sprintf(format, args...))
}

// path checks one path of the data model: of one of these kinds, and without wildcard
// or search where it must be of one thing.
func (w *wrong) path(what, path string, one bool, kinds ...string) {
	form, err := device.FormOfPath(path)
	switch {
	case err != nil || !slices.Contains(kinds, form.Kind):
		w.add("%s %q is not the path of %s", what, path, strings.Join(kinds, " or "))
	case one && !form.Concrete:
		w.add("%s %q must name one %s, without wildcard or search", what, path, form.Kind)
	}
}

// check looks at the members that there are.
func (t task) check(bad *wrong) {
	if t.Task == Get && len(t.Paths) == 0 || t.Task == Set && len(t.Parameters) == 0 ||
		(t.Task == Add || t.Task == Delete) && len(t.Objects) == 0 {
		bad.add("%s of nothing", t.Task)
	}
	for _, p := range t.Paths {
		bad.path("paths:", p, false, device.PathObject, device.PathParameter)
	}
	for _, p := range t.Parameters.names() {
		bad.path("parameters:", p, false, device.PathParameter)
	}
	for _, o := range t.Objects {
		t.checkObject(o, bad)
	}
	if t.Task == Operate && t.Command != "" {
		bad.path("command:", t.Command, true, device.PathCommand)
	}
	if e := t.EndsWith; e != "" && e != endsWithBoot && e != endsWithResponse {
		bad.add("endsWith %q is neither %s nor %s", e, endsWithBoot, endsWithResponse)
	}
	if t.Task == Await {
		t.checkAwait(bad)
	}
}

func (t task) checkObject(o object, bad *wrong) {
	switch {
	case t.Task == Add:
		bad.path("objects: path", o.Path, true, device.PathObject)
		if len(o.Keys.Values) > 0 {
			bad.add("objects: keys of %s are names of its parameters", o.Path)
		}
		for _, k := range o.Keys.Names {
			if _, there := o.Parameters[k]; !there {
				bad.add("objects: key %s of %s is not among its parameters", k, o.Path)
			}
		}
	case len(o.Keys.Names) > 0 || len(o.Parameters) > 0:
		bad.add("objects: %s is deleted by its path, or by keys with their values", o.Path)
	case o.Keys.none():
		bad.path("objects: path", o.Path, false, device.PathObject)
	default:
		bad.path("objects: path", o.Path, true, device.PathObject)
	}
}

func (t task) checkAwait(bad *wrong) {
	n := 0
	for _, s := range []string{t.Event, t.ValueChange, t.Presence} {
		if s != "" {
			n++
		}
	}
	if n != 1 {
		bad.add("AWAIT needs one of event, valueChange, presence")
	}
	if t.Event != "" {
		bad.path("event:", t.Event, true, device.PathEvent)
	}
	if t.ValueChange != "" {
		bad.path("valueChange:", t.ValueChange, true, device.PathParameter)
	}
	if t.Presence != "" && t.Presence != presenceConnected {
		bad.add("presence %q is not %s", t.Presence, presenceConnected)
	}
	if len(t.Where) > 0 && t.Event == "" {
		bad.add("where goes with event")
	}
	if t.Value != nil && t.ValueChange == "" {
		bad.add("value goes with valueChange")
	}
}

// keyValues are the unique keys of an object with their values.
func (o object) keyValues() values {
	with := values{}
	for _, name := range o.Keys.Names {
		with[name] = o.Parameters[name]
	}
	for _, name := range o.Keys.Values.names() {
		with[name] = o.Keys.Values[name]
	}
	return with
}

// search is the path of the rows of an object's table that have its keys; "" if it has
// none.
func (o object) search() string {
	with := o.keyValues()
	if len(with) == 0 {
		return ""
	}
	return device.SearchRow(o.Path, with.text())
}

// settings are the parameters to write.
func (o object) settings() device.Object {
	out := device.Object{Path: o.Path}
	for _, name := range o.Parameters.names() {
		out.Settings = append(out.Settings, device.Setting{Param: name, Value: string(o.Parameters[name]),
			Required: true})
	}
	return out
}
