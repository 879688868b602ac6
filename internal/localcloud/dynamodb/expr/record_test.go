package expr

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func anyValue(depth int) *rapid.Generator[Value] {
	text := rapid.StringN(0, 12, -1)
	scalar := rapid.Custom(func(t *rapid.T) Value {
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return Value{Kind: S, Str: text.Draw(t, "s")}
		case 1:
			n, err := ParseNumber(rapid.SampledFrom([]string{"0", "-1.5", "1e20", "42", "0.001"}).Draw(t, "n"))
			if err != nil {
				t.Fatal(err)
			}
			return Value{Kind: N, Str: n}
		case 2:
			return Value{Kind: B, Str: string(rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "b"))}
		case 3:
			return Value{Kind: BOOL, Bool: rapid.Bool().Draw(t, "bool")}
		default:
			return Value{Kind: NULL}
		}
	})
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar,
		rapid.Custom(func(t *rapid.T) Value {
			return Value{Kind: L, List: rapid.SliceOfN(anyValue(depth-1), 0, 3).Draw(t, "list")}
		}),
		rapid.Custom(func(t *rapid.T) Value {
			return Value{Kind: M, Map: rapid.MapOfN(text, anyValue(depth-1), 0, 3).Draw(t, "map")}
		}),
		rapid.Custom(func(t *rapid.T) Value {
			set := rapid.SliceOfNDistinct(text, 1, 3, rapid.ID[string]).Draw(t, "set")
			sortSet(SS, set)
			return Value{Kind: SS, Set: set}
		}))
}

func TestItemsSurviveTheStoreAndTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		item := Item(rapid.MapOfN(rapid.StringN(0, 12, -1), anyValue(2), 0, 4).Draw(t, "item"))
		record := item.AppendRecord(nil)
		var got Item
		if err := got.DecodeRecord(record); err != nil {
			t.Fatal(err)
		}
		if !(Value{Kind: M, Map: got}).Equal(Value{Kind: M, Map: item}) {
			t.Fatalf("record of %v is read as %v", item, got)
		}
		document, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		var read Item
		if err := json.Unmarshal(document, &read); err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		if !(Value{Kind: M, Map: read}).Equal(Value{Kind: M, Map: item}) {
			t.Fatalf("%s is read as %v", document, read)
		}
	})
}

func FuzzItemRecord(f *testing.F) {
	item := Item{"a": String("x"), "b": {Kind: L, List: []Value{{Kind: BOOL, Bool: true}, {Kind: NULL}}},
		"c": {Kind: SS, Set: []string{"p", "q"}}}
	f.Add(item.AppendRecord(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var i Item
		if err := i.DecodeRecord(b); err != nil {
			return
		}
		again := i.AppendRecord(nil)
		var j Item
		if err := j.DecodeRecord(again); err != nil || !bytes.Equal(j.AppendRecord(nil), again) {
			t.Fatalf("%x decodes to %v, which does not round-trip (%v)", b, i, err)
		}
	})
}
