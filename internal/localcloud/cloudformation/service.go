package cloudformation

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Config is what a Service needs.
type Config struct {
	Scheduler *scheduler.Scheduler
	Store     *store.DB
	// Caller reaches the services that the resources belong to.
	Caller          awsapi.Caller
	Account, Region string
	// ResponseURLs takes the answers of custom resources; nil makes every custom resource an error.
	ResponseURLs ResponseURLs
	// Providers are further types of resources, or take the place of the built-in ones.
	Providers map[string]Provider
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
	s := &Service{config: config, environment: environment{config.Account, config.Region}, busy: map[string]*scheduler.Gate{}}
	s.providers = map[string]Provider{
		"AWS::CloudFormation::CustomResource": custom{s},
		"AWS::IAM::ManagedPolicy":             managedPolicy{s},
		"AWS::IAM::Policy":                    inlineRolePolicy{s},
		"AWS::IAM::Role":                      role{bound{roleKind, s}},
		"AWS::IoT::Policy":                    policyWithVersions{bound{iotPolicy, s}},
		"AWS::Lambda::Alias":                  lambdaAlias{s},
		"AWS::Lambda::EventSourceMapping":     eventSourceMapping{s},
		"AWS::SNS::TopicPolicy":               newTopicPolicy(s),
		"AWS::SQS::QueuePolicy":               newQueuePolicy(s),
		"AWS::StepFunctions::StateMachine":    machine{bound{stateMachine, s}},
	}
	for name, k := range map[string]kind{
		"AWS::CloudWatch::Alarm":                  alarm,
		"AWS::CloudWatch::Dashboard":              dashboard,
		"AWS::DynamoDB::Table":                    table,
		"AWS::IoT::JobTemplate":                   jobTemplate,
		"AWS::IoT::TopicRule":                     topicRule,
		"AWS::Lambda::EventInvokeConfig":          eventInvokeConfig,
		"AWS::Lambda::Function":                   lambdaFunction,
		"AWS::Lambda::Permission":                 lambdaPermission,
		"AWS::Lambda::Version":                    lambdaVersion,
		"AWS::Logs::LogGroup":                     logGroup,
		"AWS::S3::Bucket":                         bucket,
		"AWS::S3::BucketPolicy":                   bucketPolicy,
		"AWS::SNS::Subscription":                  subscription,
		"AWS::SNS::Topic":                         topic,
		"AWS::SQS::Queue":                         queue,
		"AWS::StepFunctions::StateMachineAlias":   machineAlias,
		"AWS::StepFunctions::StateMachineVersion": machineVersion,
	} {
		s.providers[name] = bound{k, s}
	}
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

// Start takes up the deployments that were under way when the process ended, as the account's root.
func (s *Service) Start(context.Context) error {
	list, err := s.find("")
	if err != nil {
		return err
	}
	for _, stack := range list {
		if !strings.HasSuffix(stack.Status, "_IN_PROGRESS") {
			continue
		}
		s.config.Scheduler.Go("cloudformation resume "+stack.Name, func() {
			ctx := context.Background()
			id := awsapi.RootOf(s.config.Account)
			if stack.Status == deleteInProgress {
				_ = s.Delete(ctx, id, stack.Name) // the failure is in the stack's status
				return
			}
			_, _ = s.Deploy(ctx, id, Deployment{Name: stack.Name, Template: stack.Template, Parameters: stack.Parameters})
		})
	}
	return nil
}

// Residue lists the deployments that are under way.
func (s *Service) Residue(context.Context) []string {
	list, err := s.find("")
	if err != nil {
		return []string{err.Error()}
	}
	var open []string
	for _, stack := range list {
		if strings.HasSuffix(stack.Status, "_IN_PROGRESS") {
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
	return out, err
}
