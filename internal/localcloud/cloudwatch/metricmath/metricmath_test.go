package metricmath

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func line(id string, points ...float64) Series {
	s := Series{ID: id, Label: id, Period: 60}
	for i, v := range points {
		if !math.IsNaN(v) {
			s.Points = append(s.Points, Point{int64(i) * 60, v})
		}
	}
	return s
}

var gap = math.NaN()

func testEnv() Env {
	all := []Series{line("m1", 1, 2, 4), line("m2", 10, gap, 30), line("errors1", 0, 1, 0), line("empty")}
	return Env{
		Lookup: func(id string) (Value, bool, error) {
			for _, s := range all {
				if s.ID == id {
					return single(s), true, nil
				}
			}
			return Value{}, false, nil
		},
		Metrics: all[:3], Period: 60, Start: 0, End: 240,
		Search: func(string, string, int64) ([]Series, error) { return []Series{all[0], all[1]}, nil },
	}
}

func render(v Value) string {
	if v.Kind == Scalar {
		return fmt.Sprint(v.Scalar)
	}
	var out []string
	for _, s := range v.Series {
		var p []string
		for _, x := range s.Points {
			p = append(p, fmt.Sprintf("%d:%.4g", x.Time/60, x.Value+0)) // -0 is 0
		}
		out = append(out, strings.Join(p, " "))
	}
	if v.Kind == List {
		return "[" + strings.Join(out, " | ") + "]"
	}
	return out[0]
}

func TestExpressions(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"1+2*3^2", "19"}, {"-2^2", "-4"}, {"2^3^2", "512"}, {"(1+2)*3", "9"}, {"7-2-1", "4"},
		{"m1 + 1", "0:2 1:3 2:5"}, {"m1+m2", "0:11 2:34"}, {"m2/m1*2", "0:20 2:15"}, {"1/errors1", "1:1"},
		{"-m1", "0:-1 1:-2 2:-4"},
		{"m1 > 1", "0:0 1:1 2:1"}, {"m1 >= 2 AND errors1 > 0", "0:0 1:1 2:0"}, {"m1 == 1 || m1 == 4", "0:1 1:0 2:1"},
		{"m1 < m2", "0:1 2:1"}, {"m1 != 2", "0:1 1:0 2:1"}, {"1 OR 0 AND 0", "1"},
		{"SUM(METRICS())", "0:11 1:3 2:34"}, {`SUM(METRICS("m"))`, "0:11 1:2 2:34"}, {`METRICS("errors")`, "[0:0 1:1 2:0]"},
		{"SUM([m1,m2])", "0:11 1:2 2:34"}, {"AVG([m1,m2])", "0:5.5 1:2 2:17"}, {"MIN([m1,m2])", "0:1 1:2 2:4"},
		{"MAX([m1,m2])", "0:10 1:2 2:30"},
		{"SUM(m1)", "7"}, {"m1/SUM(m1)*100", "0:14.29 1:28.57 2:57.14"}, {"MAX(m1)-MIN(m1)", "3"},
		{"STDDEV([m1,m1])", "0:0 1:0 2:0"},
		{"IF(m1>1, m1, 0)", "0:0 1:2 2:4"}, {"IF(m1>1, m2, m1)", "0:1 2:30"}, {"IF(0, 1, 2)", "2"},
		{"IF(m1 > 10, 100*errors1/m1, 0)", "0:0 1:0 2:0"},
		{"FILL(m2, 0)", "0:10 1:0 2:30 3:0"}, {"FILL(m2, REPEAT)", "0:10 1:10 2:30 3:30"},
		{"FILL(m2, LINEAR)", "0:10 1:20 2:30"},
		{"FILL(empty, 0)", "0:0 1:0 2:0 3:0"}, {"FILL(empty, REPEAT)", ""}, {"FILL(m2, m1)", "0:10 1:2 2:30"},
		{"FILL([m1,m2], 5)", "[0:1 1:2 2:4 3:5 | 0:10 1:5 2:30 3:5]"},
		{"RATE(m1)*60", "1:1 2:2"}, {"DIFF(m1)", "1:1 2:2"}, {"DIFF(m2)", "2:20"}, {"DIFF_TIME(m2)", "2:120"},
		{"RUNNING_SUM(m1)", "0:1 1:3 2:7"},
		{"m1*0+PERIOD(m1)", "0:60 1:60 2:60"}, {"DATAPOINT_COUNT(m2)", "2"}, {"METRIC_COUNT([m1,m2])", "2"},
		{"TIME_SERIES(3)", "0:3 1:3 2:3 3:3"}, {"ABS(-3)", "3"}, {"CEIL(1.2)+FLOOR(1.8)", "3"},
		{"LOG10(m2)", "0:1 2:1.477"},
		{"SEARCH('x', 'Sum', 60)", "[0:1 1:2 2:4 | 0:10 2:30]"}, {"SUM(SEARCH('x', 'Sum', 60))", "0:11 1:2 2:34"},
		{"SORT([m1,m2], MAX, DESC, 1)", "[0:10 2:30]"}, {"SORT([m2,m1], AVG, ASC)", "[0:1 1:2 2:4 | 0:10 2:30]"},
		{"SLICE([m1,m2], 0, 1)", "[0:1 1:2 2:4]"}, {"SLICE([m1,m2], 1)", "0:10 2:30"}, {"REMOVE_EMPTY([m1,empty])",
			"[0:1 1:2 2:4]"},
		{"[m1,m2]*2", "[0:2 1:4 2:8 | 0:20 2:60]"}, {"m1*[m1,m2]", "[0:1 1:4 2:16 | 0:10 2:120]"},
		{"MINUTE(m1)", "0:0 1:1 2:2"}, {"DAY(m1)", "0:4 1:4 2:4"}, {"YEAR(m1)", "0:1970 1:1970 2:1970"},
	} {
		e, err := Parse(c.src)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		v, err := e.Eval(testEnv())
		if got := render(v); err != nil || got != c.want {
			t.Errorf("%s = %q, %v; want %q", c.src, got, err, c.want)
		}
	}
}

func TestFaultsAreNamed(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "unexpected"}, {"m1 +", "unexpected"}, {"(m1", `expected ")"`}, {"m1 m2", "unexpected"}, {"'x", "not closed"}, {"m1 # 2", "unexpected character"},
		{"FOO(m1)", `Unsupported function "FOO"`}, {"ANOMALY_DETECTION_BAND(m1, 2)", "not built"}, {"SUM()", "takes 1 arguments"},
		{"M1", "lower-case"}, {"nothere", "no metric"}, {"[1]", "time series only"}, {"[m1]+[m2]", "two lists"},
		{"'x'", "neither"},
		{"RATE(1)", "must be a time series"}, {"FILL(m1, 'x')", "argument 2"}, {"1.2.3", "not a number"},
		{strings.Repeat("(", 200), "too deeply"},
		{strings.Repeat("1", 3000), "longer"}, {"sum(m1)", "Unsupported"}, {"SLICE([m1], 4)", "only 1"},
	} {
		e, err := Parse(c.src)
		if err == nil {
			_, err = e.Eval(testEnv())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.30q: %v, want %q", c.src, err, c.want)
		}
	}
}

// TestSumSplits: a sum over a list is the sums of its parts.
func TestSumSplits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 3, 3)
		all := map[string]Series{"a": line("a", values.Draw(t, "a")...), "b": line("b", values.Draw(t, "b")...)}
		env := Env{Period: 60, End: 180, Lookup: func(id string) (Value, bool, error) {
			s, ok := all[id]
			return single(s), ok, nil
		}}
		var got []string
		for _, src := range []string{"SUM([a,b])", "a+b", "b+a", "AVG([a,b])*2"} {
			e, err := Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			v, err := e.Eval(env)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, render(v))
		}
		if len(slices.Compact(got)) != 1 {
			t.Fatal(got)
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{"m1+1", "IF(m1>2 AND m2<3, SUM(METRICS()), FILL(m2, LINEAR))", "SORT([m1,m2], AVG, DESC, 1)", "SLICE([m1],0,9)", "-1^-2e3", `SEARCH('{A,"b"} x', 'Sum', 300)`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := Parse(src)
		if err != nil {
			return
		}
		v, err := e.Eval(testEnv())
		if err != nil {
			return
		}
		for _, s := range v.Series {
			if !slices.IsSortedFunc(s.Points, func(a, b Point) int { return int(a.Time - b.Time) }) {
				t.Errorf("%q: not sorted: %v", src, s)
			}
			for _, p := range s.Points {
				if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
					t.Errorf("%q: %v", src, p)
				}
			}
		}
	})
}
