package store

import (
	"maps"
	"reflect"
	"slices"
	"sync"
)

// Form is the form of a table's records, for whoever looks at all of them.
type Form struct {
	Name string
	// Version is that of records that are written now; Own says that *T is a
	// Record, which keeps its version itself.
	Version int
	Own     bool
	// Type is the record's. Encode takes one and gives what Put writes; Decode
	// is the reverse, of any version.
	Type   reflect.Type
	Encode func(record any) ([]byte, error)
	Decode func(b []byte) (record any, err error)
}

var forms struct {
	sync.Mutex
	by map[string]Form
}

// Forms lists the tables of the process by name, but for those that hold bytes
// as they are.
func Forms() []Form {
	forms.Lock()
	defer forms.Unlock()
	list := make([]Form, 0, len(forms.by))
	for _, name := range slices.Sorted(maps.Keys(forms.by)) {
		list = append(list, forms.by[name])
	}
	return list
}

// register puts a table among Forms, in place of what it was before.
func register[T any](t Table[T]) {
	var v T
	if _, raw := any(v).([]byte); raw {
		return
	}
	_, own := any(&v).(Record)
	forms.Lock()
	defer forms.Unlock()
	if forms.by == nil {
		forms.by = map[string]Form{}
	}
	forms.by[t.name] = Form{
		Name: t.name, Version: len(t.older), Own: own, Type: reflect.TypeFor[T](),
		Encode: func(record any) ([]byte, error) {
			v := record.(T)
			if r, own := any(&v).(Record); own {
				return r.AppendRecord(nil), nil
			}
			return t.encode(v)
		},
		Decode: func(b []byte) (any, error) { return t.decode(b) },
	}
}
