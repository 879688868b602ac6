package badinput

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fleetstep/fleetstep/internal/cli"
)

// TestTheCommandRefusesBadInput gives the command arguments, the words of the call; FILE in them is a file that holds
// the body. The answer is the exit code, and what is said is on standard error alone. Nobody is asked, and no file
// made.
func TestTheCommandRefusesBadInput(t *testing.T) {
	all := rows(t, "cli")
	dir := t.TempDir()
	t.Chdir(dir)
	file := filepath.Join(t.TempDir(), "file.json")
	for _, r := range all {
		if err := os.WriteFile(file, []byte(r.Body), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, said bytes.Buffer
		env := &cli.Env{In: strings.NewReader(""), Out: &out, Err: &said,
			Load: func(context.Context) (aws.Config, error) {
				t.Errorf("%s: somebody is asked", r.Name)
				return aws.Config{}, errors.New("nobody is to be asked")
			}}
		command := cli.New(env)
		var args []string
		for _, word := range strings.Fields(r.Call) {
			args = append(args, strings.ReplaceAll(strings.ReplaceAll(word, "FILE", file), "NOTHING", ""))
		}
		command.SetArgs(args)
		err := command.ExecuteContext(t.Context())
		said.WriteString(cli.Explain(err))
		if got := strconv.Itoa(cli.ExitCode(err)); got != r.Want {
			t.Errorf("%s: exit code %s, want %s: %s%s", r.Name, got, r.Want, &said, &out)
		}
		if r.Says == "" || !strings.Contains(said.String(), r.Says) || out.Len() > 0 {
			t.Errorf("%s: says %q and %q, want %q", r.Name, &said, &out, r.Says)
		}
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("made %v, %v", made, err)
	}
}
