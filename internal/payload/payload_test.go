package payload_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/payload"
)

func TestOneDocumentIsRead(t *testing.T) {
	for _, bad := range []string{``, `{`, `{} 1`, `nonsense`} {
		if _, problems := payload.Decode([]byte(bad)); len(problems) != 1 || problems[0].Path != "$" {
			t.Errorf("%q: %v", bad, problems)
		}
	}
	tree, problems := payload.Decode([]byte(`{"n": 10.0, "f": 1.5, "l": [1e2], "big": 1e300}`))
	var v struct {
		N   int
		F   float64
		L   []int
		Big float64
	}
	if err := payload.Into(tree, &v); problems != nil || err != nil || v.N != 10 || v.F != 1.5 || v.L[0] != 100 ||
		v.Big != 1e300 {
		t.Errorf("%+v, %v, %v", v, problems, err)
	}
	if err := payload.Into(map[string]any{"n": "x"}, &v); err == nil {
		t.Error("text is read as a number")
	}
}

// TestEachCheck has one object in which everything is wrong, and one in which nothing is.
func TestEachCheck(t *testing.T) {
	check := func(text string) string {
		tree, problems := payload.Decode([]byte(text))
		if problems != nil {
			t.Fatal(problems)
		}
		c := &payload.Checker{}
		m, ok := c.Object("$", tree, "text", "short", "word", "flag", "whole", "tenth", "list", "must")
		if !ok {
			return c.Problems().Error()
		}
		c.Require("$", m, "must", "something")
		c.Text("$", m, "text", regexp.MustCompile(`^a+$`), "some a")
		c.Short("$", m, "short", regexp.MustCompile(`^a*$`), 3, "1 to 3 a")
		c.Choice("$", m, "word", "yes", "no")
		c.Flag("$", m, "flag")
		c.Number("$", m, "whole", 1, 10, 1)
		c.Number("$", m, "tenth", 0.1, 0.5, 0.1)
		c.List("$", m, "list", 1, 2, "things")
		if problems := c.Problems(); len(problems) > 0 {
			return problems.Error()
		}
		return ""
	}
	if got := check(`[]`); !strings.HasSuffix(got,
		"\n$: []: an object with text, short, word, flag, whole, tenth, list, must") {
		t.Errorf("got %s", got)
	}
	for _, good := range []string{
		`{"must":null}`,
		`{"must":1,"text":"aa","short":"aaa","word":"no","flag":true,"whole":10.0,"tenth":0.3,"list":[1]}`,
	} {
		if got := check(good); got != "" {
			t.Errorf("%s: %s", good, got)
		}
	}
	const want = `9 mistakes in the payload:
$.flag: 1: true or false
$.list: []: an array of 1 to 2 things
$.must: missing: required: something
$.other: 1: no such member; text, short, word, flag, whole, tenth, list, must are known
$.short: "aaaa": 1 to 3 a
$.tenth: 0.35: a multiple of 0.1 from 0.1 to 0.5
$.text: 7: some a
$.whole: 1.5: a whole number from 1 to 10
$.word: "maybe": one of yes, no`
	wrong := `{"text":7,"short":"aaaa","word":"maybe","flag":1,"whole":1.5,"tenth":0.35,"list":[],"other":1}`
	if got := check(wrong); got != want {
		t.Errorf("got %s", got)
	}
}

func TestNumbersMayBePlain(t *testing.T) {
	c := &payload.Checker{}
	if n, ok := c.Number("$", map[string]any{"n": 3.0}, "n", 1, 5, 1); !ok || n != 3 {
		t.Errorf("%v, %v", n, ok)
	}
	if n, ok := c.Number("$", map[string]any{"n": json.Number("1e999")}, "n", 1, 5, 1); ok {
		t.Errorf("%v", n)
	}
	// A bound is told as it is: a number that a message allows is not refused.
	c = &payload.Checker{}
	c.Number("$", map[string]any{"n": 1.0}, "n", 0.5, 0.999, 0.001)
	if got := c.Problems().Error(); !strings.HasSuffix(got, "$.n: 1: a multiple of 0.001 from 0.5 to 0.999") {
		t.Errorf("got %s", got)
	}
}
