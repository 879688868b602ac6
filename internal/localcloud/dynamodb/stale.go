package dynamodb

import (
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// lag is how old an answer of a read may be that is eventually consistent.
// "Eventually consistent reads … might not reflect the results of a recently
// completed write"; "usually within one second or less" (developer guide,
// "DynamoDB read consistency", 2026-11).
const lag = time.Second

// overwrittenItems is what items were before their last writes, for as long as a read may
// find it. It is kept in bad weather only.
type overwrittenItems struct {
	mu     sync.Mutex
	before map[string]overwrittenItem
	order  []string
}

type overwrittenItem struct {
	item expr.Item // nil: there was none
	at   time.Time // when it was written over
}

// recordOverwritten notes what an item was, once the write is done.
func (s *Service) recordOverwritten(tx *store.Tx, key []string, old expr.Item) {
	if s.Weather == nil {
		return
	}
	tx.OnCommit(func() {
		now, id := s.Scheduler.Now(), strings.Join(key, "\x00")
		p := &s.overwrittenItems
		p.mu.Lock()
		defer p.mu.Unlock()
		for len(p.order) > 0 && now.Sub(p.before[p.order[0]].at) >= lag {
			delete(p.before, p.order[0])
			p.order = p.order[1:]
		}
		if p.before == nil {
			p.before = map[string]overwrittenItem{}
		}
		if _, ok := p.before[id]; !ok {
			p.order = append(p.order, id)
			p.before[id] = overwrittenItem{old, now}
		}
	})
}

// drawStaleItem draws whether a read that is eventually consistent gets what an item was
// a moment ago, and returns that.
func (s *Service) drawStaleItem(c *awsapi.Call, key []string) (old expr.Item, ok bool) {
	if s.Weather == nil || c.Identity.Root {
		return nil, false
	}
	p := &s.overwrittenItems
	p.mu.Lock()
	e, ok := p.before[strings.Join(key, "\x00")]
	p.mu.Unlock()
	if !ok || s.Scheduler.Now().Sub(e.at) >= lag || !s.Weather.Draw(weather.Stale, "dynamodb:"+c.Operation) {
		return nil, false
	}
	return e.item, true
}
