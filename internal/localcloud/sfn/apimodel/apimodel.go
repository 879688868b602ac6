// Package apimodel has the shapes of the outputs of AWS operations, so that TestState can
// check mocked results as AWS does.
//
// Check takes a value of package document with members as the integration spells
// them. It returns what is wrong with it in AWS's words, "" if nothing. An
// unknown operation is not checked. Lengths are in characters, those of blobs in bytes of
// their text.
//
// Action and Prefix have the names of all services that Step Functions can call as SDK
// integrations, and of their operations. Required has the required members of an operation's
// input, Unknown finds those that it does not have.
//
// The shapes are read from outputs.json.gz at the first check, the names from
// actions.json.gz, the required members from required.json.gz, all members of a service
// from inputs.zip when it is first asked for; generate.py writes these files from the AWS
// API models of August 2026 (required.json.gz, inputs.zip: November 2026, botocore 1.44.8).
// Safe for concurrent use.
package apimodel

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

//go:generate python3 generate.py

//go:embed outputs.json.gz
var packed []byte

type shape struct {
	Type     string            `json:"type"`
	Required []string          `json:"required"`
	Enum     []string          `json:"enum"`
	Min      *float64          `json:"min"`
	Max      *float64          `json:"max"`
	Members  map[string]string `json:"members"`
	Element  string            `json:"element"`
}

type service struct {
	Operations map[string]string `json:"operations"`
	Shapes     map[string]*shape `json:"shapes"`
}

var services = sync.OnceValue(func() map[string]*service {
	out := map[string]*service{}
	unpack(packed, &out)
	return out
})

//go:embed actions.json.gz
var packedNames []byte

type names struct {
	Prefix  string   `json:"prefix"`
	Actions []string `json:"actions"` // sorted
}

var serviceNames = sync.OnceValue(func() map[string]names {
	out := map[string]names{}
	unpack(packedNames, &out)
	// The developer guide's list of services does not have it.
	delete(out, "iotdataplane")
	return out
})

func unpack(packed []byte, into any) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	var b []byte
	if err == nil {
		b, err = io.ReadAll(r)
	}
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		panic("apimodel: the embedded models are broken: " + err.Error())
	}
}

// Action reports whether there is an action, in the spelling of resource ARNs:
// dynamodb, getItem.
func Action(service, action string) bool {
	if action == "" || upperFirst(action) == action {
		return false
	}
	_, found := slices.BinarySearch(serviceNames()[service].Actions, upperFirst(action))
	return found
}

// Prefix is what the names of a service's errors begin with: DynamoDb; "" for a
// service that is not known.
func Prefix(service string) string { return serviceNames()[service].Prefix }

// A Spelling is how an integration spells the members of an API's model.
type Spelling func(member string) string

// Optimized is the spelling of optimized integrations.
func Optimized(member string) string { return upperFirst(member) }

// SDK is the spelling of SDK integrations with a service.
func SDK(service string) Spelling {
	return func(member string) string {
		if service == "dynamodb" && member == "NULL" {
			return "Nul" // no member can be called null in Java
		}
		return java.Member(member)
	}
}

// Check compares a result with the output of an operation. Strict says that
// required members must be there. Members that the model does not know are let
// through, as are those named in skip.
func Check(serviceID, operation string, v any, as Spelling, strict bool, skip ...string) string {
	s := services()[serviceID]
	if s == nil {
		return ""
	}
	name, ok := s.Operations[operation]
	if !ok {
		return ""
	}
	return s.check(name, "", v, as, strict, skip)
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func (s *service) check(name, field string, v any, as Spelling, strict bool, skip []string) string {
	sh := s.Shapes[name]
	if sh == nil || v == nil {
		return ""
	}
	must := func(what string) string { return fmt.Sprintf("Field '%s' must be %s", field, what) }
	switch sh.Type {
	case "structure":
		o, ok := v.(*document.Object)
		if !ok {
			return must("an object")
		}
		if strict {
			for _, r := range sh.Required {
				if _, ok := o.Get(as(r)); !ok {
					return fmt.Sprintf("Required field '%s' is missing", as(r))
				}
			}
		}
		names := make([]string, 0, len(sh.Members))
		for m := range sh.Members {
			names = append(names, m)
		}
		slices.Sort(names)
		for _, m := range names {
			member := as(m)
			if w, ok := o.Get(member); ok && !slices.Contains(skip, member) {
				if problem := s.check(sh.Members[m], member, w, as, strict, nil); problem != "" {
					return problem
				}
			}
		}
	case "list":
		a, ok := v.([]any)
		if !ok {
			return must("an array")
		}
		for _, e := range a {
			if problem := s.check(sh.Element, field, e, as, strict, nil); problem != "" {
				return problem
			}
		}
	case "map":
		o, ok := v.(*document.Object)
		if !ok {
			return must("an object")
		}
		for _, m := range o.Members() {
			if problem := s.check(sh.Element, m.Name, m.Value, as, strict, nil); problem != "" {
				return problem
			}
		}
	case "string", "blob", "timestamp":
		text, ok := v.(string)
		if !ok {
			return must("a string")
		}
		if sh.Enum != nil && !slices.Contains(sh.Enum, text) {
			return fmt.Sprintf("Field '%s' is not an expected value", field)
		}
		return sh.bounds(field, float64(utf8.RuneCountInString(text)), "is smaller than the minimum length",
			"exceeds the maximum length")
	case "boolean":
		if _, ok := v.(bool); !ok {
			return must("a boolean")
		}
	case "integer", "long", "float", "double":
		f, ok := document.Number(v)
		if !ok {
			return must("a number")
		}
		return sh.bounds(field, f, "is less than the minimum value", "exceeds the maximum value")
	}
	return ""
}

func (sh *shape) bounds(field string, n float64, low, high string) string {
	switch {
	case sh.Min != nil && n < *sh.Min:
		return fmt.Sprintf("Field '%s' %s", field, low)
	case sh.Max != nil && n > *sh.Max:
		return fmt.Sprintf("Field '%s' %s", field, high)
	}
	return ""
}
