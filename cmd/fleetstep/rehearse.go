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
		Short: "Run one whole job in virtual time",
		Long: `Runs one whole job in virtual time, in this process and without sockets. The
template, state machine, rules, functions and agents are those of fleetstep demo;
hours take seconds. The last line is SUMMARY {...}. Exit code 0 only if every
device ended as it should and nothing is left behind.

The same seed gives the same run on any machine: the digest in the summary covers
all execution histories and final states. A run that fails prints the command that
repeats it. Then it looks, for the time of --shrink, for a smaller run that also
fails, with fewer devices, faults and events of the weather, and prints the command
for that run.`,
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
	f.StringVar(&kinds, "weather", "none", "failures of AWS to simulate: none, bad, or kinds (docs/weather.md)")
	f.StringVar(&events, "weather-events", "", "numbers of the weather's events that happen (default all)")
	f.DurationVar(&r.Shrink, "shrink", time.Minute,
		"after a failure, time to look for a smaller rehearsal that fails; 0 for none")
	f.StringVar(&account, "quotas", "none", "quotas that apply: none, default, new-account")
	f.BoolVar(&r.Onboard, "onboard", false, "the devices are new and are onboarded first")
	f.Uint64Var(&r.Seed, "seed", 1, "seed of everything random")
	f.StringVar(&r.Faults, "faults", "", "faults of the agents (see: fleetstep simulate --list-faults)")
	f.StringVar(&r.Profiles, "profiles", "",
		"models of the agents (see: fleetstep simulate --list-profiles)")
	f.StringVar(&r.Event, "event", "events/create-job.json", "payload for create-job")
	operationFlags(c, &r.Operation, &r.Workflows)
	campaignFlags(c, &r.Campaign)
	f.IntVar(&r.Image, "image-size", 16<<10, "bytes of the firmware image")
	f.DurationVar(&r.Timeout, "timeout", 0, "give up on the job after this virtual time (default 8 days)")
	f.DurationVar(&r.Every, "every", 0, "time between two looks at the job, in virtual time (default 10 s)")
	return c
}
