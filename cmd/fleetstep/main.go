// Command fleetstep runs and watches firmware upgrades of TR-369 fleets, on AWS or on a
// local cloud that it starts itself.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if text := cli.Explain(err); text != "" {
		fmt.Fprintln(os.Stderr, "fleetstep:", text)
	}
	os.Exit(cli.ExitCode(err))
}

func run(ctx context.Context, args []string) error {
	env := &cli.Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: isTerminal(os.Stdout),
		States: checkStates}
	root := cli.New(env)
	root.AddCommand(localCommand(env), simulateCommand(env), demoCommand(env), rehearseCommand(env),
		doctorCommand(env), smokeCommand(env), agentCommand(env))
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// checkStates is what AWS would say of a state machine.
func checkStates(definition string) (problems event.Problems) {
	for _, d := range localcloud.CheckStateMachine(definition) {
		problems = append(problems, event.Problem{Path: d.Location, Value: d.Code, Allowed: d.Message})
	}
	return problems
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
