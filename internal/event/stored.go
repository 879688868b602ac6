package event

import "fmt"

// FormError is what was stored in a form that this program does not know: a later
// version of it wrote that. It is left as it is, for one that knows it, and what asks
// for it comes again.
type FormError struct {
	What        string // "memory of step DOWNLOAD"
	Form, Known int
}

func (e *FormError) Error() string {
	return fmt.Sprintf("%s is of form %d, and this program reads up to form %d: a later version has written it",
		e.What, e.Form, e.Known)
}

// CheckForm is a FormError unless a form is one of those up to known. Form 0 is what was
// written before forms had numbers.
func CheckForm(what string, form, known int) error {
	if form < 0 || form > known {
		return &FormError{What: what, Form: form, Known: known}
	}
	return nil
}
