package functions

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/fleetstep/fleetstep/internal/operation"
)

// Env is a function's surroundings.
type Env struct {
	Get    func(name string) string // environment variables
	Stdout io.Writer                // log lines and metrics; nil is os.Stdout
	// Operations are the files of operations that lie beside the function's program; nil is none.
	Operations fs.FS
	// Parallel calls do with 0 to n-1, n being 1 or more, at the same time where it can, and returns
	// when all have returned; nil is with goroutines.
	Parallel func(n int, do func(i int))
}

// OS is the environment of this process.
func OS() Env {
	env := Env{Get: os.Getenv, Stdout: os.Stdout}
	// AWS Lambda Developer Guide, "Using Lambda environment variables": the path to the function's code.
	if root := os.Getenv("LAMBDA_TASK_ROOT"); root != "" {
		env.Operations = os.DirFS(filepath.Join(root, operation.Folder))
	}
	return env
}

// Vars is an environment given as a map.
func Vars(vars map[string]string, stdout io.Writer) Env {
	return Env{Get: func(name string) string { return vars[name] }, Stdout: stdout}
}

// parallel is an Env's Parallel where it has none.
func parallel(n int, do func(i int)) {
	if n == 1 {
		do(0)
		return
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
