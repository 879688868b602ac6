package expr

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// The form of an item in the store: the number of attributes, then of each, in
// the order of their names, the name and the value. A value is a byte for its
// type (its place in kinds) and its content: a string, a byte 0 or 1, or a number
// of members followed by them. Numbers are varints; a string is its length and
// its bytes.

var kinds = []Kind{S, N, B, SS, NS, BS, M, L, BOOL, NULL}

var errRecord = errors.New("expr: not an item's record")

// AppendRecord implements store.Record.
func (i *Item) AppendRecord(b []byte) []byte {
	if b == nil {
		b = make([]byte, 0, 64+i.Size()+4*len(*i))
	}
	return appendAttributes(b, *i)
}

func appendAttributes(b []byte, m map[string]Value) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b = m[name].appendRecord(appendText(b, name))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (v Value) appendRecord(b []byte) []byte {
	b = append(b, byte(slices.Index(kinds, v.Kind)))
	switch v.Kind {
	case S, N, B:
		return appendText(b, v.Str)
	case SS, NS, BS:
		b = binary.AppendUvarint(b, uint64(len(v.Set)))
		for _, m := range v.Set {
			b = appendText(b, m)
		}
	case M:
		return appendAttributes(b, v.Map)
	case L:
		b = binary.AppendUvarint(b, uint64(len(v.List)))
		for _, m := range v.List {
			b = m.appendRecord(b)
		}
	case BOOL:
		if v.Bool {
			return append(b, 1)
		}
		return append(b, 0)
	}
	return b
}

// DecodeRecord implements store.Record.
func (i *Item) DecodeRecord(b []byte) error {
	r := reader{rest: string(b)}
	*i = r.attributes()
	if r.bad || r.rest != "" {
		return errRecord
	}
	return nil
}

// reader takes a record apart. The strings it gives share one copy of it.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) number() int {
	n, shift := uint64(0), 0
	for k := 0; k < len(r.rest) && k < binary.MaxVarintLen64; k++ {
		c := r.rest[k]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			r.rest = r.rest[k+1:]
			if n > uint64(len(r.rest)) { // everything counted takes a byte at least
				break
			}
			return int(n)
		}
		shift += 7
	}
	r.bad, r.rest = true, ""
	return 0
}

func (r *reader) text() string {
	n := r.number()
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte {
	if r.rest == "" {
		r.bad = true
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *reader) attributes() map[string]Value {
	n := r.number()
	m := make(map[string]Value, n)
	for range n {
		name := r.text()
		m[name] = r.value()
		if r.bad {
			return nil
		}
	}
	return m
}

func (r *reader) value() (v Value) {
	k := int(r.byte())
	if k >= len(kinds) {
		r.bad = true
		return v
	}
	v.Kind = kinds[k]
	switch v.Kind {
	case S, N, B:
		v.Str = r.text()
	case SS, NS, BS:
		v.Set = make([]string, r.number())
		for i := range v.Set {
			v.Set[i] = r.text()
		}
	case M:
		v.Map = r.attributes()
	case L:
		v.List = make([]Value, r.number())
		for i := range v.List {
			if v.List[i] = r.value(); r.bad {
				return v
			}
		}
	case BOOL:
		v.Bool = r.byte() == 1
	}
	return v
}
