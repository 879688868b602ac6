package localcloud_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var update = flag.Bool("update", false, "write the forms that records have today")

// samples are records of tables whose members do not take just anything.
var samples = map[string]any{
	"dynamodb.item": expr.Item{
		"PK": {Kind: expr.S, Str: "DEVICE#rg-1"}, "n": {Kind: expr.N, Str: "-1.5E+3"},
		"b":   {Kind: expr.B, Str: "\x00\xff"},
		"set": {Kind: expr.SS, Set: []string{"a", "b"}},
		"l":   {Kind: expr.L, List: []expr.Value{{Kind: expr.BOOL, Bool: true}, {Kind: expr.NULL}}},
		"m":   {Kind: expr.M, Map: map[string]expr.Value{"k": {Kind: expr.S, Str: "v"}}},
	},
	"dynamodb.entry": expr.Item{"PK": {Kind: expr.S, Str: "DEVICE#rg-1"}, "g": {Kind: expr.S, Str: "wave#1"}},
}

// TestStoredFormsAreAsRecorded holds the form of every record of every service:
// testdata/forms/TABLE.vN is a record with something in each member, as version N
// of the table writes it. A member that is new is added with -update if old
// records without it mean what they meant; any other change is a new version, with
// a way to read the one before (store.Table.Versions), and the older files stay.
func TestStoredFormsAreAsRecorded(t *testing.T) {
	newRig(t) // some tables are made with their service
	known := map[string]bool{}
	for _, f := range store.Forms() {
		name := fmt.Sprintf("%s.v%d", f.Name, f.Version)
		known[name] = true
		if f.Version == 0 && !f.Own && f.Type != reflect.TypeFor[struct{}]() {
			t.Errorf("the table %s has no version; give it Versions(store.JSON)", f.Name)
		}
		record, ok := samples[f.Name]
		if !ok {
			record = sample(f.Type).Interface()
		}
		b, err := f.Encode(record)
		if err == nil { // once more: a value inside itself, for one, is null the first time
			if record, err = f.Decode(b); err == nil {
				b, err = f.Encode(record)
			}
		}
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		path := filepath.Join("testdata", "forms", name)
		if *update {
			if err := os.WriteFile(path, readable(b[len(prefix(f, f.Version)):]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := readable(b[len(prefix(f, f.Version)):]); !bytes.Equal(got, want) {
			t.Errorf("%s is written otherwise than recorded:\n%s\nwant\n%s", f.Name, got, want)
		}
		same(t, f, b, b)
		for v := range f.Version {
			older := fmt.Sprintf("%s.v%d", f.Name, v)
			old, err := os.ReadFile(filepath.Join("testdata", "forms", older))
			switch {
			case err == nil:
				known[older] = true
			case v == 0 && f.Version == 1: // versions began without a change
				old = want
			default:
				t.Errorf("the form of version %d: %v", v, err)
				continue
			}
			same(t, f, append(prefix(f, v), stored(t, old)...), b)
		}
	}
	entries, err := os.ReadDir(filepath.Join("testdata", "forms"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !known[e.Name()] {
			t.Errorf("testdata/forms/%s is of no table", e.Name())
		}
	}
}

// prefix is what stands before the body of a record of a version.
func prefix(f store.Form, version int) []byte {
	if f.Own || version == 0 {
		return nil
	}
	return []byte{byte(version)}
}

// same checks that a stored record is read, and written as the record of today.
func same(t *testing.T, f store.Form, from, want []byte) {
	t.Helper()
	record, err := f.Decode(from)
	if err != nil {
		t.Errorf("%s: %v", f.Name, err)
		return
	}
	if got, err := f.Encode(record); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %q is read, and written as %q, %v", f.Name, from, got, err)
	}
}

// readable is a body for a file: JSON with its members on lines of their own,
// anything else in hexadecimal.
func readable(body []byte) []byte {
	var out bytes.Buffer
	if json.Indent(&out, body, "", " ") == nil {
		return append(out.Bytes(), '\n')
	}
	return []byte("hex\n" + hex.Dump(body))
}

// stored is the reverse of readable.
func stored(t *testing.T, text []byte) []byte {
	t.Helper()
	dump, isHex := bytes.CutPrefix(text, []byte("hex\n"))
	if !isHex {
		var out bytes.Buffer
		if err := json.Compact(&out, text); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	var out []byte
	for line := range strings.Lines(string(dump)) {
		digits, _, _ := strings.Cut(line[min(10, len(line)):], "|")
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

// sample is a value with something in each of its members, always the same.
func sample(of reflect.Type) reflect.Value {
	v := reflect.New(of).Elem()
	fill(v, of.Name(), nil)
	return v
}

func fill(v reflect.Value, name string, within []reflect.Type) {
	if slices.Contains(within, v.Type()) { // a type inside itself: once is enough
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 29, 12, 30, 15, 125e6, time.UTC)))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`{"a":1}`))
		return
	}
	inside := within
	switch v.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Map, reflect.Slice:
		inside = append(within[:len(within):len(within)], v.Type())
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("a " + strings.ToLower(name))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(7 + len(name)))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(7 + len(name)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf("a " + strings.ToLower(name)))
		}
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		fill(p.Elem(), name, inside)
		v.Set(p)
	case reflect.Slice:
		s := reflect.MakeSlice(v.Type(), 1, 1)
		fill(s.Index(0), name, inside)
		v.Set(s)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), name, inside)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, "key", inside)
		fill(value, name, inside)
		m := reflect.MakeMap(v.Type())
		m.SetMapIndex(key, value)
		v.Set(m)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				fill(v.Field(i), field.Name, inside)
			}
		}
	}
}

// TestEmptyResults holds the operations of Query services to AWS's models (botocore 1.43.11): those whose output has
// no members, and a result all the same.
func TestEmptyResults(t *testing.T) {
	want := map[string]string{
		"cloudformation": "ContinueUpdateRollback DeleteChangeSet ExecuteChangeSet", "iam": "UpdateRole",
		"sns": "TagResource UntagResource", "cloudwatch": "DeleteDashboards TagResource UntagResource", "sts": "",
	}
	door := newRig(t).cloud.Door()
	for id, names := range want {
		var got []string
		for _, op := range door.Lookup(id).Operations {
			if op.EmptyResult {
				got = append(got, op.Name)
			}
		}
		if slices.Sort(got); strings.Join(got, " ") != names {
			t.Errorf("%s: %v, want %s", id, got, names)
		}
	}
}
