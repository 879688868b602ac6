package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/doctor"
)

func doctorCommand(env *cli.Env) *cobra.Command {
	var c doctor.Config
	var asJSON bool
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find what keeps a deployed stack from working, and what to do",
		Long: `Checks a deployed stack and its account, on AWS or on the local cloud:
credentials, the stack and its version, job events, fleet indexing, endpoints,
functions, rules, queues, the device policy, the clock, alarms, dead letters,
certificates that expire soon, and quotas for a planned rate. It changes nothing.
Exit code 1 if there is a problem; notes do not count.`,
		Example: `  fleetstep doctor
  fleetstep doctor --stack fleetstep-test --rate 2000 --json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Rate < 0 {
				return cli.UsageError{Err: fmt.Errorf("--rate: %d; want a number of devices a minute", c.Rate)}
			}
			var err error
			if c.AWS, err = env.Load(cmd.Context()); err != nil {
				return err
			}
			c.Template, c.Now = infra.Template, env.Now
			_, list, err := doctor.Examine(cmd.Context(), c, func(f doctor.Finding) {
				if !asJSON {
					tell(env, f)
				}
			})
			if err != nil {
				return err
			}
			if asJSON {
				b, err := json.MarshalIndent(list, "", "  ")
				if err != nil {
					return err
				}
				fmt.Fprintf(env.Out, "%s\n", b)
			}
			if doctor.Worst(list) == doctor.Problem {
				return cli.ErrFailed
			}
			return nil
		},
	}
	command.Flags().StringVar(&c.Stack, "stack", "fleetstep", "name of the deployed stack")
	command.Flags().IntVar(&c.Rate, "rate", 0, "planned rate, in devices a minute")
	command.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return command
}

// tell prints a finding, and what to do below it.
func tell(env *cli.Env, f doctor.Finding) {
	fmt.Fprintf(env.Out, "%-8s %-20s %s\n", f.Level, f.Check, f.Seen)
	if f.Do != "" {
		fmt.Fprintf(env.Out, "%-8s %-20s do: %s\n", "", "", f.Do)
	}
}
