package expr

import "fmt"

// Error is what DynamoDB answers with a ValidationException.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// AWSCode is the code under which AWS answers the error.
func (e *Error) AWSCode() string { return "ValidationException" }

func errorf(format string, args ...any) *Error { return &Error{fmt.Sprintf(format, args...)} }
