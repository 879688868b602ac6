package store

import "errors"

// plannedCrash is a crash that is to come.
type plannedCrash struct {
	updates int // that write something, until then; this one included
	lost    bool
	then    func(left *DB)
}

// errCrashed is for Update alone: it reports ErrClosed.
var errCrashed = errors.New("store: crashed")

// CrashAt lets a store in memory end as that of a killed process does, at the
// n-th update from now that writes something: just after it became durable and
// before anybody heard of it, or, if lost, just before. That update and every
// later transaction fail with ErrClosed. then gets a store with what is left, as
// the next process would open it. It is for tests; n is at least 1, and a store
// on disk has no such switch.
func (db *DB) CrashAt(n int, lost bool, then func(left *DB)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.disk != nil {
		panic("store: CrashAt is for stores in memory")
	}
	db.crash = &plannedCrash{n, lost, then}
}

// UpdatesLeft is how many updates are left until the crash that CrashAt has set.
func (db *DB) UpdatesLeft() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.crash == nil {
		return 0
	}
	return db.crash.updates
}

// Copy returns a store in memory with the contents of this one, which is in
// memory too.
func (db *DB) Copy() *DB {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.disk != nil {
		panic("store: Copy is for stores in memory")
	}
	return &DB{memory: db.memory.Copy()}
}

// crashesAt tells whether the process ends at this update; db.mu is held.
func (db *DB) crashesAt(tx *Tx) bool {
	if db.crash == nil || len(tx.undo) == 0 {
		return false
	}
	db.crash.updates--
	return db.crash.updates == 0
}
