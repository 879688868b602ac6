package cloudformation

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what a Service needs.
type Config struct {
	platform.Platform

	// ResponseURLs takes the answers of custom resources; nil makes every custom resource an error.
	ResponseURLs ResponseURLs
	// Roles lets the service take on the role that a stack names; nil makes such stacks an error.
	Roles Roles
	// Hosts are the host names, with or without port, under which clients reach S3 here. A
	// TemplateURL must be there or at amazonaws.com.
	Hosts []string
	// Providers are further types of resources, or take the place of the built-in ones.
	Providers map[string]Provider
}

// Roles is IAM as far as the service needs it.
type Roles interface {
	// Assume takes on a role for a resource; the error is AWS's denial.
	Assume(ctx context.Context, roleARN, servicePrincipal, sourceARN, sessionName string) (awsapi.Identity, error)
}

// Service is AWS CloudFormation.
type Service struct {
	config      Config
	environment environment
	providers   map[string]Provider

	mu   sync.Mutex
	busy map[string]*scheduler.Gate // by stack: opens when its deployment ends
}

// New returns the service. It starts nothing; see Start.
func New(config Config) *Service {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{config: config, environment: environment{config.Account, config.Region},
		busy: map[string]*scheduler.Gate{}}
	s.providers = map[string]Provider{
		"AWS::CloudFormation::CustomResource": custom{s},
		"AWS::DynamoDB::Table":                tableProvider{bound{table, s}},
		"AWS::IAM::ManagedPolicy":             managedPolicy{s},
		"AWS::IAM::Policy":                    inlineRolePolicy{s},
		"AWS::IAM::Role":                      role{bound{roleKind, s}},
		"AWS::IoT::Policy":                    policyWithVersions{bound{iotPolicy, s}},
		"AWS::Lambda::Alias":                  lambdaAlias{s},
		"AWS::Lambda::EventSourceMapping":     eventSourceMapping{s},
		"AWS::SNS::Subscription":              subscriptionProvider{bound{subscription, s}},
		"AWS::SNS::TopicPolicy":               newTopicPolicy(s),
		"AWS::SQS::QueuePolicy":               newQueuePolicy(s),
		"AWS::StepFunctions::StateMachine":    machine{bound{stateMachine, s}},
	}
	for name, k := range map[string]kind{
		"AWS::CloudWatch::Alarm":                  alarm,
		"AWS::CloudWatch::Dashboard":              dashboard,
		"AWS::IoT::JobTemplate":                   jobTemplate,
		"AWS::IoT::TopicRule":                     topicRule,
		"AWS::Lambda::EventInvokeConfig":          eventInvokeConfig,
		"AWS::Lambda::Function":                   lambdaFunction,
		"AWS::Lambda::Permission":                 lambdaPermission,
		"AWS::Lambda::Version":                    lambdaVersion,
		"AWS::Logs::LogGroup":                     logGroup,
		"AWS::S3::Bucket":                         bucket,
		"AWS::S3::BucketPolicy":                   bucketPolicy,
		"AWS::Scheduler::Schedule":                schedule,
		"AWS::Scheduler::ScheduleGroup":           scheduleGroup,
		"AWS::SNS::Topic":                         topic,
		"AWS::SQS::Queue":                         queue,
		"AWS::StepFunctions::StateMachineAlias":   machineAlias,
		"AWS::StepFunctions::StateMachineVersion": machineVersion,
	} {
		s.providers[name] = bound{k, s}
	}
	s.providers["AWS::SSM::Parameter"] = parameterProvider{bound{ssmParameter, s}}
	s.providers["AWS::KMS::Key"] = keyProvider{bound{kmsKey, s}}
	s.providers["AWS::KMS::Alias"] = bound{kmsAlias, s}
	maps.Copy(s.providers, inerts(s))
	for name, p := range config.Providers {
		s.providers[name] = p
	}
	return s
}

// provider returns the provider of a type, nil if there is none.
func (s *Service) provider(resourceType string) Provider {
	if p, ok := s.providers[resourceType]; ok {
		return p
	}
	if strings.HasPrefix(resourceType, "Custom::") {
		return s.providers["AWS::CloudFormation::CustomResource"]
	}
	return nil
}

// Start takes up the operations that were under way when the process ended, as the stack's role or else the account's
// root.
func (s *Service) Start(context.Context) error {
	list, err := s.find("")
	if err != nil {
		return err
	}
	for _, stack := range list {
		if stack.underWay() {
			s.config.Scheduler.Go("cloudformation resume "+stack.Name, func() { s.resume(stack) })
		}
	}
	return s.resumeChangeSets()
}

// resume goes on with what a stack was in the middle of. How it ends is in the stack's status and events.
func (s *Service) resume(stack stackRecord) {
	ctx, id := context.Background(), awsapi.RootOf(s.config.Account)
	var err error
	switch stack.Status {
	case createInProgress, updateInProgress, updateCleanup:
		err = s.resumeDeployment(ctx, id, stack)
	case deleteInProgress:
		err = s.Delete(ctx, id, stack.Name)
	default:
		err = s.resumeRollback(ctx, id, stack.Name)
	}
	if err != nil && !errors.Is(err, store.ErrClosed) {
		s.config.Log.Info("a stack operation was taken up and failed", "stack", stack.Name, "error", err)
	}
}

// resumeDeployment takes up a creation or an update.
func (s *Service) resumeDeployment(ctx context.Context, id awsapi.Identity, stack stackRecord) error {
	leave, err := s.enter(ctx, stack.Name)
	if err != nil {
		return err
	}
	defer leave()
	if now, ok, err := s.stack(stack.Name); err != nil || !ok || !now.underWay() {
		return err // somebody was quicker
	}
	w, err := s.prepare(Deployment{
		Name: stack.Name, Template: stack.Template, Parameters: stack.Parameters, original: stack.Original,
		options: stack.Options, task: stack.Task, as: id,
	})
	if err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	return w.execute(ctx, id)
}

// resumeRollback takes up a rollback.
func (s *Service) resumeRollback(ctx context.Context, id awsapi.Identity, name string, skip ...string) error {
	leave, err := s.enter(ctx, name)
	if err != nil {
		return err
	}
	defer leave()
	w, ok, err := s.existing(name)
	if err != nil || !ok {
		return err
	}
	w.skip = skip
	if ctx, err = w.identify(ctx, id); err != nil {
		return err
	}
	if w.stack.Status == rollbackInProgress {
		return w.rollBackCreate(ctx, "")
	}
	return w.rollBackUpdate(ctx, "")
}

// Residue lists the deployments that are under way.
func (s *Service) Residue(context.Context) []string {
	list, err := s.find("")
	if err != nil {
		return []string{err.Error()}
	}
	var open []string
	for _, stack := range list {
		if stack.underWay() {
			open = append(open, "stack "+stack.Name+" is "+stack.Status)
		}
	}
	return open
}

// enter waits until no deployment of the stack is under way and begins one, which ends with leave.
func (s *Service) enter(ctx context.Context, stack string) (leave func(), err error) {
	for {
		s.mu.Lock()
		other := s.busy[stack]
		if other == nil {
			mine := s.config.Scheduler.NewGate()
			s.busy[stack] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.busy, stack)
				s.mu.Unlock()
				mine.Open()
			}, nil
		}
		s.mu.Unlock()
		if err := other.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

type identityKey struct{}

// call runs an operation of another service under the identity that deploys.
func (s *Service) call(ctx context.Context, service, operation string, in map[string]any) (map[string]any, error) {
	id, ok := ctx.Value(identityKey{}).(awsapi.Identity)
	if !ok {
		id = awsapi.RootOf(s.config.Account)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	err = awsapi.CallInto(ctx, s.config.Caller, id, service, operation, json.RawMessage(b), &out)
	if err != nil {
		err = &failedCall{service, err}
	}
	return out, err
}

// failedCall is an error that another service answered.
type failedCall struct {
	service string
	err     error
}

func (e *failedCall) Error() string { return e.err.Error() }
func (e *failedCall) Unwrap() error { return e.err }

// customName is the name that the properties give to a resource, "" if they leave it to CloudFormation.
func (s *Service) customName(resourceType string, properties map[string]any) string {
	if n, ok := s.provider(resourceType).(named); ok {
		return n.customName(properties)
	}
	return ""
}

// named is a Provider of resources that can be given a name.
type named interface {
	customName(properties map[string]any) string
}

// tagged is a Provider of resources that take the tags of their stack.
type tagged interface {
	addTags(properties map[string]any, tags map[string]string)
}
