// Package rulesql is the SQL of AWS IoT topic rules: statements and
// substitution templates. It is pure: a message, the clock, random numbers and
// other services come in with the Input and the External of an evaluation.
//
// Source to result goes in stages, one file each: lex.go, parse.go (to the tree of
// ast.go), check.go (names, versions, limits; functions and regular
// expressions are resolved once), eval.go with functions.go. A Statement is
// compiled once and may be evaluated many times at once.
//
// The language is forgiving where AWS's is: a wrong type gives Undefined, which
// spreads through operators and is dropped from objects. Only external
// functions and limits make an evaluation fail. Numbers are Int (up to 34
// digits) and Decimal (34 digits); trigonometry, powers and logarithms go
// through float64.
//
// Two things that AWS leaves undocumented are refused rather than guessed: a
// SELECT item that is neither a path, a variable nor an object literal needs AS, and "*"
// cannot be combined with other items over a payload that is not JSON.
package rulesql
