package dynamodb

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Limits of DynamoDB.
const (
	maxItem            = 400 << 10
	maxPage            = 1 << 20
	maxPartitionKey    = 2048
	maxSortKey         = 1024
	maxTransactionSize = 4 << 20 // of its items, in bytes
)

// Config is what the service needs.
type Config struct {
	platform.Platform
}

// Service is Amazon DynamoDB. Its methods are safe for concurrent use.
type Service struct {
	Config

	overwrittenItems overwrittenItems
	indexLag         indexLag

	mu     sync.Mutex
	sweep  *scheduler.Timer // set for the next expiry
	sweeps time.Time        // its time; zero if none is set
}

// New returns the service over what the store holds.
func New(c Config) *Service { return &Service{Config: c} }

// Start resumes the deletion of expired items and of client request tokens, and the work on indexes.
func (s *Service) Start(context.Context) error {
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range requests.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.dropToken(row.Key[0], row.Value.Expires)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.resumeIndexes(); err != nil {
		return err
	}
	return s.nextSweep()
}

// nextSweep sets the timer for the item that expires next.
func (s *Service) nextSweep() error {
	return s.Store.View(func(tx *store.Tx) error {
		for row, err := range expiries.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.sweepAt(expiryTime(row.Key[0]))
			break
		}
		return nil
	})
}

// Residue are the indexes that are being made or deleted.
func (s *Service) Residue(context.Context) []string { return s.indexesUnderWay() }

func (s *Service) arn(name string) string {
	return "arn:aws:dynamodb:" + s.Region + ":" + s.Account + ":table/" + name
}

// tableName cuts the name out of a table's ARN.
func tableName(ref string) string {
	if i := strings.Index(ref, ":table/"); i >= 0 && strings.HasPrefix(ref, "arn:") {
		return ref[i+len(":table/"):]
	}
	return ref
}

func (s *Service) find(tx *store.Tx, ref string) (*table, error) {
	t, ok, err := tables.Get(tx, tableName(ref))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoTable
	}
	return &t, nil
}

// findShared is find for operations that leave the table's description as it is.
func (s *Service) findShared(tx *store.Tx, ref string) (*table, error) {
	t, ok, err := tables.Shared(tx, tableName(ref))
	if err == nil && !ok {
		err = errNoTable
	}
	return &t, err
}

// write stores an item in place of old (nil: none), keeping count and expiry.
func (s *Service) write(tx *store.Tx, t *table, old, item expr.Item) error {
	if item.Size() > maxItem {
		return errValidation("Item size has exceeded the maximum allowed size")
	}
	key := t.itemKey(item)
	if err := s.account(tx, t, old, item, key); err != nil {
		return err
	}
	if err := s.reindex(tx, t, old, item); err != nil {
		return err
	}
	s.recordOverwritten(tx, key, old)
	return items.Put(tx, item, key...)
}

// remove deletes an item that is there.
func (s *Service) remove(tx *store.Tx, t *table, old expr.Item) error {
	key := t.itemKey(old)
	if err := s.account(tx, t, old, nil, key); err != nil {
		return err
	}
	if err := s.reindex(tx, t, old, nil); err != nil {
		return err
	}
	s.recordOverwritten(tx, key, old)
	return items.Delete(tx, key...)
}

func (s *Service) account(tx *store.Tx, t *table, old, item expr.Item, key []string) error {
	c, _, err := counters.Get(tx, t.ID)
	if err != nil {
		return err
	}
	if old != nil {
		c.Items--
		c.Bytes -= int64(old.Size())
	}
	if item != nil {
		c.Items++
		c.Bytes += int64(item.Size())
	}
	if err := counters.Put(tx, c, t.ID); err != nil {
		return err
	}
	before, after := t.expiry(old), t.expiry(item)
	if before == after {
		return nil
	}
	if before != 0 {
		if err := expiries.Delete(tx, append([]string{store.Number(before)}, key...)...); err != nil {
			return err
		}
	}
	if after == 0 {
		return nil
	}
	tx.OnCommit(func() { s.sweepAt(time.Unix(int64(after), 0)) })
	return expiries.Put(tx, nil, append([]string{store.Number(after)}, key...)...)
}

// expiry is the time to live of an item in epoch seconds, 0 if it has none.
// Times more than five years in the past do not expire (developer guide,
// "Working with expired items and time to live").
func (t *table) expiry(item expr.Item) uint64 {
	if t.TTL == "" || item == nil {
		return 0
	}
	v, ok := item[t.TTL]
	if !ok || v.Kind != expr.N {
		return 0
	}
	n, err := strconv.ParseUint(v.Str, 10, 63)
	if err != nil {
		return 0
	}
	return n
}

func expiryTime(part string) time.Time { return time.Unix(int64(store.ParseNumber(part)), 0) }

// sweepDelay is how long after its expiry an item is deleted.
const sweepDelay = time.Second

func (s *Service) sweepAt(when time.Time) {
	when = when.Add(sweepDelay)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sweeps.IsZero() && !when.Before(s.sweeps) {
		return
	}
	s.sweep.Stop()
	s.sweeps = when
	s.sweep = s.Scheduler.At(when, "dynamodb time to live", s.deleteExpired)
}

// deleteExpired deletes what has expired and sets the timer for the next.
func (s *Service) deleteExpired() {
	s.mu.Lock()
	s.sweeps = time.Time{}
	s.mu.Unlock()
	now := s.Scheduler.Now()
	for {
		more := false
		err := s.Store.Update(func(tx *store.Tx) error {
			var due [][]string
			for row, err := range expiries.Scan(tx,
				store.Query{Before: []string{store.Number(uint64(now.Unix()) + 1)}}) {
				if err != nil {
					return err
				}
				if len(due) == 1000 {
					more = true
					break
				}
				due = append(due, row.Key)
			}
			indexed, err := indexedTables(tx)
			for _, key := range due {
				if err == nil {
					err = s.expire(tx, key, indexed[key[1]], now)
				}
			}
			return err
		})
		if err != nil || !more {
			s.Scheduler.Failed("dynamodb time to live", err)
			break
		}
	}
	s.Scheduler.Failed("dynamodb time to live", s.nextSweep())
}

// indexedTables are the tables that have indexes, by ID.
func indexedTables(tx *store.Tx) (map[string]*table, error) {
	indexed := map[string]*table{}
	for row, err := range tables.Scan(tx, store.Query{}) {
		if err != nil {
			return nil, err
		}
		if len(row.Value.Indexes) > 0 {
			indexed[row.Value.ID] = &row.Value
		}
	}
	return indexed, nil
}

// expire deletes an item whose time to live is over; t is nil if its table has no indexes.
func (s *Service) expire(tx *store.Tx, key []string, t *table, now time.Time) error {
	if err := expiries.Delete(tx, key...); err != nil {
		return err
	}
	item, ok, err := items.Get(tx, key[1:]...)
	if err != nil || !ok || now.Sub(expiryTime(key[0])) > 5*365*24*time.Hour {
		return err
	}
	c, _, err := counters.Get(tx, key[1])
	if err != nil {
		return err
	}
	c.Items--
	c.Bytes -= int64(item.Size())
	if err := counters.Put(tx, c, key[1]); err != nil {
		return err
	}
	if t != nil {
		if err := s.reindex(tx, t, item, nil); err != nil {
			return err
		}
	}
	return items.Delete(tx, key[1:]...)
}
