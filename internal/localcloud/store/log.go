package store

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// category is what pebble calls its log where it creates a file.
const category = "pebble-wal"

// handedOver is a file system on which a sync of the log returns once the
// operating system has what was written. A log is synced when it is complete,
// before the next one begins, so that a power failure costs the newest part of
// the newest log and no more. All other files are synced as pebble asks.
type handedOver struct{ vfs.FS }

func (h handedOver) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.Create(name, c)
	return logFileOf(f, c), err
}

func (h handedOver) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.ReuseForWrite(old, name, c)
	return logFileOf(f, c), err
}

func logFileOf(f vfs.File, c vfs.DiskWriteCategory) vfs.File {
	if f == nil || c != category {
		return f
	}
	return logFile{f}
}

type logFile struct{ vfs.File }

// Sync and SyncData have nothing to do: every Write before has reached the
// operating system.
func (logFile) Sync() error     { return nil }
func (logFile) SyncData() error { return nil }

func (f logFile) Close() error { return errors.Join(f.File.SyncData(), f.File.Close()) }
