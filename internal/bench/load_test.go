package bench

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/smithy-go"
)

// What a soak of a minute or more holds. A machine that is slow is so to the canned server, too.
const (
	mostOfReads  = 50 * time.Millisecond // 99 of 100 reads take no longer
	mostOfCanned = 5                     // or no longer than so many times what the canned server's calls take
	mostGrowth   = 16 << 20              // bytes of heap, from the warm-up to the end
	mostRefused  = 1000                  // one of so many requests, when a late client asks for much at once
	mostRate     = 6000                  // requests a second: with more, kinds would come near their quotas
)

// extent is how large a soak is.
type extent struct {
	long    time.Duration // of the requests at half of the maximum
	maximum time.Duration // that the maximum is measured
	beyond  time.Duration // of each burst beyond a limit
	things  int           // all of them targets of a job
	devices int           // of them, connected
	turn    time.Duration // in which each device does something once
	items   int
}

// TestSoak measures the greatest rate of mixed requests that a cloud takes, and asks for half of it, for
// FLEETSTEP_SOAK seconds: of an account with 100,000 things, a job over all of them, and 5,000 devices that are
// connected, tell of themselves and work through the job (THINGS and DEVICES name other numbers). It holds that
// nothing fails, that memory, goroutines and files are what they were after the warm-up (the first quarter), and that
// reads are as fast as they should be. Then it goes beyond each limit, beside the same requests: what is too much is
// refused as AWS does, and nothing else becomes slower.
//
// Without FLEETSTEP_SOAK it does so for two seconds, with a hundredth of things and devices.
func TestSoak(t *testing.T) {
	x := extent{long: 1200 * time.Millisecond, maximum: 300 * time.Millisecond, beyond: 150 * time.Millisecond,
		things: 1000, devices: 50, turn: 400 * time.Millisecond, items: 200}
	number := func(name string, or int) int {
		named := os.Getenv(name)
		if named == "" {
			return or
		}
		n, err := strconv.Atoi(named)
		must(t, err)
		return n
	}
	if seconds := number("FLEETSTEP_SOAK", 0); seconds > 0 {
		x = extent{long: time.Duration(seconds) * time.Second, maximum: 10 * time.Second, beyond: 3 * time.Second,
			things: number("THINGS", 100_000), devices: number("DEVICES", 5000), turn: 10 * time.Second, items: 2000}
	}
	began := time.Now()
	s := newSoak(t, x)
	f := s.newFleet()
	t.Logf("%d things and %d connected devices after %.1f s", x.things, x.devices, time.Since(began).Seconds())
	f.begin()

	s.ask(x.maximum/10, math.Inf(1), newTally(s.mix)) // connections are made
	most := newTally(s.mix)
	took := s.ask(x.maximum, math.Inf(1), most)
	rate := min(float64(most.requests())/took.Seconds()/2, mostRate)
	t.Logf("at most %.0f requests a second; %.0f are asked for", float64(most.requests())/took.Seconds(), rate)

	s.w.cloud.BeginWeather()
	all := newTally(s.mix)
	sampled := make(chan []sample)
	go func() { sampled <- samplesOver(x.long) }()
	took = s.ask(x.long, rate, all)
	samples := <-sampled
	t.Logf("%.0f a second were asked for, 99 of 100 no more than %s late", float64(all.requests())/took.Seconds(),
		all.late.of(0.99))
	all.tell(t)
	f.tell()
	if n := all.refused.Load(); n > all.requests()/mostRefused {
		t.Errorf("%d of %d requests are refused", n, all.requests())
	}
	if x.long >= time.Minute {
		s.holdReads("", all)
		s.holdMemory(samples)
	}
	s.goBeyond(f, rate)
	f.end()
	s.holdExecutions()
}

// holdReads holds that reads are as fast as they should be.
func (s *soak) holdReads(when string, all *tally) {
	reads, canned := all.of("reads").of(0.99), all.of("canned").of(0.99)
	ratio := float64(reads) / float64(canned)
	s.t.Logf("%s99 of 100 reads take %s, %.2f times the canned server's", when, reads, ratio)
	if reads > mostOfReads && ratio > mostOfCanned {
		s.t.Errorf("%s99 of 100 reads take %s, %.1f times the canned server's", when, reads, ratio)
	}
}

// holdMemory holds that nothing grows after the warm-up.
func (s *soak) holdMemory(samples []sample) {
	for _, m := range samples {
		s.t.Logf("%6.0f s: heap %5.1f MiB, %d goroutines, %d files", m.at.Seconds(), float64(m.heap)/(1<<20),
			m.goroutines, m.files)
	}
	samples = samples[len(samples)/4:]
	early, late := least(samples[:len(samples)/3]), least(samples[len(samples)*2/3:])
	s.t.Logf("after the warm-up heap grows by %.1f MiB", float64(late.heap-early.heap)/(1<<20))
	if late.heap-early.heap > mostGrowth || late.goroutines > early.goroutines+20 || late.files > early.files+20 {
		s.t.Errorf("it was %+v and is %+v", early, late)
	}
}

// soakClients is how many requests are under way at most.
const soakClients = 64

// ask asks for the mix at a rate, for so long, and returns how long it took. With an infinite rate each client asks
// again as soon as it is answered.
func (s *soak) ask(long time.Duration, rate float64, all *tally) time.Duration {
	order := spread(s.mix)
	var failed atomic.Bool
	clients := soakClients
	if math.IsInf(rate, 1) {
		clients = 16
	}
	begin := time.Now()
	paced(clients, long, rate, func(k int64, late time.Duration) bool {
		n := order[k%int64(len(order))]
		sent := time.Now()
		err := s.mix[n].do(rand.IntN(1 << 30))
		switch {
		case throttled(err):
			all.refused.Add(1)
		case err != nil:
			s.t.Errorf("%s: %v", s.mix[n].name, err)
			failed.Store(true)
		default:
			all.kinds[n].add(time.Since(sent))
		}
		all.late.add(late)
		return !failed.Load()
	})
	return time.Since(begin)
}

// paced runs do at a rate, from so many goroutines, until the time is over or do returns false. It gives do the number
// of the call, and how late it is.
func paced(workers int, long time.Duration, rate float64, do func(k int64, late time.Duration) bool) {
	begin := time.Now()
	var next, stop atomic.Int64
	crowd(workers, workers, func(int64) {
		for stop.Load() == 0 {
			k := next.Add(1) - 1
			at := time.Duration(float64(k) / rate * float64(time.Second))
			if math.IsInf(rate, 1) {
				at = time.Since(begin)
			}
			if at >= long {
				return
			}
			time.Sleep(time.Until(begin.Add(at)))
			if !do(k, time.Since(begin)-at) {
				stop.Store(1)
			}
		}
	})
}

// spread is an order of the calls in which each comes as often as its share, and as evenly as can be: a kind whose
// quota is small does not come twice at once.
func spread(mix []call) []int {
	total := 0
	for _, c := range mix {
		total += c.share
	}
	given := make([]int, len(mix))
	order := make([]int, total)
	for at := range order {
		behind, most := 0, math.Inf(-1)
		for n, c := range mix {
			if b := float64(c.share)*float64(at+1)/float64(total) - float64(given[n]); b > most {
				behind, most = n, b
			}
		}
		given[behind]++
		order[at] = behind
	}
	return order
}

// codeOf is the code of AWS's error, "" for none.
func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func throttled(err error) bool {
	switch codeOf(err) {
	case "ThrottlingException", "TooManyRequestsException", "Throttling", "RequestThrottled":
		return true
	}
	return false
}

// tally is how long requests took, by kind.
type tally struct {
	mix     []call
	kinds   []*histogram
	late    histogram
	refused atomic.Int64
}

func newTally(mix []call) *tally {
	a := &tally{mix: mix}
	for range mix {
		a.kinds = append(a.kinds, &histogram{})
	}
	return a
}

func (a *tally) requests() int64 { return a.late.n.Load() }

// of joins the kinds of a class.
func (a *tally) of(class string) *histogram {
	all := &histogram{}
	for n, c := range a.mix {
		if c.class == class {
			all.join(a.kinds[n])
		}
	}
	return all
}

func (a *tally) tell(t *testing.T) {
	row := func(name string, h *histogram) {
		if h.n.Load() == 0 {
			return
		}
		t.Logf("%-36s %9d requests, 50 of 100 in %7s, 99 in %7s, 999 of 1000 in %7s", name, h.n.Load(), h.of(0.5),
			h.of(0.99), h.of(0.999))
	}
	for _, class := range []string{"reads", "writes", "canned"} {
		row(class, a.of(class))
	}
	for n, c := range a.mix {
		row("  "+c.name, a.kinds[n])
	}
}

type sample struct {
	at                time.Duration
	heap              int64
	goroutines, files int
}

// samplesOver takes twenty samples over so long.
func samplesOver(long time.Duration) []sample {
	var samples []sample
	begin := time.Now()
	for i := range 20 {
		time.Sleep(time.Until(begin.Add(long * time.Duration(i+1) / 20)))
		samples = append(samples, measure(time.Since(begin)))
	}
	return samples
}

func measure(at time.Duration) sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd") // where there is such a thing
	return sample{at, int64(m.HeapAlloc), runtime.NumGoroutine(), len(files)}
}

// least is the least of each, since caches and buffers come and go.
func least(samples []sample) sample {
	l := samples[0]
	for _, s := range samples {
		l.heap, l.goroutines, l.files = min(l.heap, s.heap), min(l.goroutines, s.goroutines), min(l.files, s.files)
	}
	return l
}

// histogram counts durations from 10 µs to 20 minutes. Each of its steps is a 32nd of an octave, 2 %.
type histogram struct {
	n      atomic.Int64
	counts [27 * stepsOfOctave]atomic.Int64
}

const (
	stepsOfOctave = 32
	leastCounted  = 10 * time.Microsecond
)

func (h *histogram) add(d time.Duration) {
	step := int(math.Log2(float64(max(d, leastCounted))/float64(leastCounted)) * stepsOfOctave)
	h.n.Add(1)
	h.counts[min(step, len(h.counts)-1)].Add(1)
}

func (h *histogram) join(with *histogram) {
	h.n.Add(with.n.Load())
	for i := range h.counts {
		h.counts[i].Add(with.counts[i].Load())
	}
}

// of is how long a share takes at most, 0 if there is nothing.
func (h *histogram) of(share float64) time.Duration {
	if h.n.Load() == 0 {
		return 0
	}
	left := int64(float64(h.n.Load()) * share)
	at := 0
	for at = range h.counts {
		if left -= h.counts[at].Load(); left < 0 {
			break
		}
	}
	d := float64(leastCounted) * math.Pow(2, float64(at+1)/stepsOfOctave)
	return time.Duration(d).Round(10 * time.Microsecond)
}
