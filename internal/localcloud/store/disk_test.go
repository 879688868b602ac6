package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// broken is a disk whose n-th call of some kinds fails, and all that follow.
type broken struct {
	kinds map[errorfs.OpKind]bool
	left  int
	err   error
}

// faultsOf names the kinds of calls that write.
var faultsOf = map[string][]errorfs.OpKind{
	"write":  {errorfs.OpFileWrite, errorfs.OpFileWriteAt},
	"sync":   {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
	"create": {errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpOpenDir},
	"rename": {errorfs.OpRename, errorfs.OpLink},
	"all": {errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpCreate,
		errorfs.OpReuseForWrite, errorfs.OpRename},
}

// TestFailedWritesLoseNothing lets the n-th call of each kind fail, for every
// n that a run of updates has, in the open store and while it is opened: what
// was acknowledged is there after the restart, what was refused is not, and
// whoever was cut off was told neither.
func TestFailedWritesLoseNothing(t *testing.T) {
	notes := NewTable[note]("test.note")
	for kind, ops := range faultsOf {
		for _, sync := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sync %v", kind, sync), func(t *testing.T) {
				cases := 0
				for at := 0; ; at++ {
					if failed := failAt(t, notes, ops, sync, at); !failed {
						break
					}
					cases++
					if at > 20 {
						at += at / 4
					}
				}
				if cases == 0 && kind != "rename" {
					t.Error("nothing could be made to fail")
				}
			})
		}
	}
}

func failAt(t *testing.T, notes Table[note], ops []errorfs.OpKind, sync bool, at int) (failed bool) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	b := &broken{kinds: map[errorfs.OpKind]bool{}, left: at, err: fmt.Errorf("write: %w", syscall.ENOSPC)}
	for _, k := range ops {
		b.kinds[k] = true
	}
	struck := false
	injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !b.kinds[op.Kind] {
			return nil
		}
		if b.left > 0 {
			b.left--
			return nil
		}
		struck = true
		return b.err
	})
	end := make(chan error, 1)
	db, err := OpenWith("store", Options{Sync: sync, Failed: func(err error) {
		end <- err
	}, fs: errorfs.Wrap(fs, serial(injector))})
	acknowledged, refused := map[string]bool{}, map[string]bool{}
	if err == nil {
		for i := range 60 {
			key := Number(uint64(i))
			answer := make(chan error, 1)
			go func() {
				answer <- db.Update(func(tx *Tx) error {
					return notes.Put(tx, note{strings.Repeat("x", 20_000*(i%3))}, key)
				})
			}()
			select {
			case err := <-answer:
				switch {
				case err == nil:
					acknowledged[key] = true
				default:
					refused[key] = true
				}
				continue
			case err := <-end:
				if !errors.Is(err, syscall.ENOSPC) || !errors.Is(db.Failure(), ErrFailed) {
					t.Fatalf("call %d: the store ends with %v, and says %v", at, err, db.Failure())
				}
			}
			break
		}
		if db.Failure() != nil {
			if err := db.View(func(*Tx) error { return nil }); !errors.Is(err, ErrFailed) {
				t.Fatalf("call %d: a view after the end: %v", at, err)
			}
		} else {
			closed := make(chan error, 1)
			go func() { closed <- db.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Fatal(err)
				}
			case <-end: // the end comes while it closes
			}
		}
	}
	// The process has ended; what the operating system had is there.
	after, err := OpenWith("store", Options{Sync: sync, fs: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100,
		RNG: rand.New(rand.NewPCG(1, 0))})})
	if err != nil {
		t.Fatalf("call %d: open after the restart: %v", at, err)
	}
	there := map[string]bool{}
	err = after.View(func(tx *Tx) error {
		for row, err := range notes.Scan(tx, Query{}) {
			if err != nil {
				return err
			}
			there[row.Key[0]] = true
		}
		return nil
	})
	if err = errors.Join(err, after.Close()); err != nil {
		t.Fatal(err)
	}
	for key := range acknowledged {
		if !there[key] {
			t.Fatalf("call %d: update %d was acknowledged and is lost", at, ParseNumber(key))
		}
	}
	for key := range refused {
		if there[key] {
			t.Fatalf("call %d: update %d was refused and is there", at, ParseNumber(key))
		}
	}
	return struck
}

// serial lets an injector be asked by one call at a time.
func serial(i errorfs.Injector) errorfs.Injector {
	turn := make(chan struct{}, 1)
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		turn <- struct{}{}
		defer func() { <-turn }()
		return i.MaybeError(op)
	})
}

// TestAStoreInUseNamesTheProcess: a second one does not open it.
func TestAStoreInUseNamesTheProcess(t *testing.T) {
	if dir := os.Getenv("STORE_OPEN"); dir != "" { // the second process
		_, err := Open(dir)
		fmt.Println(err)
		os.Exit(0)
	}
	dir := t.TempDir()
	open(t, dir)
	c := exec.Command(os.Args[0], "-test.run", t.Name()) //nolint:gosec // this test itself
	c.Env = append(os.Environ(), "STORE_OPEN="+dir)
	out, err := c.CombinedOutput()
	if want := fmt.Sprintf("in use by process %d", os.Getpid()); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %s, want %q", err, out, want)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "in use by this process") {
		t.Errorf("a second time in this process: %v", err)
	}
}
