package dynamodb

import (
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// The making and the end of indexes of a table that is there. Each step is a transaction, and says in the index what
// the next one is: a restart goes on with it.

const (
	// allocation and removal are how long an index is in these phases at least: seconds here, where it is up to a
	// minute on AWS, and minutes of backfilling even of an empty table.
	allocation = time.Second
	removal    = 500 * time.Millisecond
	// stepItems is how many items a step adds or removes, stepPause how long after it the next one comes.
	stepItems = 1000
	stepPause = 20 * time.Millisecond
)

// scheduleIndexStep sets the timer for the next step of an index once the transaction is done.
func (s *Service) scheduleIndexStep(tx *store.Tx, table string, x *index) {
	pause := stepPause
	switch {
	case x.Phase == allocating:
		pause = allocation
	case x.Phase == deleting && x.Cursor == nil:
		pause = removal
	}
	name, id := "dynamodb index "+table+"/"+x.Name, x.ID
	tx.OnCommit(func() {
		s.Scheduler.After(pause, name, func() { s.Scheduler.Failed(name, s.step(table, id)) })
	})
}

// step does the next thing to an index that is being made or deleted.
func (s *Service) step(name, id string) error {
	return s.Store.Update(func(tx *store.Tx) error {
		t, ok, err := tables.Get(tx, name)
		if err != nil || !ok {
			return err
		}
		for i := range t.Indexes {
			x := &t.Indexes[i]
			if x.ID != id {
				continue
			}
			gone := false
			switch x.Phase {
			case allocating:
				x.Phase = backfilling
			case backfilling:
				err = s.backfill(tx, &t, x)
			case deleting:
				gone, err = s.removeEntries(tx, x)
			}
			if err != nil {
				return err
			}
			switch {
			case gone:
				t.Indexes = append(t.Indexes[:i:i], t.Indexes[i+1:]...)
			case x.Phase != active:
				s.scheduleIndexStep(tx, name, x)
			}
			return tables.Put(tx, t, name)
		}
		return nil
	})
}

// backfill adds items of the table to the index; after the last one the index is active.
func (s *Service) backfill(tx *store.Tx, t *table, x *index) error {
	q := store.Query{Prefix: []string{t.ID}}
	if x.Cursor != nil {
		var err error
		if q.After, err = store.ParseKey(x.Cursor); err != nil {
			return err
		}
	}
	var found []expr.Item
	full := false
	for row, err := range items.Scan(tx, q) {
		if err != nil {
			return err
		}
		if full = len(found) == stepItems; full {
			break
		}
		found, x.Cursor = append(found, row.Value), store.Key(row.Key[1:]...)
	}
	c, _, err := counters.Get(tx, x.ID)
	if err != nil {
		return err
	}
	for _, item := range found {
		e := x.entry(t, item)
		if e == nil {
			continue
		}
		key := x.entryKey(t, e)
		if there, err := entries.Has(tx, key...); err != nil {
			return err
		} else if there { // written since
			continue
		}
		c.Items++
		c.Bytes += int64(e.Size())
		if err := entries.Put(tx, e, key...); err != nil {
			return err
		}
	}
	if !full {
		x.Phase, x.Cursor = active, nil
	}
	return counters.Put(tx, c, x.ID)
}

// removeEntries removes entries of an index; gone reports that there are none left.
func (s *Service) removeEntries(tx *store.Tx, x *index) (gone bool, err error) {
	var keys [][]string
	gone = true
	for row, err := range entries.Scan(tx, store.Query{Prefix: []string{x.ID}}) {
		if err != nil {
			return false, err
		}
		if len(keys) == stepItems {
			gone = false
			break
		}
		keys = append(keys, row.Key)
	}
	for _, key := range keys {
		if err := entries.Delete(tx, key...); err != nil {
			return false, err
		}
	}
	x.Cursor = []byte{} // begun
	if gone {
		return true, counters.Delete(tx, x.ID)
	}
	return false, nil
}

// resumeIndexes goes on with the indexes that were being made or deleted when the process ended.
func (s *Service) resumeIndexes() error {
	return s.Store.Update(func(tx *store.Tx) error {
		for row, err := range tables.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if x := row.Value.busy(); x != nil {
				s.scheduleIndexStep(tx, row.Value.Name, x)
			}
		}
		return nil
	})
}

// indexesUnderWay names the indexes that are being made or deleted.
func (s *Service) indexesUnderWay() (names []string) {
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range tables.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if x := row.Value.busy(); x != nil {
				names = append(names, fmt.Sprintf("dynamodb: index %s of table %s is %s", x.Name, row.Value.Name,
					x.Phase))
			}
		}
		return nil
	})
	if err != nil {
		names = append(names, "dynamodb: "+err.Error())
	}
	return names
}
