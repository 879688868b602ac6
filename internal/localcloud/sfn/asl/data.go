package asl

import (
	"encoding/json"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonata"
)

// Data is a JSON value in up to three forms: text, a value of package document,
// and one of package jsonata, which knows numbers as doubles only. Each is made
// from another when first asked for.
type Data struct {
	text       string
	value      any
	native     jsonata.Value
	hasText    bool
	hasValue   bool
	hasJSONata bool
	large      bool // it may have any size
	oversized  bool // it is larger than any text may be, and is not kept
}

// maxText is how long the text of a value can be, far beyond what is accepted: a
// value that shares its parts can be small in memory and endless as text.
const maxText = 16 << 20

// overText stands for a text that is too long.
var overText = strings.Repeat(" ", MaxData+1)

// tooLarge is data that every limit refuses.
func tooLarge() *Data { return &Data{text: overText, hasText: true, hasValue: true, oversized: true} }

// largeData is data from a value of package document that may have any size.
func largeData(v any) *Data { return &Data{value: v, hasValue: true, large: true} }

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

// jsonataData is data from the result of an expression.
func (r *Run) jsonataData(v jsonata.Value) *Data {
	text, ok := appendJSONata(r.text[:0], v)
	if cap(text) <= 1<<16 {
		r.text = text
	}
	if len(text) > maxText {
		return tooLarge()
	}
	if !ok {
		budget := maxNodes
		d := ValueData(fromJSONataWithin(v, &budget))
		if budget < 0 {
			return tooLarge()
		}
		return d
	}
	return &Data{text: string(text), native: v, hasText: true, hasJSONata: true}
}

// Text is the value as JSON.
func (d *Data) Text() string {
	if d.hasText {
		return d.text
	}
	d.hasText = true
	if d.large {
		d.text = document.Text(d.value)
		return d.text
	}
	b, ok := document.AppendLimit(nil, d.value, maxText)
	if d.text = string(b); !ok {
		*d = *tooLarge()
	}
	return d.text
}

// Value is the value.
func (d *Data) Value() any {
	if !d.hasValue {
		if d.hasJSONata {
			d.value = fromJSONata(d.native)
		} else {
			d.value, _ = document.ParseString(d.text)
		}
		d.hasValue = true
	}
	return d.value
}

// jsonata is the value as expressions see it.
func (d *Data) jsonata() jsonata.Value {
	if !d.hasJSONata {
		d.native, d.hasJSONata = toJSONata(d.Value()), true
	}
	return d.native
}

// spaced is how a value is stored whose text has white space between its tokens, which an encoder of JSON takes out.
type spaced struct {
	Text string `json:"spacedText"`
}

const spacedPrefix = `{"spacedText":`

// MarshalJSON implements json.Marshaler.
func (d *Data) MarshalJSON() ([]byte, error) {
	text := d.Text()
	if d.oversized {
		return []byte("null"), nil
	}
	if isSpaced(text) || strings.HasPrefix(text, spacedPrefix) {
		return json.Marshal(spaced{text})
	}
	return []byte(text), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Data) UnmarshalJSON(b []byte) error {
	*d = Data{text: string(b), hasText: true}
	if !strings.HasPrefix(d.text, spacedPrefix) {
		return nil
	}
	var s spaced
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	d.text = s.Text
	return nil
}

// isSpaced reports whether a JSON text has white space outside of strings.
func isSpaced(text string) bool {
	inside := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			inside = !inside
		case '\\':
			i++
		case ' ', '\n', '\r', '\t':
			if !inside {
				return true
			}
		}
	}
	return false
}
