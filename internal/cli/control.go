package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/event"
)

func jobPause(env *Env) *cobra.Command {
	return controlCommand(env, event.VerbPause, &cobra.Command{
		Use:   "pause JOB --why REASON",
		Short: "Hold the devices of a job until it is resumed",
		Long: `Pauses a job by invoking the stack's control function. When the command has
returned, no device begins. Devices at work get no further command to download or
to activate, and wait. AWS IoT still offers the job to devices; they wait, too. All
of them continue when the job is resumed. The in-progress timers of devices that
have begun keep running.`,
		Example: `  fleetstep job pause fw-2-0-0-7a57f8c2b3c01f4e --why "model X loses its Wi-Fi"`,
		Args:    oneJob,
	})
}

func jobResume(env *Env) *cobra.Command {
	return controlCommand(env, event.VerbResume, &cobra.Command{
		Use:     "resume JOB",
		Short:   "Continue a paused job",
		Example: `  fleetstep job resume fw-2-0-0-7a57f8c2b3c01f4e --why "it was the access point"`,
		Args:    oneJob,
	})
}

func stopAll(env *Env) *cobra.Command {
	return controlCommand(env, event.VerbStopAll, &cobra.Command{
		Use:   "stop-all --why REASON",
		Short: "Hold the devices of all jobs until start-all",
		Long: `Pauses everything that the stack does, for all jobs and campaigns, by invoking its
control function. A job that was paused separately stays paused after start-all.`,
		Example: `  fleetstep stop-all --why "the access network is being repaired"`,
		Args:    NoArgs,
	})
}

func startAll(env *Env) *cobra.Command {
	return controlCommand(env, event.VerbStartAll, &cobra.Command{
		Use:   "start-all",
		Short: "Continue after stop-all",
		Args:  NoArgs,
	})
}

// controlCommand completes a command that invokes the function control.
func controlCommand(env *Env, verb event.Verb, c *cobra.Command) *cobra.Command {
	var stack, why string
	var asJSON bool
	c.RunE = func(c *cobra.Command, args []string) error {
		r := event.ControlRequest{Verb: verb, Why: why}
		if len(args) > 0 {
			r.JobID = event.JobID(args[0])
		}
		if why == "" && (verb == event.VerbPause || verb == event.VerbStopAll) {
			return UsageError{errors.New("give --why, the reason that is shown for waiting devices")}
		}
		cfg, err := env.Load(c.Context())
		if err != nil {
			return err
		}
		if r.Proof, err = Prove(c.Context(), cfg, r.Subject(), env.Now()); err != nil {
			return err
		}
		payload, err := json.Marshal(r)
		if err != nil {
			return err
		}
		api := lambda.NewFromConfig(cfg)
		name := stack + "-control"
		out, err := call(c.Context(), api, name, payload)
		if err != nil {
			return err
		}
		var answer event.ControlAnswer
		if err := json.Unmarshal(out, &answer); err != nil || answer.State == "" {
			return fmt.Errorf("%s answered %s, which has no state", name, out)
		}
		if asJSON {
			return env.json(answer)
		}
		what, now := "everything", "is resumed"
		if len(args) > 0 {
			what = "job " + args[0]
		}
		switch {
		case answer.State == event.ControlPaused && !answer.Changed:
			now = "is paused already"
		case answer.State == event.ControlPaused:
			now = "is paused"
		case !answer.Changed:
			now = "was not paused"
		}
		if answer.Why != "" && (answer.Changed || answer.State == event.ControlPaused) {
			now += ": " + answer.Why
		}
		fmt.Fprintln(env.Out, what, now)
		return nil
	}
	c.Flags().StringVar(&stack, "stack", "fleetstep", "name of the deployed stack")
	c.Flags().StringVar(&why, "why", "", "reason, for the record")
	c.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	return c
}
