package quotas

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// Account is whose quotas hold.
type Account string

// The accounts.
const (
	None       Account = "none"        // nobody's
	Default    Account = "default"     // one of us-east-1 with the quotas that AWS gives
	NewAccount Account = "new-account" // one that was just opened
)

// Parse reads an account; "" is None.
func Parse(s string) (Account, error) {
	switch a := Account(s); a {
	case "":
		return None, nil
	case None, Default, NewAccount:
		return a, nil
	}
	return None, fmt.Errorf("%q is none of %s, %s and %s", s, None, Default, NewAccount)
}

// Quotas counts calls. Its methods are safe for concurrent use; a nil Quotas
// allows everything.
type Quotas struct {
	sched       *scheduler.Scheduler
	concurrency int
	takes       interface{ Int64N(n int64) int64 } // draws how long calls take

	mu      sync.Mutex
	begun   bool
	buckets []*bucket
	by      map[[2]string]*bucket // by service and operation
	most    int                   // functions that ran at once
	refused int                   // for want of concurrency
}

// bucket is the state of a quota.
type bucket struct {
	name        string
	rate, burst float64
	tokens      float64
	at          time.Time // when tokens was worked out
	least       float64   // that tokens has been
	second      int64     // the one that calls counts
	calls, peak int
	throttled   int
}

// New is an account's quotas, nil for None.
func New(s *scheduler.Scheduler, a Account) *Quotas {
	if a == None || a == "" {
		return nil
	}
	q := &Quotas{sched: s, concurrency: Concurrency, by: map[[2]string]*bucket{},
		takes: scheduler.Stream(0)}
	if a == NewAccount {
		q.concurrency = newConcurrency
	}
	now := s.Now()
	for _, x := range table {
		b := &bucket{name: x.name, rate: x.rate, burst: x.burst, at: now}
		if a == NewAccount && x.newRate > 0 {
			b.rate, b.burst = x.newRate, x.newBurst
		}
		if b.burst == 0 {
			b.burst = b.rate
		}
		b.tokens, b.least = b.burst, b.burst
		q.buckets = append(q.buckets, b)
		for _, o := range x.operations {
			q.by[[2]string{x.service, o}] = b
		}
	}
	return q
}

// Begin lets the quotas hold: until then everything is allowed.
func (q *Quotas) Begin() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.begun = true
}

// Allow counts a call, and reports whether it is within its quota. in is its input.
func (q *Quotas) Allow(c *awsapi.Call, in any) bool {
	if q == nil || c.Identity.Root && c.SourceIP == "" {
		return true
	}
	if event, ok := in.(interface{ Asynchronous() bool }); ok && event.Asynchronous() {
		return true
	}
	return q.count(c.Service.ID, c.Operation)
}

// AllowDevice is Allow for a request that a device makes over MQTT.
func (q *Quotas) AllowDevice(service, operation string) bool {
	return q == nil || q.count(service, operation)
}

// count counts a call, and reports whether it is within its quota.
func (q *Quotas) count(service, operation string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.by[[2]string{service, operation}]
	return b == nil || !q.begun || b.take(q.sched.Now())
}

func (b *bucket) take(now time.Time) bool {
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(b.burst, b.tokens+passed.Seconds()*b.rate)
		b.at = now
	}
	if second := now.Unix(); second != b.second {
		b.second, b.calls = second, 0
	}
	b.calls++
	b.peak = max(b.peak, b.calls)
	if b.tokens < 1 {
		b.least = 0
		b.throttled++
		return false
	}
	b.tokens--
	b.least = min(b.least, b.tokens)
	return true
}

// How long a call takes in virtual time: what is usual within a region. DynamoDB answers in "single-digit
// milliseconds" (developer guide, "What is Amazon DynamoDB?", 2026-11); other services are slower.
const (
	leastTakes = 4 * time.Millisecond
	mostTakes  = 16 * time.Millisecond
)

// Takes is how long a call is on its way. In virtual time nothing takes time by itself: functions would never run at
// the same time, and their concurrency would never be used.
func (q *Quotas) Takes(c *awsapi.Call) time.Duration {
	if q == nil || c.Identity.Root || !q.sched.Virtual() || c.Service.ID == "cloudwatchlogs" {
		return 0 // Lambda hands lines on behind a function's back
	}
	return leastTakes + time.Duration(q.takes.Int64N(int64(mostTakes-leastTakes)))
}

// Concurrency is how many functions may run at a time.
func (q *Quotas) Concurrency() int {
	if q == nil {
		return Concurrency
	}
	return q.concurrency
}

// Running notes that so many functions run, and Refused that one could not.
func (q *Quotas) Running(n int) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most = max(q.most, n)
}

// Refused notes that a function could not run for want of concurrency.
func (q *Quotas) Refused() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refused++
}

// Use is how much of a quota was used.
type Use struct {
	Name      string  `json:"name"`
	Limit     float64 `json:"limit"`           // a second; of concurrency, at a time
	Burst     float64 `json:"burst,omitempty"` // where more may come at once
	Peak      int     `json:"peak"`            // calls in the busiest second; of concurrency, the most at a time
	Throttled int     `json:"throttled"`
	// Used is the part of the quota that was used when it was nearest: 1 is all.
	Used float64 `json:"used"`
}

// Report is the use of an account's quotas.
type Report struct {
	Nearest string `json:"nearest"` // the one of which the greatest part was used
	Quotas  []Use  `json:"quotas"`  // those that were used at all, the nearest first
}

// Report tells what was used so far; nil where there are no quotas.
func (q *Quotas) Report() *Report {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &Report{}
	for _, b := range q.buckets {
		if b.peak == 0 {
			continue
		}
		u := Use{Name: b.name, Limit: b.rate, Peak: b.peak, Throttled: b.throttled, Used: 1 - b.least/b.burst}
		if b.burst != b.rate {
			u.Burst = b.burst
		}
		r.Quotas = append(r.Quotas, u)
	}
	if q.most > 0 {
		r.Quotas = append(r.Quotas, Use{
			Name: concurrency, Limit: float64(q.concurrency), Peak: q.most, Throttled: q.refused,
			Used: float64(q.most) / float64(q.concurrency),
		})
	}
	for i := range r.Quotas {
		r.Quotas[i].Used = float64(int(r.Quotas[i].Used*1000+0.5)) / 1000
	}
	slices.SortStableFunc(r.Quotas, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.Throttled, a.Throttled), cmp.Compare(b.Used, a.Used))
	})
	if len(r.Quotas) > 0 {
		r.Nearest = r.Quotas[0].Name
	}
	return r
}
