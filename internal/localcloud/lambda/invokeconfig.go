package lambda

import (
	"context"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Event invoke configurations: what becomes of asynchronous invocations. Each
// qualifier has its own; that of $LATEST is for calls without one, too.

// invokeConfig is the configuration of a version or alias.
type invokeConfig struct {
	MaxRetries *int
	MaxAge     time.Duration
	OnSuccess  string // ARN
	OnFailure  string // ARN
	Modified   time.Time
}

type destination struct {
	Destination string `json:"Destination,omitempty" api:"max=350,pattern=lambda destination"`
}

type destinations struct {
	OnSuccess *destination `json:"OnSuccess,omitempty"`
	OnFailure *destination `json:"OnFailure,omitempty"`
}

type eventInvokeConfigIn struct {
	FunctionName string        `json:"FunctionName" uri:"FunctionName" api:"min=1,max=256,pattern=function reference"`
	Qualifier    string        `json:"Qualifier,omitempty" query:"Qualifier" api:"min=1,max=128,pattern=lambda qualifier"`
	MaximumRetry *int          `json:"MaximumRetryAttempts,omitempty" api:"min=0,max=2"`
	MaximumAge   *int          `json:"MaximumEventAgeInSeconds,omitempty" api:"min=60,max=21600"`
	Destinations *destinations `json:"DestinationConfig,omitempty"`
}

type eventInvokeConfigOut struct {
	LastModified awsapi.Time   `json:"LastModified"`
	FunctionArn  string        `json:"FunctionArn"`
	MaximumRetry *int          `json:"MaximumRetryAttempts,omitempty"`
	MaximumAge   *int          `json:"MaximumEventAgeInSeconds,omitempty"`
	Destinations *destinations `json:"DestinationConfig,omitempty"`
}

// invokeConfig is the configuration that a function has under its qualifier.
func (f Function) invokeConfig() invokeConfig {
	return invokeConfig{MaxRetries: f.MaxRetries, MaxAge: f.MaxAge, OnSuccess: f.OnSuccess, OnFailure: f.OnFailure,
		Modified: f.Modified}
}

func (f *Function) setInvokeConfig(c invokeConfig) {
	f.MaxRetries, f.MaxAge, f.OnSuccess, f.OnFailure = c.MaxRetries, c.MaxAge, c.OnSuccess, c.OnFailure
}

// destinationARN is the ARN by which destinations and these configurations name the
// function: always with a qualifier.
func (f Function) destinationARN() string {
	if f.Qualifier == "" {
		return f.ARN + ":" + latest
	}
	return f.named()
}

func (in *eventInvokeConfigIn) check() error {
	if in.MaximumRetry != nil && (*in.MaximumRetry < 0 || *in.MaximumRetry > 2) {
		return errInvalidParameter("MaximumRetryAttempts: %d is not within 0 to 2", *in.MaximumRetry)
	}
	if in.MaximumAge != nil && (*in.MaximumAge < 60 || *in.MaximumAge > 21600) {
		return errInvalidParameter("MaximumEventAgeInSeconds: %d is not within 60 to 21600", *in.MaximumAge)
	}
	return nil
}

// applyTo lays what is given over a configuration.
func (in *eventInvokeConfigIn) applyTo(c invokeConfig) invokeConfig {
	if in.MaximumRetry != nil {
		c.MaxRetries = in.MaximumRetry
	}
	if in.MaximumAge != nil {
		c.MaxAge = time.Duration(*in.MaximumAge) * time.Second
	}
	if d := in.Destinations; d != nil {
		if d.OnSuccess != nil {
			c.OnSuccess = d.OnSuccess.Destination
		}
		if d.OnFailure != nil {
			c.OnFailure = d.OnFailure.Destination
		}
	}
	return c
}

func (s *Service) putEventInvokeConfig(_ context.Context, _ *awsapi.Call, in *eventInvokeConfigIn) (
	*eventInvokeConfigOut, error) {
	return s.changeInvokeConfig(in, func(invokeConfig) invokeConfig { return in.applyTo(invokeConfig{}) })
}

func (s *Service) updateEventInvokeConfig(_ context.Context, _ *awsapi.Call, in *eventInvokeConfigIn) (
	*eventInvokeConfigOut, error) {
	return s.changeInvokeConfig(in, in.applyTo)
}

func (s *Service) changeInvokeConfig(in *eventInvokeConfigIn, to func(invokeConfig) invokeConfig) (
	out *eventInvokeConfigOut, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return out, s.Store.Update(func(tx *store.Tx) error {
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		c := to(f.invokeConfig())
		c.Modified = s.Scheduler.Now()
		f.setInvokeConfig(c)
		out = describeInvokeConfig(f, c)
		return s.putInvokeConfig(tx, f, c)
	})
}

func (s *Service) putInvokeConfig(tx *store.Tx, f Function, c invokeConfig) error {
	if f.Qualifier == "" || f.Qualifier == latest {
		f.setInvokeConfig(c)
		return functions.Put(tx, f, f.Name)
	}
	return invokeConfigs.Put(tx, c, f.Name, f.Qualifier)
}

func describeInvokeConfig(f Function, c invokeConfig) *eventInvokeConfigOut {
	out := &eventInvokeConfigOut{LastModified: awsapi.Time{Time: c.Modified}, FunctionArn: f.destinationARN(),
		MaximumRetry: c.MaxRetries, Destinations: &destinations{}}
	if c.MaxAge > 0 {
		age := int(c.MaxAge / time.Second)
		out.MaximumAge = &age
	}
	if c.OnSuccess != "" {
		out.Destinations.OnSuccess = &destination{c.OnSuccess}
	}
	if c.OnFailure != "" {
		out.Destinations.OnFailure = &destination{c.OnFailure}
	}
	return out
}

func (c invokeConfig) empty() bool {
	return c.MaxRetries == nil && c.MaxAge == 0 && c.OnSuccess == "" && c.OnFailure == ""
}

func (s *Service) getEventInvokeConfig(_ context.Context, _ *awsapi.Call,
	in *functionRef) (*eventInvokeConfigOut, error) {
	f, err := s.view(*in)
	if err != nil {
		return nil, err
	}
	if f.invokeConfig().empty() {
		return nil, errNotFound("The function %s doesn't have an EventInvokeConfig", f.destinationARN())
	}
	return describeInvokeConfig(f, f.invokeConfig()), nil
}

func (s *Service) deleteEventInvokeConfig(_ context.Context, _ *awsapi.Call, in *functionRef) (*nothing, error) {
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		if f.Qualifier != "" && f.Qualifier != latest {
			return invokeConfigs.Delete(tx, f.Name, f.Qualifier)
		}
		return s.putInvokeConfig(tx, f, invokeConfig{})
	})
}

type listInvokeConfigsOut struct {
	Configs []*eventInvokeConfigOut `json:"FunctionEventInvokeConfigs"`
}

// listEventInvokeConfigs lists all at once: a function has few qualifiers.
func (s *Service) listEventInvokeConfigs(_ context.Context, _ *awsapi.Call,
	in *functionRef) (*listInvokeConfigsOut, error) {
	out := &listInvokeConfigsOut{Configs: []*eventInvokeConfigOut{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		f, err := s.find(tx, in.FunctionName, "")
		if err != nil {
			return err
		}
		if !f.invokeConfig().empty() {
			out.Configs = append(out.Configs, describeInvokeConfig(f, f.invokeConfig()))
		}
		for row, err := range invokeConfigs.Scan(tx, store.Query{Prefix: []string{f.Name}}) {
			if err != nil {
				return err
			}
			f.Qualifier = row.Key[1]
			out.Configs = append(out.Configs, describeInvokeConfig(f, row.Value))
		}
		return nil
	})
}
