package store

import (
	"encoding/json"
	"fmt"
)

// A table's form is how its records are held. A table with versions (Versions)
// writes a byte, the number of the newest, before the JSON of a record, and
// reads all older ones; 0 is what was written without that byte: bare JSON,
// whose first byte is a printable one. A record that implements Record has a
// form of its own and keeps its version there.

// maxForm is the highest version: those above are taken by the first bytes of
// bare JSON, of which the lowest is a tab.
const maxForm = 8

// Read reads a record of an older version.
type Read[T any] func(b []byte) (T, error)

// JSON reads records whose JSON has not changed since.
func JSON[T any](b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// Versions says how the versions before the newest are read: of version 0, 1
// and so on. The newest has the number len(older), 8 at most.
func (t Table[T]) Versions(older ...Read[T]) Table[T] {
	if len(older) > maxForm {
		panic(fmt.Sprintf("store: %s has %d versions; at most %d are possible", t.name, len(older), maxForm))
	}
	t.older = older
	register(t)
	return t
}

// encode writes a record in the newest version.
func (t Table[T]) encode(v T) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: encode %s: %w", t.name, err)
	}
	if len(t.older) == 0 {
		return b, nil
	}
	out := make([]byte, 0, 1+len(b))
	return append(append(out, byte(len(t.older))), b...), nil
}

// read reads a record of any version.
func (t Table[T]) read(b []byte) (v T, err error) {
	form := 0
	if len(b) > 0 && b[0] <= maxForm {
		form, b = int(b[0]), b[1:]
	}
	switch newest := len(t.older); {
	case form > newest:
		return v, fmt.Errorf("store: decode %s: the record has version %d, written by a newer program; this one "+
			"reads up to %d", t.name, form, newest)
	case form < newest:
		v, err = t.older[form](b)
	default:
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return v, fmt.Errorf("store: decode %s, version %d: %w", t.name, form, err)
	}
	return v, nil
}
