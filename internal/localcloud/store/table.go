package store

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Table is a set of records of one type under string keys of one or more
// parts. Records are held as JSON, with a version where the table has several
// (Versions), unless *T is a Record; a Table[[]byte] holds bytes as they are.
type Table[T any] struct {
	name  string
	older []Read[T] // by version
}

// Record is implemented by the pointer to a record type that has a form of its
// own in the store, smaller or quicker than JSON.
type Record interface {
	// AppendRecord appends the record's form to b.
	AppendRecord(b []byte) []byte
	// DecodeRecord reads the form; it must not keep b.
	DecodeRecord(b []byte) error
}

// NewTable names a table. The name is unique in the store and begins with the
// service it belongs to, as in "dynamodb.item".
func NewTable[T any](name string) Table[T] {
	named.Lock()
	defer named.Unlock()
	named.tables[name] = true
	t := Table[T]{name: name}
	register(t)
	return t
}

// named are the tables of the program, those of bytes too, which have no Form.
var named = struct {
	sync.Mutex
	tables map[string]bool
}{tables: map[string]bool{}}

func tableNames() []string {
	named.Lock()
	defer named.Unlock()
	return slices.Sorted(maps.Keys(named.tables))
}

// Row is a record with its key.
type Row[T any] struct {
	Key   []string
	Value T
}

func (t Table[T]) key(parts []string) []byte {
	n := len(t.name) + 2
	for _, p := range parts {
		n += len(p) + 2
	}
	return appendKey(appendKey(make([]byte, 0, n), t.name), parts...)
}

// Get returns the record under key; ok is false if there is none.
func (t Table[T]) Get(tx *Tx, key ...string) (v T, ok bool, err error) {
	b, ok, err := tx.Get(t.key(key))
	if err != nil || !ok {
		return v, false, err
	}
	v, err = t.decode(b)
	return v, err == nil, err
}

// Has reports whether there is a record under key.
func (t Table[T]) Has(tx *Tx, key ...string) (bool, error) {
	_, ok, err := tx.Get(t.key(key))
	return ok, err
}

// Shared is Get for records that are read far more often than they change: it
// reads and decodes a record once. The value is shared with other callers;
// nothing that it refers to may be changed.
func (t Table[T]) Shared(tx *Tx, key ...string) (v T, ok bool, err error) {
	k := t.key(key)
	usable := !tx.detached && !slices.Contains(tx.stale, text(k))
	if usable {
		if known, ok := tx.db.shared.get(k); ok {
			return known.(T), true, nil
		}
	}
	b, ok, err := tx.Get(k)
	if err != nil || !ok {
		return v, false, err
	}
	if v, err = t.decode(b); err != nil {
		return v, false, err
	}
	if usable && !tx.wrote { // else it may be this transaction's, and never be committed
		tx.db.shared.put(k, v)
	}
	return v, true, nil
}

// Put writes a record, which may be changed afterwards.
func (t Table[T]) Put(tx *Tx, v T, key ...string) error {
	if b, ok := any(v).([]byte); ok {
		if tx.batch == nil { // memory keeps what it is given
			b = bytes.Clone(b)
		}
		return tx.Set(t.key(key), b)
	}
	if r, own := any(&v).(Record); own {
		return tx.Set(t.key(key), r.AppendRecord(nil))
	}
	b, err := t.encode(v)
	if err != nil {
		return err
	}
	return tx.Set(t.key(key), b)
}

// Delete removes the record under key, if there is one.
func (t Table[T]) Delete(tx *Tx, key ...string) error { return tx.Delete(t.key(key)) }

// DeleteAll removes the records whose key begins with the parts.
func (t Table[T]) DeleteAll(tx *Tx, parts ...string) error {
	var keys [][]byte
	p := t.key(parts)
	for pair, err := range tx.Range(p, after(p), false) {
		if err != nil {
			return err
		}
		keys = append(keys, bytes.Clone(pair.Key))
	}
	for _, k := range keys {
		if err := tx.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Query says which records Scan yields.
type Query struct {
	Prefix  []string // whole leading parts of the key
	Begins  string   // beginning of the part that follows Prefix
	From    []string // whole key parts after Prefix: records at or after this key
	After   []string // whole key after Prefix: records beyond this key, in the order of the scan
	Before  []string // whole key after Prefix: only records below this key
	Reverse bool
}

// Takes reports whether the record under a key is among those of the query.
func (q Query) Takes(key []string) bool {
	n := len(q.Prefix)
	if len(key) < n || !slices.Equal(key[:n], q.Prefix) {
		return false
	}
	rest := key[n:]
	if q.Begins != "" && (len(rest) == 0 || !strings.HasPrefix(rest[0], q.Begins)) {
		return false
	}
	switch {
	case q.Before != nil && slices.Compare(rest, q.Before) >= 0:
		return false
	case q.After != nil && q.Reverse:
		return slices.Compare(rest, q.After) < 0 && (q.From == nil || slices.Compare(rest, q.From) >= 0)
	case q.After != nil:
		return slices.Compare(rest, q.After) > 0
	}
	return q.From == nil || slices.Compare(rest, q.From) >= 0
}

// Page makes the entries of a page of a listing from the rows of a query, at most size of them. entry returns false
// for a row that is not listed. If there are more, last is the key of the last row that was taken, without the
// query's prefix: the next page begins after it (Query.After).
func Page[T, E any](tx *Tx, t Table[T], q Query, size int,
	entry func(row Row[T]) (E, bool, error)) (entries []E, last []string, err error) {
	entries = []E{}
	for row, err := range t.Scan(tx, q) {
		if err != nil {
			return nil, nil, err
		}
		e, listed, err := entry(row)
		switch {
		case err != nil:
			return nil, nil, err
		case !listed:
		case len(entries) == size:
			return entries, last, nil
		default:
			last = row.Key[len(q.Prefix):]
			entries = append(entries, e)
		}
	}
	return entries, nil, nil
}

// Scan yields records in the order of their keys. What cannot be read is yielded
// as an error, and ends the scan: one that ends without an error is whole. A
// record that cannot be decoded is yielded as an error too. The transaction must
// not write while the scan goes on.
func (t Table[T]) Scan(tx *Tx, q Query) iter.Seq2[Row[T], error] {
	prefix := append([]string{t.name}, q.Prefix...)
	from := prefixKey(prefix, q.Begins)
	to := after(from)
	if q.From != nil {
		from = Key(append(prefix[:len(prefix):len(prefix)], q.From...)...)
	}
	if q.Before != nil {
		to = Key(append(prefix[:len(prefix):len(prefix)], q.Before...)...)
	}
	if q.After != nil {
		k := Key(append(prefix[:len(prefix):len(prefix)], q.After...)...)
		if q.Reverse {
			to = k
		} else {
			from = append(k, 0x00)
		}
	}
	return func(yield func(Row[T], error) bool) {
		for pair, err := range tx.Range(from, to, q.Reverse) {
			if err != nil {
				yield(Row[T]{}, fmt.Errorf("%s: %w", t.name, err))
				return
			}
			parts, err := ParseKey(pair.Key)
			if err != nil {
				yield(Row[T]{}, err)
				return
			}
			v, err := t.decode(pair.Value)
			if !yield(Row[T]{parts[1:], v}, err) {
				return
			}
		}
	}
}

func (t Table[T]) decode(b []byte) (v T, err error) {
	if p, ok := any(&v).(*[]byte); ok {
		*p = append([]byte(nil), b...)
		return v, nil
	}
	if r, own := any(&v).(Record); own {
		if err := r.DecodeRecord(b); err != nil {
			return v, fmt.Errorf("store: decode %s: %w", t.name, err)
		}
		return v, nil
	}
	return t.read(b)
}
