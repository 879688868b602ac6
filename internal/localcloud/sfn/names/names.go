// Package names has the names and ARNs of Step Functions: which names are allowed, what an ARN
// refers to, and how it is built. It does no I/O.
//
//	arn:aws:states:REGION:ACCOUNT:stateMachine:NAME[:VERSION or ALIAS]
//	arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME
//	arn:aws:states:REGION:ACCOUNT:express:MACHINE:NAME:...          of an Express state machine
//	arn:aws:states:REGION:ACCOUNT:execution:MACHINE/LABEL:NAME      a child of a Map Run, also with express
//	arn:aws:states:REGION:ACCOUNT:mapRun:MACHINE/LABEL:ID
//	arn:aws:states:REGION:ACCOUNT:activity:NAME
//
// An execution's name is NAME here, LABEL/NAME for a child of a Map Run, so that both have one key. Region and account
// of an ARN are not compared with the service's own.
//
// Errors are *Error. Source: Step Functions API reference, CreateStateMachine and StartExecution ("name"), developer
// guide, "Step Functions resource ARNs" in "Creating granular permissions".
package names

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The types of resources, as ARNs spell them.
const (
	StateMachine = "stateMachine"
	Execution    = "execution"
	Express      = "express"
	MapRun       = "mapRun"
	Activity     = "activity"
)

// Error is an ARN that cannot be used, in the words that AWS puts into an InvalidArn error.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }

// WrongPrefix is the error of a text that is no ARN of Step Functions.
func WrongPrefix(arn string) error { return &Error{"Invalid ARN prefix: " + arn} }

// WrongType is the error of an ARN of another type than the operation takes.
func WrongType(kind string) error { return &Error{"Resource type not valid in this context: " + kind} }

// Valid reports whether a name is one for a state machine, an execution or an activity.
func Valid(name string) bool {
	if name == "" || utf8.RuneCountInString(name) > 80 {
		return false
	}
	for _, r := range name {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), strings.ContainsRune("?*<>{}[]\"#%\\^|~`$&,;:/", r),
			r >= 0x7f && r <= 0x9f, r == 0xfffe, r == 0xffff, r == 0x10ffff, r == utf8.RuneError:
			return false
		}
	}
	return true
}

// Split takes an ARN of Step Functions apart into its type and the rest.
func Split(arn string) (kind, rest string, err error) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) < 7 || parts[0] != "arn" || parts[2] != "states" {
		return "", "", WrongPrefix(arn)
	}
	return parts[5], parts[6], nil
}

// of is the rest of an ARN that must have a type.
func of(kind, arn string) (string, error) {
	got, rest, err := Split(arn)
	if err == nil && got != kind {
		err = WrongType(got)
	}
	if err != nil {
		return "", err
	}
	return rest, nil
}

// MachineOf returns the state machine that an ARN names, and its qualifier (version or alias), "" if there is none.
// The name has a slash in the ARN of a Map state.
func MachineOf(arn string) (name, qualifier string, err error) {
	rest, err := of(StateMachine, arn)
	name, qualifier, _ = strings.Cut(rest, ":")
	return name, qualifier, err
}

// ExecutionOf returns the execution that an ARN names: one of a Standard state machine, or a child of a Map Run.
func ExecutionOf(arn string) (machine, name string, err error) {
	kind, rest, err := Split(arn)
	if err != nil {
		return "", "", err
	}
	machine, name, ok := strings.Cut(rest, ":")
	machine, label, isChild := strings.Cut(machine, "/")
	if !ok || kind != Execution && !(kind == Express && isChild) {
		return "", "", WrongType(kind)
	}
	if isChild {
		name = label + "/" + name
	}
	return machine, name, nil
}

// StandardOf is ExecutionOf for what Express executions do not have: a history, and a way to stop or redrive them.
func StandardOf(arn string) (machine, name string, err error) {
	kind, _, err := Split(arn)
	if err == nil && kind == Express {
		err = WrongType(kind)
	}
	if err != nil {
		return "", "", err
	}
	return ExecutionOf(arn)
}

// ActivityOf returns the activity that an ARN names.
func ActivityOf(arn string) (string, error) { return of(Activity, arn) }

// CheckMapRun returns nil for the ARN of a Map Run.
func CheckMapRun(arn string) error {
	_, err := of(MapRun, arn)
	return err
}

// LabelOf is the label in a Map Run's ARN.
func LabelOf(arn string) string {
	arn = arn[:max(0, strings.LastIndexByte(arn, ':'))]
	return arn[strings.LastIndexByte(arn, '/')+1:]
}

// Account makes the ARNs of an account in a region.
type Account struct{ Region, ID string }

// ARN makes an ARN of a type and the rest.
func (a Account) ARN(kind, rest string) string {
	return "arn:aws:states:" + a.Region + ":" + a.ID + ":" + kind + ":" + rest
}

// Execution makes the ARN of an execution that has a history.
func (a Account) Execution(machine, name string) string {
	if label, own, isChild := strings.Cut(name, "/"); isChild {
		return a.ARN(Execution, machine+"/"+label+":"+own)
	}
	return a.ARN(Execution, machine+":"+name)
}
