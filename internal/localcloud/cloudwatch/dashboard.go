package cloudwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/cloudwatch/metricmath"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type putDashboardIn struct {
	DashboardName string `json:"DashboardName"`
	DashboardBody string `json:"DashboardBody"`
	Tags          []tag  `json:"Tags,omitempty"`
}

type validationMessage struct {
	DataPath string `json:"DataPath"`
	Message  string `json:"Message"`
}

type putDashboardOut struct {
	Messages []validationMessage `json:"DashboardValidationMessages"`
}

var (
	dashboardName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	relativeStart = regexp.MustCompile(`^-(PT\d+[MH]|P\d+[DWM])$`)
)

func (s *Service) putDashboard(_ context.Context, _ *awsapi.Call, in *putDashboardIn) (*putDashboardOut, error) {
	invalid := func(messages []validationMessage) error {
		e := failure("DashboardInvalidInputError", "InvalidParameterInput", 400,
			"The dashboard body is invalid, there are %d validation errors: %s", len(messages), messages[0].DataPath+
				": "+messages[0].Message)
		e.Fields = map[string]any{"dashboardValidationMessages": messages}
		return e
	}
	if !dashboardName.MatchString(in.DashboardName) {
		return nil, invalid([]validationMessage{{"/DashboardName",
			"The field DashboardName must only consist of alphanumerics, '-' and '_', at most 255"}})
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	bad, warnings := checkBody(in.DashboardBody)
	if len(bad) > 0 {
		return nil, invalid(bad)
	}
	out := &putDashboardOut{Messages: warnings}
	return out, s.Store.Update(func(tx *store.Tx) error {
		if len(in.Tags) > 0 {
			_, ok, err := dashboards.Get(tx, in.DashboardName)
			if err != nil {
				return err
			}
			if !ok { // tags of an existing dashboard are changed by TagResource only
				if err := tags.Put(tx, tagMap(nil, in.Tags), s.dashboardARN(in.DashboardName)); err != nil {
					return err
				}
			}
		}
		return dashboards.Put(tx, dashboard{in.DashboardName, in.DashboardBody, s.now()}, in.DashboardName)
	})
}

// body gathers what is wrong with a dashboard.
type body struct{ bad, warnings []validationMessage }

func (b *body) fail(path, format string, args ...any) {
	b.bad = append(b.bad, validationMessage{path, fmt.Sprintf(format, args...)})
}

func (b *body) warn(path, format string, args ...any) {
	b.warnings = append(b.warnings, validationMessage{path, fmt.Sprintf(format, args...)})
}

// checkBody validates a dashboard's body; data paths are JSON pointers.
func checkBody(text string) (bad, warnings []validationMessage) {
	b := &body{warnings: []validationMessage{}}
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc == nil {
		b.fail("/", "The dashboard body is not a JSON object")
		return b.bad, b.warnings
	}
	b.check(doc)
	return b.bad, b.warnings
}

func (b *body) check(doc map[string]any) {
	for k := range doc {
		if !slices.Contains([]string{"widgets", "start", "end", "periodOverride", "variables"}, k) {
			b.warn("/"+k, "Unknown property %s is ignored", k)
		}
	}
	slices.SortFunc(b.warnings, func(a, c validationMessage) int { return strings.Compare(a.DataPath, c.DataPath) })
	b.oneOf(doc, "", "periodOverride", "auto", "inherit")
	if v, ok := doc["start"]; ok {
		start, _ := v.(string)
		_, absolute := timeOf(start)
		if !absolute && !relativeStart.MatchString(start) {
			b.fail("/start", "Should be an ISO 8601 time or a relative one such as -PT6H or -P7D")
		}
		if _, ok := doc["end"]; absolute && !ok {
			b.fail("/end", "Should be given with an absolute start")
		}
	}
	if v, ok := doc["end"]; ok {
		end, _ := v.(string)
		if _, absolute := timeOf(end); !absolute {
			b.fail("/end", "Should be an ISO 8601 time")
		}
		if _, ok := doc["start"]; !ok {
			b.fail("/start", "Should be given with end")
		}
	}
	if v, ok := doc["variables"]; ok {
		if l, ok := v.([]any); !ok || len(l) > 25 {
			b.fail("/variables", "Should be an array of at most 25 items")
		}
	}
	widgets, ok := doc["widgets"].([]any)
	if !ok {
		b.fail("/widgets", "Should be an array, and is required")
		return
	}
	if len(widgets) > 500 {
		b.fail("/widgets", "Should NOT have more than 500 items")
	}
	for i, w := range widgets {
		path := fmt.Sprintf("/widgets/%d", i)
		m, ok := w.(map[string]any)
		if !ok {
			b.fail(path, "Should be object")
			continue
		}
		b.widget(path, m)
	}
}

func timeOf(s string) (awsapi.Time, bool) {
	var t awsapi.Time
	b, err := json.Marshal(s)
	return t, err == nil && s != "" && t.UnmarshalJSON(b) == nil
}

func (b *body) oneOf(m map[string]any, path, key string, values ...string) {
	if v, ok := m[key]; ok {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			b.fail(path+"/"+key, "Should be equal to one of the allowed values: %s", strings.Join(values, ", "))
		}
	}
}

// whole checks an integer between bounds.
func (b *body) whole(m map[string]any, path, key string, least, most float64) {
	if v, ok := m[key]; ok {
		if n, ok := v.(float64); !ok || n != math.Trunc(n) || n < least || n > most {
			b.fail(path+"/"+key, "Should be an integer >= %v and <= %v", least, most)
		}
	}
}

func (b *body) text(m map[string]any, path, key string, required bool) {
	v, ok := m[key]
	if !ok && required {
		b.fail(path, "Should have required property '%s'", key)
		return
	}
	if s, is := v.(string); ok && (!is || required && s == "") {
		b.fail(path+"/"+key, "Should be string")
	}
}

func (b *body) flag(m map[string]any, path string, keys ...string) {
	for _, key := range keys {
		if v, ok := m[key]; ok {
			if _, ok := v.(bool); !ok {
				b.fail(path+"/"+key, "Should be boolean")
			}
		}
	}
}

func (b *body) widget(path string, w map[string]any) {
	kind, _ := w["type"].(string)
	if !slices.Contains([]string{"metric", "text", "log", "alarm", "explorer"}, kind) {
		b.fail(path+"/type", "Should be equal to one of the allowed values: metric, text, log, alarm, explorer")
		return
	}
	b.whole(w, path, "x", 0, 23)
	b.whole(w, path, "y", 0, math.MaxInt32)
	b.whole(w, path, "width", 1, 24)
	b.whole(w, path, "height", 1, 1000)
	if (w["x"] == nil) != (w["y"] == nil) {
		b.fail(path, "Should have both x and y, or neither")
	}
	p, ok := w["properties"].(map[string]any)
	if !ok {
		b.fail(path+"/properties", "Should be object, and is required")
		return
	}
	path += "/properties"
	switch kind {
	case "text":
		b.text(p, path, "markdown", true)
		b.oneOf(p, path, "background", "solid", "transparent")
	case "log":
		b.text(p, path, "query", true)
		b.text(p, path, "region", true)
		b.text(p, path, "title", false)
		b.oneOf(p, path, "view", "table", "timeSeries", "bar", "pie")
	case "alarm":
		l, ok := p["alarms"].([]any)
		if !ok || len(l) < 1 || len(l) > 100 {
			b.fail(path+"/alarms", "Should be an array of 1 to 100 ARNs, and is required")
		}
		for i, a := range l {
			if s, ok := a.(string); !ok || !strings.Contains(s, ":alarm:") {
				b.fail(fmt.Sprintf("%s/alarms/%d", path, i), "Should be the ARN of an alarm")
			}
		}
		b.oneOf(p, path, "sortBy", "default", "stateUpdatedTimestamp", "timestamp")
	case "explorer":
		if l, ok := p["metrics"].([]any); !ok || len(l) < 1 || len(l) > 100 {
			b.fail(path+"/metrics", "Should be an array of 1 to 100 items, and is required")
		}
		if _, ok := p["labels"].([]any); !ok {
			b.fail(path+"/labels", "Should be an array, and is required")
		}
	case "metric":
		b.metric(path, p)
	}
}

func (b *body) metric(path string, p map[string]any) {
	b.text(p, path, "region", true)
	b.text(p, path, "title", false)
	b.oneOf(p, path, "view", "timeSeries", "singleValue", "gauge", "bar", "pie", "table")
	b.flag(p, path, "stacked", "liveData", "sparkline", "setPeriodToTimeRange")
	b.period(p, path)
	if v, ok := p["stat"]; ok {
		b.stat(path+"/stat", v)
	}
	if p["view"] == "gauge" {
		y, _ := p["yAxis"].(map[string]any)
		left, _ := y["left"].(map[string]any)
		for _, key := range []string{"min", "max"} {
			if _, ok := left[key].(float64); !ok {
				b.fail(path+"/yAxis/left/"+key, "Should be a number, and is required for a gauge")
			}
		}
	}
	if l, ok := p["legend"].(map[string]any); ok {
		b.oneOf(l, path+"/legend", "position", "right", "bottom", "hidden")
	}
	annotations, _ := p["annotations"].(map[string]any)
	_, alarmed := annotations["alarms"]
	rows, ok := p["metrics"].([]any)
	switch {
	case alarmed && p["metrics"] != nil:
		b.fail(path, "Should have either metrics or annotations.alarms")
	case !alarmed && !ok:
		b.fail(path+"/metrics", "Should be an array, and is required without annotations.alarms")
	case len(rows) > 500:
		b.fail(path+"/metrics", "Should NOT have more than 500 items")
	}
	if alarmed {
		if l, ok := annotations["alarms"].([]any); !ok || len(l) != 1 {
			b.fail(path+"/annotations/alarms", "Should be an array of one ARN")
		}
	}
	width := 0 // of the row above, for "."
	ids := map[string]bool{}
	for i, r := range rows {
		at := fmt.Sprintf("%s/metrics/%d", path, i)
		row, ok := r.([]any)
		if !ok || len(row) == 0 {
			b.fail(at, "Should be a non-empty array")
			continue
		}
		width = b.row(at, row, width, ids)
	}
	b.annotations(path+"/annotations", annotations)
}

func (b *body) period(m map[string]any, path string) {
	if v, ok := m["period"]; ok {
		n, ok := v.(float64)
		if !ok || n != math.Trunc(n) || n < 1 || n < 60 && !slices.Contains([]float64{1, 5, 10, 20, 30}, n) ||
			n > 60 && math.Mod(n, 60) != 0 {
			b.fail(path+"/period", "Should be 1, 5, 10, 20, 30 or a multiple of 60")
		}
	}
}

func (b *body) stat(path string, v any) {
	s, ok := v.(string)
	if _, known := parseStatistic(s); !ok || !known {
		b.fail(path, "Should be a statistic such as Average, Sum or p99")
	}
}

// row checks one entry of metrics and returns how many strings it has.
func (b *body) row(path string, row []any, above int, ids map[string]bool) int {
	words := row
	options, has := row[len(row)-1].(map[string]any)
	if has {
		words = row[:len(row)-1]
		b.period(options, path+fmt.Sprintf("/%d", len(words)))
		at := fmt.Sprintf("%s/%d", path, len(words))
		if v, ok := options["stat"]; ok {
			b.stat(at+"/stat", v)
		}
		b.oneOf(options, at, "yAxis", "left", "right")
		b.flag(options, at, "visible")
		if v, ok := options["id"]; ok {
			id, _ := v.(string)
			if !queryID.MatchString(id) {
				b.fail(at+"/id", "Should match pattern ^[a-z][a-zA-Z0-9_]*$")
			}
			if ids[id] {
				b.fail(at+"/id", "Should be unique in the widget")
			}
			ids[id] = true
		}
		if v, ok := options["expression"]; ok {
			src, is := v.(string)
			switch {
			case !is || src == "":
				b.fail(at+"/expression", "Should be string")
			case strings.HasPrefix(strings.ToUpper(strings.TrimSpace(src)), "SELECT "):
			default:
				if _, err := metricmath.Parse(src); err != nil {
					b.fail(at+"/expression", "%v", err)
				}
			}
			if len(words) > 0 {
				b.fail(path, "Should have either a metric or an expression")
			}
			return above
		}
	}
	n := len(words)
	for i, w := range words {
		s, ok := w.(string)
		if !ok {
			b.fail(fmt.Sprintf("%s/%d", path, i), "Should be string")
			continue
		}
		if s == "." && i >= above {
			b.fail(fmt.Sprintf("%s/%d", path, i), "There is nothing above to repeat")
		}
		if s == "..." {
			if i != 0 || above == 0 {
				b.fail(fmt.Sprintf("%s/%d", path, i), "There is nothing above to repeat")
			}
			n = above // what follows replaces the last values
		}
	}
	if n < 2 || n%2 != 0 {
		b.fail(path, "Should be namespace, name and pairs of dimension name and value")
	}
	return n
}

func (b *body) annotations(path string, a map[string]any) {
	for _, kind := range []string{"horizontal", "vertical"} {
		v, ok := a[kind]
		if !ok {
			continue
		}
		l, ok := v.([]any)
		if !ok {
			b.fail(path+"/"+kind, "Should be array")
			continue
		}
		for i, x := range l {
			at := fmt.Sprintf("%s/%s/%d", path, kind, i)
			band, ok := x.([]any)
			if !ok {
				b.annotation(at, kind, x)
				continue
			}
			if len(band) != 2 {
				b.fail(at, "A band should be an array of two")
				continue
			}
			for j, y := range band {
				b.annotation(fmt.Sprintf("%s/%d", at, j), kind, y)
			}
		}
	}
}

func (b *body) annotation(path, kind string, x any) {
	m, ok := x.(map[string]any)
	if !ok {
		b.fail(path, "Should be object")
		return
	}
	b.flag(m, path, "visible")
	if kind == "horizontal" {
		if _, ok := m["value"].(float64); !ok {
			b.fail(path+"/value", "Should be number")
		}
		b.oneOf(m, path, "fill", "above", "below", "none")
		b.oneOf(m, path, "yAxis", "left", "right")
		return
	}
	value, _ := m["value"].(string)
	if _, ok := timeOf(value); !ok {
		b.fail(path+"/value", "Should be an ISO 8601 time")
	}
	b.oneOf(m, path, "fill", "before", "after", "none")
}

type dashboardRef struct {
	DashboardName string `json:"DashboardName"`
}

type getDashboardOut struct {
	DashboardArn  string `json:"DashboardArn"`
	DashboardBody string `json:"DashboardBody"`
	DashboardName string `json:"DashboardName"`
}

func (s *Service) getDashboard(_ context.Context, _ *awsapi.Call, in *dashboardRef) (*getDashboardOut, error) {
	var d dashboard
	err := s.Store.View(func(tx *store.Tx) error {
		var ok bool
		var err error
		if d, ok, err = dashboards.Get(tx, in.DashboardName); err == nil && !ok {
			err = errNoDashboard(in.DashboardName)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &getDashboardOut{s.dashboardARN(d.Name), d.Body, d.Name}, nil
}

type listDashboardsIn struct {
	Prefix    string `json:"DashboardNamePrefix,omitempty"`
	NextToken string `json:"NextToken,omitempty"`
}

type dashboardEntry struct {
	DashboardName string      `json:"DashboardName"`
	DashboardArn  string      `json:"DashboardArn"`
	LastModified  awsapi.Time `json:"LastModified"`
	Size          int         `json:"Size"`
}

type listDashboardsOut struct {
	Entries   []dashboardEntry `json:"DashboardEntries"`
	NextToken string           `json:"NextToken,omitempty"`
}

func (s *Service) listDashboards(_ context.Context, _ *awsapi.Call, in *listDashboardsIn) (*listDashboardsOut, error) {
	const page = 1000
	after, err := fromToken(in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	out := &listDashboardsOut{Entries: []dashboardEntry{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		for row, err := range dashboards.Scan(tx, store.Query{Begins: in.Prefix, After: after}) {
			if err != nil {
				return err
			}
			d := row.Value
			if !strings.HasPrefix(d.Name, in.Prefix) {
				break
			}
			if len(out.Entries) == page {
				out.NextToken = awsapi.PageToken(out.Entries[page-1].DashboardName)
				break
			}
			out.Entries = append(out.Entries, dashboardEntry{d.Name, s.dashboardARN(d.Name), milli(d.Modified),
				len(d.Body)})
		}
		return nil
	})
}

type deleteDashboardsIn struct {
	DashboardNames []string `json:"DashboardNames"`
}

// deleteDashboards deletes all or, if one is not there, none.
func (s *Service) deleteDashboards(_ context.Context, _ *awsapi.Call, in *deleteDashboardsIn) (*nothing, error) {
	if len(in.DashboardNames) == 0 {
		return nil, errMissing("DashboardNames")
	}
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		for _, name := range in.DashboardNames {
			if _, ok, err := dashboards.Get(tx, name); err != nil {
				return err
			} else if !ok {
				return errNoDashboard(name)
			}
			if err := dashboards.Delete(tx, name); err != nil {
				return err
			}
			if err := tags.Delete(tx, s.dashboardARN(name)); err != nil {
				return err
			}
		}
		return nil
	})
}
