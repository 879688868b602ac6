package archtest

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// banned are the functions that the local cloud reaches by its scheduler only;
// an empty list of names bans the whole package.
var banned = map[string][]string{
	"time": {"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker",
		"Tick", "Since", "Until"},
	"context":                {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
	"math/rand":              {},
	"math/rand/v2":           {},
	"crypto/rand":            {},
	"github.com/google/uuid": {},
}

// mayWait are the files of the local cloud that use what is banned, and why.
var mayWait = map[string]string{}

// TestOnlyTheSchedulerWaits: one seed is one run only if every goroutine, time
// and random number of the local cloud comes from the scheduler.
func TestOnlyTheSchedulerWaits(t *testing.T) {
	tr := theTree(t)
	used := map[string]bool{}
	for _, f := range tr.files {
		if f.test || !matches(cloud, f.pkg) || matches("internal/localcloud/scheduler/...", f.pkg) {
			continue
		}
		for _, use := range f.waits() {
			if _, ok := mayWait[f.name]; ok {
				used[f.name] = true
				continue
			}
			t.Errorf("%s: %s; the scheduler has it (scheduler.Go, Now, After, Sleep, Rand, UUID, WithTimeout)",
				tr.fset.Position(use.at.Pos()), use.what)
		}
	}
	for name, because := range mayWait {
		if !used[name] {
			t.Errorf("table mayWait: %s (%s) does not need its exception any more", name, because)
		}
	}
}

// played are the packages of functions that a rehearsal plays in virtual time, which stands while one of them waits by
// the machine's clock.
const played = "internal/campaign/... internal/device/... internal/flow/... internal/functions/... " +
	"internal/jobs/... internal/workflow/..."

// ownWaits are the files of functions that wait by the machine's clock, and why.
var ownWaits = map[string]string{
	"internal/functions/main.go":         "the process of a function, which a rehearsal has not",
	"internal/jobs/iotjobs/dataplane.go": "for as long as the SDK's Retryer says: that of a rehearsal has waited",
}

// TestFunctionsWaitBySDK: how long a function waits is said by the SDK's Retryer, or a port that has a clock.
func TestFunctionsWaitBySDK(t *testing.T) {
	tr, used := theTree(t), map[string]bool{}
	for _, f := range tr.files {
		if f.test || !slices.ContainsFunc(strings.Fields(played), func(p string) bool { return matches(p, f.pkg) }) {
			continue
		}
		for _, u := range f.waits() {
			if !slices.ContainsFunc([]string{".Sleep", ".After", ".NewT", ".Tick", ".With"}, func(w string) bool {
				return strings.Contains(u.what, w)
			}) {
				continue // what time it is, and what is random, does not stop the clock
			}
			if used[f.name] = true; ownWaits[f.name] == "" {
				t.Errorf("%s: %s; a rehearsal's clock stands meanwhile", tr.fset.Position(u.at.Pos()), u.what)
			}
		}
	}
	for name, because := range ownWaits {
		if !used[name] {
			t.Errorf("table ownWaits: %s (%s) does not need its exception any more", name, because)
		}
	}
}

type use struct {
	at   ast.Node
	what string
}

// waits are the uses of what is banned in a file.
func (f *file) waits() []use {
	var list []use
	for name, p := range f.imports {
		if names, ok := banned[p]; ok && len(names) == 0 {
			list = append(list, use{f.syntax.Name, "imports " + p + " as " + name})
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			list = append(list, use{n, "go statement"})
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			for _, name := range banned[f.imports[x.Name]] {
				if n.Sel.Name == name {
					list = append(list, use{n, x.Name + "." + name})
				}
			}
		}
		return true
	})
	return list
}

func TestWhatIsBannedIsSeen(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`import "time"; var t = time.Now()`, "time.Now"},
		{`import clock "time"; var t = clock.Since`, "clock.Since"},
		{`import "math/rand/v2"; var n = rand.Int()`, "imports math/rand/v2 as rand"},
		{`import . "crypto/rand"; var n = Reader`, "imports crypto/rand as crypto/rand"},
		{`import "github.com/google/uuid"; var n = uuid.New()`, "imports github.com/google/uuid as uuid"},
		{`import "context"; var f = context.WithTimeout`, "context.WithTimeout"},
		{`func f() { go f() }`, "go statement"},
		{`import "time"; var d = time.Second`, ""},
	} {
		f, err := parseText("package p; " + c.body)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range f.waits() {
			got = append(got, u.what)
		}
		if g := strings.Join(got, ", "); g != c.want {
			t.Errorf("%s: saw %q, want %q", c.body, g, c.want)
		}
	}
}
