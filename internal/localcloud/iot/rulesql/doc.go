// Package rulesql is the SQL of AWS IoT topic rules: statements and substitution templates. It
// does no I/O: the message, the clock, random numbers and other services come with the Input
// and the External of an evaluation.
//
// There is one file per stage: lex.go, parse.go (to the tree of ast.go), check.go (names,
// versions, limits; functions and regular expressions are resolved once), and eval.go with
// functions.go. A Statement is compiled once and may be evaluated many times at once.
//
// The language tolerates what AWS's does: a wrong type gives Undefined, which spreads through
// operators and is dropped from objects. Only external functions and limits make an evaluation
// fail. Numbers are Int (up to 34 digits) and Decimal (34 digits). Trigonometry, powers and
// logarithms use float64.
//
// Two statements that AWS does not document are refused: a SELECT item that is neither a path,
// a variable nor an object literal needs AS, and "*" cannot be combined with other items over
// a payload that is not JSON.
package rulesql
