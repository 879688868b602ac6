package metricmath

import "fmt"

// Error is a fault in an expression.
type Error struct {
	Offset  int // bytes from the beginning of the source
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("Error in expression at position %d: %s", e.Offset, e.Message)
}

func fault(offset int, format string, args ...any) *Error {
	return &Error{offset, fmt.Sprintf(format, args...)}
}
