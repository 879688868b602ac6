package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/rehearsal"
)

func rehearseCommand(env *cli.Env) *cobra.Command {
	r := rehearsal.Config{Env: env}
	var kinds, events, account string
	c := &cobra.Command{
		Use:   "rehearse",
		Short: "Play one whole job in virtual time",
		Long: `Plays one whole job in virtual time, in this process and without a socket:
the same template, state machine, rules, functions and agents as fleetstep demo,
and hours in seconds. Ends with a line SUMMARY {...}; exit code 0 only if every
device ended as it should and nothing is left behind.

One seed is one run: the digest in the summary, over all execution histories and
final states, is the same on any machine. A run that fails prints the command
that repeats it, and is then made smaller for as long as --shrink says: fewer
devices, faults and events of the weather that still fail, and the command for
these.`,
		Example: `  fleetstep rehearse --devices 1000 --seed 7 --faults all
  fleetstep rehearse --devices 200 --event my-job.json
  fleetstep rehearse --operation set-parameters --input '{"parameters": {"Device.MQTT.Client.1.KeepAliveTime": 300}}'`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.UsageError{Err: fmt.Errorf("rehearse takes no argument %q", args[0])}
			}
			if r.Devices < 1 {
				return cli.UsageError{Err: fmt.Errorf("--devices: %d; at least 1 is needed", r.Devices)}
			}
			if err := checkOperation(r.Operation); err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(200) // collections run beside the job; more garbage costs more in page faults
			}
			var err error
			if r.Weather, err = localcloud.ParseWeather(kinds, events, r.Seed); err != nil {
				return cli.UsageError{Err: err}
			}
			if r.Quotas, err = localcloud.ParseQuotas(account); err != nil {
				return cli.UsageError{Err: err}
			}
			_, err = rehearsal.Run(c.Context(), r)
			return err
		},
	}
	f := c.Flags()
	f.IntVar(&r.Devices, "devices", 100, "number of simulated agents")
	f.StringVar(&kinds, "weather", "none", "what AWS does on bad days: none, bad, or kinds of it (docs/weather.md)")
	f.StringVar(&events, "weather-events", "", "numbers of the weather's events that happen (default all)")
	f.DurationVar(&r.Shrink, "shrink", time.Minute,
		"after a failure look so long at most for a smaller rehearsal that fails; 0 does not")
	f.StringVar(&account, "quotas", "none", "whose quotas hold: none, default, new-account")
	f.BoolVar(&r.Onboard, "onboard", false, "the devices are new, and are onboarded before the job")
	f.Uint64Var(&r.Seed, "seed", 1, "seed of everything random")
	f.StringVar(&r.Faults, "faults", "", "which agents are difficult (see: fleetstep simulate --list-faults)")
	f.StringVar(&r.Profiles, "profiles", "",
		"of which models agents are (see: fleetstep simulate --list-profiles)")
	f.StringVar(&r.Event, "event", "events/create-job.json", "payload for create-job")
	operationFlags(c, &r.Operation, &r.Workflows)
	campaignFlags(c, &r.Campaign)
	f.IntVar(&r.Image, "image-size", 16<<10, "bytes of the firmware image")
	f.DurationVar(&r.Timeout, "timeout", 0, "give up on the job after this virtual time (default 8 days)")
	f.DurationVar(&r.Every, "every", 0, "look at the job this often in virtual time (default 10 s)")
	return c
}
