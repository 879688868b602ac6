package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Level says how bad a finding is.
type Level string

// Levels.
const (
	OK      Level = "ok"
	Note    Level = "note"    // works, and may not as you think
	Problem Level = "problem" // does not work, or will not for long
)

// Finding is what a check saw.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Seen  string `json:"seen"`
	Do    string `json:"do,omitempty"`
}

// Names of checks.
const (
	Credentials  = "credentials"
	StackCheck   = "stack"
	Versions     = "versions"
	Events       = "events"
	Indexing     = "indexing"
	Endpoint     = "endpoint"
	Functions    = "functions"
	Rules        = "rules"
	Queues       = "queues"
	Policy       = "policy"
	Tick         = "tick"
	Alarms       = "alarms"
	DeadLetters  = "dead-letters"
	Certificates = "certificates"
	Quotas       = "quotas"
)

// Standing are the checks of what must be so before any device can be upgraded.
var Standing = []string{Credentials, StackCheck, Events, Indexing, Endpoint, Functions, Rules, Queues, Policy}

// Config says what to look at.
type Config struct {
	AWS   aws.Config
	Stack string
	// Template is that of this command, to compare the stack with; nil compares nothing.
	Template []byte
	// Rate is how many devices a minute are to be upgraded; 0 is not known.
	Rate int
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// probe is a stack that is being looked at.
type probe struct {
	Config
	cloudformation *cloudformation.Client
	cloudwatch     *cloudwatch.Client
	iot            *iot.Client
	lambda         *lambda.Client
	sqs            *sqs.Client
	sts            *sts.Client

	Installed
}

// Installed is what CloudFormation knows of a stack.
type Installed struct {
	Account, Caller string
	Status          string
	Created         time.Time
	Outputs         map[string]string
	Parameters      map[string]string
	Resources       map[string]Resource // by logical id
}

// Resource is one of a stack's.
type Resource struct{ Type, ID string }

// Of lists the physical ids of the resources of a type, in the order of their logical ids.
func (i Installed) Of(kind string) []string {
	var logical, ids []string
	for id, r := range i.Resources {
		if r.Type == kind {
			logical = append(logical, id)
		}
	}
	slices.Sort(logical)
	for _, id := range logical {
		ids = append(ids, i.Resources[id].ID)
	}
	return ids
}

type check struct {
	name string
	look func(context.Context, *probe) ([]Finding, error)
	// ends says that nothing more can be said where it finds a problem.
	ends bool
}

var checks = []check{
	{Credentials, credentials, true},
	{StackCheck, stack, true},
	{Versions, versions, false},
	{Events, events, false},
	{Indexing, indexing, false},
	{Endpoint, endpoint, false},
	{Functions, functions, false},
	{Rules, rules, false},
	{Queues, queues, false},
	{Policy, policy, false},
	{Tick, tick, false},
	{Alarms, alarms, false},
	{DeadLetters, deadLetters, false},
	{Certificates, certificates, false},
	{Quotas, quotas, false},
}

// Examine makes the checks of those names, or all of them, and tells of each.
func Examine(ctx context.Context, c Config, tell func(Finding), names ...string) (*Installed, []Finding, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &probe{
		Config: c, cloudformation: cloudformation.NewFromConfig(c.AWS), cloudwatch: cloudwatch.NewFromConfig(c.AWS),
		iot: iot.NewFromConfig(c.AWS), lambda: lambda.NewFromConfig(c.AWS), sqs: sqs.NewFromConfig(c.AWS),
		sts: sts.NewFromConfig(c.AWS),
	}
	var all []Finding
	for _, check := range checks {
		if len(names) > 0 && !slices.Contains(names, check.name) {
			continue
		}
		found, err := check.look(ctx, p)
		if ctx.Err() != nil {
			return &p.Installed, all, ctx.Err()
		}
		if err != nil {
			found = append(found, cannotLook(err))
		}
		for i := range found {
			found[i].Check = check.name
			tell(found[i])
		}
		all = append(all, found...)
		if check.ends && Worst(found) == Problem {
			break
		}
	}
	return &p.Installed, all, nil
}

// Worst is the worst level of the findings.
func Worst(list []Finding) Level {
	worst := OK
	for _, f := range list {
		if f.Level == Problem || f.Level == Note && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// cannotLook is the finding that a check could not be made.
func cannotLook(err error) Finding {
	return Finding{Level: Problem, Seen: "cannot look: " + DescribeError(err), Do: Advise(err)}
}

// Advise is what to do about an error of AWS's.
func Advise(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch code := api.ErrorCode(); {
		case strings.Contains(code, "AccessDenied"), strings.Contains(code, "NotAuthorized"),
			strings.Contains(code, "Unauthorized"):
			return "allow that action to whoever runs this; docs/deploy.md has a policy"
		case strings.Contains(code, "Throttl"):
			return "others use the quota of this operation: try again later"
		case strings.Contains(code, "LimitExceeded"):
			return "ask for more in Service Quotas, or remove what is not needed"
		}
	}
	return "mend this first, and try again"
}

// DescribeError is an error of AWS's in one line: which operation, code and message.
func DescribeError(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if op, ok := errors.AsType[*smithy.OperationError](err); ok {
			return fmt.Sprintf("%s %s: %s: %s", op.Service(), op.Operation(), api.ErrorCode(), api.ErrorMessage())
		}
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}

func passed(format string, args ...any) []Finding {
	return []Finding{{Level: OK, Seen: fmt.Sprintf(format, args...)}}
}

func problem(do, format string, args ...any) Finding {
	return Finding{Level: Problem, Seen: fmt.Sprintf(format, args...), Do: do}
}

func note(do, format string, args ...any) Finding {
	return Finding{Level: Note, Seen: fmt.Sprintf(format, args...), Do: do}
}
