package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fleetstep/fleetstep/infra"
)

// mutation switches off the mending of a defect: texts of files are replaced by others, which do so if
// mutant says its name.
type mutation struct {
	name, defect  string
	edits         []edit
	tale, weather string // in which it is to be missed
	// seed is one that misses it, where make test tries it, too; 0: one of the first twenty does.
	seed uint64
}

// edit replaces a text of a file.
type edit struct{ file, text, by string }

// mutant is the text of a file that is added to the packages that are changed.
const mutant = `package %s

import "os"

// mutant reports whether the mending of this name is switched off.
func mutant(names ...string) bool {
	for _, name := range names {
		if os.Getenv("` + mutationName + `") == name {
			return true
		}
	}
	return false
}
`

// Files in which something is changed.
const (
	templateJSON = "infra/testdata/template.json"
	deliverGo    = "internal/workflow/deliver.go"
	tickGo       = "internal/workflow/tick.go"
	tableGo      = "internal/workflow/dynamodb/dynamodb.go"
)

// sweepless has the tick not look for attempts on which nobody works.
var sweepless = edit{tickGo, ` w.sweep(ctx, &lease, &out),`, ` func() error {
		if mutant("sweeper", "notification") {
			return nil
		}
		return w.sweep(ctx, &lease, &out)
	}(),`}

// The clock wakes whom it has read, then removes what it has read.
const (
	wakesKnocks = `	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return err
	}
	out.Woken += len(knocks)
`
	removesKnocks = `	for _, k := range knocks {
		if err := w.Ticks.Answer(ctx, l.Whose, k); err != nil {
			return err
		}
	}
`
	wakesDue = `	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return false, err
	}
`
	removesDue = `	if err := w.Ticks.Done(ctx, hints); err != nil {
		return false, err
	}
`
)

// instead is a text that does one thing or, as a mutant, another.
func instead(name, text, by string) string {
	return "	if mutant(\"" + name + "\") {\n" + by + "	} else {\n" + text + "	}\n"
}

var mutations = []mutation{
	{
		"exit", "a function whose process was killed is not tried again",
		[]edit{{templateJSON, `\"Runtime.ExitError\",`, ``}}, "job", "killed=0.03", 0,
	},
	{
		"backoff", "a download that was not served is asked for again at once",
		[]edit{{templateJSON, `[10, 60, 180, 300, 600]`, `[0, 0, 0, 0, 0]`}}, "job", "impaired=0.1", 13,
	},
	{
		"patience", "a function that meets a service in trouble is tried for a minute only", []edit{{
			templateJSON, `\"MaxAttempts\":20,\"MaxDelaySeconds\":120`, `\"MaxAttempts\":6,\"MaxDelaySeconds\":60`,
		}}, "job", "impaired=0.1", 1,
	},
	{
		"news", "news that no step waits for is not kept", []edit{
			{deliverGo, `	if !out.kept {
`, `	if !out.kept && !mutant("news") {
`},
			{deliverGo, `	if m.KeepNews {
`, `	if m.KeepNews && !mutant("news") {
`},
		}, "staged", "short=0.3,conflicts=0.3", 1,
	},
	{
		"notification", "nobody looks for an attempt whose notification was lost", []edit{
			sweepless,
			{
				"internal/workflow/inbox.go", `if d.Claim == nil && w.asks.allows(w.Now()) {`,
				`if d.Claim == nil && !mutant("notification") && w.asks.allows(w.Now()) {`,
			},
		}, "job", "lost=0.3", 0,
	},
	{
		"sweeper", "the clock does not look for attempts on which nobody works", []edit{sweepless},
		"job", "lost=0.3", 0,
	},
	{
		"lease", "the lease of a tick that was killed does not end", []edit{{
			"internal/workflow/dynamodb/tick.go", `now, until time.Time) (workflow.Lease, error) {
`, `now, until time.Time) (workflow.Lease, error) {
	if mutant("lease") {
		now = time.UnixMilli(0)
	}
`,
		}}, "window", "killed=0.01", 0,
	},
	{
		"knock", "who knocked at a flag is forgotten before it is woken", []edit{{
			tickGo, wakesKnocks + removesKnocks,
			instead("knock", wakesKnocks+removesKnocks, removesKnocks+wakesKnocks),
		}}, "pause", "killed=0.03", 0,
	},
	{
		"flag", "a flag is not read before a command", []edit{{
			"internal/workflow/control.go", `	if !holds {
		return g.danger(`, `	if !holds || mutant("flag") {
		return g.danger(`,
		}}, "slow", "reordered=0.3,duplicated=0.3", 1,
	},
	{
		"conflict", "a transaction that met another counts as one whose condition failed", []edit{
			{tableGo, `	again := false
	for _, r := range reasons {
`, `	again := false
	for _, r := range reasons {
		if mutant("conflict") && aws.ToString(r.Code) == conflict {
			return false
		}
`},
			{tableGo, `			if aws.ToString(r.Code) != conditionFailed {`,
				`			if c := aws.ToString(r.Code); c != conditionFailed && (c != conflict || !mutant("conflict")) {`},
		}, "staged", "conflicts=0.3", 1,
	},
	{
		"presence", "a presence that was noted, and whose answer was lost, is old when it is told again", []edit{{
			tableGo, `		newer += " OR presenceVersion = :v AND connected = :c AND presenceAt = :at"
`, `		if !mutant("presence") {
			newer += " OR presenceVersion = :v AND connected = :c AND presenceAt = :at"
		}
`,
		}}, "outage", "unanswered=0.3", 1,
	},
	{
		"parked", "the hints of parked attempts are removed before they are woken", []edit{{
			tickGo, wakesDue + removesDue, instead("parked", wakesDue+removesDue, removesDue+wakesDue),
		}}, "window", "killed=0.01", 0,
	},
}

// mutationsAll is the environment variable that has every mutation played, or those of
// which it is a part of the name; make test-mutations sets it to "all".
const mutationsAll = "FLEETSTEP_MUTATIONS"

// mutationName is set to the name of a mutation for the program into which all are built.
const mutationName = "FLEETSTEP_MUTANT"

// mutationTale is set for the same: a tale, a seed and the weather, separated by spaces.
const mutationTale = "FLEETSTEP_TALE"

// TestTaleOfAMutation plays one tale; a program that mutations were built into is
// told which.
func TestTaleOfAMutation(t *testing.T) {
	words := strings.Fields(os.Getenv(mutationTale))
	if len(words) != 3 {
		t.Skip(mutationTale + " names no tale, seed and weather")
	}
	seed, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	y, err := taleNamed(words[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := y.play(t.Context(), t.TempDir(), seed, words[2], nil); err != nil {
		t.Fatal(err)
	}
}

// TestMendingsAreMissed switches each mending off: bad weather must find the defect
// again, in one of twenty seeds, of which the same seed says nothing where it is mended.
// Otherwise the weather does not try what it is said to try. Without make test-mutations
// it plays those of which a seed is known, and looks whether each other mending is still
// where it is looked for.
func TestMendingsAreMissed(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	only := os.Getenv(mutationsAll)
	chosen := slices.DeleteFunc(slices.Clone(mutations), func(m mutation) bool {
		if only == "" {
			return m.seed == 0 || testing.Short()
		}
		return only != "all" && !strings.Contains(m.name, only)
	})
	files := changed(t, root, mutations)
	delete(files, templateJSON)
	program := sync.OnceValue(func() string { return build(t, root, files) })
	for _, m := range chosen {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.missed(t, func(y tale, seed uint64) error {
				if m.edits[0].file == templateJSON {
					template := infra.Versioned([]byte(changed(t, root, []mutation{m})[templateJSON]))
					_, err := y.play(t.Context(), t.TempDir(), seed, m.weather, template)
					return err
				}
				return m.play(t, program(), seed)
			})
		})
	}
}

// play plays a tale without the mending, in a program of its own.
func (m mutation) play(t *testing.T, program string, seed uint64) error {
	cmd := exec.CommandContext(t.Context(), program, "-test.run", "^TestTaleOfAMutation$")
	cmd.Env = append(os.Environ(), mutationName+"="+m.name,
		fmt.Sprintf("%s=%s %d %s", mutationTale, m.tale, seed, m.weather))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	failed := strings.Contains(string(out), "--- FAIL: TestTaleOfAMutation")
	if !failed || strings.Contains(string(out), "panic:") {
		t.Fatalf("seed %d: %v\n%s", seed, err, out)
	}
	return errors.New(firstProblem(string(out)))
}

// missed looks for a seed that misses a mending. without plays a tale without it.
func (m mutation) missed(t *testing.T, without func(y tale, seed uint64) error) {
	y, err := taleNamed(m.tale)
	if err != nil {
		t.Fatal(err)
	}
	first, last := uint64(1), uint64(20)
	if m.seed > 0 {
		first, last = m.seed, m.seed
	}
	for seed := first; seed <= last; seed++ {
		missed := without(y, seed)
		if missed == nil {
			continue
		}
		// TestTalesEndWellInBadWeather plays the first seed, too.
		known := os.Getenv(mutationsAll) == "" && seed == 1 && m.weather == y.weather
		if !known {
			if _, err := y.play(t.Context(), t.TempDir(), seed, m.weather, nil); err != nil {
				t.Fatalf("seed %d fails with the mending, too: %v", seed, err)
			}
		}
		t.Logf("seed %d misses it where %s: %v", seed, m.defect, missed)
		return
	}
	t.Errorf("no seed from %d to %d misses it where %s, in weather %s", first, last, m.defect, m.weather)
}

// firstProblem is the first line of a failure that says what it is.
func firstProblem(out string) string {
	for _, says := range []string{"PROBLEM: ", ": tale "} {
		for line := range strings.Lines(out) {
			if strings.Contains(line, says) {
				return strings.TrimSpace(line)
			}
		}
	}
	return last(out)
}

// changed are the files that mutations change, by path below the root, and the one that is added to each package.
func changed(t *testing.T, root string, all []mutation) map[string]string {
	t.Helper()
	var edits []edit
	for _, m := range all {
		edits = append(edits, m.edits...)
	}
	files := map[string]string{}
	for i, e := range edits {
		if slices.Contains(edits[:i], e) {
			continue
		}
		text, ok := files[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if !strings.Contains(text, e.text) {
			t.Fatalf("%s has no %q any more", e.file, e.text)
		}
		files[e.file] = strings.ReplaceAll(text, e.text, e.by)
		if dir := path.Dir(e.file); strings.HasSuffix(e.file, ".go") {
			files[dir+"/mutant.go"] = fmt.Sprintf(mutant, path.Base(dir))
		}
	}
	return files
}

// build builds this package's tests with other files in place of those that there are.
func build(t *testing.T, root string, changed map[string]string) (program string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "rehearsal.test")
	replace := map[string]string{}
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for file, text := range changed {
		replace[filepath.Join(root, file)] = write(strings.ReplaceAll(file, "/", "_"), []byte(text))
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", write("overlay.json", b), "-o", program,
		"./internal/rehearsal")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
