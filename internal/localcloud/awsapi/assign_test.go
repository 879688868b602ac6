package awsapi

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

type assignInner struct {
	Text  string            `json:"text,omitempty"`
	Count *int              `json:"count"`
	Tags  map[string]string `json:"tags,omitempty"`
}

type assignPage struct {
	Limit int `json:"limit,omitempty"`
}

type assignTarget struct {
	assignPage
	Name    string            `json:"FunctionName" uri:"FunctionName"`
	Payload []byte            `json:"Payload,omitempty"`
	Flag    *bool             `json:"Flag"`
	Inner   *assignInner      `json:"Inner"`
	List    []assignInner     `json:"List"`
	Names   []string          `json:"Names"`
	Map     map[string]string `json:"Map"`
	Wide    int64             `json:"Wide"`
	Skipped string            `json:"-"`
}

// TestAssignIsJSONWithoutTheText holds assign to what it takes the place of.
func TestAssignIsJSONWithoutTheText(t *testing.T) {
	three, yes := 3, true
	type kind string
	sources := map[string]any{
		"map": map[string]any{"functionname": "f", "Payload": []byte("bytes"), "limit": 5, "Flag": true,
			"nothing": 1, "Inner": map[string]any{"text": "x", "count": 2}},
		"map of maps": map[string]any{"List": []map[string]any{{"text": "a"}, {"count": 1}},
			"Names": []string{"p", "q"}, "Map": map[string]string{"k": "v"}},
		"map of strings": map[string]string{"FunctionName": "f"},
		"struct":         struct{ FunctionName, Names string }{FunctionName: "f"},
		"pointers": &struct {
			Name  *string      `json:"functionName"`
			Inner *assignInner `json:"Inner,omitempty"`
			Flag  *bool
			Wide  int32 `json:",omitempty"`
		}{Inner: &assignInner{Count: &three, Tags: map[string]string{"a": "b"}}, Flag: &yes, Wide: 7},
		"named kinds": map[string]any{"FunctionName": kind("k"), "Names": []kind{"x"}},
		"empty": map[string]any{"Names": []string{}, "Map": map[string]string{}, "Payload": []byte{},
			"Inner": nil},
		"omitted": struct{ Inner assignInner }{},
		"same":    assignTarget{assignPage: assignPage{9}, Name: "n", Skipped: "no", List: []assignInner{{Text: "t"}}},
	}
	for name, source := range sources {
		text, err := json.Marshal(source)
		if err != nil {
			t.Fatal(err)
		}
		var want, got assignTarget
		wantErr := json.Unmarshal(text, &want)
		ok := Conversions(nil).assign(reflect.ValueOf(&got).Elem(), reflect.ValueOf(source))
		switch {
		case wantErr != nil && ok:
			t.Errorf("%s: assigned %+v; JSON says %v", name, got, wantErr)
		case wantErr == nil && !ok:
			t.Errorf("%s: not assigned", name)
		case ok && !reflect.DeepEqual(got, want):
			t.Errorf("%s: got %+v, JSON gives %+v", name, got, want)
		}
	}
}

func TestAssignLeavesToJSONWhatItDoesNotKnow(t *testing.T) {
	for name, pair := range map[string][2]any{
		"text into bytes": {&assignTarget{}, map[string]any{"Payload": "aGk="}},
		"bytes into text": {&assignTarget{}, map[string]any{"FunctionName": []byte("x")}},
		"time":            {&struct{ At string }{}, map[string]any{"At": time.Now()}},
		"raw":             {&struct{ Raw json.RawMessage }{}, map[string]any{"Raw": "x"}},
		"any":             {&struct{ Any any }{}, map[string]any{"Any": 1}},
		"quoted": {&struct {
			N int `json:",string"`
		}{}, map[string]any{"N": 1}},
		"overflow": {&struct{ N int8 }{}, map[string]any{"N": 1000}},
	} {
		if Conversions(nil).assign(reflect.ValueOf(pair[0]).Elem(), reflect.ValueOf(pair[1])) {
			t.Errorf("%s: assigned %+v", name, pair[0])
		}
	}
}
