// Package limit computes AWS IoT Core's quotas for one connection: how much may pass now, how
// long to wait, and whether a client has been beyond its limit for too long. It keeps no
// clock; callers give the time. Values are used by one goroutine at a time.
package limit

import "time"

// Bucket lets Rate pass a second, and as much at once. A Rate of 0 lets
// everything pass.
type Bucket struct {
	Rate int

	left float64 // may be negative: see Wait
	at   time.Time
}

func (b *Bucket) fill(now time.Time) {
	if b.at.IsZero() {
		b.left = float64(b.Rate)
	} else if d := now.Sub(b.at); d > 0 {
		b.left = min(b.left+d.Seconds()*float64(b.Rate), float64(b.Rate))
	}
	b.at = now
}

// Take reports whether n may pass now, and takes them if so.
func (b *Bucket) Take(now time.Time, n int) bool {
	if b.Rate == 0 {
		return true
	}
	b.fill(now)
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}

// Wait takes n and says how long they have to wait for it.
func (b *Bucket) Wait(now time.Time, n int) time.Duration {
	if b.Rate == 0 {
		return 0
	}
	b.fill(now)
	b.left -= float64(n)
	if b.left >= 0 {
		return 0
	}
	return time.Duration(-b.left / float64(b.Rate) * float64(time.Second))
}

// Flood tells a burst from a flood: something that goes beyond a limit in each
// of many seconds in a row.
type Flood struct {
	last int64 // second
	run  int
}

// Beyond notes that a limit was exceeded now. It returns in how many seconds in
// a row that has happened, and whether this is the first time in this one.
func (f *Flood) Beyond(now time.Time) (seconds int, first bool) {
	switch s := now.Unix(); {
	case f.run > 0 && s == f.last:
		return f.run, false
	case f.run > 0 && s == f.last+1:
		f.run++
		f.last = s
	default:
		f.run, f.last = 1, s
	}
	return f.run, true
}

// Once lets each name pass once in a while. It remembers the names of two whiles
// at most.
type Once struct {
	Every time.Duration // 0 lets everything pass

	turned      time.Time
	now, before map[string]time.Time
}

// Pass reports whether the name may pass now, and notes that it has.
func (o *Once) Pass(now time.Time, name string) bool {
	if o.Every == 0 {
		return true
	}
	if now.Sub(o.turned) >= o.Every {
		o.turned, o.before, o.now = now, o.now, map[string]time.Time{}
	}
	for _, m := range []map[string]time.Time{o.now, o.before} {
		if at, ok := m[name]; ok && now.Sub(at) < o.Every {
			return false
		}
	}
	o.now[name] = now
	return true
}
