package functions

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// lines writes whole lines, one at a time.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// emf writes metrics in CloudWatch's embedded metric format: a JSON line that is a
// log line as well.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type emf struct {
	w         io.Writer
	namespace string
	now       func() time.Time
}

func (e *emf) count(metric, dimension, value string) { e.put(metric, "Count", 1, dimension, value) }

func (e *emf) seconds(metric string, s float64, dimension, value string) {
	e.put(metric, "Seconds", s, dimension, value)
}

func (e *emf) put(metric, unit string, amount float64, dimension, value string) {
	dimensions := []string{}
	line := map[string]any{metric: amount}
	if dimension != "" {
		dimensions = append(dimensions, dimension)
		line[dimension] = value
	}
	line["_aws"] = map[string]any{
		"Timestamp": e.now().UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace":  e.namespace,
			"Dimensions": [][]string{dimensions},
			"Metrics":    []any{map[string]string{"Name": metric, "Unit": unit}},
		}},
	}
	b, err := json.Marshal(line)
	if err != nil {
		return // unreachable: numbers and strings only
	}
	// A metric that cannot be written is no reason to fail an upgrade.
	_, _ = e.w.Write(append(b, '\n'))
}
