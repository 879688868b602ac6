package metricmath

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"time"
)

// keywords are words that stand as arguments.
var keywords = []string{"REPEAT", "LINEAR", "ASC", "DESC", "AVG", "MIN", "MAX", "SUM"}

// foreign are functions that CloudWatch has and this package does not.
var foreign = []string{"ANOMALY_DETECTION_BAND", "DB_PERF_INSIGHTS", "INSIGHT_RULE_METRIC", "LAMBDA", "SERVICE_QUOTA",
	"FIRST", "LAST"}

type function struct {
	least, most int
	run         func(c *call) (Value, error)
}

func arity(f function) string {
	if f.least == f.most {
		return fmt.Sprintf("%d arguments", f.least)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

func checkFunction(t token) error {
	if _, ok := functions[t.text]; ok {
		return nil
	}
	if slices.Contains(foreign, t.text) {
		return fault(t.offset, "the function %s is not built here", t.text)
	}
	return fault(t.offset, "Unsupported function %q", t.text)
}

// call is one use of a function; its arguments are computed.
type call struct {
	env    *Env
	node   *node
	args   []Value
	offset int
}

func (c *call) fault(format string, args ...any) error {
	return fault(c.offset, "%s: %s", c.node.name, fmt.Sprintf(format, args...))
}

func (c *call) scalar(i int) (float64, error) {
	if c.args[i].Kind != Scalar {
		return 0, c.fault("argument %d must be a number", i+1)
	}
	return c.args[i].Scalar, nil
}

var functions map[string]function

func init() {
	functions = map[string]function{
		"ABS": each(math.Abs), "CEIL": each(math.Ceil), "FLOOR": each(math.Floor),
		"LOG": each(math.Log), "LOG10": each(math.Log10),
		"AVG": fold(mean), "SUM": fold(sum), "MIN": fold(slices.Min[[]float64]), "MAX": fold(slices.Max[[]float64]),
		"STDDEV":          fold(deviation),
		"DATAPOINT_COUNT": {1, 1, datapointCount}, "METRIC_COUNT": {1, 1, metricCount},
		"DIFF":      along(func(s Series, i int) float64 { return s.Points[i].Value - s.Points[i-1].Value }),
		"DIFF_TIME": along(func(s Series, i int) float64 { return float64(s.Points[i].Time - s.Points[i-1].Time) }),
		"RATE": along(func(s Series, i int) float64 {
			return (s.Points[i].Value - s.Points[i-1].Value) / float64(s.Points[i].Time-s.Points[i-1].Time)
		}),
		"RUNNING_SUM": {1, 1, runningSum}, "FILL": {2, 2, fill}, "IF": {3, 3, choose},
		"METRICS": {0, 1, metrics}, "PERIOD": {1, 1, period}, "REMOVE_EMPTY": {1, 1, removeEmpty},
		"SEARCH": {2, 3, search}, "SLICE": {2, 3, slice}, "SORT": {3, 4, sortSeries},
		"TIME_SERIES": {1, 1, timeSeries},
		"MINUTE": clock(func(t time.Time) int {
			return t.Minute()
		}), "HOUR": clock(func(t time.Time) int { return t.Hour() }),
		// DAY is 1 for Monday to 7 for Sunday, DATE the day of the month.
		"DAY": clock(func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }),
		"DATE": clock(func(t time.Time) int {
			return t.Day()
		}), "MONTH": clock(func(t time.Time) int { return int(t.Month()) }),
		"YEAR": clock(func(t time.Time) int {
			return t.Year()
		}), "EPOCH": clock(func(t time.Time) int { return int(t.Unix()) }),
	}
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}
func mean(v []float64) float64 { return sum(v) / float64(len(v)) }
func deviation(v []float64) float64 {
	m, s := mean(v), 0.0
	for _, x := range v {
		s += (x - m) * (x - m)
	}
	return math.Sqrt(s / float64(len(v)))
}

// each applies f to every value.
func each(f func(float64) float64) function {
	return function{1, 1, func(c *call) (Value, error) {
		if c.args[0].Kind == Scalar {
			return Number(f(c.args[0].Scalar)), nil
		}
		return c.perSeries(func(s Series) Series { return s.points(func(p Point) float64 { return f(p.Value) }) })
	}}
}

// perSeries applies f to the series or to each of the list.
func (c *call) perSeries(f func(Series) Series) (Value, error) {
	switch v := c.args[0]; v.Kind {
	case One:
		return single(f(v.Series[0])), nil
	case List:
		out := make([]Series, len(v.Series))
		for i, s := range v.Series {
			out[i] = f(s)
		}
		return Value{Kind: List, Series: out}, nil
	}
	return Value{}, c.fault("argument 1 must be a time series")
}

// fold makes a scalar of a series, and a series of a list: at each time over
// the series that have a point there.
func fold(f func([]float64) float64) function {
	return function{1, 1, func(c *call) (Value, error) {
		switch v := c.args[0]; v.Kind {
		case Scalar:
			return Number(f([]float64{v.Scalar})), nil
		case One:
			var values []float64
			for _, p := range v.Series[0].Points {
				values = append(values, p.Value)
			}
			if len(values) == 0 {
				return Number(math.NaN()), nil
			}
			return Number(f(values)), nil
		case List:
			return c.across(f)
		}
		return Value{}, c.fault("argument 1 must be a time series")
	}}
}

func (c *call) across(f func([]float64) float64) (Value, error) {
	at := map[int64][]float64{}
	out := Series{Label: c.node.name, Period: c.env.Period}
	for i, s := range c.args[0].Series {
		if i == 0 {
			out.Period = s.Period
		}
		for _, p := range s.Points {
			at[p.Time] = append(at[p.Time], p.Value)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(at)) {
		values := at[t]
		out.Points = append(out.Points, Point{t, f(values)})
	}
	return single(out.clean()), nil
}

func along(f func(s Series, i int) float64) function {
	return function{1, 1, func(c *call) (Value, error) {
		return c.perSeries(func(s Series) Series {
			out := Series{ID: s.ID, Label: s.Label, Period: s.Period}
			for i := 1; i < len(s.Points); i++ {
				out.Points = append(out.Points, Point{s.Points[i].Time, f(s, i)})
			}
			return out.clean()
		})
	}}
}

func runningSum(c *call) (Value, error) {
	return c.perSeries(func(s Series) Series {
		total := 0.0
		return s.points(func(p Point) float64 { total += p.Value; return total })
	})
}

func clock(f func(time.Time) int) function {
	return function{1, 1, func(c *call) (Value, error) {
		return c.perSeries(func(s Series) Series {
			return s.points(func(p Point) float64 { return float64(f(time.Unix(p.Time, 0).UTC())) })
		})
	}}
}

func datapointCount(c *call) (Value, error) {
	switch v := c.args[0]; v.Kind {
	case One:
		return Number(float64(len(v.Series[0].Points))), nil
	case List:
		return c.across(func(v []float64) float64 { return float64(len(v)) })
	}
	return Value{}, c.fault("argument 1 must be a time series")
}

func metricCount(c *call) (Value, error) {
	if k := c.args[0].Kind; k != List && k != One {
		return Value{}, c.fault("argument 1 must be a list of time series")
	}
	return Number(float64(len(c.args[0].Series))), nil
}

func period(c *call) (Value, error) {
	if c.args[0].Kind != One {
		return Value{}, c.fault("argument 1 must be a time series")
	}
	return Number(float64(c.args[0].Series[0].Period)), nil
}

func metrics(c *call) (Value, error) {
	part := ""
	if len(c.args) == 1 {
		if c.args[0].Kind != Text {
			return Value{}, c.fault("argument 1 must be a string")
		}
		part = c.args[0].Text
	}
	out := []Series{}
	for _, s := range c.env.Metrics {
		if part == "" || contains(s.ID, part) {
			out = append(out, s)
		}
	}
	return Value{Kind: List, Series: out}, nil
}

func removeEmpty(c *call) (Value, error) {
	if c.args[0].Kind != List {
		return Value{}, c.fault("argument 1 must be a list of time series")
	}
	return Value{Kind: List, Series: slices.DeleteFunc(slices.Clone(c.args[0].Series), func(s Series) bool {
		return len(s.Points) == 0
	})}, nil
}

func timeSeries(c *call) (Value, error) {
	v, err := c.scalar(0)
	if err != nil {
		return Value{}, err
	}
	out := Series{Period: c.env.Period}
	for _, t := range c.env.grid(c.env.Period) {
		out.Points = append(out.Points, Point{t, v})
	}
	return single(out.clean()), nil
}

// fill puts points where a series has none: a number, the last value before
// (REPEAT) or what lies on the line between the neighbours (LINEAR). REPEAT
// and LINEAR put nothing before the first point, LINEAR nothing after the
// last; a series without points stays empty with both.
func fill(c *call) (Value, error) {
	by := c.args[1]
	if by.Kind != Scalar && by.Kind != One && (by.Kind != Word || by.Text != "REPEAT" && by.Text != "LINEAR") {
		return Value{}, c.fault("argument 2 must be a number, a time series, REPEAT or LINEAR")
	}
	return c.perSeries(func(s Series) Series {
		out := Series{ID: s.ID, Label: s.Label, Period: s.Period}
		have := s.Points
		next := 0 // first point of have at or after t
		for _, t := range c.env.grid(s.Period) {
			for ; next < len(have) && have[next].Time < t; next++ {
			}
			switch {
			case next < len(have) && have[next].Time == t:
				out.Points = append(out.Points, have[next])
			case by.Kind == Scalar:
				out.Points = append(out.Points, Point{t, by.Scalar})
			case by.Kind == One:
				if v, ok := by.Series[0].at(t); ok {
					out.Points = append(out.Points, Point{t, v})
				}
			case next == 0:
			case by.Text == "REPEAT":
				out.Points = append(out.Points, Point{t, have[next-1].Value})
			case next < len(have):
				a, b := have[next-1], have[next]
				out.Points = append(out.Points, Point{t, a.Value + (b.Value-a.Value)*float64(t-a.Time)/float64(
					b.Time-a.Time)})
			}
		}
		// Points off the grid (another period) stay.
		for _, p := range have {
			if _, ok := out.at(p.Time); !ok {
				out.Points = append(out.Points, p)
			}
		}
		return out.clean()
	})
}

// choose is IF: at each time of the condition the value of one or the other.
func choose(c *call) (Value, error) {
	cond, yes, no := c.args[0], c.args[1], c.args[2]
	for i, v := range c.args {
		if v.Kind != Scalar && v.Kind != One {
			return Value{}, c.fault("argument %d must be a number or a time series", i+1)
		}
	}
	if cond.Kind == Scalar {
		if cond.Scalar != 0 {
			return yes, nil
		}
		return no, nil
	}
	out := Series{Label: c.node.name, Period: cond.Series[0].Period}
	for _, p := range cond.Series[0].Points {
		from := no
		if p.Value != 0 {
			from = yes
		}
		if from.Kind == Scalar {
			out.Points = append(out.Points, Point{p.Time, from.Scalar})
		} else if v, ok := from.Series[0].at(p.Time); ok {
			out.Points = append(out.Points, Point{p.Time, v})
		}
	}
	return single(out.clean()), nil
}

func search(c *call) (Value, error) {
	for i := range 2 {
		if c.args[i].Kind != Text {
			return Value{}, c.fault("argument %d must be a string", i+1)
		}
	}
	if c.env.Search == nil {
		return Value{}, c.fault("cannot be used here")
	}
	seconds := c.env.Period
	if len(c.args) == 3 {
		n, err := c.scalar(2)
		if err != nil {
			return Value{}, err
		}
		if n < 1 || n > 86400*30 || n != math.Trunc(n) {
			return Value{}, c.fault("argument 3 must be a period in seconds")
		}
		seconds = int64(n)
	}
	found, err := c.env.Search(c.args[0].Text, c.args[1].Text, seconds)
	if err != nil {
		return Value{}, c.fault("%v", err)
	}
	return Value{Kind: List, Series: found}, nil
}

func slice(c *call) (Value, error) {
	if c.args[0].Kind != List {
		return Value{}, c.fault("argument 1 must be a list of time series")
	}
	from, err := c.scalar(1)
	if err != nil {
		return Value{}, err
	}
	have := c.args[0].Series
	to := float64(len(have))
	if len(c.args) == 3 {
		if to, err = c.scalar(2); err != nil {
			return Value{}, err
		}
	}
	if !(from >= 0) || len(c.args) == 3 && !(to >= from) {
		return Value{}, c.fault("the range %v to %v is none", from, to)
	}
	from, to = min(from, float64(len(have))), max(min(to, float64(len(have))), min(from, float64(len(have))))
	out := slices.Clone(have[int(from):int(to)])
	if len(c.args) == 2 {
		// SLICE(list, i) is the one series.
		if len(out) == 0 {
			return Value{}, c.fault("there are only %d time series", len(have))
		}
		return single(out[0]), nil
	}
	return Value{Kind: List, Series: out}, nil
}

func sortSeries(c *call) (Value, error) {
	if c.args[0].Kind != List {
		return Value{}, c.fault("argument 1 must be a list of time series")
	}
	by, direction := c.args[1], c.args[2]
	// AWS writes SORT(list, AVG, DESC, 10): the function's name is an argument.
	if by.Kind != Word || direction.Kind != Word || direction.Text != "ASC" && direction.Text != "DESC" {
		return Value{}, c.fault("expected SORT(series, AVG | MIN | MAX | SUM, ASC | DESC, limit)")
	}
	weigh := map[string]func([]float64) float64{"AVG": mean, "MIN": slices.Min[[]float64],
		"MAX": slices.Max[[]float64], "SUM": sum}[by.Text]
	if weigh == nil {
		return Value{}, c.fault("cannot sort by %s", by.Text)
	}
	out := slices.Clone(c.args[0].Series)
	weight := func(s Series) float64 {
		if len(s.Points) == 0 {
			return math.Inf(-1)
		}
		var v []float64
		for _, p := range s.Points {
			v = append(v, p.Value)
		}
		return weigh(v)
	}
	sort.SliceStable(out, func(i, j int) bool {
		if direction.Text == "ASC" {
			i, j = j, i
		}
		return weight(out[i]) > weight(out[j])
	})
	if len(c.args) == 4 {
		n, err := c.scalar(3)
		if err != nil {
			return Value{}, err
		}
		if !(n >= 0) {
			return Value{}, c.fault("the limit %v is none", n)
		}
		out = out[:int(min(n, float64(len(out))))]
	}
	return Value{Kind: List, Series: out}, nil
}
