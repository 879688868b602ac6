// Package intrinsic has the intrinsic functions of the Amazon States Language, such as
// States.Format('Hello {}', $.name).
//
// A call is parsed once (Parse) and evaluated with an Env, which resolves paths
// and gives randomness. Values are those of package document. Arguments are
// literals ('text' with \' \{ \} \\, numbers, true, false, null), paths and
// calls, nested at most ten deep.
//
// An evaluation fails with a *MissingError, or with an *Error; Step Functions reports both as
// States.Runtime. The functions do what they do in Java, on the
// classes that values of JSON have there (java.go). A Call is safe for concurrent use.
package intrinsic
