package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"
)

// fullStore is a file system with a store of n rows, all of them in tables.
func fullStore(t testing.TB, n int) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	db, err := OpenWith("store", Options{fs: fs})
	if err != nil {
		t.Fatal(err)
	}
	notes := NewTable[note]("test.note")
	err = db.Update(func(tx *Tx) error {
		for i := range n {
			if err := notes.Put(tx, note{strings.Repeat("x", 100)}, fmt.Sprintf("%06d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.disk.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return fs
}

// rowsOf counts the rows of a table.
func rowsOf(t *testing.T, db *DB, notes Table[note]) (n int) {
	t.Helper()
	err := db.View(func(tx *Tx) error {
		for _, err := range notes.Scan(tx, Query{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAReadErrorIsNeverAShorterAnswer: whichever read of the disk fails, a scan,
// a removal of all rows and a read of one row either know all rows or fail.
func TestAReadErrorIsNeverAShorterAnswer(t *testing.T) {
	const rows = 2000
	notes := NewTable[note]("test.note")
	whole := fullStore(t, rows)
	var mu sync.Mutex // pebble reads in goroutines of its own, too
	var broken bool
	countdown := -1 // reads until the fault; negative: none
	set := func(reads int) {
		mu.Lock()
		defer mu.Unlock()
		countdown, broken = reads, false
	}
	met := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return broken
	}
	faulty := errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind != errorfs.OpFileReadAt || countdown < 0 {
			return nil
		}
		if countdown == 0 {
			broken = true
			return errorfs.ErrInjected
		}
		countdown--
		return nil
	})
	failures := 0
	for reverse, at := range map[bool]int{false: 0, true: 0} {
		for ; at < 200; at += 3 {
			set(-1)
			db, err := OpenWith("store", Options{fs: errorfs.Wrap(whole, faulty)})
			if err != nil {
				t.Fatal(err)
			}
			set(at)
			n := 0
			err = db.View(func(tx *Tx) error {
				for _, err := range notes.Scan(tx, Query{Reverse: reverse}) {
					if err != nil {
						return err
					}
					n++
				}
				return nil
			})
			broke := met()
			// The read that failed may be one of pebble's own, in the background: then the answer is whole.
			if err == nil && n != rows || err != nil && !broke {
				t.Fatalf("read %d failed (%v), reverse %v: %d rows of %d, error %v", at, broke, reverse, n, rows, err)
			}
			if broke {
				failures++
				if err := db.Update(func(tx *Tx) error { return notes.DeleteAll(tx) }); err == nil {
					// Where the read was pebble's own, all rows may be in its cache.
					set(-1)
					if left := rowsOf(t, db, notes); left > 0 {
						t.Fatalf("read %d failed: all rows are removed, and %d are left", at, left)
					}
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if !broke {
				break
			}
		}
	}
	if failures < 8 {
		t.Fatalf("only %d reads were made to fail", failures)
	}
}

// TestFailReads: a store in memory fails as the disk does, at the read it is
// told to.
func TestFailReads(t *testing.T) {
	notes := NewTable[note]("test.note")
	rapid.Check(t, func(t *rapid.T) {
		db, rows := Memory(), rapid.IntRange(0, 5).Draw(t, "rows")
		if err := db.Update(func(tx *Tx) error {
			for i := range rows {
				if err := notes.Put(tx, note{"x"}, fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, 6).Draw(t, "at")
		stop := db.FailReads(at)
		n, reverse := 0, rapid.Bool().Draw(t, "reverse")
		err := db.View(func(tx *Tx) error {
			for _, err := range notes.Scan(tx, Query{Reverse: reverse}) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		})
		hits := stop()
		if wants := at < rows; errors.Is(err, ErrFault) != wants || (hits > 0) != wants || !wants && n != rows {
			t.Fatalf("%d rows, fault at %d: %d rows, %d hits, %v", rows, at, n, hits, err)
		}
	})
}
