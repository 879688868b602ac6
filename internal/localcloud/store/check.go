package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Report is what Check has found.
type Report struct {
	Records, Tables int
	Damage          []string // a line each: the table, what is wrong, the file
}

// Check reads all tables of a store that nobody has open, changing nothing, and
// names those that cannot be read whole with the file that is damaged or missing.
func Check(dir string) (Report, error) { return check(vfs.Default, dir) }

func check(fs vfs.FS, dir string) (r Report, err error) {
	files := &disk{FS: fs, dir: dir}
	defer func() {
		// pebble panics over some damage of the list of its files.
		if p := recover(); p != nil {
			r.Damage = append(r.Damage, fmt.Sprintf("%s: the store cannot be opened: %v: everything is affected", dir,
				p))
		}
	}()
	db, err := pebble.Open(dir, &pebble.Options{
		FS: files, Logger: files, EventListener: files.listener(), ReadOnly: true, DisableConsistencyCheck: true,
		FormatMajorVersion: pebble.FormatColumnarBlocks,
	})
	if errors.Is(err, errInUse) {
		return r, fmt.Errorf("store: check %s: %w; end that process first", dir, err)
	}
	if err != nil {
		// The log or the list of files: nothing can be read without them.
		r.Damage = append(r.Damage, fmt.Sprintf("%s: the store cannot be opened: %v: everything is affected", dir,
			err))
		return r, nil
	}
	defer func() { err = also(err, db.Close()) }()
	for _, name := range tableNames() {
		n, err := count(db, name)
		if err != nil {
			r.Damage = append(r.Damage, fmt.Sprintf("%s: %d records can be read, then: %v", name, n, err))
		}
		if n > 0 || err != nil {
			r.Tables++
		}
		r.Records += n
	}
	r.Damage = append(r.Damage, files.damage...)
	slices.Sort(r.Damage)
	return r, nil
}

// count reads a table.
func count(db *pebble.DB, name string) (n int, err error) {
	from := Key(name)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(from)})
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			return n, also(err, it.Close())
		}
		n++
	}
	return n, it.Close()
}
