package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/trial"
)

func demoCommand(env *cli.Env) *cobra.Command {
	var d trial.Config
	var lambdaDir, dataDir, workflows string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play one whole job on a local cloud of its own",
		Long: `Plays one whole job on this machine: starts a local cloud on free ports with
an empty data folder, uploads a firmware image that it makes, connects simulated
agents, invokes create-job with a payload, shows the progress and ends with a line
SUMMARY {...}. Exit code 0 only if every device ended as it should.`,
		Example: `  fleetstep demo --event events/create-job.json
  fleetstep demo --devices 40 --faults all --event events/create-job-quick.json
  fleetstep demo --operation reboot`,
		Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if d.Devices < 1 {
				return cli.UsageError{Err: fmt.Errorf("--devices: %d; at least 1 is needed", d.Devices)}
			}
			d.Env = env
			if err := checkOperation(d.Operation); err != nil {
				return err
			}
			return runDemo(c.Context(), d, lambdaDir, dataDir, workflows)
		},
	}
	f := c.Flags()
	f.IntVar(&d.Devices, "devices", 25, "number of simulated agents")
	f.StringVar(&d.Event, "event", "events/create-job.json", "payload for create-job")
	operationFlags(c, &d.Operation, &workflows)
	f.StringVar(&d.Faults, "faults", "", "which agents are difficult (see: fleetstep simulate --list-faults)")
	f.Uint64Var(&d.Seed, "seed", 1, "seed of everything random")
	f.IntVar(&d.Image, "image-size", 256<<10, "bytes of the firmware image")
	f.DurationVar(&d.Timeout, "timeout", 10*time.Minute, "give up on the job after this time")
	f.StringVar(&lambdaDir, "lambda-dir", "",
		"folder with a bootstrap for each function (default: lambda beside this program)")
	f.StringVar(&dataDir, "data-dir", "", "data folder of the local cloud, kept afterwards (default: a temporary one)")
	return c
}

func runDemo(ctx context.Context, d trial.Config, lambdaDir, dataDir, workflows string) (err error) {
	if dataDir == "" {
		if dataDir, err = os.MkdirTemp("", "fleetstep-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dataDir)) }()
	}
	began := time.Now()
	cloud, where, err := startLocal(d.Env, lambdaDir, dataDir, workflows)
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
	if d.RootCAs, err = rootCAs(where.CA); err != nil {
		return err
	}
	d.Stack, d.Broker, d.Inspect = where.Stack, where.MQTTS, where.Endpoint+"/_localcloud/"
	return trial.Run(ctx, d)
}

// operationFlags say what a job does to its devices where it does not come from a file.
func operationFlags(c *cobra.Command, o *trial.Operation, workflows *string) {
	f := c.Flags()
	f.StringVar(&o.Name, "operation", "", "operation of the job, instead of --event (see: fleetstep workflow list)")
	f.StringVar(&o.Input, "input", "", "input of the operation, in JSON (default {})")
	f.StringVar(workflows, "workflows", "", "folder with operations of one's own: NAME.asl.json and NAME.schema.json")
}

func checkOperation(o trial.Operation) error {
	if o.Input != "" && o.Name == "" {
		return cli.UsageError{Err: errors.New("--input is for --operation")}
	}
	return nil
}

// process is a running "fleetstep local".
type process struct{ cmd *exec.Cmd }

// startLocal starts this program again as a local cloud and waits for its line.
func startLocal(env *cli.Env, lambdaDir, dataDir, workflows string) (*process, ready, error) {
	var where ready
	self, err := os.Executable()
	if err != nil {
		return nil, where, err
	}
	cmd := exec.Command(self, "local", "--port", "0", "--mqtt-port", "-1", "--mqtts-port", "0", "--data-dir", dataDir,
		"--lambda-dir", findLambdas(lambdaDir), "--workflows", workflows)
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
