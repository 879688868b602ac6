package topicrule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// principal is the service that assumes the roles of actions.
const principal = "iot.amazonaws.com"

// action is one action of a rule, ready to run.
type action interface {
	// kind names the action as metrics and error messages do, without
	// "Action" at the end.
	kind() string
	// role is the ARN of the role it runs under; "" for lambda.
	role() string
	// run does it and returns the resource it went to.
	run(ctx context.Context, d *delivery) (resource string, err error)
}

// maker makes an action of its parameters.
type maker func(s *Service, r *rule, parameters json.RawMessage) (action, error)

var makers = map[string]maker{
	"lambda": makeLambda, "sqs": makeSQS, "sns": makeSNS, "stepFunctions": makeStepFunctions,
	"republish": makeRepublish, "s3": makeS3, "cloudwatchMetric": makeMetric, "cloudwatchLogs": makeLogs,
	"dynamoDB": makeDynamoDB, "dynamoDBv2": makeDynamoDBv2,
}

func (s *Service) parseAction(r *rule, spec actionSpec) (action, error) {
	if len(spec) != 1 {
		return nil, invalid("An action has exactly one type, this one has %d", len(spec))
	}
	for name, parameters := range spec {
		make, ok := makers[name]
		if !ok {
			return nil, awsapi.NotBuilt("the topic rule action " + name)
		}
		a, err := make(s, r, parameters)
		if err != nil {
			if _, ours := errors.AsType[*awsapi.Error](err); ours {
				return nil, err
			}
			return nil, invalid("Action %s: %v", name, err)
		}
		return a, nil
	}
	return nil, nil
}

// read decodes parameters and refuses unknown ones.
func read(parameters json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(parameters))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// templates compiles fields; those named after a "!" are required.
func templates(r *rule, fields ...any) error {
	for i := 0; i < len(fields); i += 3 {
		name, source, into := fields[i].(string), fields[i+1].(string), fields[i+2].(**rulesql.Template)
		required := strings.HasPrefix(name, "!")
		if source == "" {
			if required {
				return fmt.Errorf("%s is missing", name[1:])
			}
			continue
		}
		t, err := r.statement.CompileTemplate(source)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(name, "!"), err)
		}
		*into = t
	}
	return nil
}

// roled is the part that most actions share.
type roled struct{ roleARN string }

func (r roled) role() string { return r.roleARN }

// What actions name, where it is no template.
var (
	roleARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)
	functionARN = regexp.MustCompile(
		`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[\w-]{1,140}(:(\$LATEST|[\w-]{1,128}))?$`)
	topicARN    = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]{1,256}$`)
	queueURL    = regexp.MustCompile(`^https?://[^/]+/(queue/)?[0-9]{12}/[\w-]{1,80}$`)
	machineName = regexp.MustCompile(`^[^\x00-\x1f\x7f-\x9f\s:<>{}\[\]?*"#%\\^|~` + "`" + `$&,;/]{1,80}$`)
	tableName   = regexp.MustCompile(`^[\w.-]{3,255}$`)
)

func checkRole(arn string) error {
	if !roleARN.MatchString(arn) {
		return fmt.Errorf("roleArn %q is not the ARN of a role", arn)
	}
	return nil
}

// plainly refuses a field without substitutions that does not have the form of what it names.
func plainly(name string, t *rulesql.Template, form *regexp.Regexp, what string) error {
	if t == nil {
		return nil // is told already
	}
	if text, plain := t.Plain(); plain && !form.MatchString(text) {
		return fmt.Errorf("%s %q is not %s", name, text, what)
	}
	return nil
}

// assumeFor is how long an assumed role is used before the trust policy is
// asked again.
const assumeFor = time.Minute

// identity assumes a role for a rule.
func (s *Service) identity(ctx context.Context, roleARN, ruleARN string) (awsapi.Identity, error) {
	if s.Roles == nil {
		return awsapi.RootOf(s.Account), nil
	}
	key := roleARN + " " + ruleARN
	now := s.Scheduler.Now()
	s.roles.Lock()
	have, ok := s.roles.assumed[key]
	s.roles.Unlock()
	if ok && now.Before(have.until) {
		return have.identity, nil
	}
	id, err := s.Roles.Assume(ctx, roleARN, principal, ruleARN, "iot-rule")
	if err != nil {
		return awsapi.Identity{}, err
	}
	s.roles.Lock()
	s.roles.assumed[key] = assumed{id, now.Add(assumeFor)}
	s.roles.Unlock()
	return id, nil
}

// call calls a service under an action's role.
func (d *delivery) call(ctx context.Context, roleARN, service, operation string, input any) error {
	id, err := d.s.identity(ctx, roleARN, d.rule.arn)
	if err != nil {
		return err
	}
	_, err = d.s.Caller.Call(ctx, id, service, operation, input)
	return err
}
