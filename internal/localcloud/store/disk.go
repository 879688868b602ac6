package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrFailed is what transactions answer after a write to the disk has failed:
// see Options.Failed. Nothing that they were to write is in the store.
var ErrFailed = errors.New("store: a write to the disk has failed")

// Options say how a store on disk is opened.
type Options struct {
	// Sync has each update on the disk itself before it returns, so that it
	// survives the machine too. Updates at the same time share a sync.
	Sync bool
	// Failed is called at the first write, sync or rename that fails once the
	// store is open, before anybody hears of it. What the disk holds of the
	// update is unknown, so that update must neither be acknowledged nor
	// refused: a program ends here, in Failed, and the next Open finds all
	// that was acknowledged. If Failed returns, the update waits for ever, and
	// later ones wait too or are refused.
	Failed func(error)

	fs vfs.FS // nil: the machine's
}

// disk is the file system under a store. It sees each write before the database
// does, and stops everything at the first that fails.
type disk struct {
	vfs.FS
	dir    string
	sync   bool
	report func(error)
	open   atomic.Bool // from here on a failed write is the end
	failed atomic.Pointer[error]
	once   sync.Once

	mu     sync.Mutex
	damage []string
}

// category is what pebble calls its log where it creates a file.
const category = "pebble-wal"

// check is the end, if err is that of a write.
func (d *disk) check(what, name string, err error) error {
	if err == nil || !d.open.Load() {
		return err
	}
	d.fail(fmt.Errorf("store: %s %s: %w", what, name, err))
	return err
}

// fail ends the store, and does not return: whoever asked for the write waits
// for the end of the process.
func (d *disk) fail(err error) {
	d.once.Do(func() {
		d.failed.Store(&err)
		if d.report != nil {
			d.report(err)
		}
	})
	select {}
}

// err is ErrFailed with its reason once a write has failed.
func (d *disk) err() error {
	if d == nil {
		return nil
	}
	if p := d.failed.Load(); p != nil {
		return fmt.Errorf("%w: %w", ErrFailed, *p)
	}
	return nil
}

func (d *disk) damaged(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, known := range d.damage {
		if known == text {
			return
		}
	}
	if len(d.damage) < 10 {
		d.damage = append(d.damage, text)
	}
}

// Damage lists the damaged files that reads have met, a line each.
func (db *DB) Damage() []string {
	if db.files == nil {
		return nil
	}
	db.files.mu.Lock()
	defer db.files.mu.Unlock()
	return append([]string(nil), db.files.damage...)
}

// Failure is the error of the write that ended the store, nil while none did.
func (db *DB) Failure() error { return db.files.err() }

// Free is how many bytes the disk has left; a store in memory has always room.
func (db *DB) Free() (uint64, error) {
	if db.files == nil {
		return math.MaxUint64, nil
	}
	u, err := db.files.GetDiskUsage(db.files.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return math.MaxUint64, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: free space of %s: %w", db.files.dir, err)
	}
	return u.AvailBytes, nil
}

// The methods of vfs.FS that write.

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return d.file(f, name, c), d.check("create", name, err)
}

func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return d.file(f, name, c), d.check("create", name, err)
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return d.file(f, name, c), d.check("open", name, err)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return d.file(f, name, ""), d.check("open", name, err)
}

func (d *disk) Link(old, name string) error {
	return d.check("link", name, d.FS.Link(old, name))
}

func (d *disk) Rename(old, name string) error {
	return d.check("rename", name, d.FS.Rename(old, name))
}

func (d *disk) MkdirAll(dir string, perm os.FileMode) error {
	return d.check("make", dir, d.FS.MkdirAll(dir, perm))
}

func (d *disk) file(f vfs.File, name string, c vfs.DiskWriteCategory) vfs.File {
	if f == nil {
		return nil
	}
	return &writtenFile{File: f, disk: d, name: name, handedOver: c == category && !d.sync}
}

// errInUse is returned by Open for a folder that another store has open.
var errInUse = errors.New("in use")

// openError says what Open's error is about.
func openError(dir string, err error) error {
	switch {
	case errors.Is(err, errInUse):
	case errors.Is(err, ErrNewerFormat):
		return err
	case pebble.IsCorruptionError(err), errors.Is(err, fs.ErrNotExist), strings.Contains(err.Error(),
		"object size mismatch"):
		return fmt.Errorf("store: open %s: %w: %w", dir, ErrDamaged, err)
	}
	return fmt.Errorf("store: open %s: %w", dir, err)
}

// Lock says which process has the store, if one has.
func (d *disk) Lock(name string) (io.Closer, error) {
	l, err := d.FS.Lock(name)
	if err == nil {
		return l, nil
	}
	if pid := lockedBy(name, err); pid > 0 {
		return nil, fmt.Errorf("%w by process %d", errInUse, pid)
	}
	if strings.Contains(err.Error(), "lock held by current process") {
		return nil, fmt.Errorf("%w by this process", errInUse)
	}
	return nil, err
}

// writtenFile is a file that is written.
//
// A log is handedOver unless Options.Sync is set: its sync returns once the
// operating system has what was written. It is synced when it is complete, before
// the next one begins, so that a power failure costs the newest part of the newest
// log and no more. All other files are synced as pebble asks.
type writtenFile struct {
	vfs.File
	disk       *disk
	name       string
	handedOver bool
}

func (f *writtenFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.disk.check("write", f.name, err)
}

func (f *writtenFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	return n, f.disk.check("write", f.name, err)
}

// Sync and SyncData of a log have nothing to do: every Write before has reached
// the operating system.
func (f *writtenFile) Sync() error {
	if f.handedOver {
		return nil
	}
	return f.disk.check("sync", f.name, f.File.Sync())
}

func (f *writtenFile) SyncData() error {
	if f.handedOver {
		return nil
	}
	return f.disk.check("sync", f.name, f.File.SyncData())
}

func (f *writtenFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.disk.check("sync", f.name, err)
}

func (f *writtenFile) Close() error {
	var err error
	if f.handedOver {
		err = f.disk.check("sync", f.name, f.File.SyncData())
	}
	return errors.Join(err, f.disk.check("close", f.name, f.File.Close()))
}

// Infof and Errorf drop pebble's log; failures reach us as errors.
func (d *disk) Infof(string, ...any)  {}
func (d *disk) Errorf(string, ...any) {}

// Fatalf is called where pebble cannot go on.
func (d *disk) Fatalf(format string, args ...any) {
	err := fmt.Errorf("store: "+format, args...)
	if !d.open.Load() {
		panic(cannotOpen{err})
	}
	d.fail(err)
}

// cannotOpen carries an error of Fatalf out of pebble.Open.
type cannotOpen struct{ err error }

func (d *disk) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if !errors.Is(err, pebble.ErrCancelledCompaction) {
				d.damaged("in the background: " + err.Error())
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			d.damaged(fmt.Sprintf("%s is damaged: it holds %s", i.Path, tablesBetween(i.Bounds.Start,
				i.Bounds.End.Key)))
		},
	}
}

// tablesBetween names the tables that two keys lie in.
func tablesBetween(from, to []byte) string {
	name := func(k []byte) string {
		if parts, err := ParseKey(k); err == nil && len(parts) > 0 {
			return parts[0]
		}
		return fmt.Sprintf("%q", k)
	}
	a, b := name(from), name(to)
	if a == b {
		return "records of " + a
	}
	return "records of " + a + " to " + b
}
