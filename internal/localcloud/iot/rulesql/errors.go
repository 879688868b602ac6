package rulesql

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrLimit is wrapped by evaluation errors that a limit of AWS caused.
var ErrLimit = errors.New("rulesql: limit exceeded")

// SyntaxError says where a statement or template is wrong.
type SyntaxError struct {
	Line, Column int    // from 1, in characters
	Source       string // the line
	Message      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at line %d, column %d\n  %s\n  %s^", e.Message, e.Line, e.Column, e.Source,
		strings.Repeat(" ", e.Column-1))
}

// syntax makes a SyntaxError for an offset in the source.
func syntax(source string, offset int, format string, args ...any) *SyntaxError {
	offset = min(offset, len(source))
	start := strings.LastIndexByte(source[:offset], '\n') + 1
	line := source[start:]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return &SyntaxError{
		Line:    1 + strings.Count(source[:offset], "\n"),
		Column:  1 + utf8.RuneCountInString(source[start:offset]),
		Source:  strings.ReplaceAll(strings.TrimRight(line, "\r"), "\t", " "),
		Message: fmt.Sprintf(format, args...),
	}
}

// isUnicode refuses a source that is not UTF-8: what it would make is not JSON.
func isUnicode(source string) error {
	for i, r := range source {
		if r != utf8.RuneError {
			continue
		}
		if _, n := utf8.DecodeRuneInString(source[i:]); n == 1 {
			return syntax(source, i, "not UTF-8")
		}
	}
	return nil
}
