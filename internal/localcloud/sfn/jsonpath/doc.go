// Package jsonpath is JSONPath as Step Functions understands it (the Jayway
// dialect): paths into a state's input ($), into the context object ($$) and
// into variables ($name).
//
// A path is parsed once (Parse) and then evaluated on values of package
// document. A definite path, which can name only one value, yields that value or
// a *NotFoundError; any other yields an array, empty if nothing is found.
// Reference paths can also be written to (Put).
//
// Steps: .name ['name'] ['a','b'] [0] [-1] [0,2] [1:5:2] [*] .* ..name and
// filters [?(@.price < 10 && @.name =~ /x.*/i)], with the functions length(),
// size(), min(), max(), avg(), sum(), stddev(), keys(), first(), last() at the
// end.
//
// In quotes a backslash stands before what it does in JSON strings, or before a
// character that is meant as such; in a name behind a dot, before the latter
// only ($.foo\.bar; States Language, "Reference Paths").
//
// A Path is safe for concurrent use.
package jsonpath
