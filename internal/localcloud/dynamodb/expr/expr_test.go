package expr

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func item(t testing.TB, text string) Item {
	t.Helper()
	var i Item
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return i
}

const sample = `{
	"id":{"S":"rg-1"}, "n":{"N":"10"}, "neg":{"N":"-2.50"}, "lit":{"BOOL":true}, "gone":{"NULL":true}, "rawb":{"B":"AQI="},
	"tags":{"SS":["b","a"]}, "nums":{"NS":["10","9"]},
	"m":{"M":{"k":{"S":"v"},"deep":{"M":{"x":{"N":"1"}}}}}, "l":{"L":[{"S":"zero"},{"N":"1"},{"M":{"y":{"S":"in list"}}}]}, "status":{"S":"ok"}}`

const values = `{":rg":{"S":"rg"},":ten":{"N":"10.0"},":nine":{"N":"9"},":hundred":{"N":"1e2"},":a":{"S":"a"},":v":{"S":"v"},":S":{"S":"S"},
	":set":{"SS":["x"]},":list":{"L":[{"S":"more"}]},":zero":{"S":"zero"},":b":{"B":"AQ=="},":true":{"BOOL":true},":nums":{"NS":["9"]},":four":{"N":"4"}}`

func placeholders(t testing.TB) *Names {
	t.Helper()
	return &Names{Attributes: map[string]string{"#s": "status", "#no": "nothing"}, Values: item(t, values)}
}

func TestConditions(t *testing.T) {
	for src, want := range map[string]bool{
		"n = :ten":                                 true, // numbers compare by value
		"n <> :ten":                                false,
		"n > :nine AND n < :hundred":               true,
		"n >= :ten and n <= :ten":                  true,
		"n = :rg":                                  false,
		"n < :rg":                                  false, // other type
		"n BETWEEN :nine AND :hundred":             true,
		"n IN (:rg, :ten)":                         true,
		"id IN (:rg)":                              false,
		"begins_with(id, :rg)":                     true,
		"begins_with(rawb, :b)":                    true,
		"contains(id, :rg)":                        true,
		"contains(tags, :a)":                       true,
		"contains(nums, :nine)":                    true,
		"contains(l, :zero)":                       true,
		"contains(n, :ten)":                        false,
		"attribute_exists(m.deep.x)":               true,
		"attribute_not_exists(#no)":                true,
		"attribute_not_exists(#s)":                 false,
		"attribute_type(id, :S)":                   true,
		"attribute_type(n, :S)":                    false,
		"size(id) = :four":                         true,
		"size(n) = :four":                          false,
		"size(l) < :four":                          true,
		"l[0] = :zero":                             true,
		"l[9] = :zero":                             false,
		"l[9] <> :zero":                            true,
		"NOT attribute_exists(#no)":                true,
		"NOT (n = :ten OR id = :rg)":               false,
		"n = :nine OR n = :ten AND lit = :true":    true, // AND binds tighter
		"(n = :nine OR n = :ten) AND lit = :rg":    false,
		"#no = :rg":                                false,
		"#no <> :rg":                               true,
		":ten = n":                                 true,
		"m.k = :v":                                 true,
		"neg < n":                                  true,
		"attribute_exists(l[2].y) and lit = :true": true,
	} {
		c, err := ParseCondition("ConditionExpression", src, placeholders(t))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := c.Eval(item(t, sample)); got != want {
			t.Errorf("%s: got %v, want %v", src, got, want)
		}
	}
	c, err := ParseCondition("ConditionExpression", "attribute_not_exists(id)", nil)
	if err != nil || !c.Eval(nil) {
		t.Errorf("an item that is not there has no attributes: %v", err)
	}
}

func TestRefusedExpressions(t *testing.T) {
	for src, want := range map[string]string{
		"":              "The expression can not be empty",
		"n =":           "Syntax error",
		"n = :ten :ten": "Syntax error",
		"status = :ten": "Attribute name is a reserved keyword; reserved keyword: status",
		"#nosuch = :ten": "attribute name used in the document path is not defined; attribute name: " +
			"#nosuch",
		"n = :nosuch":            "attribute value used in expression is not defined; attribute value: :nosuch",
		"frob(n)":                "Invalid function name; function: frob",
		"begins_with(n)":         "Incorrect number of operands",
		"attribute_exists(:ten)": "requires a document path",
		"attribute_type(n, :a)":  "Invalid attribute type name found",
		"lit < :true": "Incorrect operand type for operator or function; operator: <, operand " +
			"type: BOOL",
		"n BETWEEN :hundred AND :nine": "requires upper bound to be greater",
		"n = :ten AND":                 "Syntax error",
		"n ! :ten":                     "Syntax error",
		"l[x] = :ten":                  "Syntax error",
		strings.Repeat("(", 400) + "n = :ten" + strings.Repeat(")", 400): "too many levels",
		"n = :ten OR " + strings.Repeat("x", 5000):                       "maximum allowed size",
	} {
		_, err := ParseCondition("ConditionExpression", src, placeholders(t))
		if err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "Invalid ConditionExpression: ") {
			t.Errorf("%.40s: got %v, want %q", src, err, want)
		}
	}
}

func TestUpdates(t *testing.T) {
	for _, c := range []struct{ src, path, want string }{
		{"SET n = n + :ten", "n", `{"N":"20"}`},
		{"SET n = n - :hundred", "n", `{"N":"-90"}`},
		{"SET fresh = :a, n = if_not_exists(fresh, :nine)", "n", `{"N":"9"}`}, // right sides see the old item
		{"SET fresh = if_not_exists(n, :nine)", "fresh", `{"N":"10"}`},
		{"SET l = list_append(l, :list)", "l[3]", `{"S":"more"}`},
		{"SET l = list_append(if_not_exists(#no, :list), l)", "l[0]", `{"S":"more"}`},
		{"SET l[1] = :a", "l[1]", `{"S":"a"}`},
		{"SET l[50] = :a", "l[3]", `{"S":"a"}`},
		{"SET m.deep.z = :a", "m.deep.z", `{"S":"a"}`},
		{"SET #s = :a", "status", `{"S":"a"}`},
		{"REMOVE l[0], l[1]", "l[0].y", `{"S":"in list"}`},
		{"REMOVE m.k", "m", `{"M":{"deep":{"M":{"x":{"N":"1"}}}}}`},
		{"REMOVE #no", "n", `{"N":"10"}`},
		{"ADD n :nine", "n", `{"N":"19"}`},
		{"ADD fresh :nine", "fresh", `{"N":"9"}`},
		{"ADD tags :set", "tags", `{"SS":["a","b","x"]}`},
		{"DELETE nums :nums", "nums", `{"NS":["10"]}`},
		{"set n = :a remove id add neg :ten delete #no :set", "neg", `{"N":"7.5"}`},
	} {
		u, err := ParseUpdate(c.src, placeholders(t))
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		before := item(t, sample)
		after, err := u.Apply(before)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		paths, err := ParseProjection(strings.ReplaceAll(c.path, "status", "#s"), placeholders(t))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := after.Get(paths[0])
		if b, _ := json.Marshal(got); string(b) != c.want {
			t.Errorf("%s: %s is %s, want %s", c.src, c.path, b, c.want)
		}
		if !(Value{Kind: M, Map: before}).Equal(Value{Kind: M, Map: item(t, sample)}) {
			t.Errorf("%s changed the item it was given", c.src)
		}
	}
}

func TestRefusedUpdates(t *testing.T) {
	for src, want := range map[string]string{
		"SET n = #no":                 "refers to an attribute that does not exist in the item",
		"SET #no.x = :a":              "invalid for update",
		"SET n = id + :ten":           "incorrect data type",
		"ADD id :nine":                "incorrect data type",
		"ADD n :a":                    "Incorrect operand type",
		"DELETE tags :ten":            "Incorrect operand type",
		"SET n = :a, n = :ten":        "Two document paths overlap",
		"SET m = :a, m.k = :ten":      "Two document paths overlap",
		"SET n = :a SET id = :a":      "can only be used once",
		"FROB n":                      "Syntax error",
		"SET n :a":                    "Syntax error",
		"SET n = n + :ten + :ten":     "Syntax error",
		"SET n = attribute_exists(n)": "Invalid function name",
	} {
		u, err := ParseUpdate(src, placeholders(t))
		if err == nil {
			_, err = u.Apply(item(t, sample))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

func TestKeyConditions(t *testing.T) {
	names := &Names{Values: item(t, `{":p":{"S":"p"},":s":{"S":"s"},":t":{"S":"t"}}`)}
	for src, want := range map[string]string{
		"PK = :p":                          "",
		":p = PK":                          "",
		"PK = :p AND SK = :s":              "=",
		"SK < :s AND PK = :p":              "<",
		"PK = :p AND :s < SK":              ">",
		"PK = :p AND begins_with(SK, :s)":  "begins_with",
		"PK = :p AND SK BETWEEN :s AND :t": "BETWEEN",
		"(PK = :p) AND (SK >= :s)":         ">=",
		"PK > :p":                          "not supported",
		"SK = :s":                          "missed key schema element: PK",
		"PK = :p AND third = :s":           "missed key schema element",
		"PK = :p OR SK = :s":               "Invalid operator used in KeyConditionExpression: OR",
		"PK = :p AND SK <> :s":             "Invalid operator used in KeyConditionExpression: <>",
		"PK = :p AND SK = :s AND SK > :t":  "length 1 or 2",
		"PK = :p AND PK = :s":              "one condition per key",
		"PK = SK":                          "Multiple attribute names",
		"PK = :p AND contains(SK, :s)":     "Invalid operator",
		"PK = :p AND size(SK) = :s":        "left side",
		"PK = :p AND attribute_exists(SK)": "Invalid operator",
	} {
		k, err := ParseKeyCondition(src, names, "PK", "SK")
		switch {
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", src, err, want)
		case err == nil && k.Op != want:
			t.Errorf("%s: sort operator %q, want %q", src, k.Op, want)
		}
	}
}

func TestUnusedPlaceholdersAreNamed(t *testing.T) {
	names := &Names{Attributes: map[string]string{"#a": "a"}, Values: map[string]Value{":v": String("x")}}
	if _, err := ParseCondition("FilterExpression", "#a = :v", names); err != nil || names.Unused() != nil {
		t.Fatalf("all used: %v %v", err, names.Unused())
	}
	names.Values[":w"] = String("y")
	if err := names.Unused(); err == nil || !strings.Contains(err.Error(), "{:w}") {
		t.Fatalf("got %v", err)
	}
}

func TestProjectionKeepsOnlyWhatItNames(t *testing.T) {
	paths, err := ParseProjection("id, m.deep.x, l[2].y, l[0], #no", placeholders(t))
	if err != nil {
		t.Fatal(err)
	}
	got := Project(item(t, sample), paths)
	want := item(t, `{"id":{"S":"rg-1"},"m":{"M":{"deep":{"M":{"x":{"N":"1"}}}}},"l":{"L":[{"M":{"y":{"S":"in list"}}},{"S":"zero"}]}}`)
	if !(Value{Kind: M, Map: got}).Equal(Value{Kind: M, Map: want}) {
		b, _ := json.Marshal(got)
		t.Fatalf("got %s", b)
	}
	if _, err := ParseProjection("m, m.k", nil); err == nil {
		t.Fatal("overlapping paths were accepted")
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "1.50": "1.5", "-2.0": "-2", "1e3": "1000", "1E-3": "0.001", ".5": "0.5",
		"5.": "5", "+3": "3",
		"1e125": "1E125", "9.9e-130": "9.9E-130",
		"12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
		"":                                       "cannot be converted", "1x": "cannot be converted",
		"1e126": "overflow", "1e-131": "underflow", "--1": "cannot be converted",
		"123456789012345678901234567890123456789": "38 significant digits", "NaN": "cannot be converted",
		"e5": "cannot be converted",
	} {
		got, err := ParseNumber(in)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func numberGen() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.StringMatching(`-?[0-9]{1,8}(\.[0-9]{1,6})?(E-?[0-9]{1,2})?`).Draw(t, "number")
		n, err := ParseNumber(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return n
	})
}

func TestNumbersOrderAndAddAsExactRationals(t *testing.T) {
	rat := func(s string) *big.Rat { r, _ := new(big.Rat).SetString(s); return r }
	rapid.Check(t, func(t *rapid.T) {
		a, b := numberGen().Draw(t, "a"), numberGen().Draw(t, "b")
		if got, want := compareNumbers(a, b), rat(a).Cmp(rat(b)); got != want {
			t.Fatalf("%s against %s: %d, want %d", a, b, got, want)
		}
		sum, err := addNumbers(a, b, false)
		if err != nil {
			return // more than 38 digits
		}
		if want := new(big.Rat).Add(rat(a), rat(b)); rat(sum).Cmp(want) != 0 {
			t.Fatalf("%s + %s = %s, want %s", a, b, sum, want)
		}
		back, err := addNumbers(sum, b, true)
		if err != nil || back != a {
			t.Fatalf("%s + %s - %s = %s (%v)", a, b, b, back, err)
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, v := range item(f, sample) {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, again Value
		if json.Unmarshal(b, &v) != nil {
			return
		}
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &again); err != nil || !v.Equal(again) {
			t.Fatalf("%s became %s (%v)", b, out, err)
		}
	})
}

func FuzzExpressions(f *testing.F) {
	for _, s := range []string{"n = :ten AND NOT (begins_with(id, :rg) OR l[0] IN (:a, :v))",
		"SET n = if_not_exists(n, :ten) + :nine REMOVE l[1] ADD tags :set DELETE nums :nums", "id, m.k, l[2].y",
		"PK = :p AND SK BETWEEN :a AND :v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if c, err := ParseCondition("ConditionExpression", src, placeholders(t)); err == nil {
			c.Eval(item(t, sample))
			c.Eval(nil)
		}
		if u, err := ParseUpdate(src, placeholders(t)); err == nil {
			if after, err := u.Apply(item(t, sample)); err == nil {
				after.Size()
			}
		}
		if p, err := ParseProjection(src, placeholders(t)); err == nil {
			Project(item(t, sample), p)
		}
		if k, err := ParseKeyCondition(src, placeholders(t), "id", "n"); err == nil {
			k.Matches(String("x"))
		}
	})
}
