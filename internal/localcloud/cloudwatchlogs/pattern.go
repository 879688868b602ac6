package cloudwatchlogs

import (
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// pattern is a filter pattern of terms.
type pattern struct{ all, any, none []string }

func parsePattern(src string) (pattern, error) {
	var p pattern
	rest := strings.TrimSpace(src)
	if strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, "%") {
		return p, awsapi.NotBuilt("filter patterns for JSON, columns and regular expressions (filterPattern)")
	}
	for rest != "" {
		to := &p.all
		switch rest[0] {
		case '?':
			to, rest = &p.any, rest[1:]
		case '-':
			to, rest = &p.none, rest[1:]
		}
		term := rest
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return p, errInvalid("filterPattern: a quotation mark is not closed")
			}
			term, rest = rest[1:end+1], rest[end+2:]
		} else if i := strings.IndexAny(rest, " \t"); i >= 0 {
			term, rest = rest[:i], rest[i:]
		} else {
			rest = ""
		}
		if term != "" {
			*to = append(*to, term)
		}
		rest = strings.TrimSpace(rest)
	}
	return p, nil
}

func (p pattern) matches(message string) bool {
	in := func(term string) bool { return strings.Contains(message, term) }
	for _, t := range p.all {
		if !in(t) {
			return false
		}
	}
	return !slices.ContainsFunc(p.none, in) && (len(p.any) == 0 || slices.ContainsFunc(p.any, in))
}
