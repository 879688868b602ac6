package sfn

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// CreateAliasInput is the input of CreateStateMachineAlias.
type CreateAliasInput struct {
	Description *string                        `json:"description" api:"max=256,hidden"`
	Name        string                         `json:"name" api:"required,min=1,max=80,pattern=name"`
	Routing     []RoutingConfigurationListItem `json:"routingConfiguration" api:"required,min=1,max=2"`
}

// UpdateAliasInput is the input of UpdateStateMachineAlias.
type UpdateAliasInput struct {
	StateMachineAliasARN string                         `json:"stateMachineAliasArn" api:"required,min=1,max=256"`
	Description          *string                        `json:"description" api:"max=256,hidden"`
	Routing              []RoutingConfigurationListItem `json:"routingConfiguration" api:"min=1,max=2"`
}

// Alias is an alias as it is described.
type Alias struct {
	StateMachineAliasARN string                         `json:"stateMachineAliasArn,omitempty"`
	Name                 string                         `json:"name,omitempty"`
	Description          *string                        `json:"description,omitempty"`
	Routing              []RoutingConfigurationListItem `json:"routingConfiguration,omitempty"`
	CreationDate         *awsapi.Time                   `json:"creationDate,omitempty"`
	UpdateDate           *awsapi.Time                   `json:"updateDate,omitempty"`
}

// maxAliases is how many aliases a state machine may have.
const maxAliases = 100

// checkRouting returns the state machine that the routes belong to.
func (s *Service) checkRouting(tx *store.Tx, routing []RoutingConfigurationListItem) (string, error) {
	machine, sum := "", 0
	var weights, all, given []string
	plain := false
	seen := map[string]bool{}
	for _, r := range routing {
		name, qualifier, err := machineName(r.StateMachineVersionARN)
		if err != nil {
			return "", err
		}
		given = append(given, r.StateMachineVersionARN)
		if _, err := strconv.Atoi(qualifier); err != nil {
			plain = true
			continue
		}
		if machine != "" && machine != name {
			return "", invalidRouting("Routing configuration must contain versions of one state machine")
		}
		machine = name
		sum += r.Weight
		weights = append(weights, strconv.Itoa(r.Weight))
		all = append(all, r.StateMachineVersionARN)
		seen[r.StateMachineVersionARN] = true
	}
	if plain {
		return "", invalidRouting("Routing configuration must contain state machine version ARNs. Received: [%s]",
			strings.Join(given, ", "))
	}
	if len(seen) < len(all) {
		return "", invalidRouting("Routing configuration must contain distinct state machine version ARNs. "+
			"Received: [%s]",
			strings.Join(all, ", "))
	}
	if sum != 100 {
		return "", invalidRouting("Sum of routing configuration weights must equal 100. Received: [%s]",
			strings.Join(weights, ", "))
	}
	for _, r := range routing {
		_, ok, err := versions.Get(tx, machine, store.Number(uint64(r.version())))
		if err != nil {
			return "", err
		}
		if !ok {
			return "", awsapi.Errorf("ResourceNotFound", "Request references a resource that does not exist.")
		}
	}
	return machine, nil
}

func (s *Service) createAlias(ctx context.Context, c *awsapi.Call, in *CreateAliasInput) (*Alias, error) {
	now := s.sched.Now()
	out := &Alias{}
	err := s.db.Update(func(tx *store.Tx) error {
		machine, err := s.checkRouting(tx, in.Routing)
		if err != nil {
			return err
		}
		if m, _, err := machines.Get(tx, machine); err != nil {
			return err
		} else if m.Deleting {
			return machineDeleting(s.arn(names.StateMachine, machine))
		}
		a := aliasRecord{Name: in.Name, Routing: in.Routing, Created: now, Updated: now}
		if in.Description != nil {
			a.Description = *in.Description
		}
		old, ok, err := aliases.Get(tx, machine, in.Name)
		if err != nil {
			return err
		}
		out.StateMachineAliasARN = s.arn(names.StateMachine, machine+":"+in.Name)
		if ok {
			if old.Description != a.Description || !sameConfig(old.Routing, a.Routing) {
				return awsapi.Errorf("ConflictException",
					"Failed to create alias because an alias with the same name and a different routing "+
						"configuration already exists.")
			}
			out.CreationDate = awsapi.TimeOf(old.Created)
			return nil
		}
		n := 0
		for _, err := range aliases.Scan(tx, store.Query{Prefix: []string{machine}}) {
			if n++; err != nil {
				return err
			}
		}
		if n >= maxAliases {
			return awsapi.Errorf("ServiceQuotaExceededException",
				"Failed to create alias because the state machine has %d aliases already.", maxAliases).WithStatus(402)
		}
		out.CreationDate = awsapi.TimeOf(now)
		return aliases.Put(tx, a, machine, in.Name)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) updateAlias(ctx context.Context, c *awsapi.Call, in *UpdateAliasInput) (*Alias, error) {
	machine, alias, err := machineName(in.StateMachineAliasARN)
	if err != nil {
		return nil, err
	}
	if in.Description == nil && in.Routing == nil {
		return nil, refusal("MISSING_REQUIRED_PARAMETER",
			"Either the description or the RoutingConfiguration must be specified")
	}
	out := &Alias{}
	err = s.db.Update(func(tx *store.Tx) error {
		a, ok, err := aliases.Get(tx, machine, alias)
		if err != nil {
			return err
		}
		if !ok {
			return awsapi.Errorf("ResourceNotFound", "Request references a resource that does not exist.")
		}
		if in.Routing != nil {
			owner, err := s.checkRouting(tx, in.Routing)
			if err != nil {
				return err
			}
			if owner != machine {
				return invalidRouting("Routing configuration must contain versions of the state machine of the alias")
			}
			a.Routing = in.Routing
		}
		if in.Description != nil {
			a.Description = *in.Description
		}
		a.Updated = s.sched.Now()
		out.UpdateDate = awsapi.TimeOf(a.Updated)
		return aliases.Put(tx, a, machine, alias)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// AliasRef names an alias.
type AliasRef struct {
	StateMachineAliasARN string `json:"stateMachineAliasArn" api:"required,min=1,max=256"`
}

func (s *Service) deleteAlias(ctx context.Context, c *awsapi.Call, in *AliasRef) (*Empty, error) {
	machine, alias, err := machineName(in.StateMachineAliasARN)
	if err != nil {
		return nil, err
	}
	if err := s.db.Update(func(tx *store.Tx) error { return aliases.Delete(tx, machine, alias) }); err != nil {
		return nil, err
	}
	return &Empty{}, nil
}

func (s *Service) describeAlias(ctx context.Context, c *awsapi.Call, in *AliasRef) (*Alias, error) {
	machine, alias, err := machineName(in.StateMachineAliasARN)
	if err != nil {
		return nil, err
	}
	out := &Alias{}
	err = s.db.View(func(tx *store.Tx) error {
		a, ok, err := aliases.Get(tx, machine, alias)
		if err != nil {
			return err
		}
		if !ok {
			return awsapi.Errorf("ResourceNotFound", "Request references a resource that does not exist.")
		}
		*out = Alias{StateMachineAliasARN: in.StateMachineAliasARN, Name: a.Name, Description: &a.Description,
			Routing:      a.Routing,
			CreationDate: awsapi.TimeOf(a.Created), UpdateDate: awsapi.TimeOf(a.Updated)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// AliasItem is an alias in a list.
type AliasItem struct {
	StateMachineAliasARN string      `json:"stateMachineAliasArn"`
	CreationDate         awsapi.Time `json:"creationDate"`
}

// ListAliasesOutput is the output of ListStateMachineAliases.
type ListAliasesOutput struct {
	StateMachineAliases []AliasItem `json:"stateMachineAliases"`
	NextToken           *string     `json:"nextToken,omitempty"`
}

func (s *Service) listAliases(ctx context.Context, c *awsapi.Call, in *ListVersionsInput) (*ListAliasesOutput, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	machine, qualifier, err := machineName(in.StateMachineARN)
	if err != nil {
		return nil, err
	}
	version := number(qualifier)
	out := &ListAliasesOutput{}
	err = s.db.View(func(tx *store.Tx) error {
		if _, ok, err := machines.Get(tx, machine); err != nil {
			return err
		} else if !ok {
			return noMachine(in.StateMachineARN)
		}
		var err error
		out.StateMachineAliases, out.NextToken, err = list(tx, aliases, store.Query{Prefix: []string{machine}}, p,
			func(row store.Row[aliasRecord]) (AliasItem, bool, error) {
				a := row.Value
				routes := version == 0 ||
					slices.ContainsFunc(a.Routing,
						func(r RoutingConfigurationListItem) bool { return r.version() == version })
				return AliasItem{s.arn(names.StateMachine, machine+":"+a.Name), awsapi.Time{Time: a.Created}},
					routes, nil
			})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
