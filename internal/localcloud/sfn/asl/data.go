package asl

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// Data is a JSON value as text, as a value, or both: each is made from the other
// when first asked for.
type Data struct {
	text     string
	value    any
	hasText  bool
	hasValue bool
}

// TextData is data from text that is known to be JSON.
func TextData(text string) *Data { return &Data{text: text, hasText: true} }

// ValueData is data from a value of package document.
func ValueData(v any) *Data { return &Data{value: v, hasValue: true} }

// ParseData checks that text is JSON.
func ParseData(text string) (*Data, error) {
	v, err := document.ParseString(text)
	if err != nil {
		return nil, err
	}
	return &Data{text: text, value: v, hasText: true, hasValue: true}, nil
}

// Text is the value as JSON.
func (d *Data) Text() string {
	if !d.hasText {
		d.text, d.hasText = document.Text(d.value), true
	}
	return d.text
}

// Value is the value.
func (d *Data) Value() any {
	if !d.hasValue {
		d.value, _ = document.ParseString(d.text)
		d.hasValue = true
	}
	return d.value
}

// MarshalJSON implements json.Marshaler.
func (d *Data) MarshalJSON() ([]byte, error) { return []byte(d.Text()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Data) UnmarshalJSON(b []byte) error {
	*d = Data{text: string(b), hasText: true}
	return nil
}

// cleared returns the data without its parsed form, which takes more memory.
func (d *Data) cleared() *Data { return TextData(d.Text()) }
