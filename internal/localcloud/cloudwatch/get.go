package cloudwatch

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func itoa(i int) string { return strconv.Itoa(i) }

type getStatisticsIn struct {
	Namespace          string       `json:"Namespace" api:"min=1,max=255,pattern=metric namespace"`
	MetricName         string       `json:"MetricName" api:"min=1,max=255"`
	Dimensions         []Dimension  `json:"Dimensions,omitempty" api:"max=30"`
	StartTime          *awsapi.Time `json:"StartTime"`
	EndTime            *awsapi.Time `json:"EndTime"`
	Period             int64        `json:"Period" api:"min=1"`
	Statistics         []string     `json:"Statistics,omitempty" api:"min=1,max=5"`
	ExtendedStatistics []string     `json:"ExtendedStatistics,omitempty" api:"min=1,max=10"`
	Unit               string       `json:"Unit,omitempty" api:"set=metric units"`
}

type datapoint struct {
	Timestamp          awsapi.Time        `json:"Timestamp"`
	SampleCount        *float64           `json:"SampleCount,omitempty"`
	Average            *float64           `json:"Average,omitempty"`
	Sum                *float64           `json:"Sum,omitempty"`
	Minimum            *float64           `json:"Minimum,omitempty"`
	Maximum            *float64           `json:"Maximum,omitempty"`
	Unit               string             `json:"Unit"`
	ExtendedStatistics map[string]float64 `json:"ExtendedStatistics,omitempty"`
}

type getStatisticsOut struct {
	Label      string      `json:"Label"`
	Datapoints []datapoint `json:"Datapoints"`
}

// checkPeriod holds a period against where the range begins.
func checkPeriod(period, start, now int64) *awsapi.Error {
	switch {
	case period < 1:
		return errValue("The parameter Period must be greater than or equal to 1.")
	case period < 60 && !slices.Contains([]int64{1, 5, 10, 20, 30}, period), period > 60 && period%60 != 0:
		return errValue("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
	case now-start > 63*86400 && period%3600 != 0:
		return errValue("The parameter Period must be a multiple of 3600 for a start time more than 63 days ago.")
	case now-start > 15*86400 && period%300 != 0:
		return errValue("The parameter Period must be a multiple of 300 for a start time more than 15 days ago.")
	}
	return nil
}

func (s *Service) getMetricStatistics(_ context.Context, _ *awsapi.Call,
	in *getStatisticsIn) (*getStatisticsOut, error) {
	switch {
	case in.Namespace == "":
		return nil, errMissing("Namespace")
	case in.MetricName == "":
		return nil, errMissing("MetricName")
	case in.StartTime == nil:
		return nil, errMissing("StartTime")
	case in.EndTime == nil:
		return nil, errMissing("EndTime")
	case !in.StartTime.Before(in.EndTime.Time):
		return nil, errValue("The parameter StartTime must be less than the parameter EndTime.")
	case len(in.Statistics) == 0 && len(in.ExtendedStatistics) == 0:
		return nil, errMissing("Statistics")
	case in.Unit != "" && !slices.Contains(units, in.Unit):
		return nil, errValue("The value %s for parameter Unit is invalid.", in.Unit)
	}
	if err := checkDimensions("Dimensions", in.Dimensions); err != nil {
		return nil, err
	}
	for _, n := range in.Statistics {
		if !slices.Contains(simpleStatistics, n) {
			return nil, errValue("The value %s for parameter Statistics is invalid.", n)
		}
	}
	for _, n := range in.ExtendedStatistics {
		if st, ok := parseStatistic(n); !ok || !st.extended() {
			return nil, errValue("The value %s for parameter ExtendedStatistics is not supported.", n)
		}
	}
	from, to := in.StartTime.Unix(), in.EndTime.Unix()
	if err := checkPeriod(in.Period, from, s.Scheduler.Now().Unix()); err != nil {
		return nil, err
	}
	if in.Period >= 60 {
		from -= from % 60
	}
	if (to-from)/in.Period > 1440 {
		return nil, errCombination(
			"You have requested up to %d datapoints, which exceeds the limit of 1,440. You may reduce the "+
				"datapoints requested by increasing Period, or decreasing the time range.", (to-from)/in.Period)
	}
	if err := s.Flush(); err != nil {
		return nil, err
	}
	out := &getStatisticsOut{Label: in.MetricName, Datapoints: []datapoint{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		// Periods count from the start of the range here.
		data, err := read(tx, metricID{in.Namespace, in.MetricName, dimensionKey(in.Dimensions)}, in.Unit, from, to,
			from, in.Period)
		if err != nil {
			return err
		}
		for k, b := range data {
			p := datapoint{Timestamp: seconds(k.start), Unit: k.unit}
			for _, n := range in.Statistics {
				v, ok := statistic{name: n}.of(*b)
				if !ok {
					continue
				}
				switch n {
				case "SampleCount":
					p.SampleCount = &v
				case "Average":
					p.Average = &v
				case "Sum":
					p.Sum = &v
				case "Minimum":
					p.Minimum = &v
				case "Maximum":
					p.Maximum = &v
				}
			}
			for _, n := range in.ExtendedStatistics {
				st, _ := parseStatistic(n)
				if v, ok := st.of(*b); ok {
					if p.ExtendedStatistics == nil {
						p.ExtendedStatistics = map[string]float64{}
					}
					p.ExtendedStatistics[n] = v
				}
			}
			if len(in.Statistics) == 0 && p.ExtendedStatistics == nil {
				continue
			}
			out.Datapoints = append(out.Datapoints, p)
		}
		// AWS promises no order; ours is steady.
		sort.Slice(out.Datapoints, func(i, j int) bool {
			a, b := out.Datapoints[i], out.Datapoints[j]
			if c := a.Timestamp.Compare(b.Timestamp.Time); c != 0 {
				return c < 0
			}
			return a.Unit < b.Unit
		})
		return nil
	})
}

type dimensionFilter struct {
	Name  string `json:"Name" api:"min=1,max=255"`
	Value string `json:"Value,omitempty" api:"min=1,max=1024"`
}

type listMetricsIn struct {
	Namespace             string            `json:"Namespace,omitempty" api:"min=1,max=255,pattern=metric namespace"`
	MetricName            string            `json:"MetricName,omitempty" api:"min=1,max=255"`
	Dimensions            []dimensionFilter `json:"Dimensions,omitempty" api:"max=10"`
	NextToken             string            `json:"NextToken,omitempty"`
	RecentlyActive        string            `json:"RecentlyActive,omitempty"`
	IncludeLinkedAccounts bool              `json:"IncludeLinkedAccounts,omitempty"`
	OwningAccount         string            `json:"OwningAccount,omitempty" api:"min=1,max=255"`
}

type metricOut struct {
	Namespace  string      `json:"Namespace,omitempty" api:"min=1,max=255,pattern=metric namespace"`
	MetricName string      `json:"MetricName,omitempty" api:"min=1,max=255"`
	Dimensions []Dimension `json:"Dimensions,omitempty" api:"max=30"`
}

type listMetricsOut struct {
	Metrics   []metricOut `json:"Metrics"`
	NextToken string      `json:"NextToken,omitempty"`
}

func (s *Service) listMetrics(_ context.Context, _ *awsapi.Call, in *listMetricsIn) (*listMetricsOut, error) {
	const page = 500
	after, err := fromToken(in.NextToken, 3)
	if err != nil {
		return nil, err
	}
	age := int64(dataPast)
	switch in.RecentlyActive {
	case "":
	case "PT3H":
		age = 3 * 3600
	default:
		return nil, errValue("The value %s for parameter RecentlyActive is invalid.", in.RecentlyActive)
	}
	if err := s.Flush(); err != nil {
		return nil, err
	}
	since := s.Scheduler.Now().Unix() - age
	out := &listMetricsOut{Metrics: []metricOut{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		q := store.Query{After: after}
		if in.Namespace != "" {
			q.Prefix = []string{in.Namespace}
			if in.MetricName != "" {
				q.Prefix = append(q.Prefix, in.MetricName)
			}
			if after != nil {
				if !slices.Equal(after[:len(q.Prefix)], q.Prefix) {
					return errToken()
				}
				q.After = after[len(q.Prefix):]
			}
		}
		var last []string
		for row, err := range metrics.Scan(tx, q) {
			if err != nil {
				return err
			}
			m := row.Value
			if m.Last < since || in.MetricName != "" && m.Name != in.MetricName ||
				!matches(m.Dimensions, in.Dimensions) {
				continue
			}
			if len(out.Metrics) == page {
				out.NextToken = awsapi.PageToken(last...)
				return nil
			}
			out.Metrics = append(out.Metrics, metricOut{m.Namespace, m.Name, m.Dimensions})
			last = row.Key
		}
		return nil
	})
}

func matches(d []Dimension, filters []dimensionFilter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(d, func(x Dimension) bool {
			return x.Name == f.Name && (f.Value == "" || x.Value == f.Value)
		}) {
			return false
		}
	}
	return true
}

// search is a parsed query of SEARCH.
type search struct {
	namespace string
	dims      []string // sorted; the exact set of names
	schema    bool
	terms     [][]term // any of the inner, all of the outer
}

type term struct {
	key, value string // key "" looks everywhere
	exact, not bool
}

// parseSearch reads '{Namespace,Dim} MetricName="X" word NOT word OR word'.
// Parentheses are not built.
func parseSearch(q string) (search, *awsapi.Error) {
	var out search
	q = strings.TrimSpace(q)
	if strings.HasPrefix(q, "{") {
		schema, rest, ok := strings.Cut(q[1:], "}")
		if !ok {
			return out, errValidation("SEARCH: the schema is not closed")
		}
		parts := strings.Split(schema, ",")
		for i, p := range parts {
			parts[i] = strings.Trim(strings.TrimSpace(p), `"`)
		}
		out.schema, out.namespace, out.dims = true, parts[0], parts[1:]
		slices.Sort(out.dims)
		q = rest
	}
	var words []string
	quoted := false
	var b strings.Builder
	for _, r := range q {
		switch {
		case r == '"':
			quoted = !quoted
			b.WriteRune(r)
		case !quoted && (r == ' ' || r == '\t' || r == '\n'):
			if b.Len() > 0 {
				words = append(words, b.String())
				b.Reset()
			}
		case !quoted && (r == '(' || r == ')'):
			return out, errValidation("SEARCH: parentheses are not built here")
		default:
			b.WriteRune(r)
		}
	}
	if quoted {
		return out, errValidation("SEARCH: a quotation is not closed")
	}
	if b.Len() > 0 {
		words = append(words, b.String())
	}
	not, or := false, false
	for _, w := range words {
		switch w {
		case "AND":
			continue
		case "OR":
			or = true
			continue
		case "NOT":
			not = true
			continue
		}
		t := term{not: not}
		rest := w
		if k, v, ok := strings.Cut(w, "="); ok && !strings.HasPrefix(w, `"`) {
			t.key, rest = k, v
		} else if strings.HasPrefix(w, `"`) {
			if i := strings.Index(w[1:], `"=`); i > 0 {
				t.key, rest = w[1:i+1], w[i+3:]
			}
		}
		t.exact = strings.HasPrefix(rest, `"`)
		t.value = strings.Trim(rest, `"`)
		if or && len(out.terms) > 0 {
			out.terms[len(out.terms)-1] = append(out.terms[len(out.terms)-1], t)
		} else {
			out.terms = append(out.terms, []term{t})
		}
		not, or = false, false
	}
	return out, nil
}

func (q search) matches(m metric) bool {
	if q.schema {
		if m.Namespace != q.namespace || len(m.Dimensions) != len(q.dims) {
			return false
		}
		for i, d := range m.Dimensions {
			if d.Name != q.dims[i] {
				return false
			}
		}
	}
	for _, any := range q.terms {
		if !slices.ContainsFunc(any, func(t term) bool { return t.matches(m) != t.not }) {
			return false
		}
	}
	return true
}

func (t term) matches(m metric) bool {
	fits := func(s string) bool {
		if t.exact {
			return s == t.value
		}
		return strings.Contains(strings.ToLower(s), strings.ToLower(t.value))
	}
	switch t.key {
	case "":
		return fits(m.Namespace) || fits(m.Name) || slices.ContainsFunc(m.Dimensions, func(d Dimension) bool {
			return fits(d.Name) || fits(d.Value)
		})
	case "Namespace":
		return fits(m.Namespace)
	case "MetricName":
		return fits(m.Name)
	}
	return slices.ContainsFunc(m.Dimensions, func(d Dimension) bool { return d.Name == t.key && fits(d.Value) })
}
