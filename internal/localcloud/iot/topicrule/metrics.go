package topicrule

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// counter names one metric of the engine.
type counter struct{ metric, rule, action string }

// countInterval is how long counts are gathered before they are handed on.
const countInterval = 5 * time.Second

func (s *Service) count(metric string, c counter) {
	if s.Metrics == nil {
		return
	}
	c.metric = metric
	s.counters.Lock()
	defer s.counters.Unlock()
	if len(s.counters.counts) == 0 {
		s.Scheduler.After(countInterval, "topicrule metrics", s.flush)
	}
	s.counters.counts[c]++
}

// flush hands the counts on.
func (s *Service) flush() {
	s.counters.Lock()
	counts := s.counters.counts
	s.counters.counts = map[counter]float64{}
	s.counters.Unlock()
	sorted := slices.SortedFunc(maps.Keys(counts), func(a, b counter) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.rule, b.rule), cmp.Compare(a.action, b.action))
	})
	for _, c := range sorted {
		dimensions := map[string]string{"RuleName": c.rule}
		if c.action != "" {
			dimensions["ActionType"] = c.action
		}
		s.Metrics.Count(context.Background(), "AWS/IoT", c.metric, dimensions, counts[c])
	}
}
