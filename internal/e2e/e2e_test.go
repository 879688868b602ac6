package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := programs(t)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cloud": cmdCloud, "simulate": cmdSimulate, "aws": cmdAWS, "until": cmdUntil,
			"usage": cmdUsage, "same": cmdSame, "capture": cmdCapture, "ticks": cmdTicks,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[world{}] = &world{bin: bin}
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("EVENTS", filepath.Join(root, "events"))
			env.Setenv("HOME", env.WorkDir)
			// Nothing of the machine's own AWS configuration may be reached.
			for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
				env.Setenv(name, filepath.Join(env.WorkDir, "no-such-file"))
			}
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			return nil
		},
	})
}

// built are the programs that the tests of this package run, in a folder.
var built = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	bin, err := os.MkdirTemp("", "fleetstep-e2e-")
	if err != nil {
		return "", err
	}
	folder = bin
	return bin, build(root, bin)
})

var folder string // of the programs, once they are built

// programs is the folder of the programs; they are built once.
func programs(t *testing.T) string {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestMain(m *testing.M) {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// build puts the command and the functions into a folder as make build does.
func build(root, bin string) error {
	lambda := filepath.Join(bin, "lambda")
	flat := filepath.Join(bin, "functions")
	if err := os.MkdirAll(flat, 0o755); err != nil { //nolint:gosec // programs are for running
		return err
	}
	for _, args := range [][]string{{"-o", bin + string(filepath.Separator), "./cmd/fleetstep"},
		{"-o", flat + string(filepath.Separator), "./lambdas/..."}} {
		cmd := exec.Command("go", append([]string{"build", "-ldflags=-s -w"}, args...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	functions, err := os.ReadDir(flat)
	if err != nil {
		return err
	}
	for _, f := range functions {
		dir := filepath.Join(lambda, f.Name())
		if err := errors.Join(os.MkdirAll(dir, 0o755),
			os.Rename(filepath.Join(flat, f.Name()),
				filepath.Join(dir, "bootstrap"))); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}

// TestScriptsAreNamedBySubject: job_cancel.txtar is found under job.
func TestScriptsAreNamedBySubject(t *testing.T) {
	subjects := map[string]bool{"agent": true, "campaign": true, "doctor": true, "job": true,
		"local": true, "simulate": true, "deadletter": true}
	names, err := fs.Glob(os.DirFS("testdata"), "*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range names {
		if subject, _, ok := strings.Cut(name, "_"); !ok || !subjects[subject] {
			t.Errorf("%s: the first word of its name is no subject", name)
		}
	}
}
