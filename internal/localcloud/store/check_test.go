package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckNamesWhatIsAffected: a file of the store that is cut off, overwritten
// or gone is named with the table that it held, by Check; and Open or the read
// that meets it fails and says so.
func TestCheckNamesWhatIsAffected(t *testing.T) {
	notes := NewTable[note]("test.note")
	for name, spoil := range map[string]func(string) error{
		"missing":     os.Remove,
		"cut off":     func(f string) error { return os.Truncate(f, 100) },
		"overwritten": func(f string) error { return overwrite(f, 200) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := open(t, dir)
			err := db.Update(func(tx *Tx) error {
				for i := range 2000 {
					if err := notes.Put(tx, note{strings.Repeat(fmt.Sprint(i), 50)}, fmt.Sprintf("%06d", i)); err !=
						nil {
						return err
					}
				}
				return nil
			})
			if err := errors.Join(err, db.disk.Flush(), db.Close()); err != nil {
				t.Fatal(err)
			}
			if r, err := Check(dir); err != nil || len(r.Damage) > 0 || r.Records != 2000 || r.Tables != 1 {
				t.Fatalf("a whole store: %+v, %v", r, err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%v, %v", files, err)
			}
			for _, f := range files {
				if err := spoil(f); err != nil {
					t.Fatal(err)
				}
			}
			r, err := Check(dir)
			if text := strings.Join(r.Damage, "\n"); err != nil || !strings.Contains(text, filepath.Base(files[0])) ||
				!strings.Contains(text, "test.note") {
				t.Errorf("check: %v\n%s", err, text)
			}
			spoiled, err := Open(dir)
			if err == nil {
				err = spoiled.View(func(tx *Tx) error {
					for _, err := range notes.Scan(tx, Query{}) {
						if err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil && len(spoiled.Damage()) == 0 && name == "overwritten" {
					t.Error("the damage that a read met is not told")
				}
				_ = spoiled.Close()
			} else if !errors.Is(err, ErrDamaged) {
				t.Errorf("open: %v, want ErrDamaged", err)
			}
			if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(filepath.Base(files[0]), ".sst")) {
				t.Errorf("neither Open nor a scan names the file: %v", err)
			}
		})
	}
}

func overwrite(name string, at int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("garbage in the middle of a block"), at)
	return errors.Join(err, f.Close())
}
