package fleetindex

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var gateway = Document{
	"thingName": {"cpe-17"}, "thingTypeName": {"gateway"}, "thingGroupNames": {"wave1", "lab"},
	"attributes.model": {"X1-Pro"}, "attributes.version": {"12"}, "attributes.note": {"two words"},
	"attributes.neg":         {"-5"},
	"connectivity.connected": {"true"}, "connectivity.timestamp": {"1579903000000"},
}

func TestMatch(t *testing.T) {
	for query, want := range map[string]bool{
		`*`:                                           true,
		`thingName:cpe-17`:                            true,
		`thingName:CPE-17`:                            true,
		`thingname:cpe-17`:                            false,
		`thingName:cpe*`:                              true,
		`thingName:cpe-1?`:                            true,
		`thingName:cpe-?`:                             false,
		`thingName:c*-1*`:                             true,
		`*17`:                                         true,
		`gateway`:                                     true,
		`router`:                                      false,
		`gateway lab`:                                 true,
		`gateway router`:                              false,
		`gateway OR router`:                           true,
		`router OR gateway AND nowhere`:               false,
		`gateway OR router AND nowhere`:               true,
		`NOT router`:                                  true,
		`-router gateway`:                             true,
		`gateway -lab`:                                false,
		`NOT NOT gateway`:                             true,
		`thingGroupNames:(wave1 AND lab)`:             true,
		`thingGroupNames:(wave2 OR lab)`:              true,
		`thingGroupNames:(wave2 wave1)`:               false,
		`(gateway OR router) AND thingName:cpe*`:      true,
		`attributes.note:"two words"`:                 true,
		`attributes.note:two\ words`:                  true,
		`attributes.note:two*`:                        true,
		`attributes.version > 5`:                      true,
		`attributes.version>=12`:                      true,
		`attributes.version > 12`:                     false,
		`attributes.version < 100`:                    true, // not as text
		`attributes.version:[2 TO 12]`:                true,
		`attributes.version:[2 TO 12}`:                false,
		`attributes.version:{12 TO *]`:                false,
		`attributes.version:12.0`:                     true,
		`attributes.neg < -4`:                         true,
		`attributes.neg:[-6 TO -5]`:                   true,
		`attributes.model:[x0 TO x2]`:                 true,
		`attributes.model:*`:                          true,
		`attributes:*`:                                true,
		`attributes.none:*`:                           false,
		`connectivity.connected:true`:                 true,
		`connectivity.timestamp > 1579900000000`:      true,
		`NOT connectivity.connected:true`:             false,
		`thingName:cpe-17 thingTypeName:gateway -foo`: true,
	} {
		q, err := Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := q.Match(gateway); got != want {
			t.Errorf("%s (%s): got %v, want %v", query, q, got, want)
		}
	}
}

func TestRefusedQueries(t *testing.T) {
	for _, query := range []string{
		``, ` `, `AND a`, `a OR`, `NOT`, `(a`, `a)`, `"open`, `a:`, `a:[1 TO 2`, `a:[1 2]`, `[1 TO 2]`, `> 5`, `a = 5`, `a@b`, `a/b`, `a*:b`, `a\`,
		`a***`, `a??????`, `*a b`, `a b c d e f g h i j k l m`, strings.Repeat("a", 1001), "*" + strings.Repeat("a", 100), `a:b:c`,
		strings.Repeat("(", 60) + "a" + strings.Repeat(")", 60),
	} {
		q, err := Parse(query)
		if _, ok := errors.AsType[*SyntaxError](err); !ok || q != nil {
			t.Errorf("%.40q: got %v, %v; want a syntax error", query, q, err)
		}
	}
}

// genNode draws queries as text together with what they must say of gateway.
func genNode(depth int) *rapid.Generator[[2]any] {
	return rapid.Custom(func(t *rapid.T) [2]any {
		if depth == 0 || rapid.Bool().Draw(t, "leaf") {
			leaf := rapid.SampledFrom([][2]any{
				{`thingName:cpe-17`, true}, {`gateway`, true}, {`attributes.version > 5`, true}, {`"lab"`, true},
				{`router`, false}, {`thingName:x*`, false}, {`attributes.version:[1 TO 3]`, false},
			}).Draw(t, "term")
			return leaf
		}
		a := genNode(depth-1).Draw(t, "left")
		b := genNode(depth-1).Draw(t, "right")
		switch rapid.IntRange(0, 3).Draw(t, "op") {
		case 0:
			return [2]any{"(" + a[0].(string) + ") AND (" + b[0].(string) + ")", a[1].(bool) && b[1].(bool)}
		case 1:
			return [2]any{"(" + a[0].(string) + ") OR (" + b[0].(string) + ")", a[1].(bool) || b[1].(bool)}
		case 2:
			return [2]any{"(" + a[0].(string) + ") (" + b[0].(string) + ")", a[1].(bool) && b[1].(bool)}
		default:
			return [2]any{"NOT (" + a[0].(string) + ")", !a[1].(bool)}
		}
	})
}

func TestMatchAgreesWithLogic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := genNode(3).Draw(t, "query")
		q, err := Parse(n[0].(string))
		if err != nil {
			t.Fatalf("%s: %v", n[0], err)
		}
		if got := q.Match(gateway); got != n[1].(bool) {
			t.Fatalf("%s: got %v, want %v", n[0], got, n[1])
		}
	})
}

// FuzzParse: what parses is written in a form that parses to the same tree and
// says the same; what does not parse gives a syntax error within the query.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`thingName:cpe* AND attributes.model:(X1 OR "X 2")`, `a.b > -5 NOT c`, `a:[1 TO *} -b`, `a\:b:c\ d?`, `*`, `a:*`, `"q\"uo\\te"`, `a:>=3`, `ü:Ä*`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse(s)
		if err != nil {
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok || q != nil || e.Offset < 0 || e.Offset > len(s) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		text := q.String()
		if len(text) > 900 || strings.Count(text, "(") > 40 || strings.Count(text, "NOT") > 40 {
			return // written out in full it may be longer than is allowed
		}
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q became %q: %v", s, text, err)
		}
		if again.String() != text {
			t.Fatalf("%q became %q, then %q", s, text, again)
		}
		if again.Match(gateway) != q.Match(gateway) {
			t.Fatalf("%q and %q disagree", s, text)
		}
	})
}
