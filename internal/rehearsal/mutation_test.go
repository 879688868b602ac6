package rehearsal

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mutation switches off the mending of a defect: texts of files are replaced.
type mutation struct {
	defect        string
	edits         []edit
	tale, weather string // in which it is to be missed
}

// edit replaces a text of a file.
type edit struct{ file, text, by string }

// sweepless has the tick not look for attempts on which nobody works.
var sweepless = edit{"internal/workflow/tick.go", ` w.sweep(ctx, &lease, &out),`, ` nil,`}

var mutations = []mutation{
	{
		"a function whose process was killed is not tried again",
		[]edit{{"infra/testdata/template.json", `\"Runtime.ExitError\",`, ``}}, "job", "killed=0.03",
	},
	{
		"news that no step waits for is not kept", []edit{{
			"internal/workflow/deliver.go",
			`		err = w.Store.PutNews(ctx, d.Thing, d.Claim.Execution, ev, d.Claim.Deadline.Add(linger))
	}
	if errors.Is(err, ErrGone) {`, `	}
	if errors.Is(err, ErrGone) {`,
		}}, "prompt", "short=0.3",
	},
	{
		"nobody looks for an attempt whose notification was lost", []edit{
			sweepless,
			{"internal/workflow/inbox.go", `if d.Claim == nil && w.asks.allows(w.Now()) {`, `if false {`},
		}, "job", "lost=0.3",
	},
	{"the clock does not look for attempts on which nobody works", []edit{sweepless}, "job", "lost=0.3"},
	{
		"the lease of a tick that was killed does not end", []edit{{
			"internal/workflow/dynamodb/tick.go", `":now": n(now.UnixMilli()), `, `":now": n(0), `,
		}}, "window", "killed=0.01",
	},
	{
		"who knocked at a flag is forgotten before it is woken", []edit{{
			"internal/workflow/tick.go",
			`	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return err
	}
	out.Woken += len(knocks)
	for _, k := range knocks {
		if err := w.Ticks.Answer(ctx, l.Whose, k); err != nil {
			return err
		}
	}
`,
			`	for _, k := range knocks {
		if err := w.Ticks.Answer(ctx, l.Whose, k); err != nil {
			return err
		}
	}
	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return err
	}
	out.Woken += len(knocks)
`,
		}}, "pause", "killed=0.01",
	},
	{
		"a flag is not read before a command", []edit{{
			"internal/workflow/control.go", `	if !holds {
		return g.danger(`, `	if true {
		return g.danger(`,
		}}, "pause", "late=0.1",
	},
	{
		"the hints of parked attempts are removed before they are woken", []edit{{
			"internal/workflow/tick.go", `	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return false, err
	}
	if err := w.Ticks.Done(ctx, hints); err != nil {
		return false, err
	}
`, `	if err := w.Ticks.Done(ctx, hints); err != nil {
		return false, err
	}
	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return false, err
	}
`,
		}}, "window", "killed=0.01",
	},
}

// mutationsAll is the environment variable that has every mutation played, or those of
// which it is a part of the defect; make test-mutations sets it to "all".
const mutationsAll = "FLEETSTEP_MUTATIONS"

// mutationTale is set for the program that a mutation was built into: a tale, a seed
// and the weather, separated by spaces.
const mutationTale = "FLEETSTEP_TALE"

// TestTaleOfAMutation plays one tale; a program that a mutation was built into is
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
// it looks only whether each mending is still where it is looked for.
func TestMendingsAreMissed(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		t.Run(m.defect, func(t *testing.T) {
			y, err := taleNamed(m.tale)
			if err != nil {
				t.Fatal(err)
			}
			changed := m.changed(t, root)
			if only := os.Getenv(mutationsAll); only == "" || only != "all" && !strings.Contains(m.defect, only) {
				return
			}
			program := build(t, root, changed)
			for seed := uint64(1); seed <= 20; seed++ {
				cmd := exec.CommandContext(t.Context(), program, "-test.run", "^TestTaleOfAMutation$")
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", mutationTale, m.tale, seed, m.weather))
				out, err := cmd.CombinedOutput()
				if err == nil {
					continue
				}
				failed := strings.Contains(string(out), "--- FAIL: TestTaleOfAMutation")
				if !failed || strings.Contains(string(out), "panic:") {
					t.Fatalf("seed %d: %v\n%s", seed, err, out)
				}
				if _, err := y.play(t.Context(), t.TempDir(), seed, m.weather, nil); err != nil {
					t.Fatalf("seed %d fails with the mending, too: %v", seed, err)
				}
				t.Logf("seed %d misses it: %s", seed, firstProblem(string(out)))
				return
			}
			t.Errorf("no seed of twenty misses it, in weather %s", m.weather)
		})
	}
}

// firstProblem is the first line of a failure that says what it is.
func firstProblem(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "PROBLEM: ") {
			return strings.TrimSpace(line)
		}
	}
	return last(out)
}

// changed are the files that a mutation changes, by path below the root.
func (m mutation) changed(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, e := range m.edits {
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
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
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
