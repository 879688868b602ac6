package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/tidwall/btree"
)

// Format is the version of the layout on disk that this code reads and writes.
const Format = 1

var (
	// ErrReadOnly is returned by Set and Delete in a View.
	ErrReadOnly = errors.New("store: write in a read-only transaction")
	// ErrClosed is returned by transactions after Close.
	ErrClosed = errors.New("store: closed")
	// ErrDamaged is returned by Open if a file of the store is damaged or missing.
	ErrDamaged = errors.New("store: damaged")
	// ErrNewerFormat is returned by Open for a folder that a newer version
	// of the program has written.
	ErrNewerFormat = errors.New("store: written by a newer version")
)

var formatKey = []byte("\x00format")

// DB is a store. Its methods are safe for concurrent use.
type DB struct {
	life   sync.RWMutex // read while a transaction runs; Close waits for them all
	mu     sync.RWMutex // held while an update runs; read while a view does, see detach
	closed bool
	shared sharedRecords
	disk   *pebble.DB
	files  *disk // what disk lies on
	memory *btree.Map[string, string]
	crash  *plannedCrash // memory: see CrashAt
	faults *readFaults   // memory: see FailReads
}

// Open opens the store in the folder dir, which is made if it is not there. A
// folder is open in one process at a time. What an Update has written survives
// the death of the process; of what was written just before the machine loses
// its power the newest may be missing.
func Open(dir string) (*DB, error) { return OpenWith(dir, Options{}) }

// OpenWith is Open with options.
func OpenWith(dir string, o Options) (_ *DB, err error) {
	fs := o.fs
	if fs == nil {
		fs = vfs.Default
	}
	files := &disk{FS: fs, dir: dir, sync: o.Sync, report: o.Failed}
	options := &pebble.Options{
		FS:            files,
		Logger:        files,
		EventListener: files.listener(),
		MemTableSize:  16 << 20,
		// The last version whose log may end in what a machine without power
		// has left of it: later ones take a gap in it for damage.
		FormatMajorVersion: pebble.FormatColumnarBlocks,
		CacheSize:          64 << 20,
		WALBytesPerSync:    1 << 20,
	}
	for i := range options.Levels {
		// Most reads are of single keys, many of keys that are not there.
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		options.Levels[i].BlockSize = 8 << 10
		options.Levels[i].IndexBlockSize = 256 << 10 // one index block for each file
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case cannotOpen:
			err = openError(dir, r.err)
		case runtime.Error:
			panic(r)
		case error: // pebble panics where a directory cannot be synced
			err = openError(dir, r)
		default:
			panic(r)
		}
	}()
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, openError(dir, err)
	}
	opened := &DB{disk: db, files: files}
	if err := opened.checkFormat(dir); err != nil {
		return nil, openError(dir, errors.Join(err, db.Close()))
	}
	files.open.Store(true)
	return opened, nil
}

func (db *DB) checkFormat(dir string) error {
	return db.Update(func(tx *Tx) error {
		v, ok, err := tx.Get(formatKey)
		if err != nil {
			return err
		}
		if !ok {
			return tx.Set(formatKey, strconv.AppendInt(nil, Format, 10))
		}
		n, err := strconv.Atoi(string(v))
		if err != nil {
			return fmt.Errorf("store: %s: format version %q is not a number", dir, v)
		}
		if n > Format {
			return fmt.Errorf("%w: %s has format %d, this program knows up to %d", ErrNewerFormat, dir, n, Format)
		}
		return nil
	})
}

// Memory returns an empty store that lives as long as the process.
func Memory() *DB {
	return &DB{memory: new(btree.Map[string, string])}
}

// Close closes the store; transactions that run are waited for.
func (db *DB) Close() error {
	if err := db.files.err(); err != nil {
		return err // some transactions wait for the end of the process
	}
	db.life.Lock()
	defer db.life.Unlock()
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	if err := db.files.err(); err != nil {
		return err // the database waits for the end of the process
	}
	if db.disk != nil {
		return db.disk.Close()
	}
	return nil
}

// Tx is a transaction. It is used by one goroutine and only inside the
// function it was given to.
type Tx struct {
	db       *DB
	readOnly bool
	reader   pebble.Reader // disk: snapshot, database or batch
	batch    *pebble.Batch // disk: what is written; indexed once it is read
	indexed  bool
	detached bool     // a view that reads a snapshot and holds no lock
	wrote    bool     // an update that has written
	stale    []string // keys of shared records that it has written
	undo     []undo   // memory
	done     []func()
}

type undo struct {
	key, value string
	had        bool
}

// Update runs fn in a transaction and makes its writes durable. The functions
// given to OnCommit run after that, in order, before Update returns.
func (db *DB) Update(fn func(tx *Tx) error) error {
	tx := &Tx{db: db}
	err := db.commit(tx, fn)
	if errors.Is(err, errCrashed) {
		db.crash.then(&DB{memory: db.memory})
		return ErrClosed
	}
	if err != nil {
		return err
	}
	for _, f := range tx.done {
		f()
	}
	return nil
}

func (db *DB) commit(tx *Tx, fn func(tx *Tx) error) error {
	if err := db.files.err(); err != nil {
		return err
	}
	db.life.RLock()
	defer db.life.RUnlock()
	if err := db.update(tx, fn); err != nil {
		return err
	}
	if tx.batch == nil {
		return nil
	}
	if err := tx.batch.SyncWait(); err != nil {
		return fmt.Errorf("store: sync: %w", err)
	}
	if err := tx.batch.Close(); err != nil {
		return fmt.Errorf("store: close batch: %w", err)
	}
	return nil
}

func (db *DB) update(tx *Tx, fn func(tx *Tx) error) (err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	if db.disk == nil {
		committed := false
		defer func() {
			if !committed {
				tx.rollBack()
			}
		}()
		if err := fn(tx); err != nil {
			return err
		}
		if db.crashesAt(tx) {
			committed, db.closed = !db.crash.lost, true
			return errCrashed
		}
		committed = true
		db.shared.remove(tx.stale)
		return nil
	}
	if err := db.files.err(); err != nil {
		return err
	}
	tx.batch, tx.reader = db.disk.NewBatch(), db.disk
	if err := fn(tx); err != nil {
		batch := tx.batch
		tx.batch = nil
		return also(err, batch.Close())
	}
	if tx.batch.Empty() {
		batch := tx.batch
		tx.batch = nil
		return batch.Close()
	}
	if err := db.disk.ApplyNoSyncWait(tx.batch, pebble.Sync); err != nil {
		tx.batch = nil
		return fmt.Errorf("store: commit: %w", err)
	}
	db.shared.remove(tx.stale)
	return nil
}

// View runs fn in a read-only transaction.
func (db *DB) View(fn func(tx *Tx) error) (err error) {
	if err := db.files.err(); err != nil {
		return err // what is in memory may not be on the disk
	}
	db.life.RLock()
	defer db.life.RUnlock()
	tx := &Tx{db: db, readOnly: true}
	db.mu.RLock()
	defer func() {
		if !tx.detached {
			db.mu.RUnlock()
			return
		}
		if snapshot, ok := tx.reader.(*pebble.Snapshot); ok {
			err = also(err, snapshot.Close())
		}
	}()
	if db.closed {
		return ErrClosed
	}
	if db.disk != nil {
		tx.reader = db.disk
	}
	return fn(tx)
}

// detach lets a view on disk go on without keeping updates waiting, from a
// snapshot of what it has seen so far. Views of single records are over before
// one would be worth it.
func (tx *Tx) detach() {
	if tx.readOnly && !tx.detached && tx.db.disk != nil {
		tx.reader = tx.db.disk.NewSnapshot()
		tx.detached = true
		tx.db.mu.RUnlock()
	}
}

// also adds an error that came after err. Without one, what fn returned comes
// back as it was, as from a store in memory.
func also(err, after error) error {
	if after == nil {
		return err
	}
	return errors.Join(err, after)
}

// reading makes what the transaction has written visible to its reads. Most
// transactions read first and then write: an index would be made for nothing.
func (tx *Tx) reading() error {
	if tx.batch == nil || tx.indexed || tx.batch.Empty() {
		return nil
	}
	batch := tx.db.disk.NewIndexedBatch()
	if err := batch.Apply(tx.batch, nil); err != nil {
		return also(err, batch.Close())
	}
	plain := tx.batch
	tx.batch, tx.reader, tx.indexed = batch, batch, true
	return plain.Close()
}

// OnCommit has f run once the transaction is durable; never if it fails.
func (tx *Tx) OnCommit(f func()) { tx.done = append(tx.done, f) }

// Get returns the value under key. The value must not be changed.
func (tx *Tx) Get(key []byte) (value []byte, ok bool, err error) {
	if tx.reader == nil {
		if err := tx.db.faults.read(); err != nil {
			return nil, false, err
		}
		v, ok := tx.db.memory.Get(text(key))
		return slice(v), ok, nil
	}
	if err := tx.reading(); err != nil {
		return nil, false, fmt.Errorf("store: get: %w", err)
	}
	v, closer, err := tx.reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("store: get: %w", err)
	}
	value = bytes.Clone(v)
	return value, true, closer.Close()
}

// Set writes value under key; both must not be changed afterwards.
func (tx *Tx) Set(key, value []byte) error {
	if tx.readOnly {
		return ErrReadOnly
	}
	tx.writes(key)
	if tx.batch != nil {
		return tx.batch.Set(key, value, nil)
	}
	k := text(key)
	old, had := tx.db.memory.Set(k, text(value))
	tx.undo = append(tx.undo, undo{k, old, had})
	return nil
}

func (tx *Tx) writes(key []byte) {
	tx.wrote = true
	if tx.db.shared.has(key) {
		tx.stale = append(tx.stale, string(key))
	}
}

// Delete removes key; nothing happens if it is not there.
func (tx *Tx) Delete(key []byte) error {
	if tx.readOnly {
		return ErrReadOnly
	}
	tx.writes(key)
	if tx.batch != nil {
		return tx.batch.Delete(key, nil)
	}
	if old, had := tx.db.memory.Delete(text(key)); had {
		tx.undo = append(tx.undo, undo{string(key), old, true})
	}
	return nil
}

func (tx *Tx) rollBack() {
	for i := len(tx.undo) - 1; i >= 0; i-- {
		if u := tx.undo[i]; u.had {
			tx.db.memory.Set(u.key, u.value)
		} else {
			tx.db.memory.Delete(u.key)
		}
	}
}

// Pair is a key with its value.
type Pair struct{ Key, Value []byte }

// Range yields the pairs with from <= key < to in order (in reverse order if
// reverse is set); a nil bound is open. What cannot be read is yielded as an
// error, after which nothing comes: a range that ends without one is whole. The
// transaction must not write while it goes on; yielded slices are valid until
// the next step.
func (tx *Tx) Range(from, to []byte, reverse bool) iter.Seq2[Pair, error] {
	if tx.reader == nil {
		return tx.rangeMemory(from, to, reverse)
	}
	return func(yield func(Pair, error) bool) {
		fail := func(err error) { yield(Pair{}, fmt.Errorf("store: range: %w", err)) }
		if err := tx.reading(); err != nil {
			fail(err)
			return
		}
		tx.detach()
		it, err := tx.reader.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
		if err != nil {
			fail(err)
			return
		}
		first, next := it.First, it.Next
		if reverse {
			first, next = it.Last, it.Prev
		}
		for ok := first(); ok; ok = next() {
			value, err := it.ValueAndErr()
			if err != nil {
				fail(also(err, it.Close()))
				return
			}
			if !yield(Pair{it.Key(), value}, nil) {
				// Whoever stops early has what was asked for; an error of
				// the iterator is met again by the next read.
				_ = it.Close()
				return
			}
		}
		// Close returns the error that ended the iteration, if one did.
		if err := it.Close(); err != nil {
			fail(err)
		}
	}
}

func (tx *Tx) rangeMemory(from, to []byte, reverse bool) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		show := func(k, v string) bool {
			if err := tx.db.faults.read(); err != nil {
				yield(Pair{}, err)
				return false
			}
			return yield(Pair{slice(k), slice(v)}, nil)
		}
		first, end := text(from), text(to)
		if !reverse {
			tx.db.memory.Ascend(first, func(k, v string) bool { return (to == nil || k < end) && show(k, v) })
			return
		}
		down := func(k, v string) bool {
			if to != nil && k >= end {
				return true
			}
			return k >= first && show(k, v)
		}
		if to == nil {
			tx.db.memory.Reverse(down)
			return
		}
		tx.db.memory.Descend(end, down)
	}
}

// text and slice let a store in memory keep strings, which are smaller and are
// compared faster. Nobody may change what Set, Get and Range hand over.
func text(b []byte) string  { return unsafe.String(unsafe.SliceData(b), len(b)) }
func slice(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
