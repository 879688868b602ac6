package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

type note struct{ Text string }

func open(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestKeysSortAsTheirParts(t *testing.T) {
	parts := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune{0, 1, 'a', 'b', 0xff}), 0, 3, -1), 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		if got, want := bytes.Compare(Key(a...), Key(b...)), slices.Compare(a, b); got != want {
			t.Fatalf("keys of %q and %q compare as %d, want %d", a, b, got, want)
		}
		back, err := ParseKey(Key(a...))
		if err != nil || !slices.Equal(back, a) {
			t.Fatalf("%q came back as %q (%v)", a, back, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(Key("a", "b\x00c"))
	f.Fuzz(func(t *testing.T, k []byte) {
		parts, err := ParseKey(k)
		if err == nil && !bytes.Equal(Key(parts...), k) {
			t.Fatalf("%q parses as %q, which is another key", k, parts)
		}
	})
}

// TestStoreAgreesWithAMap runs random transactions against both kinds of
// store and against a map.
func TestStoreAgreesWithAMap(t *testing.T) {
	notes := NewTable[note]("test.note")
	failed := errors.New("rolled back")
	disk := open(t, t.TempDir())
	rapid.Check(t, func(t *rapid.T) {
		db := Memory()
		if rapid.Bool().Draw(t, "disk") {
			db = disk
		}
		if err := db.Update(func(tx *Tx) error { return notes.DeleteAll(tx) }); err != nil {
			t.Fatal(err)
		}
		model := map[string]string{}
		key := rapid.SampledFrom([]string{"", "a", "ab", "b", "b\x00", "c"})
		for range rapid.IntRange(1, 10).Draw(t, "transactions") {
			next := maps.Clone(model)
			rollBack := rapid.Bool().Draw(t, "rollBack")
			err := db.Update(func(tx *Tx) error {
				for range rapid.IntRange(0, 4).Draw(t, "writes") {
					k := key.Draw(t, "key")
					if rapid.Bool().Draw(t, "delete") {
						delete(next, k)
						if err := notes.Delete(tx, "x", k); err != nil {
							return err
						}
						continue
					}
					next[k] = fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "value"))
					if err := notes.Put(tx, note{next[k]}, "x", k); err != nil {
						return err
					}
				}
				if rollBack {
					return failed
				}
				return nil
			})
			if rollBack != errors.Is(err, failed) {
				t.Fatalf("update: %v", err)
			}
			if !rollBack {
				model = next
			}
			compare(t, db, notes, model)
		}
	})
}

func compare(t *rapid.T, db *DB, notes Table[note], model map[string]string) {
	var got, want []string
	err := db.View(func(tx *Tx) error {
		for row, err := range notes.Scan(tx, Query{Prefix: []string{"x"}}) {
			if err != nil {
				return err
			}
			got = append(got, row.Key[1]+"="+row.Value.Text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Sorted(maps.Keys(model)) {
		want = append(want, k+"="+model[k])
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestScans(t *testing.T) {
	for name, db := range map[string]*DB{"memory": Memory(), "disk": open(t, t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			notes := NewTable[note]("n")
			other := NewTable[note]("n2")
			if err := db.Update(func(tx *Tx) error {
				for _, k := range []string{"a", "ab", "b", "c"} {
					if err := notes.Put(tx, note{k}, "p", k); err != nil {
						return err
					}
				}
				if err := notes.Put(tx, note{"q"}, "q", "a"); err != nil {
					return err
				}
				return other.Put(tx, note{"o"}, "p", "a")
			}); err != nil {
				t.Fatal(err)
			}
			p := []string{"p"}
			for _, c := range []struct {
				name string
				q    Query
				want string
			}{
				{"all", Query{}, "a ab b c q"},
				{"prefix", Query{Prefix: p}, "a ab b c"},
				{"reverse", Query{Prefix: p, Reverse: true}, "c b ab a"},
				{"begins", Query{Prefix: p, Begins: "a"}, "a ab"},
				{"from", Query{Prefix: p, From: []string{"ab"}}, "ab b c"},
				{"after", Query{Prefix: p, After: []string{"ab"}}, "b c"},
				{"after in reverse", Query{Prefix: p, After: []string{"b"}, Reverse: true}, "ab a"},
				{"before", Query{Prefix: p, Before: []string{"b"}}, "a ab"},
			} {
				var got []string
				if err := db.View(func(tx *Tx) error {
					for row, err := range notes.Scan(tx, c.q) {
						if err != nil {
							return err
						}
						got = append(got, row.Value.Text)
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if s := strings.Join(got, " "); s != c.want {
					t.Errorf("%s: got %q, want %q", c.name, s, c.want)
				}
				var taken []string
				for _, key := range [][]string{{"p", "a"}, {"p", "ab"}, {"p", "b"}, {"p", "c"}, {"q", "a"}} {
					if c.q.Takes(key) {
						taken = append(taken, key[1])
					}
				}
				slices.Sort(got)
				if s := strings.ReplaceAll(strings.Join(got, " "), "q", "a"); len(taken) != len(got) ||
					len(c.q.Prefix) > 0 && strings.Join(taken, " ") != s {
					t.Errorf("%s: takes %v of %s", c.name, taken, s)
				}
			}
			if err := db.Update(func(tx *Tx) error { return notes.DeleteAll(tx, "p") }); err != nil {
				t.Fatal(err)
			}
			if err := db.View(func(tx *Tx) error {
				if _, ok, _ := notes.Get(tx, "p", "a"); ok {
					t.Error("DeleteAll left a record")
				}
				if _, ok, _ := notes.Get(tx, "q", "a"); !ok {
					t.Error("DeleteAll took a record of another prefix")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestWritesSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	notes := NewTable[note]("n")
	db := open(t, dir)
	order := ""
	err := db.Update(func(tx *Tx) error {
		tx.OnCommit(func() { order += "committed " })
		order += "written "
		return notes.Put(tx, note{"kept"}, "k")
	})
	if err != nil || order != "written committed " {
		t.Fatalf("err %v, order %q", err, order)
	}
	if err := db.View(func(tx *Tx) error { return notes.Put(tx, note{}, "k") }); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("write in a view: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.View(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	db = open(t, dir)
	if err := db.View(func(tx *Tx) error {
		if v, ok, err := notes.Get(tx, "k"); err != nil || !ok || v.Text != "kept" {
			t.Errorf("got %v %v %v", v, ok, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCloseWaitsForTransactions(t *testing.T) {
	db := open(t, t.TempDir())
	notes := NewTable[note]("n")
	began, closing := make(chan bool), make(chan bool)
	done := make(chan error, 1)
	go func() {
		done <- db.View(func(tx *Tx) error {
			close(began)
			<-closing
			_, _, err := notes.Get(tx, "k")
			return err
		})
	}()
	<-began
	closed := make(chan error, 1)
	go func() {
		close(closing)
		closed <- db.Close()
	}()
	if err := <-done; err != nil {
		t.Errorf("the transaction that ran: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if err := db.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Update(func(tx *Tx) error { return tx.Set(formatKey, []byte("99")) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), "99") {
		t.Fatalf("got %v", err)
	}
}

func BenchmarkDurableUpdate64(b *testing.B) {
	db, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	notes := NewTable[note]("n")
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := db.Update(func(tx *Tx) error { return notes.Put(tx, note{"x"}, fmt.Sprint(i)) }); err != nil {
				b.Error(err)
			}
		}
	})
}

// boxed is a record with a form of its own.
type boxed struct{ Text string }

func (b *boxed) AppendRecord(to []byte) []byte { return append(to, b.Text...) }
func (b *boxed) DecodeRecord(from []byte) error {
	b.Text = string(from)
	return nil
}

func TestSharedRecordsFollowEveryWrite(t *testing.T) {
	table := NewTable[map[string]int]("shared.test")
	own := NewTable[boxed]("own.test")
	for _, db := range []*DB{Memory(), open(t, t.TempDir())} {
		followWrites(t, db, table, own)
	}
}

func followWrites(t *testing.T, db *DB, table Table[map[string]int], own Table[boxed]) {
	for n := range 3 {
		err := db.Update(func(tx *Tx) error {
			if err := own.Put(tx, boxed{"text"}, "k"); err != nil {
				return err
			}
			return table.Put(tx, map[string]int{"n": n}, "k")
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = db.Update(func(tx *Tx) error { // rolled back: seen inside only
			if err := table.Put(tx, map[string]int{"n": 99}, "k"); err != nil {
				t.Error(err)
			}
			if v, ok, err := table.Shared(tx, "k"); err != nil || !ok || v["n"] != 99 {
				t.Errorf("inside the transaction: %v, %v, %v", v, ok, err)
			}
			return errors.New("roll back")
		})
		for range 2 {
			_ = db.View(func(tx *Tx) error {
				if v, ok, err := table.Shared(tx, "k"); err != nil || !ok || v["n"] != n {
					t.Errorf("after write %d: %v, %v, %v", n, v, ok, err)
				}
				if v, ok, err := own.Shared(tx, "k"); err != nil || !ok || v.Text != "text" {
					t.Errorf("own form: %v, %v, %v", v, ok, err)
				}
				if _, ok, _ := table.Shared(tx, "none"); ok {
					t.Error("a record that is not there was found")
				}
				return nil
			})
		}
	}
}

// TestCrashLeavesAPrefixOfTheUpdates: what a crash leaves is what the updates
// before it wrote, with the one that it met or without it, and nobody hears of
// that one.
func TestCrashLeavesAPrefixOfTheUpdates(t *testing.T) {
	notes := NewTable[note]("test.note")
	rapid.Check(t, func(t *rapid.T) {
		db := Memory()
		at, lost := rapid.IntRange(1, 5).Draw(t, "at"), rapid.Bool().Draw(t, "lost")
		var left *DB
		db.CrashAt(at, lost, func(l *DB) { left = l })
		model, heard := map[string]string{}, 0
		for i := 1; i <= at; i++ {
			key := fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "key"))
			if rapid.Bool().Draw(t, "nothing written before") {
				if err := db.Update(func(*Tx) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			err := db.Update(func(tx *Tx) error {
				tx.OnCommit(func() { heard++ })
				return notes.Put(tx, note{fmt.Sprint(i)}, "x", key)
			})
			if want := i == at; errors.Is(err, ErrClosed) != want {
				t.Fatalf("update %d of %d: %v", i, at, err)
			}
			if i < at || !lost {
				model[key] = fmt.Sprint(i)
			}
		}
		if heard != at-1 {
			t.Fatalf("%d updates of %d were heard of", heard, at)
		}
		if err := db.View(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Fatalf("a view after the crash: %v", err)
		}
		compare(t, left, notes, model)
		other := left.Copy()
		if err := other.Update(func(tx *Tx) error { return notes.Put(tx, note{"new"}, "x", "new") }); err != nil {
			t.Fatal(err)
		}
		compare(t, left, notes, model)
	})
}

// TestSharedRecordsAreOfTheTransactionsState: a view never sees a record of
// another state beside one of its own, with or without a scan before.
func TestSharedRecordsAreOfTheTransactionsState(t *testing.T) {
	left, right := NewTable[int]("shared.left"), NewTable[int]("shared.right")
	for _, db := range []*DB{Memory(), open(t, t.TempDir())} {
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := range 300 {
				err := db.Update(func(tx *Tx) error {
					return errors.Join(left.Put(tx, n, "k"), right.Put(tx, n, "k"))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		for i := range 3 {
			wg.Go(func() {
				for range 300 {
					_ = db.View(func(tx *Tx) error {
						l, _, _ := left.Shared(tx, "k")
						for range left.Scan(tx, Query{}) {
							if i == 0 {
								break
							}
						}
						if r, _, _ := right.Shared(tx, "k"); l != r {
							t.Errorf("%d beside %d in one view", l, r)
						}
						return nil
					})
				}
			})
		}
		wg.Wait()
	}
}
