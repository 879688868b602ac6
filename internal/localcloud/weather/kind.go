package weather

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is a way to fail.
type Kind int

// The kinds; see the package comment.
const (
	Throttled Kind = iota
	Conflicts
	Failed
	Unanswered
	Killed
	Short
	Duplicated
	Reordered
	Late
	Lost
	Stale
	Cut
	Impaired
	kinds int = iota
)

var names = [kinds]string{
	"throttled", "conflicts", "failed", "unanswered", "killed", "short", "duplicated", "reordered", "late", "lost",
	"stale", "cut", "impaired",
}

// String is the kind's name.
func (k Kind) String() string { return names[k] }

// bad is a bad day: the share of what could be hit that is. A function makes some
// calls in each invocation, and a device has some dozens of messages in an upgrade.
var bad = Rates{
	Throttled: 0.03, Conflicts: 0.04, Failed: 0.015, Unanswered: 0.015, Killed: 0.003, Short: 0.02,
	Duplicated: 0.04, Reordered: 0.05, Late: 0.02, Lost: 0.03, Stale: 0.2, Cut: 0.003,
	Impaired: 0.03,
}

// Rates are how often each kind happens: 0 never, 1 always.
type Rates [kinds]float64

// Parse reads a description of the weather: "none", "bad", or names of kinds
// separated by commas, each with its rate or with that of a bad day:
// "throttled,lost=0.5". After "bad" come those whose rates are others: "bad,cut=0.1".
func Parse(s string) (Rates, error) {
	var rates Rates
	switch s {
	case "", "none":
		return rates, nil
	case "bad":
		return bad, nil
	}
	if others, ok := strings.CutPrefix(s, "bad,"); ok {
		rates, s = bad, others
	}
	for part := range strings.SplitSeq(s, ",") {
		name, share, given := strings.Cut(strings.TrimSpace(part), "=")
		i := slices.Index(names[:], name)
		if i < 0 {
			return Rates{}, fmt.Errorf("%q is no kind of weather: none, or bad, or of %s, or bad and some of these",
				name, strings.Join(names[:], ", "))
		}
		rates[i] = bad[i]
		if !given {
			continue
		}
		rate, err := strconv.ParseFloat(share, 64)
		if err != nil || !(rate >= 0 && rate <= 1) { // nor NaN
			return Rates{}, fmt.Errorf("%s: %q is no rate from 0 to 1", name, share)
		}
		rates[i] = rate
	}
	return rates, nil
}

// Fair reports whether nothing ever happens.
func (r Rates) Fair() bool { return r == Rates{} }

// String is what Parse reads.
func (r Rates) String() string {
	switch r {
	case Rates{}:
		return "none"
	case bad:
		return "bad"
	}
	var parts []string
	for i, rate := range r {
		switch rate {
		case 0:
		case bad[i]:
			parts = append(parts, names[i])
		default:
			parts = append(parts, names[i]+"="+strconv.FormatFloat(rate, 'g', -1, 64))
		}
	}
	return strings.Join(parts, ",")
}

// ParseEvents reads numbers of events, as "3,17"; "" is all of them, "none" none.
func ParseEvents(s string) ([]int, error) {
	switch s {
	case "":
		return nil, nil
	case "none":
		return []int{}, nil
	}
	var list []int
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of an event", part)
		}
		list = append(list, n)
	}
	slices.SortFunc(list, cmp.Compare[int])
	return list, nil
}

// FormatEvents is what ParseEvents reads.
func FormatEvents(list []int) string {
	switch {
	case list == nil:
		return ""
	case len(list) == 0:
		return "none"
	}
	parts := make([]string, len(list))
	for i, n := range list {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ",")
}
