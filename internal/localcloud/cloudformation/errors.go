package cloudformation

import (
	"fmt"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Problem is one thing wrong with a template.
type Problem struct {
	Path    string // Resources.Table.Properties.KeySchema[0]
	Message string
}

// TemplateError is everything wrong with a template or its parameters.
type TemplateError struct{ Problems []Problem }

func (e *TemplateError) Error() string {
	var b strings.Builder
	b.WriteString("cloudformation: the template is not valid:")
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %s: %s", p.Path, p.Message)
	}
	return b.String()
}

// As lets the error be answered as AWS answers it.
func (e *TemplateError) As(target any) bool {
	t, ok := target.(**awsapi.Error)
	if !ok {
		return false
	}
	text := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		if text[i] = p.Message; p.Path != "" {
			text[i] = p.Path + ": " + p.Message
		}
	}
	*t = awsapi.Errorf("ValidationError", "Template format error: %s", strings.Join(text, "; "))
	return true
}

// DeployError is a resource that could not be created, updated or deleted.
type DeployError struct {
	Stack, LogicalID, Type string
	Action                 string // create, update, delete
	Err                    error
}

func (e *DeployError) Error() string {
	return fmt.Sprintf("cloudformation: stack %s: %s %s (%s): %v", e.Stack, e.Action, e.LogicalID, e.Type, e.Err)
}

func (e *DeployError) Unwrap() error { return e.Err }

// problems gathers problems.
type problems []Problem

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, Problem{path, fmt.Sprintf(format, args...)})
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &TemplateError{p}
}

// errNoStack is what AWS answers for a stack that is not there.
func errNoStack(name string) error {
	return awsapi.Errorf("ValidationError", "Stack with id %s does not exist", name)
}

func errToken() error { return awsapi.Errorf("ValidationError", "The NextToken is not valid") }
