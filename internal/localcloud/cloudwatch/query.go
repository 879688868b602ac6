package cloudwatch

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/cloudwatch/metricmath"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type metricStat struct {
	Metric metricOut `json:"Metric"`
	Period int64     `json:"Period" api:"min=1"`
	Stat   string    `json:"Stat"`
	Unit   string    `json:"Unit,omitempty" api:"set=metric units"`
}

type dataQuery struct {
	ID         string      `json:"Id" api:"min=1,max=255"`
	MetricStat *metricStat `json:"MetricStat,omitempty"`
	Expression string      `json:"Expression,omitempty" api:"min=1,max=2048"`
	Label      string      `json:"Label,omitempty"`
	ReturnData *bool       `json:"ReturnData,omitempty"`
	Period     int64       `json:"Period,omitempty" api:"min=1"`
	AccountID  string      `json:"AccountId,omitempty" api:"min=1,max=255"`
}

func (q dataQuery) returned() bool { return q.ReturnData == nil || *q.ReturnData }

type getDataIn struct {
	Queries       []dataQuery    `json:"MetricDataQueries"`
	StartTime     *awsapi.Time   `json:"StartTime"`
	EndTime       *awsapi.Time   `json:"EndTime"`
	NextToken     string         `json:"NextToken,omitempty"`
	ScanBy        string         `json:"ScanBy,omitempty" api:"values=TimestampAscending|TimestampDescending"`
	MaxDatapoints int            `json:"MaxDatapoints,omitempty"`
	LabelOptions  map[string]any `json:"LabelOptions,omitempty"`
}

type messageData struct {
	Code  string `json:"Code"`
	Value string `json:"Value"`
}

type dataResult struct {
	ID         string        `json:"Id"`
	Label      string        `json:"Label"`
	Timestamps []awsapi.Time `json:"Timestamps"`
	Values     []float64     `json:"Values"`
	StatusCode string        `json:"StatusCode"`
	Messages   []messageData `json:"Messages,omitempty"`
}

type getDataOut struct {
	Results   []dataResult  `json:"MetricDataResults"`
	NextToken string        `json:"NextToken,omitempty"`
	Messages  []messageData `json:"Messages"`
}

// Limits of GetMetricData.
const (
	maxQueries = 500
	maxPoints  = 100_800
)

var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,254}$`)

// plan is a checked set of queries.
type plan struct {
	queries []dataQuery
	exprs   map[string]*metricmath.Expr
	stats   map[string]statistic
	period  int64 // of the expressions
}

// newPlan checks the queries.
func newPlan(queries []dataQuery) (*plan, *awsapi.Error) {
	p := &plan{queries: queries, exprs: map[string]*metricmath.Expr{}, stats: map[string]statistic{}}
	seen := map[string]bool{}
	for _, q := range queries {
		if !queryID.MatchString(q.ID) {
			return nil, errValidation(
				"The value %q for parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.", q.ID)
		}
		if seen[q.ID] {
			return nil, errValidation("The values for parameter id in MetricDataQueries are not unique: %s", q.ID)
		}
		seen[q.ID] = true
		if (q.MetricStat == nil) == (q.Expression == "") {
			return nil, errValidation(
				"The parameter MetricDataQueries with the Id %s must have either MetricStat or Expression.", q.ID)
		}
		if q.MetricStat == nil {
			if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(q.Expression)), "SELECT ") {
				return nil, awsapi.NotBuilt("Metrics Insights (SELECT in an expression)")
			}
			e, err := metricmath.Parse(q.Expression)
			if err != nil {
				return nil, errValidation("Error in expression '%s': %v", q.ID, err)
			}
			p.exprs[q.ID] = e
			if q.Period > 0 {
				p.period = max(p.period, q.Period)
			}
			continue
		}
		m := q.MetricStat
		if m.Metric.Namespace == "" || m.Metric.MetricName == "" {
			return nil, errMissing("MetricDataQueries." + q.ID + ".MetricStat.Metric")
		}
		if err := checkDimensions("MetricDataQueries."+q.ID+".MetricStat.Metric.Dimensions",
			m.Metric.Dimensions); err != nil {
			return nil, err
		}
		st, ok := parseStatistic(m.Stat)
		if !ok {
			return nil, errValidation(
				"The value %s for parameter MetricDataQueries.%s.MetricStat.Stat is not supported.", m.Stat, q.ID)
		}
		if m.Unit != "" && !slices.Contains(units, m.Unit) {
			return nil, errValidation("The value %s for parameter MetricDataQueries.%s.MetricStat.Unit is invalid.",
				m.Unit, q.ID)
		}
		p.stats[q.ID] = st
		p.period = max(p.period, m.Period)
	}
	if p.period == 0 {
		p.period = 60
	}
	for _, q := range queries {
		if e := p.exprs[q.ID]; e != nil {
			for _, id := range e.IDs() {
				if !seen[id] {
					return nil, errValidation(
						"Error in expression '%s': there is no metric or expression with the id %q", q.ID, id)
				}
			}
			if p.cyclic(q.ID, q.ID, map[string]bool{}) {
				return nil, errValidation("Error in expression '%s': it depends on itself", q.ID)
			}
		}
	}
	return p, nil
}

// cyclic reports whether the query id leads to goal.
func (p *plan) cyclic(id, goal string, seen map[string]bool) bool {
	e := p.exprs[id]
	if e == nil || seen[id] {
		return false
	}
	seen[id] = true
	for _, next := range e.IDs() {
		if next == goal || p.cyclic(next, goal, seen) {
			return true
		}
	}
	return false
}

// metricIDs lists the metrics that the plan reads.
func (p *plan) metricIDs() []metricID {
	var out []metricID
	for _, q := range p.queries {
		if q.MetricStat != nil {
			out = append(out, q.MetricStat.id())
		}
	}
	return out
}

func (m *metricStat) id() metricID {
	return metricID{m.Metric.Namespace, m.Metric.MetricName, dimensionKey(m.Metric.Dimensions)}
}

// span is the range of an evaluation: [From, To), with periods that begin at
// Origin plus a multiple of their length.
type span struct {
	From, To, Origin int64
	search           bool
}

// results computes all queries in one view of the store.
type results struct {
	tx    *store.Tx
	plan  *plan
	span  span
	cache map[string]metricmath.Value
	all   []metricmath.Series
	haveA bool
}

func newResults(tx *store.Tx, p *plan, sp span) *results {
	return &results{tx: tx, plan: p, span: sp, cache: map[string]metricmath.Value{}}
}

// series reads one metric.
func (r *results) series(id metricID, st statistic, period int64, unit string) (metricmath.Series, error) {
	out := metricmath.Series{Period: period}
	from := r.span.From - mod(r.span.From-r.span.Origin, period)
	data, err := read(r.tx, id, unit, from, r.span.To, r.span.Origin, period)
	if err != nil {
		return out, err
	}
	joined := map[int64]*bucket{}
	for k, b := range data {
		if joined[k.start] == nil {
			joined[k.start] = &bucket{}
		}
		joined[k.start].merge(*b)
	}
	starts := make([]int64, 0, len(joined))
	for t := range joined {
		starts = append(starts, t)
	}
	slices.Sort(starts)
	for _, t := range starts {
		if v, ok := st.of(*joined[t]); ok {
			out.Points = append(out.Points, metricmath.Point{Time: t, Value: v})
		}
	}
	return out, nil
}

// value is what a query is worth; each is computed once.
func (r *results) value(id string) (metricmath.Value, bool, error) {
	if v, ok := r.cache[id]; ok {
		return v, true, nil
	}
	i := slices.IndexFunc(r.plan.queries, func(q dataQuery) bool { return q.ID == id })
	if i < 0 {
		return metricmath.Value{}, false, nil
	}
	q := r.plan.queries[i]
	var v metricmath.Value
	if m := q.MetricStat; m != nil {
		series, err := r.series(m.id(), r.plan.stats[id], m.Period, m.Unit)
		if err != nil {
			return v, false, err
		}
		series.ID, series.Label = id, q.Label
		if q.Label == "" {
			series.Label = m.Metric.MetricName
		}
		v = metricmath.Value{Kind: metricmath.One, Series: []metricmath.Series{series}}
	} else {
		env := metricmath.Env{Lookup: r.value, Period: r.plan.period, Start: r.span.From, End: r.span.To}
		if q.Period > 0 {
			env.Period = q.Period
		}
		if r.plan.exprs[id].UsesMetrics() {
			if err := r.everything(); err != nil {
				return v, false, err
			}
			env.Metrics = r.all
		}
		if r.span.search {
			env.Search = r.search
		}
		var err error
		if v, err = r.plan.exprs[id].Eval(env); err != nil {
			return v, false, err
		}
		v.Series = slices.Clone(v.Series)
		for i := range v.Series {
			if q.Label != "" {
				v.Series[i].Label = q.Label
			} else if v.Kind == metricmath.One {
				v.Series[i].Label = id
			}
		}
	}
	r.cache[id] = v
	return v, true, nil
}

func (r *results) everything() error {
	if r.haveA {
		return nil
	}
	r.haveA = true
	for _, q := range r.plan.queries {
		if q.MetricStat != nil {
			v, _, err := r.value(q.ID)
			if err != nil {
				return err
			}
			r.all = append(r.all, v.Series...)
		}
	}
	return nil
}

// search finds the metrics of SEARCH, at most 100, as AWS does.
func (r *results) search(query, stat string, period int64) ([]metricmath.Series, error) {
	st, ok := parseStatistic(stat)
	if !ok {
		return nil, errValidation("the statistic %q is not supported", stat)
	}
	q, failed := parseSearch(query)
	if failed != nil {
		return nil, failed
	}
	out := []metricmath.Series{}
	scan := store.Query{}
	if q.schema {
		scan.Prefix = []string{q.namespace}
	}
	for row, err := range metrics.Scan(r.tx, scan) {
		if err != nil {
			return nil, err
		}
		m := row.Value
		if !q.matches(m) {
			continue
		}
		if len(out) == 100 {
			break
		}
		series, err := r.series(metricID{m.Namespace, m.Name, dimensionKey(m.Dimensions)}, st, period, "")
		if err != nil {
			return nil, err
		}
		labels := []string{}
		for _, d := range m.Dimensions {
			labels = append(labels, d.Value)
		}
		series.Label = strings.Join(append(labels, m.Name), " ")
		out = append(out, series)
	}
	return out, nil
}

func seconds(t int64) awsapi.Time { return awsapi.Time{Time: time.Unix(t, 0).UTC()} }

func (s *Service) getMetricData(_ context.Context, _ *awsapi.Call, in *getDataIn) (*getDataOut, error) {
	switch {
	case len(in.Queries) == 0:
		return nil, errMissing("MetricDataQueries")
	case len(in.Queries) > maxQueries:
		return nil, errValidation("The collection MetricDataQueries must not have a size greater than %d.", maxQueries)
	case in.StartTime == nil:
		return nil, errMissing("StartTime")
	case in.EndTime == nil:
		return nil, errMissing("EndTime")
	case !in.StartTime.Before(in.EndTime.Time):
		return nil, errValidation("The parameter StartTime must be less than the parameter EndTime.")
	case in.ScanBy != "" && in.ScanBy != "TimestampDescending" && in.ScanBy != "TimestampAscending":
		return nil, errValidation("The value %s for parameter ScanBy is invalid.", in.ScanBy)
	case in.MaxDatapoints < 0 || in.MaxDatapoints > maxPoints:
		return nil, errValidation("The parameter MaxDatapoints must be between 1 and %d.", maxPoints)
	}
	plan, failed := newPlan(in.Queries)
	if failed != nil {
		return nil, failed
	}
	sp := span{From: in.StartTime.Unix(), To: in.EndTime.Unix(), search: true}
	now := s.Scheduler.Now().Unix()
	for _, q := range in.Queries {
		if q.MetricStat != nil {
			if err := checkPeriod(q.MetricStat.Period, sp.From, now); err != nil {
				return nil, err
			}
		}
	}
	skip := 0
	if in.NextToken != "" {
		key, err := fromToken(in.NextToken, 1)
		if err != nil {
			return nil, err
		}
		if skip, err = strconv.Atoi(key[0]); err != nil || skip < 0 {
			return nil, errToken()
		}
	}
	if err := s.Flush(); err != nil {
		return nil, err
	}
	out := &getDataOut{Results: []dataResult{}, Messages: []messageData{}}
	err := s.Store.View(func(tx *store.Tx) error {
		r := newResults(tx, plan, sp)
		for _, q := range in.Queries {
			if !q.returned() {
				continue
			}
			v, _, err := r.value(q.ID)
			if err != nil {
				var bad *metricmath.Error
				if errors.As(err, &bad) {
					return errValidation("Error in expression '%s': %v", q.ID, err)
				}
				return err
			}
			if v.Kind == metricmath.Scalar {
				return errValidation("Error in expression '%s': the result must be a time series, not a number", q.ID)
			}
			for _, series := range v.Series {
				res := dataResult{ID: q.ID, Timestamps: []awsapi.Time{}, Values: []float64{}, StatusCode: "Complete"}
				res.Label = label(series, q)
				if in.ScanBy != "TimestampAscending" {
					slices.Reverse(series.Points) // a copy only of this request
				}
				for _, p := range series.Points {
					res.Timestamps = append(res.Timestamps, seconds(p.Time))
					res.Values = append(res.Values, p.Value)
				}
				if in.ScanBy != "TimestampAscending" {
					slices.Reverse(series.Points)
				}
				out.Results = append(out.Results, res)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.page(skip, in.MaxDatapoints)
	return out, nil
}

// page leaves the points after the first skip ones, at most limit.
func (o *getDataOut) page(skip, limit int) {
	if limit == 0 {
		limit = maxPoints
	}
	done := skip
	for i := range o.Results {
		r := &o.Results[i]
		n := len(r.Values)
		from := min(skip, n)
		to := min(n, from+limit)
		skip, limit = skip-from, limit-(to-from)
		done += to - from
		if to < n {
			r.StatusCode = "PartialData"
			o.NextToken = awsapi.PageToken(strconv.Itoa(done))
		}
		r.Timestamps, r.Values = r.Timestamps[from:to], r.Values[from:to]
	}
}

var labelPart = regexp.MustCompile(`\$\{(LAST|FIRST|MIN|MAX|AVG|SUM|LABEL|PROP\('[^']*'\))\}`)

// label fills the dynamic parts of a label.
func label(s metricmath.Series, q dataQuery) string {
	return labelPart.ReplaceAllStringFunc(s.Label, func(part string) string {
		part = part[2 : len(part)-1]
		if name, ok := strings.CutPrefix(part, "PROP('"); ok {
			m := q.MetricStat
			if m == nil {
				return ""
			}
			switch name = strings.TrimSuffix(name, "')"); name {
			case "MetricName":
				return m.Metric.MetricName
			case "Namespace":
				return m.Metric.Namespace
			case "Period":
				return strconv.FormatInt(m.Period, 10)
			case "Stat":
				return m.Stat
			}
			for _, d := range m.Metric.Dimensions {
				if "Dim."+d.Name == name {
					return d.Value
				}
			}
			return ""
		}
		if part == "LABEL" {
			if q.MetricStat != nil {
				return q.MetricStat.Metric.MetricName
			}
			return q.ID
		}
		if len(s.Points) == 0 {
			return "--"
		}
		first := s.Points[0].Value
		lo, hi, sum := first, first, 0.0
		for _, p := range s.Points {
			lo, hi, sum = min(lo, p.Value), max(hi, p.Value), sum+p.Value
		}
		v := map[string]float64{"LAST": s.Points[len(s.Points)-1].Value, "FIRST": first, "MIN": lo, "MAX": hi,
			"SUM": sum, "AVG": sum / float64(len(s.Points))}[part]
		return strconv.FormatFloat(v, 'g', -1, 64)
	})
}
