package topicrule

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Limits of AWS.
const (
	maxActions    = 10
	maxDefinition = 128 << 10
	maxRules      = 1000
)

var ruleName = regexp.MustCompile(`^[a-zA-Z0-9_]{1,128}$`)

// Operations are the operations on topic rules, for the service iot.
func (s *Service) Operations() []awsapi.Operation {
	named := func(o awsapi.Option) []awsapi.Option {
		return []awsapi.Option{o, awsapi.On(func(c *awsapi.Call, in *nameInput) []string {
			return []string{c.ARN("iot", "rule/"+in.RuleName)}
		})}
	}
	payload := func(o awsapi.Option) []awsapi.Option {
		return []awsapi.Option{o, awsapi.On(func(c *awsapi.Call, in *ruleInput) []string {
			return []string{c.ARN("iot", "rule/"+in.RuleName)}
		})}
	}
	return []awsapi.Operation{
		awsapi.Op("CreateTopicRule", s.create, payload(awsapi.REST("POST", "/rules/{ruleName}"))...),
		awsapi.Op("ReplaceTopicRule", s.replace, payload(awsapi.REST("PATCH", "/rules/{ruleName}"))...),
		awsapi.Op("GetTopicRule", s.get, named(awsapi.REST("GET", "/rules/{ruleName}"))...),
		awsapi.Op("DeleteTopicRule", s.remove, named(awsapi.REST("DELETE", "/rules/{ruleName}"))...),
		awsapi.Op("EnableTopicRule", s.enable, named(awsapi.REST("POST", "/rules/{ruleName}/enable"))...),
		awsapi.Op("DisableTopicRule", s.disable, named(awsapi.REST("POST", "/rules/{ruleName}/disable"))...),
		awsapi.Op("ListTopicRules", s.list, awsapi.REST("GET", "/rules")),
	}
}

type nameInput struct {
	RuleName string `json:"ruleName" uri:"ruleName" api:"min=1,max=128,pattern=rule name"`
}

type ruleInput struct {
	RuleName         string      `json:"ruleName" uri:"ruleName" api:"min=1,max=128,pattern=rule name"`
	TopicRulePayload rulePayload `json:"topicRulePayload" payload:"json"`
	Tags             string      `json:"tags" header:"x-amz-tagging"`
}

type rulePayload struct {
	SQL              *string      `json:"sql"`
	Description      string       `json:"description,omitempty"`
	Actions          []actionSpec `json:"actions" api:"max=10"`
	RuleDisabled     bool         `json:"ruleDisabled"`
	AwsIotSqlVersion string       `json:"awsIotSqlVersion,omitempty"`
	ErrorAction      actionSpec   `json:"errorAction,omitempty"`
}

type empty struct{}

func (s *Service) check(ctx context.Context, c *awsapi.Call, in *ruleInput) (*rule, error) {
	p := in.TopicRulePayload
	if !ruleName.MatchString(in.RuleName) {
		return nil, invalid("The rule name %q must match [a-zA-Z0-9_]+ and have 1 to 128 characters", in.RuleName)
	}
	if p.SQL == nil {
		return nil, invalid("The rule needs a statement (sql)")
	}
	if p.Actions == nil {
		return nil, invalid("The rule needs actions, which may be an empty list")
	}
	if len(p.Actions) > maxActions {
		return nil, invalid("A rule has at most %d actions, this one has %d", maxActions, len(p.Actions))
	}
	if b, err := json.Marshal(p); err != nil || len(b) > maxDefinition {
		return nil, invalid("The definition of a rule has at most 128 KB")
	}
	r, err := s.compile(ruleRecord{
		Name: in.RuleName, SQL: *p.SQL, Version: p.AwsIotSqlVersion, Description: p.Description,
		Actions: p.Actions, ErrorAction: p.ErrorAction, Disabled: p.RuleDisabled,
	})
	if err != nil {
		return nil, err
	}
	for _, a := range append(r.actions, r.onError) {
		if a == nil || a.role() == "" {
			continue
		}
		if err := c.Authorize(ctx, "iam:PassRole", a.role(),
			map[string][]string{"iam:PassedToService": {principal}}); err != nil {
			return nil, err
		}
		if err := s.mayAssume(ctx, r, a.role()); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// mayAssume tries a role of a rule, as AWS IoT does when the rule is made, also a disabled one. Roles that only the
// statement names (get_dynamodb, machinelearning_predict) are tried when they are used.
func (s *Service) mayAssume(ctx context.Context, r *rule, role string) error {
	if s.Roles == nil {
		return nil
	}
	_, err := s.Roles.Assume(ctx, role, principal, r.arn, r.Name)
	if err == nil || awsapi.IsFault(err) {
		return err
	}
	return invalid("AWS IoT (iot.amazonaws.com) is unable to assume role (sts:AssumeRole) on resource: %s. If the "+
		"role was just created or updated, please try again in a few seconds.", role)
}

// compile makes a rule ready to run; its errors are AWS's.
func (s *Service) compile(record ruleRecord) (*rule, error) {
	statement, err := rulesql.Compile(record.SQL, record.Version)
	if err != nil {
		return nil, sqlError(err)
	}
	r := &rule{ruleRecord: record, arn: s.arn(record.Name), statement: statement}
	for _, spec := range record.Actions {
		a, err := s.parseAction(r, spec)
		if err != nil {
			return nil, err
		}
		r.actions = append(r.actions, a)
	}
	if len(record.ErrorAction) > 0 {
		if r.onError, err = s.parseAction(r, record.ErrorAction); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (s *Service) create(ctx context.Context, c *awsapi.Call, in *ruleInput) (*empty, error) {
	if in.Tags != "" {
		return nil, awsapi.NotBuilt("tags of topic rules")
	}
	r, err := s.check(ctx, c, in)
	if err != nil {
		return nil, err
	}
	r.CreatedAt = s.Scheduler.Now()
	return &empty{}, s.keep(r, func(have bool, count int) error {
		if have {
			return exists(r.Name, r.arn)
		}
		if count >= maxRules {
			return awsapi.Errorf("LimitExceededException", "An account has at most %d rules", maxRules).WithStatus(410)
		}
		return nil
	})
}

// keep stores a rule and lets it take effect, if allowed says so.
func (s *Service) keep(r *rule, allowed func(have bool, count int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.rules[r.Name]
	if err := allowed(old != nil, len(s.rules)); err != nil {
		return err
	}
	if old != nil {
		r.CreatedAt = old.CreatedAt
	}
	if err := s.Store.Update(func(tx *store.Tx) error { return ruleTable.Put(tx, r.ruleRecord, r.Name) }); err != nil {
		return err
	}
	s.install(r)
	return nil
}

func mustExist(have bool, _ int) error {
	if !have {
		return noRule()
	}
	return nil
}

func (s *Service) replace(ctx context.Context, c *awsapi.Call, in *ruleInput) (*empty, error) {
	r, err := s.check(ctx, c, in)
	if err != nil {
		return nil, err
	}
	return &empty{}, s.keep(r, mustExist)
}

func (s *Service) enable(_ context.Context, _ *awsapi.Call, in *nameInput) (*empty, error) {
	return &empty{}, s.setDisabled(in.RuleName, false)
}

func (s *Service) disable(_ context.Context, _ *awsapi.Call, in *nameInput) (*empty, error) {
	return &empty{}, s.setDisabled(in.RuleName, true)
}

func (s *Service) setDisabled(name string, disabled bool) error {
	s.mu.RLock()
	old := s.rules[name]
	s.mu.RUnlock()
	if old == nil {
		return noRule()
	}
	r := *old
	r.Disabled = disabled
	return s.keep(&r, mustExist)
}

func (s *Service) remove(_ context.Context, _ *awsapi.Call, in *nameInput) (*empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Deleting a rule that is not there succeeds on AWS.
	if err := s.Store.Update(func(tx *store.Tx) error { return ruleTable.Delete(tx, in.RuleName) }); err != nil {
		return nil, err
	}
	s.uninstall(in.RuleName)
	return &empty{}, nil
}

type getOutput struct {
	RuleARN string     `json:"ruleArn"`
	Rule    ruleOutput `json:"rule"`
}

type ruleOutput struct {
	RuleName         string       `json:"ruleName"`
	SQL              string       `json:"sql"`
	Description      string       `json:"description,omitempty"`
	CreatedAt        *awsapi.Time `json:"createdAt,omitempty"`
	Actions          []actionSpec `json:"actions"`
	RuleDisabled     bool         `json:"ruleDisabled"`
	AwsIotSqlVersion string       `json:"awsIotSqlVersion"`
	ErrorAction      actionSpec   `json:"errorAction,omitempty"`
}

func (s *Service) get(_ context.Context, _ *awsapi.Call, in *nameInput) (*getOutput, error) {
	s.mu.RLock()
	r := s.rules[in.RuleName]
	s.mu.RUnlock()
	if r == nil {
		return nil, noRule()
	}
	version := r.Version
	if version == "" {
		version = rulesql.Version2015
	}
	return &getOutput{RuleARN: r.arn, Rule: ruleOutput{
		RuleName: r.Name, SQL: r.SQL, Description: r.Description, CreatedAt: awsapi.TimeOf(r.CreatedAt),
		Actions: r.Actions, RuleDisabled: r.Disabled, AwsIotSqlVersion: version, ErrorAction: r.ErrorAction,
	}}, nil
}

type listInput struct {
	Topic        string `json:"topic" query:"topic"`
	MaxResults   *int   `json:"maxResults" query:"maxResults" api:"min=1,max=10000"`
	NextToken    string `json:"nextToken" query:"nextToken"`
	RuleDisabled *bool  `json:"ruleDisabled" query:"ruleDisabled"`
}

type listOutput struct {
	Rules     []listItem `json:"rules"`
	NextToken string     `json:"nextToken,omitempty"`
}

type listItem struct {
	RuleARN      string       `json:"ruleArn"`
	RuleName     string       `json:"ruleName"`
	TopicPattern string       `json:"topicPattern,omitempty"`
	CreatedAt    *awsapi.Time `json:"createdAt,omitempty"`
	RuleDisabled bool         `json:"ruleDisabled"`
}

func (s *Service) list(_ context.Context, _ *awsapi.Call, in *listInput) (*listOutput, error) {
	limit := awsapi.PageSize(in.MaxResults, 1000, 10000)
	after, ok := awsapi.PageAfter(in.NextToken, 1)
	if !ok {
		return nil, invalid("nextToken is not one of ours")
	}
	q := store.Query{After: after}
	out := &listOutput{Rules: []listItem{}}
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range ruleTable.Scan(tx, q) {
			if err != nil {
				return err
			}
			if len(out.Rules) == limit {
				out.NextToken = awsapi.PageToken(out.Rules[limit-1].RuleName)
				return nil
			}
			r := row.Value
			if in.RuleDisabled != nil && *in.RuleDisabled != r.Disabled {
				continue
			}
			filter := ""
			if st, err := rulesql.Compile(r.SQL, r.Version); err == nil {
				filter, _ = st.Topic()
			}
			if in.Topic != "" && in.Topic != filter && !topic.Match(filter, in.Topic) {
				continue
			}
			out.Rules = append(out.Rules, listItem{
				RuleARN: s.arn(r.Name), RuleName: r.Name, TopicPattern: filter, CreatedAt: awsapi.TimeOf(r.CreatedAt),
				RuleDisabled: r.Disabled,
			})
		}
		return nil
	})
	return out, err
}
