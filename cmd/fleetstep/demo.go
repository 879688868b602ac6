package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/plainbody"
	"github.com/fleetstep/fleetstep/internal/trial"
)

func demoCommand(env *cli.Env) *cobra.Command {
	var d trial.Config
	var lambdaDir, dataDir, workflows, weather, quotas string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run one whole job on a separate local cloud",
		Long: `Runs one whole job on this machine. It starts a local cloud on free ports with an
empty data folder, makes and uploads a firmware image, connects simulated agents,
invokes create-job with a payload, and shows the progress. The last line is
SUMMARY {...}. Exit code 0 only if every device ended as it should.`,
		Example: `  fleetstep demo --event events/create-job.json
  fleetstep demo --devices 40 --faults all --event events/create-job-quick.json
  fleetstep demo --operation reboot`,
		Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if d.Devices < 1 {
				return cli.UsageError{Err: fmt.Errorf("--devices: %d; at least 1 is needed", d.Devices)}
			}
			d.Env, d.Disturbed = env, weather != "none" && weather != ""
			switch {
			case c.Flags().Changed("timeout"):
			case d.Campaign.File != "":
				d.Timeout = time.Hour // its waves begin by the minute
			case d.Disturbed:
				// The clock looks for what was lost after some minutes, and a message whose function died comes
				// again after one: with every fault this takes long.
				d.Timeout = 40 * time.Minute
			}
			if err := checkOperation(d.Operation); err != nil {
				return err
			}
			rate := "OnboardingPerMinute=0" // the registry knows the devices
			if d.Onboard {
				rate = "OnboardingPerMinute=3000"
			}
			return runDemo(c.Context(), d, lambdaDir, dataDir, "--parameter", rate, "--workflows", workflows,
				"--weather", weather, "--weather-seed",
				strconv.FormatUint(d.Seed, 10), "--quotas", quotas)
		},
	}
	f := c.Flags()
	f.IntVar(&d.Devices, "devices", 25, "number of simulated agents")
	f.StringVar(&d.Event, "event", "events/create-job.json", "payload for create-job")
	operationFlags(c, &d.Operation, &workflows)
	campaignFlags(c, &d.Campaign)
	f.StringVar(&d.Faults, "faults", "", "faults of the agents (see: fleetstep simulate --list-faults)")
	f.BoolVar(&d.Onboard, "onboard", false, "the devices are new and are onboarded first, which takes a minute or two")
	f.StringVar(&d.Profiles, "profiles", "",
		"models of the agents (see: fleetstep simulate --list-profiles)")
	f.Uint64Var(&d.Seed, "seed", 1, "seed of everything random")
	f.IntVar(&d.Image, "image-size", 256<<10, "bytes of the firmware image")
	f.DurationVar(&d.Timeout, "timeout", 10*time.Minute,
		"give up on the job after this time; with weather 40m, for a campaign 1h if nothing else is said")
	f.StringVar(&weather, "weather", "none", "failures of AWS to simulate: none, bad, or kinds (docs/weather.md)")
	f.StringVar(&quotas, "quotas", "none", "quotas that apply: none, default, new-account")
	f.StringVar(&lambdaDir, "lambda-dir", "",
		"folder with a bootstrap for each function (default: lambda beside this program)")
	f.StringVar(&dataDir, "data-dir", "", "data folder of the local cloud, kept afterwards (default: a temporary one)")
	return c
}

func runDemo(ctx context.Context, d trial.Config, lambdaDir, dataDir string, more ...string) (err error) {
	if dataDir == "" {
		if dataDir, err = os.MkdirTemp("", "fleetstep-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dataDir)) }()
	}
	began := time.Now()
	cloud, where, err := startLocal(d.Env, lambdaDir, dataDir, more...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.stop()) }()
	fmt.Fprintf(d.Env.Out, "local cloud at %s, ready in %d ms\n", where.Endpoint, time.Since(began).Milliseconds())
	d.AWS, err = config.LoadDefaultConfig(ctx, config.WithRegion(where.Region),
		config.WithBaseEndpoint(where.Endpoint),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
	if err != nil {
		return err
	}
	plainbody.Use(&d.AWS)
	if d.RootCAs, err = rootCAs(where.CA); err != nil {
		return err
	}
	d.Stack, d.Broker, d.Inspect = where.Stack, where.MQTTS, where.Endpoint+"/_localcloud/"
	d.Summarize = func(ctx context.Context, s trial.Summary) (any, error) {
		return withWeather(ctx, where.Endpoint, s)
	}
	return trial.Run(ctx, d)
}

// operationFlags say what a job does to its devices where it does not come from a file.
func operationFlags(c *cobra.Command, o *trial.Operation, workflows *string) {
	f := c.Flags()
	f.StringVar(&o.Name, "operation", "", "operation of the job, instead of --event (see: fleetstep workflow list)")
	f.StringVar(&o.Input, "input", "", "input of the operation, in JSON (default {})")
	f.StringVar(workflows, "workflows", "", "folder with your own operations: NAME.asl.json and NAME.schema.json")
}

func checkOperation(o trial.Operation) error {
	if o.Input != "" && o.Name == "" {
		return cli.UsageError{Err: errors.New("--input needs --operation")}
	}
	return nil
}

// badDay is a summary with what the weather was, and the use of quotas, if there were any.
type badDay struct {
	trial.Summary
	Weather any `json:"weather,omitempty"`
	Quotas  any `json:"quotas,omitempty"`
}

// withWeather asks the local cloud what the weather was.
func withWeather(ctx context.Context, endpoint string, s trial.Summary) (any, error) {
	day := badDay{Summary: s}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/_localcloud/weather", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("what the weather was: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(&day); err != nil {
		return nil, fmt.Errorf("what the weather was: %w", err)
	}
	return day, nil
}

// process is a running "fleetstep local".
type process struct{ cmd *exec.Cmd }

// startLocal starts this program again as a local cloud and waits for its line.
func startLocal(env *cli.Env, lambdaDir, dataDir string, more ...string) (*process, readyLine, error) {
	var where readyLine
	self, err := os.Executable()
	if err != nil {
		return nil, where, err
	}
	cmd := exec.Command(self, append([]string{"local", "--port", "0", "--mqtt-port", "-1", "--mqtts-port", "0",
		"--data-dir", dataDir, "--lambda-dir", findLambdas(lambdaDir)}, more...)...)
	cmd.Stderr = env.Err
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, where, err
	}
	if err := cmd.Start(); err != nil {
		return nil, where, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &where)
	}
	if err != nil {
		return nil, where, errors.Join(errors.New("the local cloud did not start"), cmd.Process.Kill(), cmd.Wait())
	}
	return &process{cmd}, where, nil
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return p.cmd.Wait()
}
