package jobs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// metricNames are the statuses that have metrics: NAMECount counts executions
// that came to the status in the minute, NAMETotalCount the job's executions in it.
var metricNames = map[string]string{
	Queued: "QueuedJobExecution", InProgress: "InProgressJobExecution", Succeeded: "SucceededJobExecution",
	Failed:   "FailedJobExecution",
	Rejected: "RejectedJobExecution", Canceled: "CanceledJobExecution", Removed: "RemovedJobExecution",
}

// count adds arrivals to those of this minute. They are sent a minute after
// the first; a crash in between loses them.
func (s *Service) count(arrivals map[arrival]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrivals == nil {
		s.arrivals = map[arrival]int{}
		s.sched.After(minute*time.Millisecond, "iot job metrics", s.sendMetrics)
	}
	for a, n := range arrivals {
		s.arrivals[a] += n
	}
}

func (s *Service) sendMetrics() {
	s.mu.Lock()
	arrivals := s.arrivals
	s.arrivals = nil
	s.mu.Unlock()
	now := s.sched.Now()
	var metrics []Metric
	err := s.db.View(func(tx *store.Tx) error {
		for _, a := range slices.SortedFunc(maps.Keys(arrivals), arrival.compare) {
			n := arrivals[a]
			name, ok := metricNames[a.status]
			if !ok {
				continue
			}
			t, _, err := tallyTable.Get(tx, a.job)
			if err != nil {
				return err
			}
			metrics = append(metrics,
				Metric{name + "Count", a.job, float64(n), now}, Metric{name + "TotalCount", a.job,
					float64(t.By[a.status]), now})
		}
		return nil
	})
	if err != nil || len(metrics) == 0 {
		s.sched.Failed("iot job metrics", err)
		return
	}
	slices.SortFunc(metrics, func(a, b Metric) int {
		return strings.Compare(a.JobID+"\x00"+a.Name, b.JobID+"\x00"+b.Name)
	})
	// What cannot be put is not put again.
	s.sched.Failed("iot job metrics", s.config.Metrics.Put(context.Background(), metrics))
}
