package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/provision"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
)

func (r *run) world() World {
	if r.World != nil {
		return r.World
	}
	return network{r}
}

// network is the World of real sockets.
type network struct{ *run }

func (n network) Fleet(ctx context.Context, p Plan) (*simulator.Fleet, string, error) {
	provisioned, err := provision.Devices(ctx, n.iot, provision.Fleet{
		Things: p.Things, Policy: p.Policy, Group: p.Group, Endpoint: p.Endpoint,
		Attributes: p.registered(),
	})
	if err != nil {
		return nil, "", err
	}
	transport, err := mqtt.New(mqtt.Config{
		Broker: n.Broker, RootCAs: n.RootCAs,
		Credentials: func(thing string) (mqtt.Credentials, error) {
			c, ok := provisioned.Certificates[thing]
			if !ok {
				return mqtt.Credentials{}, fmt.Errorf("no certificate for %s", thing)
			}
			return mqtt.Credentials{Certificate: &c}, nil
		},
	})
	if err != nil {
		return nil, "", err
	}
	fleet, err := simulator.NewFleet(simulator.FleetConfig{
		Settings: simulator.Settings{Transport: transport, HTTP: http.DefaultClient, PublishQoS: 1,
			Controller: p.Controller, AgentTopic: p.Topics.Agent, ControllerTopic: p.Topics.Controller,
			// A day of one who sleeps is a minute here.
			Timing: simulator.Timing{Awake: 30 * time.Second, Asleep: 30 * time.Second}},
		Things: p.Things, Seed: p.Seed, Faults: p.Faults, Profiles: p.Profiles,
		StartWithin: time.Duration(len(p.Things)) * 5 * time.Millisecond,
	})
	return fleet, n.Broker, err
}

// Residue implements World.
func (n network) Residue(ctx context.Context) (lines []string, err error) {
	return lines, n.inspect(ctx, "residue", &lines)
}

// Calls implements World: beside the list of what is unfinished there is one of calls.
func (n network) Calls(ctx context.Context) (list []Calls, err error) {
	return list, n.inspect(ctx, "calls", &list)
}

// inspect asks a local cloud for what is no AWS API; any other has nothing to tell.
func (n network) inspect(ctx context.Context, what string, into any) error {
	if n.Inspect == "" {
		return nil
	}
	address := n.Inspect + what
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	return nil
}

func (n network) Transitions(ctx context.Context, machine string) (t Transitions, err error) {
	executions := sfn.NewListExecutionsPaginator(n.sfn, &sfn.ListExecutionsInput{
		StateMachineArn: &machine, StatusFilter: sfntypes.ExecutionStatusSucceeded,
	})
	for executions.HasMorePages() {
		page, err := executions.NextPage(ctx)
		if err != nil {
			return t, err
		}
		for _, e := range page.Executions {
			var kinds []string
			pages := sfn.NewGetExecutionHistoryPaginator(n.sfn,
				&sfn.GetExecutionHistoryInput{ExecutionArn: e.ExecutionArn, IncludeExecutionData: aws.Bool(false)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return t, err
				}
				for _, event := range page.Events {
					kinds = append(kinds, string(event.Type))
				}
			}
			t.Add(slices.Values(kinds))
		}
	}
	return t, nil
}
