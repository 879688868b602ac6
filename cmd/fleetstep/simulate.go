package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/provision"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// simulate are the flags of "fleetstep simulate".
type simulate struct {
	devices                                                    int
	faults, profiles, group, policy, broker, ca, version, ctrl string
	topics                                                     string
	seed                                                       uint64
}

func simulateCommand(env *cli.Env) *cobra.Command {
	var s simulate
	var list, models bool
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Connect simulated USP agents",
		Long: `Registers simulated devices in AWS IoT (thing, certificate, device policy, thing
group) and connects them as USP agents over MQTT with mutual TLS, until Ctrl-C.
They behave like a real agent: subscriptions, notifications with retries, a real
download with checksum, reboot. --faults gives them faults. --profiles makes them
models that differ from the recorded one: by the name of a model, or by quirks that
fleetstep agent doctor finds, joined by +.`,
		Example: `  fleetstep simulate --devices 25
  fleetstep simulate --devices 100 --faults 404=2,bad-checksum,boot-fails=3
  fleetstep simulate --devices 40 --profiles all
  fleetstep simulate --profiles one-image+status-active=5,mqtt-3.1.1=5
  fleetstep simulate --list-faults`,
		Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if list {
				for _, f := range simulator.AllFaults {
					fmt.Fprintf(env.Out, "%-20s %s\n", f.Name, f.Description)
				}
				return nil
			}
			if models {
				for _, p := range simulator.AllProfiles {
					fmt.Fprintf(env.Out, "%-22s %s\n", p.Name, p.Description)
				}
				return nil
			}
			return s.run(c.Context(), env)
		},
	}
	f := c.Flags()
	f.IntVar(&s.devices, "devices", 25, "number of devices")
	f.StringVar(&s.faults, "faults", "", "faults of the devices: names with =COUNT or @DEVICE, or all")
	f.StringVar(&s.profiles, "profiles", "", "models of the devices: names with =COUNT or @DEVICE, or all")
	f.BoolVar(&list, "list-faults", false, "list the faults and end")
	f.BoolVar(&models, "list-profiles", false, "list the profiles and end")
	f.StringVar(&s.group, "group", "demo", "thing group of the devices, made if missing")
	f.StringVar(&s.policy, "policy", "fleetstep-device",
		"AWS IoT policy of the devices (output DevicePolicyName of the stack)")
	f.StringVar(&s.broker, "broker", "", "mqtts://host:port (default: the account's endpoint, port 8883)")
	f.StringVar(&s.ca, "ca", "", "file of the CA that signs the broker's certificate (default: the machine's)")
	f.StringVar(&s.ctrl, "controller", "self::fleetstep",
		"endpoint id of the controller (output ControllerEndpointId of the stack)")
	f.StringVar(&s.topics, "topics", usp.Layouts[0].Name, "names of topics: usp or wme, as in the stack's TopicLayout")
	f.StringVar(&s.version, "firmware", simulator.FactoryVersion, "version that the devices run at first")
	f.Uint64Var(&s.seed, "seed", 1, "seed of everything random")
	return c
}

func (s *simulate) run(ctx context.Context, env *cli.Env) error {
	faults, err := simulator.ParseFaults(s.faults)
	if err != nil {
		return cli.UsageError{Err: fmt.Errorf("--faults: %w", err)}
	}
	if s.devices < 1 {
		return cli.UsageError{Err: fmt.Errorf("--devices: %d; at least 1 is needed", s.devices)}
	}
	assigned, err := faults.Assign(s.devices, s.seed)
	if err != nil {
		return cli.UsageError{Err: fmt.Errorf("--faults: %w", err)}
	}
	profiles, err := simulator.ParseProfiles(s.profiles)
	if err == nil {
		_, err = profiles.Assign(assigned, s.seed)
	}
	if err != nil {
		return cli.UsageError{Err: fmt.Errorf("--profiles: %w", err)}
	}
	i := slices.IndexFunc(usp.Layouts, func(l usp.Layout) bool { return l.Name == s.topics })
	if i < 0 {
		return cli.UsageError{Err: fmt.Errorf("--topics: %q; want usp or wme, as in the stack's TopicLayout",
			s.topics)}
	}
	topics := usp.Layouts[i]
	cfg, err := env.Load(ctx)
	if err != nil {
		return err
	}
	api := iot.NewFromConfig(cfg)
	roots, err := rootCAs(s.ca)
	if err != nil {
		return err
	}
	if s.broker == "" {
		out, err := api.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{EndpointType: aws.String("iot:Data-ATS")})
		if err != nil {
			return err
		}
		s.broker = brokerURL(aws.ToString(out.EndpointAddress))
	}
	var certificates map[string]tls.Certificate
	transport, err := mqtt.New(mqtt.Config{Broker: s.broker, RootCAs: roots, Credentials: func(thing string) (
		mqtt.Credentials, error) {
		c := certificates[thing]
		return mqtt.Credentials{Certificate: &c}, nil
	}})
	if err != nil {
		return err
	}
	if err := transport.Reach(ctx); err != nil {
		return fmt.Errorf("no device can connect to %s, see --broker and --ca: %w", s.broker, err)
	}
	things := make([]string, s.devices)
	for i := range things {
		things[i] = simulator.ThingName(i + 1)
	}
	provisioned, err := provision.Devices(ctx, api, provision.Fleet{
		Attributes: map[string]string{upgrade.AttributeFirmware: s.version},
		Things:     things, Policy: s.policy, Group: s.group, Endpoint: func(thing string) event.EndpointID {
			return event.EndpointID(simulator.EndpointIDOf(simulator.OUI, thing))
		},
	})
	if err != nil {
		return err
	}
	certificates = provisioned.Certificates
	fleet, err := simulator.NewFleet(simulator.FleetConfig{
		Settings: simulator.Settings{Transport: transport, HTTP: http.DefaultClient, PublishQoS: 1,
			Controller: usp.EndpointID(s.ctrl), Version: s.version,
			AgentTopic: topics.Agent, ControllerTopic: topics.Controller},
		Devices: s.devices, Seed: s.seed, Faults: faults, Profiles: profiles,
		StartWithin: time.Duration(s.devices) * 5 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "%d devices in %s, connecting to %s; Ctrl-C ends\n", s.devices,
		provisioned.GroupARN, s.broker)
	fleet.Start()
	defer fleet.Stop()
	return s.report(ctx, env, fleet)
}

// report prints what the devices are at whenever it changes.
func (s *simulate) report(ctx context.Context, env *cli.Env, fleet *simulator.Fleet) error {
	last, said := simulator.Progress{}, ""
	for {
		if p := fleet.Progress(); p != last {
			fmt.Fprintf(env.Out, "%d connected, %d downloading, %d rebooting, %d offline, %d off; %d upgraded\n",
				p.Connected, p.Downloading, p.Rebooting, p.Offline, p.Off, p.Upgraded)
			last = p
		}
		if err := fleet.Refusal(); err != nil && last.Connected == 0 && err.Error() != said {
			said = err.Error()
			fmt.Fprintf(env.Err, "fleetstep: no device is connected: %s\n", said)
		}
		if err := env.Sleep(ctx, time.Second); errors.Is(err, context.Canceled) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func brokerURL(endpoint string) string {
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		endpoint = net.JoinHostPort(strings.Trim(endpoint, "[]"), "8883")
	}
	return "mqtts://" + endpoint
}

func rootCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s contains no certificate in PEM form", file)
	}
	return pool, nil
}
