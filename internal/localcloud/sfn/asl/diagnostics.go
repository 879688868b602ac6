package asl

import (
	"strconv"
	"strings"
)

// Diagnostic is one finding about a definition.
type Diagnostic struct {
	Severity string // ERROR or WARNING
	Code     string
	Message  string
	Location string // JSON pointer; "" if there is none
}

// Diagnostics are the findings about a definition.
type Diagnostics []Diagnostic

// Failed reports whether there is an error among them.
func (d Diagnostics) Failed() bool {
	for _, e := range d {
		if e.Severity == "ERROR" {
			return true
		}
	}
	return false
}

// Error lists the errors as CreateStateMachine's message does.
func (d Diagnostics) Error() string {
	var parts []string
	for _, e := range d {
		if e.Severity != "ERROR" {
			continue
		}
		s := e.Code + ": " + e.Message
		switch {
		case e.Code == invalidJSON: // says where in the message
		case e.Location == "":
			s += " at null"
		default:
			s += " at " + e.Location
		}
		parts = append(parts, s)
	}
	return "Invalid State Machine Definition: '" + strings.Join(parts, ", ") + "'"
}

// A definition has no more than maxDiagnostics findings, and their locations are
// no longer than maxLocation, so that what is said of a definition cannot
// outgrow it by far.
const maxDiagnostics, maxLocation = 1000, 4096

// below is the location of a part of what is at a location; or that one, where
// it would become too long.
func below(at, part string) string {
	if len(at)+len(part) >= maxLocation {
		return at
	}
	return at + "/" + part
}

// element is the location of an element.
func element(at string, i int) string {
	if len(at) >= maxLocation {
		return at
	}
	return at + "[" + strconv.Itoa(i) + "]"
}
