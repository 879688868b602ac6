package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// crash is one crash: after updates of some size, each block that the disk was
// not asked to keep is still there with some probability.
type crash struct{ updates, size, percent int }

// crashes are small ones, and some of several logs.
func crashes(percents ...int) (list []crash) {
	for _, percent := range percents {
		for _, c := range []crash{{1, 1, 0}, {30, 1, 0}, {30, 20_000, 0}, {30, 60_000, 0}} {
			for range 3 {
				list = append(list, crash{c.updates, c.size, percent})
			}
		}
	}
	return list
}

// left runs a crash and counts the updates that are there afterwards. It fails
// if they are not the first ones.
func (c crash) left(t *testing.T, seed uint64, sync bool) int {
	t.Helper()
	notes := NewTable[note]("test.note")
	disk := vfs.NewCrashableMem()
	db, err := OpenWith("store", Options{Sync: sync, fs: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for i := range c.updates {
		v := note{strings.Repeat("x", c.size)}
		if err := db.Update(func(tx *Tx) error { return notes.Put(tx, v, Number(uint64(i))) }); err != nil {
			t.Fatal(err)
		}
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent, RNG: rand.New(rand.NewPCG(seed, 0))})
	reopened, err := OpenWith("store", Options{Sync: sync, fs: after})
	if err != nil {
		t.Fatalf("%+v, seed %d: open after the crash: %v", c, seed, err)
	}
	defer func() { _ = reopened.Close() }()
	n := 0
	err = reopened.View(func(tx *Tx) error {
		for row, err := range notes.Scan(tx, Query{}) {
			if err != nil {
				return err
			}
			if got := ParseNumber(row.Key[0]); got != uint64(n) {
				return fmt.Errorf("update %d is there and %d is not", got, n)
			}
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%+v, seed %d: %v", c, seed, err)
	}
	return n
}

// TestUpdatesSurviveTheProcess: what the operating system has been given is all
// there.
func TestUpdatesSurviveTheProcess(t *testing.T) {
	for i, c := range crashes(100) {
		if n := c.left(t, uint64(i), false); n != c.updates {
			t.Errorf("%+v: %d updates are left", c, n)
		}
	}
}

// TestPowerFailureCostsTheNewestUpdates: the store opens, and what is lost are
// the last updates.
func TestPowerFailureCostsTheNewestUpdates(t *testing.T) {
	lost := 0
	for i, c := range crashes(0, 50, 90) {
		lost += c.updates - c.left(t, uint64(i), false)
	}
	if lost == 0 {
		t.Error("nothing was lost: these were no crashes")
	}
}

// TestSyncedUpdatesSurviveAPowerFailure is the promise of Options.Sync.
func TestSyncedUpdatesSurviveAPowerFailure(t *testing.T) {
	for i, c := range crashes(0) {
		if n := c.left(t, uint64(i), true); n != c.updates {
			t.Errorf("%+v: %d updates are left", c, n)
		}
	}
}
