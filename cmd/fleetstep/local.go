package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// local are the flags of "fleetstep local".
type local struct {
	dataDir, lambdaDir, host, template, workflows, stack, region, account, logLevel string
	port, mqttPort, mqttsPort, environments                                         int
	sync                                                                            bool
	minFree                                                                         size
	parameters                                                                      map[string]string
	weather, quotas                                                                 string
	seed                                                                            uint64
}

// readyLine is the line that tells where everything is.
type readyLine struct {
	Endpoint    string            `json:"endpoint"`
	MQTT        string            `json:"mqtt"`
	MQTTS       string            `json:"mqtts"`
	CA          string            `json:"ca"`
	DataDir     string            `json:"dataDir"`
	Region      string            `json:"region"`
	Account     string            `json:"account"`
	AccessKeyID string            `json:"accessKeyId"`
	Stack       string            `json:"stack,omitempty"`
	Outputs     map[string]string `json:"outputs,omitempty"`
}

func localCommand(env *cli.Env) *cobra.Command {
	var l local
	c := &cobra.Command{
		Use:   "local",
		Short: "Run the local cloud in the foreground",
		Long: `Runs the local cloud in the foreground: the AWS services that Fleetstep needs, in
one process, with the stack deployed from its template. When it is ready it prints
one line of JSON with its endpoints. Ctrl-C stops it. Started again with the same
--data-dir it continues where it stopped, also after a crash.

Any AWS client reaches it with AWS_ENDPOINT_URL set to the endpoint, the access
key "test" and the secret "test". It listens on the loopback interface only,
unless --host names another address.`,
		Example: `  fleetstep local
  fleetstep local --port 0 --mqtt-port 0 --mqtts-port 0 --data-dir /tmp/cloud
  fleetstep local --template none          # an empty account, for state machines of your own`,
		Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return l.run(c.Context(), env) },
	}
	f := c.Flags()
	f.StringVar(&l.dataDir, "data-dir", defaultDataDir(), "folder for all stored data")
	f.StringVar(&l.lambdaDir, "lambda-dir", "",
		"folder with a bootstrap for each function (default: lambda beside this program)")
	f.StringVar(&l.host, "host", "127.0.0.1", "address to listen on")
	f.IntVar(&l.port, "port", 4566, "port of the AWS APIs; 0 takes a free one")
	f.IntVar(&l.mqttPort, "mqtt-port", 1883, "port of plain MQTT; 0 takes a free one, -1 none")
	f.IntVar(&l.mqttsPort, "mqtts-port", 8883, "port of MQTT over mutual TLS; 0 takes a free one, -1 none")
	f.StringVar(&l.template, "template", "",
		"CloudFormation template to deploy, none for an empty account (default: Fleetstep's own)")
	f.StringVar(&l.workflows, "workflows", "",
		"folder with your own operations: NAME.asl.json and NAME.schema.json")
	f.StringVar(&l.stack, "stack", "fleetstep", "name of the stack")
	f.StringToStringVar(&l.parameters, "parameter", nil, "parameter of the stack, as Name=Value; may be repeated")
	f.StringVar(&l.region, "region", "us-east-1", "AWS region that it simulates")
	f.StringVar(&l.account, "account", "123456789012", "AWS account that it simulates")
	f.IntVar(&l.environments, "max-environments", 0, "processes of one Lambda function at a time (default 16)")
	f.BoolVar(&l.sync, "sync", false, "wait for the disk at each write, so that not even a power failure loses one")
	l.minFree = 64 << 20
	f.Var(&l.minFree, "min-free",
		"with less free space on the disk, new work is refused; such as 64MiB or 1GiB; 0 refuses nothing")
	f.StringVar(&l.weather, "weather", "none",
		"failures of AWS to simulate: none, bad, or kinds (docs/weather.md)")
	f.Uint64Var(&l.seed, "weather-seed", 1, "seed of the weather")
	f.StringVar(&l.quotas, "quotas", "none", "quotas that apply: none, default, new-account")
	f.StringVar(&l.logLevel, "log-level", "warn", "level of the log on standard error: debug, info, warn, error")
	c.AddCommand(checkCommand(env))
	return c
}

func defaultDataDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "fleetstep", "local")
}

// findLambdas returns the folder of the functions: beside the program, as make
// build puts it.
func findLambdas(flag string) string {
	if flag != "" {
		return flag
	}
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return ""
	}
	return filepath.Join(filepath.Dir(self), "lambda")
}

// stackParameters are those that were given, and what our own template is to have
// on one machine: nobody pays for invocations there, and everybody waits for devices.
func (l *local) stackParameters() map[string]string {
	all := map[string]string{}
	if l.template == "" {
		all["MessageWindowSeconds"] = "0"
	}
	maps.Copy(all, l.parameters)
	return all
}

func (l *local) document() ([]byte, error) {
	switch l.template {
	case "":
		return infra.Versioned(infra.Template), nil
	case "none":
		return nil, nil
	}
	return os.ReadFile(l.template)
}

// listen opens a port; -1 opens none.
func (l *local) listen(port int) (net.Listener, error) {
	if port < 0 {
		return nil, nil
	}
	return net.Listen("tcp", net.JoinHostPort(l.host, strconv.Itoa(port)))
}

func address(scheme string, l net.Listener) string {
	if l == nil {
		return ""
	}
	return scheme + "://" + l.Addr().String()
}

// dataEndpoint is what DescribeEndpoint says of a broker: AWS gives a host alone, and
// clients made for it take no port (aws-crt). A port that is not AWS's must be told all
// the same.
func dataEndpoint(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "8883" && port != "443" {
		return address
	}
	return host
}

func (l *local) run(ctx context.Context, env *cli.Env) (err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.logLevel)); err != nil {
		return cli.UsageError{Err: fmt.Errorf("--log-level: %w", err)}
	}
	if err := l.check(); err != nil {
		return cli.UsageError{Err: err}
	}
	weather, err := localcloud.ParseWeather(l.weather, "", l.seed)
	if err != nil {
		return cli.UsageError{Err: err}
	}
	account, err := localcloud.ParseQuotas(l.quotas)
	if err != nil {
		return cli.UsageError{Err: err}
	}
	template, err := l.document()
	if err != nil {
		return err
	}
	dataDir, err := filepath.Abs(l.dataDir)
	if err != nil {
		return err
	}
	if err := private(dataDir, env.Err); err != nil {
		return errors.New(diskAdvice(err, dataDir))
	}
	lambdas := findLambdas(l.lambdaDir)
	if l.workflows != "" {
		if template, lambdas, err = withWorkflows(template, l.workflows, lambdas, dataDir); err != nil {
			return err
		}
	}
	db, err := store.OpenWith(filepath.Join(dataDir, "store"), store.Options{Sync: l.sync, Failed: func(err error) {
		// At once: nobody may hear of a write of which the disk may have a part.
		fmt.Fprintln(env.Err, "fleetstep:", diskAdvice(err, dataDir))
		os.Exit(1)
	}})
	if err != nil {
		return errors.New(diskAdvice(err, dataDir))
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := l.sameWorld(db, dataDir); err != nil {
		return err
	}
	var listeners localcloud.Listeners
	if listeners.HTTP, err = l.listen(max(l.port, 0)); err != nil {
		return err
	}
	defer func() { _ = listeners.HTTP.Close() }()
	if listeners.MQTT, err = l.listen(l.mqttPort); err != nil {
		return err
	}
	if listeners.MQTTS, err = l.listen(l.mqttsPort); err != nil {
		return err
	}
	r := readyLine{
		Endpoint: address("http", listeners.HTTP), MQTT: address("mqtt", listeners.MQTT),
		MQTTS: address("mqtts", listeners.MQTTS),
		CA:    filepath.Join(dataDir, "ca.pem"), DataDir: dataDir, Region: l.region, Account: l.account,
		AccessKeyID: "test",
	}
	mqttHost := l.host
	if listeners.MQTTS != nil {
		mqttHost = dataEndpoint(listeners.MQTTS.Addr().String())
	}
	cloud, err := localcloud.New(localcloud.Config{
		Scheduler: scheduler.NewReal(), Store: db, DataDir: dataDir, Account: l.account, Region: l.region,
		Log:      slog.New(slog.NewTextHandler(env.Err, &slog.HandlerOptions{Level: level})),
		Endpoint: r.Endpoint, MQTTEndpoint: mqttHost, AssetDir: lambdas,
		MaxEnvironments: l.environments, MinFree: uint64(l.minFree), Weather: weather, Quotas: account,
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, cloud.Close(ctx))
	}()
	ca, err := cloud.CA()
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.CA, ca, 0o644); err != nil { //nolint:gosec // a CA certificate is for everybody
		return err
	}
	cloud.ServeHTTP(listeners.HTTP)
	if err := cloud.Start(ctx); err != nil {
		return err
	}
	if template != nil {
		r.Stack = l.stack
		if r.Outputs, err = cloud.Deploy(ctx, l.stack, template, l.stackParameters()); err != nil {
			return fmt.Errorf("deploy the stack %s: %w", l.stack, err)
		}
	}
	if err := cloud.ServeMQTT(listeners); err != nil {
		return err
	}
	cloud.BeginWeather()
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "%s\n", line)
	<-ctx.Done()
	return nil
}
