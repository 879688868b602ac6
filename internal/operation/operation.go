// Package operation reads operations that are only ASL. An operation is two files:
// <name>.asl.json, its state machine, whose tasks are those of the function usp-task and which
// ends by the function finalize; and <name>.schema.json, a JSON Schema of its input.
//
//	operation.go  the two files; an operation's form in create-job's payload
//	schema.go     checks an input against its schema, all mistakes at once
//	machine.go    the states, and which follows which
//	check.go      the rules for a state machine, beside those of the States Language
//	longest.go    how long an execution may take
//	picture.go    the states as text and as SVG
//
// It does no I/O except on the given fs.FS. What a task sends to a device is in flow/script.
// Mistakes are event.Problems, whose paths are places in the file or in the payload.
package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/payload"
)

// Endings of the names of the two files.
const (
	MachineFile = ".asl.json"
	SchemaFile  = ".schema.json"
)

// Folder is where create-job finds the files of operations that it does not know by
// itself: beside its program.
const Folder = "operations"

// Operation is one that is only ASL.
type Operation struct {
	Name    event.Operation
	Machine []byte // <name>.asl.json
	Schema  []byte // <name>.schema.json

	schema *schema
	states machine
}

// nameForm: the name is part of names of a state machine, a log group and alarms, beside
// the stack's.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`)

const nameAllowed = "a name of 2 to 32 of a-z 0-9 -, which begins with a letter and does not end with -"

// CheckName says whether an operation may have a name. If not, and something of it may be one that is not taken, the
// error proposes that.
func CheckName(name string, taken func(name string) bool) error {
	if nameForm.MatchString(name) {
		if taken(name) {
			return Taken(name)
		}
		return nil
	}
	proposed := regexp.MustCompile(`[^a-z0-9-]+`).ReplaceAllString(strings.ToLower(name), "-")
	proposed = strings.TrimLeft(proposed, "-0123456789")
	proposed = strings.TrimRight(proposed[:min(len(proposed), 32)], "-")
	if !nameForm.MatchString(proposed) || taken(proposed) {
		return fmt.Errorf("%q: a workflow has %s", name, nameAllowed)
	}
	return fmt.Errorf("%q: a workflow has %s: %s, for example", name, nameAllowed, proposed)
}

// New reads an operation. All mistakes of both files are told at once; their paths begin
// with the file's name.
func New(name string, machineDocument, schemaDocument []byte) (Operation, event.Problems) {
	o := Operation{Name: event.Operation(name), Machine: machineDocument, Schema: schemaDocument}
	var all event.Problems
	if !nameForm.MatchString(name) {
		all = append(all, event.Problem{Path: name, Value: name, Allowed: nameAllowed})
	}
	in := func(file string, problems event.Problems) {
		for _, p := range problems {
			p.Path = name + file + ": " + p.Path
			all = append(all, p)
		}
	}
	var problems event.Problems
	o.schema, problems = newSchema(schemaDocument)
	in(SchemaFile, problems)
	o.states, problems = newMachine(machineDocument)
	if len(o.states.States) > 0 {
		problems = append(problems, check(o.states, o.schema)...)
	}
	in(MachineFile, problems)
	return o, all
}

// LoadOwn reads the operations of a user's own folder. None may have a name that the stack has taken.
func LoadOwn(folder string, taken func(name string) bool) ([]Operation, error) {
	all, err := Load(os.DirFS(folder))
	for _, o := range all {
		if err == nil && taken(string(o.Name)) {
			err = Taken(string(o.Name))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("operations in %s: %w", folder, err)
	}
	return all, nil
}

// Taken is the error of an operation with the name of a workflow that comes with the stack.
func Taken(name string) error {
	return fmt.Errorf("the stack has a workflow %s already: choose another name", name)
}

// Load reads the operations of a folder, by name: each file <name>.asl.json that has a
// <name>.schema.json beside it. One file without the other is a mistake, unless it is
// the state machine of an operation with Go of its own, which others names.
func Load(files fs.FS, others ...event.Operation) ([]Operation, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("operations: %w", err)
	}
	has := map[string]bool{}
	var names []string
	for _, e := range entries {
		has[e.Name()] = true
		for _, ending := range []string{MachineFile, SchemaFile} {
			if name, ok := strings.CutSuffix(e.Name(), ending); ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var all []Operation
	var problems event.Problems
	for _, name := range names {
		if slices.Contains(others, event.Operation(name)) {
			continue
		}
		if !has[name+MachineFile] || !has[name+SchemaFile] {
			problems = append(problems, event.Problem{
				Path: name, Allowed: "both files, " + name + MachineFile + " and " + name + SchemaFile,
			})
			continue
		}
		m, err1 := fs.ReadFile(files, name+MachineFile)
		s, err2 := fs.ReadFile(files, name+SchemaFile)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("operation %s: %w", name, err)
		}
		o, mistakes := New(name, m, s)
		problems = append(problems, mistakes...)
		all = append(all, o)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return all, nil
}

// Warnings are what is no mistake, but makes devices fail without any fault of theirs. Their paths are as
// those of mistakes.
func (o Operation) Warnings() event.Problems {
	all := warn(o.states)
	for i := range all {
		all[i].Path = string(o.Name) + MachineFile + ": " + all[i].Path
	}
	return all
}

// Form is how a payload of create-job asks for the operation.
func (o Operation) Form() event.Form {
	return event.Form{
		Operation: o.Name, One: "an execution", Beside: " and all retries",
		Read: func(at string, members map[string]any) (event.Input, event.Problems) {
			input, problems := o.schema.read(at, members)
			if problems != nil {
				return event.Input{}, problems
			}
			b, err := json.Marshal(input)
			if err != nil {
				return event.Input{}, event.Problems{{Path: at, Allowed: err.Error()}}
			}
			return event.Input{
				At: at, Members: map[string]json.RawMessage{"input": b}, Title: "Operation " + string(o.Name),
				Prefix: string(o.Name),
			}, nil
		},
		Complete: func(_ context.Context, in event.Input) (event.Input, event.Problems, error) { return in, nil, nil },
		Needs:    o.Needs,
	}
}

// Needs is how long an execution for a job document may take at the longest.
func (o Operation) Needs(document json.RawMessage) (time.Duration, error) {
	tree, problems := payload.Decode(document)
	if problems != nil {
		return 0, problems
	}
	longest, problems := o.states.longest(map[string]any{"document": tree})
	if problems != nil {
		return 0, fmt.Errorf("operation %s: %w", o.Name, problems)
	}
	return longest, nil
}
