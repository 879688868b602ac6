package rehearsal

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutation switches off the mending of a defect: a text of a file is replaced.
type mutation struct {
	defect, file, text, by string
	weather                string // in which it is to be missed
}

var mutations = []mutation{
	{
		"a function whose process was killed is not tried again", "infra/testdata/template.json",
		`\"Runtime.ExitError\",`, ``, "killed=0.03",
	},
	{
		"presence that is told again is stale", "internal/workflow/dynamodb/dynamodb.go",
		`newer += " OR presenceVersion = :v AND connected = :c AND presenceAt = :at"`, `newer += ""`, "unanswered=0.3",
	},
	{
		"a transaction that meets another is given up", "internal/workflow/dynamodb/dynamodb.go",
		`case conflict, overThroughput, throttled:`, `case overThroughput, throttled:`, "conflicts=0.3",
	},
	{
		"news that no step waits for is not kept", "internal/workflow/deliver.go",
		`		err = w.Store.PutNews(ctx, d.Thing, d.Claim.Execution, ev, d.Claim.Deadline.Add(linger))
	}
	if errors.Is(err, ErrGone) {`, `	}
	if errors.Is(err, ErrGone) {`, "reordered=0.5,late=0.1",
	},
}

// mutationsAll is the environment variable that has every mutation played; make
// test-mutations sets it.
const mutationsAll = "FLEETSTEP_MUTATIONS"

// TestMendingsAreMissed switches each mending off: bad weather must find the defect
// again, in one of twenty seeds. Otherwise the weather does not try what it is said to
// try. Without make test-mutations it looks only whether each mending is still where it
// is looked for.
func TestMendingsAreMissed(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		t.Run(m.defect, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), m.text) {
				t.Fatalf("%s has no %q any more", m.file, m.text)
			}
			if os.Getenv(mutationsAll) == "" {
				return
			}
			program := m.build(t, root, strings.ReplaceAll(string(b), m.text, m.by))
			for seed := 1; seed <= 20; seed++ {
				cmd := exec.CommandContext(t.Context(), program, "rehearse", "--devices", "35", "--faults", "all",
					"--seed", fmt.Sprint(seed), "--event", "events/create-job-faults.json", "--timeout", "12h",
					"--weather", m.weather)
				cmd.Dir = root
				out, err := cmd.CombinedOutput()
				if err != nil && strings.Contains(string(out), "PROBLEM: ") {
					t.Logf("seed %d misses it", seed)
					return
				}
				if err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, out)
				}
			}
			t.Errorf("no seed of twenty misses it, in weather %s", m.weather)
		})
	}
}

// build builds the program with the file's text in place of what it has.
func (m mutation) build(t *testing.T, root, text string) (program string) {
	t.Helper()
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, filepath.Base(m.file)), filepath.Join(dir, "overlay.json")
	program = filepath.Join(dir, "fleetstep")
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{changed: []byte(text), overlay: b} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-overlay", overlay, "-o", program,
		"./cmd/fleetstep")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
