package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var pageTable = store.NewTable[int]("test.page")

// TestPagesAreTheWholeList: for every size, the pages of a listing have the rows that are listed, in order and once,
// and no page but the last of an empty list is empty.
func TestPagesAreTheWholeList(t *testing.T) {
	db := store.Memory()
	if err := db.Update(func(tx *store.Tx) error {
		for i := range 10 {
			if err := pageTable.Put(tx, i, "list", fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return pageTable.Put(tx, 99, "other", "x")
	}); err != nil {
		t.Fatal(err)
	}
	odd := func(row store.Row[int]) (string, bool, error) { return row.Key[1], row.Value%2 == 1, nil }
	for size := 1; size <= 6; size++ {
		got := ""
		q := store.Query{Prefix: []string{"list"}}
		for range 10 {
			var entries []string
			err := db.View(func(tx *store.Tx) (err error) {
				entries, q.After, err = store.Page(tx, pageTable, q, size, odd)
				return err
			})
			if err != nil || len(entries) == 0 || len(entries) > size {
				t.Fatalf("size %d: %v, %v", size, entries, err)
			}
			for _, e := range entries {
				got += e
			}
			if q.After == nil {
				break
			}
		}
		if got != "13579" {
			t.Errorf("size %d: got %s", size, got)
		}
	}
	sentinel := errors.New("an entry")
	err := db.View(func(tx *store.Tx) error {
		entries, last, err := store.Page(tx, pageTable, store.Query{Prefix: []string{"none"}}, 5, odd)
		if entries == nil || len(entries) != 0 || last != nil || err != nil {
			t.Errorf("an empty list: %v, %v, %v", entries, last, err)
		}
		_, _, err = store.Page(tx, pageTable, store.Query{}, 5,
			func(store.Row[int]) (int, bool, error) { return 0, true, sentinel })
		return err
	})
	if !errors.Is(err, sentinel) {
		t.Errorf("got %v", err)
	}
}
