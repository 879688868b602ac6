package filterpolicy

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestMatchAttributes(t *testing.T) {
	attributes := map[string]Attribute{
		"store": {"String", "example_corp"}, "event": {"String", "order_placed"}, "price": {"Number", "100.5"},
		"interests": {"String.Array", `["soccer","rugby",7,true,null]`}, "ip": {"String", "10.0.0.7"}, "bin": {"Binary", ""},
		"digits": {"String", "100.5"},
	}
	for _, c := range []struct {
		policy string
		want   bool
	}{
		{`{}`, true},
		{`{"store":["example_corp"]}`, true},
		{`{"store":["other","example_corp"],"event":["order_placed"]}`, true},
		{`{"store":["example_corp"],"event":["order_cancelled"]}`, false},
		{`{"absent":["x"]}`, false},
		{`{"store":[{"prefix":"example"}]}`, true},
		{`{"store":[{"suffix":"corp"}]}`, true},
		{`{"store":[{"suffix":"inc"}]}`, false},
		{`{"store":[{"equals-ignore-case":"EXAMPLE_corp"}]}`, true},
		{`{"store":[{"wildcard":"ex*_*p"}]}`, true},
		{`{"store":[{"wildcard":"*x"}]}`, false},
		{`{"store":[{"anything-but":"other"}]}`, true},
		{`{"store":[{"anything-but":["other","example_corp"]}]}`, false},
		{`{"store":[{"anything-but":{"prefix":"ex"}}]}`, false},
		{`{"store":[{"anything-but":{"suffix":["inc","ltd"]}}]}`, true},
		{`{"absent":[{"anything-but":"other"}]}`, false},
		{`{"price":[100.5]}`, true},
		{`{"price":["100.5"]}`, false},
		{`{"digits":[100.5]}`, false},
		{`{"price":[{"numeric":["=",100.50]}]}`, true},
		{`{"price":[{"numeric":[">",0,"<=",100.5]}]}`, true},
		{`{"price":[{"numeric":["<",100.5]}]}`, false},
		{`{"price":[{"anything-but":[100,500]}]}`, true},
		{`{"interests":["rugby"]}`, true},
		{`{"interests":[{"prefix":"soc"}]}`, true},
		{`{"interests":["tennis"]}`, false},
		{`{"interests":[7]}`, true},
		{`{"interests":[true]}`, true},
		{`{"interests":[null]}`, true},
		{`{"store":[{"exists":true}]}`, true},
		{`{"store":[{"exists":false}]}`, false},
		{`{"absent":[{"exists":false}]}`, true},
		{`{"absent":[{"exists":false},"x"]}`, true},
		{`{"bin":[{"exists":true}]}`, false},
		{`{"ip":[{"cidr":"10.0.0.0/24"}]}`, true},
		{`{"ip":[{"cidr":"10.0.1.0/24"}]}`, false},
		{`{"$or":[{"store":["x"]},{"price":[100.5]}]}`, true},
		{`{"event":["order_placed"],"$or":[{"store":["x"]},{"price":[1]}]}`, false},
	} {
		p, err := Parse([]byte(c.policy), MessageAttributes)
		if err != nil {
			t.Errorf("%s: %v", c.policy, err)
			continue
		}
		if got := p.MatchAttributes(attributes); got != c.want {
			t.Errorf("%s: got %v, want %v", c.policy, got, c.want)
		}
	}
}

func TestMatchBody(t *testing.T) {
	const body = `{"result":"FAILED","device":{"name":"rg-1","version":{"major":2}},"tags":["a","b"],"steps":[{"n":1,"ok":true},{"n":2,"ok":false}],"empty":null}`
	for _, c := range []struct {
		policy string
		want   bool
	}{
		{`{"result":["FAILED"]}`, true},
		{`{"device":{"name":[{"prefix":"rg-"}],"version":{"major":[{"numeric":[">=",2]}]}}}`, true},
		{`{"device":{"name":["x"]}}`, false},
		{`{"device":{"serial":[{"exists":false}]}}`, true},
		{`{"other":{"serial":[{"exists":false}]}}`, true},
		{`{"result":{"serial":[{"exists":false}]}}`, false},
		{`{"tags":["b"]}`, true},
		{`{"steps":{"n":[2],"ok":[false]}}`, true},
		{`{"steps":{"n":[1],"ok":[false]}}`, false},
		{`{"empty":[null]}`, true},
		{`{"$or":[{"result":["OK"]},{"device":{"name":["rg-1"]}}]}`, true},
	} {
		p, err := Parse([]byte(c.policy), MessageBody)
		if err != nil {
			t.Errorf("%s: %v", c.policy, err)
			continue
		}
		if got := p.MatchBody([]byte(body)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.policy, got, c.want)
		}
		for _, other := range []string{"text", "[]", "7", body + "x", ""} {
			if p.MatchBody([]byte(other)) {
				t.Errorf("%s matches %q", c.policy, other)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for doc, want := range map[string]string{
		`x`:                                   "failed to deserialize from JSON",
		`{} {}`:                               "failed to deserialize from JSON",
		`[]`:                                  "Filter policy must be an object",
		`{"a":"b"}`:                           `"a" must be an object or an array`,
		`{"a":[]}`:                            "Empty arrays are not allowed",
		`{"a":{"b":["c"]}}`:                   "Filter policy scope MessageAttributes does not support nested filter policy",
		`{"a":[{"like":"b"}]}`:                "Unrecognized match type like",
		`{"a":[{"prefix":7}]}`:                "prefix match pattern must be a string",
		`{"a":[{"prefix":"a","suffix":"b"}]}`: "Only one key allowed in match expression",
		`{"a":[{"exists":"yes"}]}`:            "exists match pattern must be either true or false.",
		`{"a":[{"numeric":["!",1]}]}`:         "Unrecognized numeric range operator: !",
		`{"a":[{"numeric":[">",5,"<",5]}]}`:   "Bottom must be less than top",
		`{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}`:             "Filter policy can not have more than 5 keys",
		`{"a":[1,2,3,4,5,6],"b":[1,2,3,4,5,6],"c":[1,2,3,4,5],"d":[1]}`: "Filter policy is too complex",
	} {
		if _, err := Parse([]byte(doc), MessageAttributes); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", doc, err, want)
		}
	}
}

// TestAnythingButIsTheOpposite holds for every value that is present.
func TestAnythingButIsTheOpposite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab*]{0,3}`)
		list := rapid.SliceOfN(text, 1, 3).Draw(t, "list")
		value := text.Draw(t, "value")
		match := func(condition any) bool {
			doc, err := json.Marshal(map[string]any{"k": condition})
			if err != nil {
				t.Fatal(err)
			}
			p, err := Parse(doc, MessageAttributes)
			if err != nil {
				t.Fatal(err)
			}
			return p.MatchAttributes(map[string]Attribute{"k": {"String", value}})
		}
		if match(list) == match([]any{map[string]any{"anything-but": list}}) {
			t.Fatalf("%q matches %q and its opposite alike", value, list)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`{"a":["b",{"anything-but":{"prefix":"c"}},{"numeric":[">=",0,"<",5]}],"$or":[{"d":[{"exists":false}]},{"e":[{"cidr":"10.0.0.0/8"}]}]}`, `{"a":"b"}`)
	f.Add(`{"a":{"b":[null,true,7,{"wildcard":"*x"},{"equals-ignore-case":"y"}]}}`, `{"a":[{"b":null}]}`)
	f.Fuzz(func(t *testing.T, doc, body string) {
		for _, scope := range []Scope{MessageAttributes, MessageBody} {
			p, err := Parse([]byte(doc), scope)
			if err != nil {
				if p != nil {
					t.Fatal("a policy with an error")
				}
				continue
			}
			p.MatchAttributes(map[string]Attribute{"a": {"String.Array", body}})
			if p.MatchBody([]byte(body)) && !json.Valid([]byte(body)) {
				t.Fatalf("%s matches %q", doc, body)
			}
		}
	})
}
