package dynamodb

import (
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// How long after a write its indexes show it, on a good day: "Changes to the table data are propagated to the global
// secondary indexes within a fraction of a second, under normal conditions. However, in some unlikely failure
// scenarios, longer propagation delays might occur" (developer guide, "Using Global Secondary Indexes in DynamoDB",
// 2026-11). The latter are weather's.
const (
	leastBehind = 2 * time.Millisecond
	mostBehind  = 50 * time.Millisecond
)

// indexLag is what readers of indexes do not see yet: for each index, the items that were written a moment ago, with
// what is shown in the place of each. It is of this process alone: after a restart the indexes have caught up.
type indexLag struct {
	mu    sync.Mutex
	draws interface{ Int64N(n int64) int64 }
	items map[string]map[string][]shown // by the index's ID and the item
	order []write                       // those that are in items, as they were made
}

// shown is the entry (nil: none) that readers find until a time.
type shown struct {
	entry expr.Item
	until time.Time // for whoever the weather may befall
	fair  time.Time // for the account's root, who looks on
}

type write struct {
	index, item string
	until       time.Time
}

// itemID names an item within its table.
func itemID(key []string) string { return string(store.Key(key...)) }

// shownLater lets readers of an index find what it had of an item for a while longer, once the write is done.
// Writes of one item are shown in their order, those of several in any.
func (s *Service) shownLater(tx *store.Tx, index, item string, before expr.Item) {
	tx.OnCommit(func() {
		now := s.Scheduler.Now()
		late := s.Weather.Lag("dynamodb:index")
		b := &s.indexLag
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.draws == nil { // apart from the scheduler's: without an index nothing is drawn
			b.draws, b.items = scheduler.Stream(s.Scheduler.Rand().Uint64()), map[string]map[string][]shown{}
		}
		fair := now.Add(leastBehind + time.Duration(b.draws.Int64N(int64(mostBehind-leastBehind))))
		is := shown{before, fair.Add(late), fair}
		b.forget(now)
		of := b.items[index]
		if of == nil {
			of = map[string][]shown{}
			b.items[index] = of
		}
		if n := len(of[item]); n > 0 {
			last := of[item][n-1]
			is.until, is.fair = later(is.until, last.until), later(is.fair, last.fair)
		}
		of[item] = append(of[item], is)
		b.order = append(b.order, write{index, item, is.until})
	})
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// forget drops what everybody sees. A write that is shown very late keeps those after it a little longer.
func (b *indexLag) forget(now time.Time) {
	for len(b.order) > 0 && !now.Before(b.order[0].until) {
		w := b.order[0]
		b.order = b.order[1:]
		left := slices.DeleteFunc(b.items[w.index][w.item], func(is shown) bool { return !now.Before(is.until) })
		if len(left) > 0 {
			b.items[w.index][w.item] = left
			continue
		}
		delete(b.items[w.index], w.item)
		if len(b.items[w.index]) == 0 {
			delete(b.items, w.index)
		}
	}
}

// of is what an index shows at a time of the items that it is behind with: their entries (nil: none), by item.
func (b *indexLag) of(index string, now time.Time, root bool) map[string]expr.Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	var entries map[string]expr.Item
	for item, list := range b.items[index] {
		for _, is := range list {
			until := is.until
			if root {
				until = is.fair
			}
			if now.Before(until) {
				if entries == nil {
					entries = map[string]expr.Item{}
				}
				entries[item] = is.entry
				break
			}
		}
	}
	return entries
}

// scanIndex yields the entries of an index that a reader finds now, in the order of a query.
func (s *Service) scanIndex(tx *store.Tx, t *table, x *index, q store.Query,
	root bool) iter.Seq2[store.Row[expr.Item], error] {
	behind := s.indexLag.of(x.ID, s.Scheduler.Now(), root)
	if len(behind) == 0 {
		return entries.Scan(tx, q)
	}
	order := func(a, b []string) int {
		if q.Reverse {
			return slices.Compare(b, a)
		}
		return slices.Compare(a, b)
	}
	var past []store.Row[expr.Item]
	for _, e := range behind {
		if e == nil {
			continue
		}
		if k := x.entryKey(t, e); q.Takes(k) {
			past = append(past, store.Row[expr.Item]{Key: k, Value: e})
		}
	}
	slices.SortFunc(past, func(a, b store.Row[expr.Item]) int { return order(a.Key, b.Key) })
	return func(yield func(store.Row[expr.Item], error) bool) {
		for row, err := range entries.Scan(tx, q) {
			if err != nil {
				yield(row, err)
				return
			}
			if _, is := behind[itemID(row.Key[3:])]; is {
				continue
			}
			for len(past) > 0 && order(past[0].Key, row.Key) < 0 {
				if !yield(past[0], nil) {
					return
				}
				past = past[1:]
			}
			if !yield(row, nil) {
				return
			}
		}
		for _, row := range past {
			if !yield(row, nil) {
				return
			}
		}
	}
}
