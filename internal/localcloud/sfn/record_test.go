package sfn

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawn fills an execution's record, whatever its members are.
func drawn(t *rapid.T) executionRecord {
	var r executionRecord
	v := reflect.ValueOf(&r).Elem()
	text := func(label string) string { return rapid.String().Draw(t, label) }
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch p := f.Addr().Interface().(type) {
		case *string:
			*p = text(name)
		case **string:
			if rapid.Bool().Draw(t, name+" is there") {
				s := text(name)
				*p = &s
			}
		case *bool:
			*p = rapid.Bool().Draw(t, name)
		case *int:
			*p = rapid.Int().Draw(t, name)
		case *time.Time:
			if rapid.Bool().Draw(t, name+" is there") {
				*p = time.Unix(0, rapid.Int64Range(-1e18, 5e18).Draw(t, name)).UTC()
			}
		case **child:
			if rapid.Bool().Draw(t, "is a child") {
				*p = &child{MapRun: text("run"), State: text("state"), Items: 3, Parent: key{"m", text("parent")},
					Branch: "1", Attempt: 2, Around: []int{1, 2}, Redrive: 4}
			}
		case *[]redriveToken:
			if rapid.Bool().Draw(t, "was redriven") {
				*p = []redriveToken{{text("token"), time.Unix(1e9, 5).UTC()}}
			}
		default:
			t.Fatalf("no value for %s", name)
		}
	}
	return r
}

func TestExecutionsKeepAllTheirMembersInTheStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawn(t)
		var got executionRecord
		if err := got.DecodeRecord(want.AppendRecord(nil)); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v came back as %+v: %v", want, got, err)
		}
		type plain executionRecord
		text, err := json.Marshal(plain(want))
		if err != nil {
			t.Fatal(err)
		}
		var old executionRecord
		if err := old.DecodeRecord(text); err != nil || old.Name != want.Name || !old.Order.Equal(want.Order) {
			t.Fatalf("%s came back as %+v: %v", text, old, err)
		}
	})
}

func TestDamagedExecutionsAreErrors(t *testing.T) {
	output := "{}"
	whole := (&executionRecord{Machine: "m", Name: "n", Started: time.Unix(1e9, 0), Output: &output}).AppendRecord(nil)
	for i := range whole {
		var r executionRecord
		if err := r.DecodeRecord(whole[:i]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a record", i, len(whole))
		}
	}
	var r executionRecord
	if err := r.DecodeRecord(append(whole, 0)); err == nil {
		t.Error("a byte too many was not seen")
	}
}
