package device

import (
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Codes of faults that say more than no; the others differ by vendor.
const (
	CodeCommandFailure = int(usp.CommandFailure)    // it tried, and could not
	CodeBusy           = int(usp.ResourcesExceeded) // of a command: another is under way, perhaps its own copy
	// of an Operate: no; or its table of commands is blocked (11l)
	CodeDenied             = int(usp.RequestDenied)
	CodeDuplicate          = int(usp.DuplicateUniqueKey) // of an object to add: it is there
	CodeObjectDoesNotExist = int(usp.ObjectDoesNotExist)
	// of a command: its arguments are not taken
	CodeBadArguments, CodeInvalidArguments = int(usp.InvalidCommandArgs), int(usp.InvalidArguments)
)

// Row is one object of a table, with its parameters by their names.
type Row struct {
	Path   string
	Params map[string]string
}

// Rows are the objects of a table that an answer to a Get holds.
func Rows(a *event.Answer, table string) []Row {
	var rows []Row
	for _, r := range (usp.Values{Params: a.Params, Objects: a.Objects}).Rows(table) {
		rows = append(rows, Row{Path: r.Path, Params: r.Params})
	}
	return rows
}

// ObjectOf is the object that a parameter refers to, with the trailing dot.
func ObjectOf(reference string) string { return usp.ObjectOf(reference) }

// Requests is the table of commands that an agent works on, to be asked for by Get.
const Requests = usp.Requests

// Running is a command that an agent works on.
type Running struct{ Command, Key string }

// RunningIn lists them, from an answer to a Get of Requests.
func RunningIn(a *event.Answer) []Running {
	var running []Running
	for _, row := range Rows(a, usp.Requests) {
		switch row.Params["Status"] {
		case "Canceled", "Success", "Error":
			continue // over, and about to vanish
		}
		running = append(running, Running{row.Params["Command"], row.Params["CommandKey"]})
	}
	return running
}

// Taken sums up the answer to an Operate: accepted, or the worst fault of all its
// results. No result at all is a fault too: nothing matched the path.
func Taken(a *event.Answer) (accepted bool, f event.Fault) {
	if a.Fault != nil {
		return false, *a.Fault
	}
	for _, r := range a.Results {
		if r.Fault == nil {
			return true, event.Fault{}
		}
		f = *r.Fault
	}
	if f.Code == 0 {
		f = event.Fault{Code: CodeObjectDoesNotExist, Text: "the command matched nothing on the device"}
	}
	return false, f
}

// Failed finds a fault of an Add, Set or Delete, with the path that it is of. Of the
// faults of an Error message those of its parts say more than that of the whole.
func Failed(a *event.Answer) *event.Fault {
	for _, r := range a.Results {
		if r.Fault != nil {
			return &event.Fault{Code: r.Fault.Code, Text: r.Path + ": " + r.Fault.Text}
		}
	}
	return a.Fault
}

// Written finds a fault of an Add or Set that is not "already there". An Error
// message for the whole carries the parts in its results.
func Written(a *event.Answer) *event.Fault {
	for _, r := range a.Results {
		if r.Fault != nil && r.Fault.Code != CodeDuplicate {
			return r.Fault
		}
	}
	if a.Fault != nil && len(a.Results) == 0 && a.Fault.Code != CodeDuplicate {
		return a.Fault
	}
	return nil
}
