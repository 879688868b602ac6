package awsapi

import (
	_ "embed"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// router finds the operation of a REST request.
type router struct {
	// routes by method, first segment of the path ("" for a label) and
	// number of segments; greedy ones under number 0.
	routes map[routeKey][]*route
}

type routeKey struct {
	method, first string
	segments      int
}

// route is the HTTP binding of an operation.
type route struct {
	name     string
	op       *Operation // nil: AWS has it, we do not
	segments []segment
	query    []queryTerm
	literals int // number of literal segments and required parameters
}

type segment struct {
	label  string // "" for a literal
	text   string
	greedy bool
}

type queryTerm struct {
	name, value string
	hasValue    bool
}

// routesText lists the HTTP bindings of the REST services, one per line:
// service, operation, method, path. It names the operation of a request for
// which the local cloud has none. Source: the API models of the AWS SDKs.
//
//go:embed routes.txt
var routesText string

// knownRoutes are the lines of routesText by service.
var knownRoutes = sync.OnceValue(func() map[string][][3]string {
	out := map[string][][3]string{}
	for line := range strings.Lines(routesText) {
		f := strings.Fields(line)
		out[f[0]] = append(out[f[0]], [3]string{f[1], f[2], f[3]})
	}
	return out
})

func newRouter(s *Service) *router {
	rt := &router{routes: map[routeKey][]*route{}}
	for i := range s.Operations {
		if o := &s.Operations[i]; o.Method != "" {
			rt.add(newRoute(o.Name, o, o.Path, o.Query), o.Method)
		}
	}
	if s.HTTP == nil {
		for _, k := range knownRoutes()[s.ID] {
			if _, ok := s.Operation(k[0]); !ok {
				rt.add(newRoute(k[0], nil, k[2], nil), k[1])
			}
		}
	}
	for _, list := range rt.routes {
		slices.SortStableFunc(list, func(a, b *route) int { return b.literals - a.literals })
	}
	return rt
}

func newRoute(name string, op *Operation, path string, query []string) *route {
	path, fixed, ok := strings.Cut(path, "?")
	if ok {
		query = append(query[:len(query):len(query)], strings.Split(fixed, "&")...)
	}
	r := &route{name: name, op: op}
	for _, s := range split(path) {
		var seg segment
		if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
			seg.label, seg.greedy = strings.CutSuffix(s[1:len(s)-1], "+")
		} else {
			seg.text = s
			r.literals++
		}
		r.segments = append(r.segments, seg)
	}
	for _, q := range query {
		var t queryTerm
		t.name, t.value, t.hasValue = strings.Cut(q, "=")
		r.query = append(r.query, t)
		r.literals++
	}
	return r
}

func (rt *router) add(r *route, method string) {
	key := routeKey{method: method, segments: len(r.segments)}
	if len(r.segments) > 0 && r.segments[0].label == "" {
		key.first = r.segments[0].text
	}
	if slices.ContainsFunc(r.segments, func(s segment) bool { return s.greedy }) {
		key.segments = 0
	}
	rt.routes[key] = append(rt.routes[key], r)
}

// split cuts an escaped path into segments; slashes at the ends do not count.
func split(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// find returns the route of a request and the values of its labels, nil if
// there is none.
func (rt *router) find(r *http.Request, query url.Values) (*route, map[string]string) {
	segments := split(r.URL.EscapedPath())
	first := ""
	if len(segments) > 0 {
		first = segments[0]
	}
	var best *route
	var values map[string]string
	for _, key := range [...]routeKey{
		{r.Method, first, len(segments)}, {r.Method, "", len(segments)}, {r.Method, first, 0}, {r.Method, "", 0},
	} {
		for _, candidate := range rt.routes[key] {
			if best != nil && candidate.literals <= best.literals {
				break // sorted: no better one follows
			}
			if v, ok := candidate.match(segments, query); ok {
				best, values = candidate, v
				break
			}
		}
	}
	return best, values
}

func (r *route) match(segments []string, query url.Values) (map[string]string, bool) {
	for _, t := range r.query {
		v, ok := query[t.name]
		if !ok || t.hasValue && !slices.Contains(v, t.value) {
			return nil, false
		}
	}
	var values map[string]string
	set := func(label, escaped string) bool {
		v, err := url.PathUnescape(escaped)
		if err != nil || v == "" {
			return false
		}
		if values == nil {
			values = make(map[string]string, 2)
		}
		values[label] = v
		return true
	}
	for i, s := range r.segments {
		if s.greedy {
			after := len(r.segments) - i - 1
			end := len(segments) - after
			if end <= i || !set(s.label, strings.Join(segments[i:end], "/")) {
				return nil, false
			}
			segments = slices.Concat(segments[:i+1], segments[end:])
			continue
		}
		if i >= len(segments) {
			return nil, false
		}
		if s.label == "" {
			if got := segments[i]; got != s.text {
				if plain, err := url.PathUnescape(got); err != nil || plain != s.text {
					return nil, false
				}
			}
		} else if !set(s.label, segments[i]) {
			return nil, false
		}
	}
	return values, len(segments) == len(r.segments)
}
