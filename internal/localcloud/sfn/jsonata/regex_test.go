package jsonata

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func matchAll(t testing.TB, pattern, flags, s string) string {
	re, err := compileRegex(pattern, flags, false)
	if err != nil {
		return err.Error()
	}
	m := machine{maxSteps: defaultSteps, maxMemory: defaultMemory}
	units := toUnits(s)
	caps := re.exec(&m, units, 0)
	if caps == nil {
		return "no match"
	}
	var parts []string
	for i := 0; i < len(caps); i += 2 {
		if caps[i] < 0 {
			parts = append(parts, "-")
		} else {
			parts = append(parts, fmt.Sprintf("%d:%s", caps[i], fromUnits(units[caps[i]:caps[i+1]])))
		}
	}
	return strings.Join(parts, " ")
}

// The clauses are those of ECMA-262.
func TestRegexAsInJavaScript(t *testing.T) {
	for _, c := range []struct{ pattern, flags, s, want string }{
		{`a|ab`, "", "abc", "0:a"},
		{`((a)|(ab))((c)|(bc))`, "", "abc", "0:abc 0:a 0:a - 1:bc - 1:bc"},
		{`(z)((a+)?(b+)?(c))*`, "", "zaacbbbcac", "0:zaacbbbcac 0:z 8:ac 8:a - 9:c"}, // captures of a round are its own
		{`(?=(a+))a*b\1`, "", "baaabac", "3:aba 3:a"},
		{`(.*?)a(?!(a+)b\2c)\2(.*)`, "", "baaabaac", "0:baaabaac 0:ba - 3:abaac"},
		{`(a*)*`, "", "b", "0: -"},
		{`(?:a?)*?$`, "", "aa", "0:aa"},
		{`a{2,3}`, "", "aaaa", "0:aaa"},
		{`a{2,3}?`, "", "aaaa", "0:aa"},
		{`x{,2}`, "", "x{,2}", "0:x{,2}"},
		{`^b`, "m", "a\nb", "2:b"},
		{`^b`, "", "a\nb", "no match"},
		{`a$`, "", "a\n", "no match"},
		{`.`, "", "\n\u2028x", "2:x"},
		{`[^]`, "", "\n", "0:\n"},
		{`[]`, "", "a", "no match"},
		{`[\d-x]+`, "", "1-x", "0:1-x"},
		{`\w+`, "", "éab", "1:ab"},
		{`\s`, "", "a\u00a0", "1:\u00a0"},
		{`\bfoo\b`, "", "a foo.", "2:foo"},
		{`É`, "i", "é", "0:é"},
		{`[à-þ]`, "i", "É", "0:É"},
		{`(?<=\$)\d+`, "", "€10 $42", "5:42"},
		{`(?<!\$)\b\d+`, "", "$10 42", "4:42"},
		{`(?<=(\d)(\d+))x`, "", "123x", "3:x 0:1 1:23"},
		{`(?<y>\d{4})-\k<y>`, "", "2019-2019", "0:2019-2019 0:2019"},
		{`\1(a)`, "", "aa", "0:a 0:a"},
		{`😀`, "", "x😀", "1:😀"},
		{`\u0041\x42\103`, "", "ABC", "0:ABC"},
		{`a**`, "", "", "nothing to repeat"},
		{`(`, "", "", "unterminated group"},
		{`a{3,1}`, "", "", "numbers out of order in {} quantifier"},
		{`(((a{99}){99}){99}){99}`, "", "", "pattern too large"},
	} {
		if got := matchAll(t, c.pattern, c.flags, c.s); got != c.want {
			t.Errorf("/%s/%s on %q: got %q, want %q", c.pattern, c.flags, c.s, got, c.want)
		}
	}
}

// TestRegexAgainstGo compares whole matches where both mean the same.
func TestRegexAgainstGo(t *testing.T) {
	var pattern *rapid.Generator[string]
	atom := rapid.SampledFrom([]string{"a", "b", "c", ".", "[ab]", "[^a]", `\d`, `\w`, `\b`, "1"})
	pattern = rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for i := range rapid.IntRange(1, 4).Draw(t, "terms") {
			a := atom.Draw(t, "atom")
			if a != `\b` {
				a += rapid.SampledFrom([]string{"", "", "*", "+", "?", "{1,2}", "*?", "+?", "??"}).Draw(t,
					"quantifier")
			}
			if i > 0 && rapid.IntRange(0, 5).Draw(t, "alternative") == 0 {
				b.WriteByte('|')
			}
			if rapid.IntRange(0, 4).Draw(t, "group") == 0 {
				a = "(" + a + ")"
			}
			b.WriteString(a)
		}
		return b.String()
	})
	rapid.Check(t, func(t *rapid.T) {
		p := pattern.Draw(t, "pattern")
		s := rapid.StringMatching(`[abc1 ]{0,10}`).Draw(t, "text")
		want := "no match"
		if at := regexp.MustCompile(p).FindStringIndex(s); at != nil {
			want = fmt.Sprintf("%d:%s", at[0], s[at[0]:at[1]])
		}
		re, err := compileRegex(p, "", false)
		if err != nil {
			t.Fatal(err)
		}
		got := "no match"
		m := machine{maxSteps: defaultSteps, maxMemory: defaultMemory}
		if caps := re.exec(&m, toUnits(s), 0); caps != nil {
			got = fmt.Sprintf("%d:%s", caps[0], s[caps[0]:caps[1]])
		}
		if got != want {
			t.Fatalf("/%s/ on %q: got %s, want %s", p, s, got, want)
		}
	})
}
