package store

import (
	"errors"
	"sync"
)

// ErrFault is what reads answer that FailReads lets fail.
var ErrFault = errors.New("store: input/output error")

// readFaults let reads of a store in memory fail, as a disk does.
type readFaults struct {
	mu   sync.Mutex
	skip int // reads that succeed first
	hits int
}

// FailReads lets every read of a store in memory fail after the next n, as a
// broken disk does: n counts single records and each step of a scan. The
// function that it returns ends that and says how many reads have failed. It is
// for tests; a store on disk has no such switch.
func (db *DB) FailReads(n int) (stop func() int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.disk != nil {
		panic("store: FailReads is for stores in memory")
	}
	f := &readFaults{skip: n}
	db.faults = f
	return func() int {
		db.mu.Lock()
		defer db.mu.Unlock()
		db.faults = nil
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.hits
	}
}

// read says whether a read fails.
func (f *readFaults) read() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.skip > 0 {
		f.skip--
		return nil
	}
	f.hits++
	return ErrFault
}
