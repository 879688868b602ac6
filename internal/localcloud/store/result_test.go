package store

import (
	"errors"
	"testing"
)

// What a transaction's function returns comes back as it is from both kinds of
// store: callers compare it.
func TestErrorsComeBackAsTheyAre(t *testing.T) {
	notes := NewTable[note]("test.note")
	want := errors.New("no")
	for name, db := range map[string]*DB{"memory": Memory(), "disk": open(t, t.TempDir())} {
		update := db.Update(func(tx *Tx) error {
			if err := notes.Put(tx, note{"x"}, "k"); err != nil {
				return err
			}
			return want
		})
		view := db.View(func(*Tx) error { return want })
		if update != want || view != want { //nolint:errorlint // that is the point
			t.Errorf("%s: Update returns %#v, View %#v", name, update, view)
		}
	}
}
