package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/plainbody"
)

// Env is what commands act through.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal says that Out is a terminal, where progress may be redrawn.
	Terminal bool
	// Load returns the AWS configuration; nil is the SDK's default.
	Load func(ctx context.Context) (aws.Config, error)
	// States finds what is wrong with a state machine by the rules of the States Language;
	// nil finds nothing.
	States func(definition string) event.Problems
	// Now and Sleep are the clock; nil is the machine's.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// ErrFailed ends a command with exit code 1 after it has said why itself.
var ErrFailed = errors.New("the job did not succeed on every device")

// UsageError ends a command with exit code 2.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// NobodyError ends a command with exit code 3: nothing failed, and no device was
// upgraded, because none was in the target.
type NobodyError struct{ Err error }

func (e NobodyError) Error() string { return e.Err.Error() }
func (e NobodyError) Unwrap() error { return e.Err }

// ExitCode is the process's exit code for a command's error: 130 for one that was interrupted, which shells use for
// a process that Ctrl-C has ended, so that a script does not take it for what it watched to have failed.
func ExitCode(err error) int {
	_, nobody := errors.AsType[NobodyError](err)
	switch _, usage := errors.AsType[UsageError](err); {
	case nobody:
		return 3
	case err == nil:
		return 0
	case usage:
		return 2
	case errors.Is(err, context.Canceled):
		return 130
	default:
		return 1
	}
}

// Explain is an error as the command shows it, "" if it has been shown.
func Explain(err error) string {
	if err == nil || errors.Is(err, ErrFailed) {
		return ""
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		var op *smithy.OperationError
		if errors.As(err, &op) {
			return fmt.Sprintf("%s %s: %s: %s", op.Service(), op.Operation(), api.ErrorCode(), api.ErrorMessage())
		}
	}
	return err.Error()
}

// New returns the root command; more are added to it by the caller.
func New(env *Env) *cobra.Command {
	if env.Load == nil {
		env.Load = func(ctx context.Context) (aws.Config, error) {
			cfg, err := config.LoadDefaultConfig(ctx)
			plainbody.Use(&cfg)
			return cfg, err
		}
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Sleep == nil {
		env.Sleep = func(ctx context.Context, d time.Duration) error {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	root := &cobra.Command{
		Use:   "fleetstep",
		Short: "Firmware upgrades for fleets of TR-369 (USP) devices, as durable workflows",
		Long: `Firmware upgrades for fleets of TR-369 (USP) devices, as durable workflows.

The job commands reach AWS, or a local cloud started with "fleetstep local", by
the AWS SDK's usual environment: AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.`,
		Version:      Version(),
		SilenceUsage: true, SilenceErrors: true,
	}
	// No SetVersionTemplate: text/template makes the linker keep every method of every SDK client, which doubles the
	// program.
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return UsageError{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
	})
	Group(root)
	job := &cobra.Command{Use: "job", Short: "Create, list, describe, watch, pause, resume and cancel jobs"}
	Group(job)
	job.AddCommand(jobCreate(env), jobList(env), jobDescribe(env), jobWatch(env), jobCancel(env), jobPause(env),
		jobResume(env))
	root.AddCommand(job, campaign(env), stopAll(env), startAll(env), deadletter(env), workflow(env))
	return root
}

// Group makes a command that only holds others: alone it shows its help, and an
// argument is a command that does not exist.
func Group(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	c.DisableFlagsInUseLine = true
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return UsageError{fmt.Errorf("unknown command %q for %s%s (see %s --help)", args[0], c.CommandPath(), hint,
			c.CommandPath())}
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// NoArgs refuses arguments as a usage error.
func NoArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageError{fmt.Errorf("%s takes no argument %q (see %s --help)", c.CommandPath(), args[0],
			c.CommandPath())}
	}
	return nil
}

// oneJob wants exactly one argument, the job id.
func oneJob(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return UsageError{fmt.Errorf("%s takes one argument, the job id (see %s --help)", c.CommandPath(),
			c.CommandPath())}
	}
	return nil
}

func (e *Env) iot(ctx context.Context) (*iot.Client, error) {
	cfg, err := e.Load(ctx)
	if err != nil {
		return nil, err
	}
	return iot.NewFromConfig(cfg), nil
}

func (e *Env) sfn(ctx context.Context) (*sfn.Client, error) {
	cfg, err := e.Load(ctx)
	if err != nil {
		return nil, err
	}
	return sfn.NewFromConfig(cfg), nil
}

func (e *Env) lambda(ctx context.Context) (*lambda.Client, error) {
	cfg, err := e.Load(ctx)
	if err != nil {
		return nil, err
	}
	return lambda.NewFromConfig(cfg), nil
}

// json writes v as indented JSON.
func (e *Env) json(v any) error {
	enc := json.NewEncoder(e.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
