// Package document holds JSON as Step Functions handles it: members keep their
// order and numbers their spelling, and a value is never changed in place, so
// that states, events and branches may share it.
//
// A value is nil, a bool, a string, a json.Number, a []any or an *Object. Parse
// reads text, Text and Append write it (compact, without escaping HTML). Nesting
// is limited to MaxDepth. Everything here is safe for concurrent reading.
package document
