package asl

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

func parseDefinition(definition string) (any, Diagnostics) {
	if strings.TrimSpace(definition) == "" {
		return nil, Diagnostics{{"ERROR", schemaFailed, "Definition must be a valid JSON object", ""}}
	}
	v, err := document.ParseString(definition)
	if err == nil {
		return v, nil
	}
	return nil, Diagnostics{jsonDiagnostic(definition, err)}
}

// JSONProblem words the error of a text that is not JSON as AWS's parser does.
func JSONProblem(text string, err error) string {
	message, _ := jsonProblem(text, err)
	return message
}

// jsonProblem also says where parsing has stopped.
func jsonProblem(text string, err error) (message string, offset int) {
	var e *document.SyntaxError
	if errors.As(err, &e) {
		offset = min(e.Offset, len(text))
	} else {
		e = &document.SyntaxError{}
	}
	if offset >= len(text) {
		return jsonEnd(text), offset
	}
	at, size := utf8.DecodeRuneInString(text[offset:])
	unexpected := fmt.Sprintf("Unexpected character ('%c' (code %d))", at, at)
	const values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	token := word.FindString(text[offset:])
	switch e.Message {
	case "expected a member name":
		return unexpected + ": was expecting double-quote to start field name", offset + size
	case "expected ':'":
		return unexpected + ": was expecting a colon to separate field name and value", offset + size
	case "expected ',' or '}'":
		return unexpected + ": was expecting comma to separate Object entries", offset + size
	case "expected ',' or ']'":
		return unexpected + ": was expecting comma to separate Array entries", offset + size
	case "control character in a string":
		return fmt.Sprintf("Illegal unquoted character ((CTRL-CHAR, code %d)): has to be escaped using backslash "+
			"to be included in string value", at), offset + size
	case "bad escape":
		return fmt.Sprintf("Unrecognized character escape '%c' (code %d)", at, at), offset + size
	case "nested too deep":
		return fmt.Sprintf("Document nesting depth (%d) exceeds the maximum allowed (%d, from "+
			"`StreamReadConstraints.getMaxNestingDepth()`)", document.MaxDepth+1, document.MaxDepth), offset
	}
	if token != "" && e.Message != "expected a digit" {
		return fmt.Sprintf("Unrecognized token '%s': was expecting %s", token, values), offset + len(token)
	}
	return unexpected + ": expected a valid value " + values, offset
}

// jsonEnd words the error of a text that ends too early.
func jsonEnd(text string) string {
	type open struct {
		kind byte
		at   int
	}
	var stack []open
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{', '[':
			stack = append(stack, open{c, i})
		case '}', ']':
			stack = stack[:max(0, len(stack)-1)]
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) {
				return "Unexpected end-of-input: was expecting closing quote for a string value"
			}
		}
	}
	if len(stack) == 0 {
		return "No content to map due to end-of-input"
	}
	last := stack[len(stack)-1]
	kind := "Object"
	if last.kind == '[' {
		kind = "Array"
	}
	return fmt.Sprintf("Unexpected end-of-input: expected close marker for %s (start marker at %s)", kind,
		jsonSource(text, last.at))
}

// jsonSource shows a place of a text as AWS's parser does.
func jsonSource(text string, offset int) string {
	line := 1 + strings.Count(text[:offset], "\n")
	column := offset - strings.LastIndex(text[:offset], "\n")
	source := text
	if len(source) > 500 {
		source = source[:500] + fmt.Sprintf("\"[truncated %d chars]", len(text)-500)
	}
	return fmt.Sprintf("[Source: (String)\"%s\"; line: %d, column: %d]", source, line, column)
}

func jsonDiagnostic(text string, err error) Diagnostic {
	message, offset := jsonProblem(text, err)
	at := jsonSource(text, offset)
	return Diagnostic{"ERROR", invalidJSON, message + "\n at " + at, at}
}
