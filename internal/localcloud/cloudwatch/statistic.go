package cloudwatch

import (
	"math"
	"regexp"
	"slices"
	"strconv"
)

var (
	simpleStatistics = []string{"SampleCount", "Average", "Sum", "Minimum", "Maximum"}
	shortStatistic   = regexp.MustCompile(`^(p|tm|wm|tc|ts)(\d{1,2}(?:\.\d{1,10})?|100)$`)
	rangeStatistic   = regexp.MustCompile(`^(TM|WM|TC|TS|PR)\((-?\d+(?:\.\d+)?)?(%?):(-?\d+(?:\.\d+)?)?(%?)\)$`)
)

// statistic is a parsed name of a statistic.
type statistic struct {
	name   string // one of simpleStatistics, or p, TM, WM, TC, TS, PR
	share  bool   // the borders are shares of the samples, not values
	lo, hi float64
}

// parseStatistic knows the statistics of GetMetricData.
func parseStatistic(s string) (statistic, bool) {
	if slices.Contains(simpleStatistics, s) {
		return statistic{name: s}, true
	}
	if s == "IQM" {
		return statistic{name: "TM", share: true, lo: 0.25, hi: 0.75}, true
	}
	if m := shortStatistic.FindStringSubmatch(s); m != nil {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return statistic{}, false
		}
		name := map[string]string{"p": "p", "tm": "TM", "wm": "WM", "tc": "TC", "ts": "TS"}[m[1]]
		return statistic{name: name, share: true, hi: v / 100}, true
	}
	m := rangeStatistic.FindStringSubmatch(s)
	if m == nil || m[2] == "" && m[4] == "" || m[2] == "" && m[3] != "" || m[4] == "" && m[5] != "" {
		return statistic{}, false
	}
	st := statistic{name: m[1], share: m[3] != "" || m[5] != "", lo: math.Inf(-1), hi: math.Inf(1)}
	if m[2] != "" && m[4] != "" && m[3] != m[5] || st.share && st.name == "PR" {
		return statistic{}, false
	}
	scale := 1.0
	if st.share {
		scale, st.lo, st.hi = 100, 0, 1
	}
	if m[2] != "" {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return statistic{}, false
		}
		st.lo = v / scale
	}
	if m[4] != "" {
		v, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			return statistic{}, false
		}
		st.hi = v / scale
	}
	if st.lo >= st.hi || st.share && (st.lo < 0 || st.hi > 1) {
		return statistic{}, false
	}
	return st, true
}

// extended reports whether the statistic needs the values.
func (st statistic) extended() bool { return !slices.Contains(simpleStatistics, st.name) }

// within moves a rounded value back between the least and the greatest.
func (b bucket) within(v float64) float64 { return min(max(v, b.Min), b.Max) }

// of computes the statistic; ok is false if the bucket cannot tell.
func (st statistic) of(b bucket) (float64, bool) {
	if b.Count <= 0 {
		return 0, false
	}
	switch st.name {
	case "SampleCount":
		return b.Count, true
	case "Average":
		return b.Sum / b.Count, true
	case "Sum":
		return b.Sum, true
	case "Minimum":
		return b.Min, true
	case "Maximum":
		return b.Max, true
	}
	if b.Opaque > 0 || len(b.Values) == 0 {
		return 0, false
	}
	total := 0.0
	for _, n := range b.Counts {
		total += n
	}
	if st.name == "p" {
		// Nearest rank: the least value that hi of the samples do not exceed.
		rank, seen := st.hi*total, 0.0
		for i, n := range b.Counts {
			if seen += n; seen >= rank-1e-9 {
				return b.within(b.Values[i]), true
			}
		}
		return b.Max, true
	}
	// inside is the part of the samples between the borders; below and above
	// are what WM replaces by the nearest value inside.
	var inside, weighted, below, above, seen float64
	first, last := math.NaN(), math.NaN()
	for i, v := range b.Values {
		v = b.within(v)
		n := b.Counts[i]
		var in float64
		if st.share {
			from, to := max(seen, st.lo*total), min(seen+n, st.hi*total)
			in = max(to-from, 0)
			below += max(min(seen+n, st.lo*total)-seen, 0)
			above += max(seen+n-max(seen, st.hi*total), 0)
		} else if v > st.lo && v <= st.hi {
			in = n
		} else if v <= st.lo {
			below += n
		} else {
			above += n
		}
		seen += n
		if in > 0 {
			if math.IsNaN(first) {
				first = v
			}
			last = v
			inside += in
			weighted += in * v
		}
	}
	switch st.name {
	case "TC":
		return inside, true
	case "TS":
		return weighted, true
	case "PR":
		return 100 * inside / total, true
	}
	if inside == 0 {
		return 0, false
	}
	if st.name == "WM" {
		return (weighted + below*first + above*last) / total, true
	}
	return weighted / inside, true
}
