// Package expr is DynamoDB's data types and its expression language: condition,
// filter, key condition, projection and update expressions. It does no I/O.
//
// Values are Value, read and written as DynamoDB JSON ({"S":"text"}). Numbers
// have up to 38 significant digits and magnitudes from 1E-130 to
// 9.99...E+125; they are kept in a canonical spelling.
//
// An expression is parsed together with its ExpressionAttributeNames and
// ExpressionAttributeValues. A name or value that no expression of a request uses is an error;
// Names.Unused finds them. Errors are *Error and have the text of AWS's ValidationException.
//
// Stages: lex.go, parse.go (trees), eval.go (conditions), update.go (actions).
//
// Source: DynamoDB developer guide, "Using expressions", "Supported data types
// and naming rules", "Comparison operator and function reference".
package expr
