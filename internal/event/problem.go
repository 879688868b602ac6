package event

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// Problem is one mistake in a payload.
type Problem struct {
	Path    string `json:"path"`    // JSON path, such as $.rollout.maximumPerMinute
	Value   any    `json:"value"`   // as given; null when missing
	Allowed string `json:"allowed"` // what would have been right
}

func (p Problem) String() string {
	v := "missing"
	if p.Value != nil {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // it is text for people, where > is no \u003e
		if err := e.Encode(p.Value); err != nil {
			return fmt.Sprintf("%s: ?: %s", p.Path, p.Allowed)
		}
		if v = strings.TrimSuffix(b.String(), "\n"); len(v) > 80 {
			v = strings.ToValidUTF8(v[:77], "") + "..."
		}
	}
	return fmt.Sprintf("%s: %s: %s", p.Path, v, p.Allowed)
}

// Problems are all mistakes of a payload, in the order of their paths.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps))
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	count := "1 mistake"
	if len(ps) != 1 {
		count = fmt.Sprintf("%d mistakes", len(ps))
	}
	return count + " in the payload:\n" + strings.Join(lines, "\n")
}

// Sorted puts mistakes in the order of their paths.
func (ps Problems) Sorted() Problems {
	sort.SliceStable(ps, func(i, j int) bool { return ps[i].Path < ps[j].Path })
	return ps
}
