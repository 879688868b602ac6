package cloudwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what the service needs.
type Config struct {
	platform.Platform
}

// Service is CloudWatch. Its methods are safe for concurrent use.
type Service struct {
	Config

	writing sync.Mutex // held while gathered data is written
	mu      sync.Mutex // guards what follows; never held in a transaction
	pending map[slot]*bucket
	flush   *scheduler.Timer
	armed   map[string]arming            // by alarm
	watched map[metricID]map[string]bool // alarms by metric
}

// arming is the timer of an alarm's next evaluation.
type arming struct {
	timer *scheduler.Timer
	at    time.Time
}

// New returns the service over what the store holds.
func New(c Config) *Service {
	return &Service{Config: c, pending: map[slot]*bucket{}, armed: map[string]arming{},
		watched: map[metricID]map[string]bool{}}
}

// Start takes up alarms and the actions that were not run.
func (s *Service) Start(context.Context) error {
	var all []alarm
	var rows [][]string
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range alarms.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			all = append(all, row.Value)
		}
		for row, err := range actions.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			rows = append(rows, row.Key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cloudwatch.Start: %w", err)
	}
	for _, a := range all {
		s.watch(a.Config)
		s.arm(a.Config, s.Scheduler.Now())
	}
	for _, key := range rows {
		s.Scheduler.Go("cloudwatch action", func() { s.run(key) })
	}
	return nil
}

// Close writes what is gathered. The scheduler may be closed before.
func (s *Service) Close(context.Context) error { return s.Flush() }

// Residue lists actions of alarms that have not been run.
func (s *Service) Residue(context.Context) []string {
	var out []string
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range actions.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("cloudwatch: alarm %s: action %s for %s not run", row.Value.Alarm,
				row.Value.Target, row.Value.State))
		}
		return nil
	})
	if err != nil {
		out = append(out, "cloudwatch: "+err.Error())
	}
	return out
}

func (s *Service) now() int64 { return s.Scheduler.Now().UnixMilli() }

func (s *Service) alarmARN(name string) string {
	return "arn:aws:cloudwatch:" + s.Region + ":" + s.Account + ":alarm:" + name
}

func (s *Service) dashboardARN(name string) string {
	return "arn:aws:cloudwatch::" + s.Account + ":dashboard/" + name
}

// dimensionKey writes dimensions, sorted, as one part of a key.
func dimensionKey(d []Dimension) string {
	pairs := make([][2]string, len(d))
	for i, x := range d {
		pairs[i] = [2]string{x.Name, x.Value}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	key := []byte{'['}
	for i, p := range pairs {
		if i > 0 {
			key = append(key, ',')
		}
		key = append(key, '[')
		key = append(appendText(key, p[0]), ',')
		key = append(appendText(key, p[1]), ']')
	}
	return string(append(key, ']'))
}

// appendText writes a string as JSON has it.
func appendText(b []byte, s string) []byte {
	plain := func(r rune) bool {
		return r >= ' ' && r < 0x7f && r != '"' && r != '\\' && r != '<' && r != '>' && r != '&'
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return append(append(append(b, '"'), s...), '"')
	}
	text, _ := json.Marshal(s) // strings always encode
	return append(b, text...)
}

func dimensionsOf(key string) []Dimension {
	var pairs [][2]string
	if json.Unmarshal([]byte(key), &pairs) != nil {
		return nil
	}
	out := make([]Dimension, len(pairs))
	for i, p := range pairs {
		out[i] = Dimension{p[0], p[1]}
	}
	return out
}

// Add counts one value of a metric of an AWS service at the present time. It
// is the port of the other services; the namespace may begin with AWS/.
func (s *Service) Add(namespace, name, unit string, value float64, dimensions map[string]string) {
	if unit == "" {
		unit = "None"
	}
	if !finite(value) {
		return
	}
	var d []Dimension
	for _, k := range slices.Sorted(maps.Keys(dimensions)) {
		v := dimensions[k]
		d = append(d, Dimension{k, v})
	}
	at := s.Scheduler.Now().Unix()
	s.gather(slot{metricID{namespace, name, dimensionKey(d)}, at - at%60, 60, unit}, sample(value, 1))
}

// Count is Add for the rules engine: unit Count, n at once.
func (s *Service) Count(_ context.Context, namespace, metric string, dimensions map[string]string, n float64) {
	s.Add(namespace, metric, "Count", n, dimensions)
}

// StateMachines is the port of Step Functions.
type StateMachines struct{ s *Service }

// StateMachines returns the port that takes metrics of AWS/States.
func (s *Service) StateMachines() StateMachines { return StateMachines{s} }

// Count adds a value to a metric of a state machine. Metrics whose name ends
// in Time are milliseconds.
func (m StateMachines) Count(metric, stateMachineARN string, value float64) {
	unit := "Count"
	if strings.HasSuffix(metric, "Time") {
		unit = "Milliseconds"
	}
	m.s.Add("AWS/States", metric, unit, value, map[string]string{"StateMachineArn": stateMachineARN})
}

// gather keeps data until the next flush.
func (s *Service) gather(k slot, b bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.pending[k]
	if have == nil {
		have = &bucket{}
		s.pending[k] = have
	}
	have.merge(b)
	if s.flush == nil {
		s.flush = s.Scheduler.After(time.Second, "cloudwatch flush", func() {
			s.Scheduler.Failed("cloudwatch flush", s.Flush())
		})
	}
}

// Flush writes what is gathered. After an error the data is kept, and tried
// again with what comes next.
func (s *Service) Flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	batch := s.pending
	s.pending = map[slot]*bucket{}
	s.flush.Stop()
	s.flush = nil
	s.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := s.write(batch); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for k, b := range batch {
			if have := s.pending[k]; have != nil {
				b.merge(*have)
			}
			s.pending[k] = b
		}
		return fmt.Errorf("cloudwatch.Flush: %w", err)
	}
	return nil
}

// write merges data into the store and wakes the alarms that look at it.
func (s *Service) write(batch map[slot]*bucket) error {
	keys := slices.Collect(maps.Keys(batch))
	sort.Slice(keys, func(i, j int) bool { return slices.Compare(keys[i].key(), keys[j].key()) < 0 })
	now := s.Scheduler.Now().Unix()
	touched := map[metricID]int64{} // earliest new datum
	err := s.Store.Update(func(tx *store.Tx) error {
		clear(touched)
		for _, k := range keys {
			b, _, err := buckets.Get(tx, k.key()...)
			if err != nil {
				return err
			}
			b.merge(*batch[k])
			if err := buckets.Put(tx, b, k.key()...); err != nil {
				return err
			}
			if first, ok := touched[k.metricID]; ok {
				touched[k.metricID] = min(first, k.Start)
				continue
			}
			touched[k.metricID] = k.Start
			if err := refresh(tx, k.metricID, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.wake(touched)
	return nil
}

// refresh notes that a metric has data, and makes its old data coarser now
// and then.
func refresh(tx *store.Tx, id metricID, now int64) error {
	m, ok, err := metrics.Get(tx, id.Namespace, id.Name, id.Dims)
	if err != nil {
		return err
	}
	if !ok {
		m = metric{Namespace: id.Namespace, Name: id.Name, Dimensions: dimensionsOf(id.Dims), Compacted: now}
	}
	minute := now - now%60
	if ok && m.Last == minute && now-m.Compacted < 3600 {
		return nil
	}
	m.Last = minute
	if now-m.Compacted >= 3600 {
		if err := compact(tx, id, now); err != nil {
			return err
		}
		m.Compacted = now
	}
	return metrics.Put(tx, m, id.Namespace, id.Name, id.Dims)
}

// steps says how old data of a width in seconds may become, and what it then
// turns into.
var steps = []struct{ width, age, next int64 }{
	{1, 3 * 3600, 60}, {60, 15 * 86400, 300}, {300, 63 * 86400, 3600}, {3600, 455 * 86400, 0},
}

// compact makes a metric's old data coarser and drops the oldest.
func compact(tx *store.Tx, id metricID, now int64) error {
	for _, step := range steps {
		var old []store.Row[bucket]
		q := store.Query{Prefix: []string{id.Namespace, id.Name, id.Dims},
			Before: []string{store.Number(uint64(now - step.age))}}
		for row, err := range buckets.Scan(tx, q) {
			if err != nil {
				return err
			}
			if store.ParseNumber(row.Key[4]) == uint64(step.width) {
				old = append(old, row)
			}
		}
		for _, row := range old {
			if err := buckets.Delete(tx, row.Key...); err != nil {
				return err
			}
			if step.next == 0 {
				continue
			}
			start := int64(store.ParseNumber(row.Key[3]))
			k := slot{id, start - start%step.next, step.next, row.Key[5]}
			b, _, err := buckets.Get(tx, k.key()...)
			if err != nil {
				return err
			}
			b.merge(row.Value)
			if err := buckets.Put(tx, b, k.key()...); err != nil {
				return err
			}
		}
	}
	return nil
}

// unitStart is a unit's share of a period.
type unitStart struct {
	start int64
	unit  string
}

// read sums up a metric's data in [from, to) by period and unit; periods begin
// at origin plus a multiple of the period. An empty unit is every unit.
func read(tx *store.Tx, id metricID, unit string, from, to, origin, period int64) (map[unitStart]*bucket, error) {
	out := map[unitStart]*bucket{}
	if to <= from {
		return out, nil
	}
	q := store.Query{Prefix: []string{id.Namespace, id.Name, id.Dims},
		From: []string{store.Number(uint64(max(from, 0)))}, Before: []string{store.Number(uint64(max(to, 0)))}}
	for row, err := range buckets.Scan(tx, q) {
		if err != nil {
			return nil, err
		}
		if unit != "" && row.Key[5] != unit {
			continue
		}
		t := int64(store.ParseNumber(row.Key[3]))
		k := unitStart{t - mod(t-origin, period), row.Key[5]}
		if out[k] == nil {
			out[k] = &bucket{}
		}
		out[k].merge(row.Value)
	}
	return out, nil
}

func mod(a, b int64) int64 { return (a%b + b) % b }
