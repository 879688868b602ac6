// Package jsonata evaluates JSONata 2.0.6, the query and transformation language of Step
// Functions.
//
// # Use
//
// Compile turns the text of an expression, without the {% %} that a state
// machine puts around it, into an Expression; Eval runs it against an input
// with variables bound. Text is read by the lexer (lex.go) and the parser
// (parse.go); the planner (plan.go) joins steps into paths and resolves
// whatever does not depend on the input; the evaluator (eval.go, path.go,
// call.go) runs the planned tree.
//
// # Values
//
// JSON documents are nil, bool, float64, string, []any and *Object, which
// keeps its keys in order. Numbers are doubles, as in JavaScript. Undefined is
// the result of a selection that finds nothing. DecodeJSON and EncodeJSON are
// exact: order of keys, JavaScript's way to write numbers, halves of surrogate
// pairs. A result may hold functions, which EncodeJSON refuses.
//
// # Limits
//
// Limits bound depth, work and memory of one evaluation. They count and use no clock, so that
// an evaluation ends the same way on every machine. An evaluation beyond a limit fails with
// U1001, and none can exhaust the process. For this reason there is an own engine for regular
// expressions. The limits of Step Functions are expressionLimits in package asl
// (expression.go).
//
// # Profiles
//
// Compile is given the library of functions; StepFunctions returns AWS's. Clock, randomness
// and UUIDs come from the Runtime of the evaluation. Without one, the functions that need them
// fail.
//
// # Errors
//
// Compile and Eval return *Error, with the code of the language's catalogue
// (S for syntax, T for types, D for dynamic errors) and its message.
//
// # Differences
//
// Keys of objects keep the order of insertion; JavaScript moves those that
// look like integers to the front. Functions called through a partial
// application check their arguments. Where the reference implementation
// yields NaN ($toMillis of no date, $parseInteger of no number) the result is
// an error. Time zones west of Greenwich with minutes are read as written.
//
// # Concurrency
//
// An Expression and the documents given to it may be used by any number of
// evaluations at once.
//
// Source: docs.jsonata.org; the test suite of version 2.0.6; the AWS Step
// Functions developer guide, "Transforming data with JSONata".
package jsonata
