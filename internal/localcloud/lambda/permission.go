package lambda

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type addPermissionIn struct {
	FunctionName  string `json:"FunctionName" uri:"FunctionName"`
	Qualifier     string `json:"Qualifier,omitempty" query:"Qualifier"`
	StatementID   string `json:"StatementId"`
	Action        string `json:"Action"`
	Principal     string `json:"Principal"`
	SourceArn     string `json:"SourceArn,omitempty"`
	SourceAccount string `json:"SourceAccount,omitempty"`
	RevisionID    string `json:"RevisionId,omitempty"`
}

type addPermissionOut struct {
	Statement string `json:"Statement"`
}

var (
	statementID   = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,100}$`)
	permitted     = regexp.MustCompile(`^(lambda:[*]|lambda:[a-zA-Z]+|[*])$`)
	awsPrincipal  = regexp.MustCompile(`^(\d{12}|arn:.*)$`)
	servicePrefix = ".amazonaws.com"
)

func (s *Service) addPermission(_ context.Context, _ *awsapi.Call, in *addPermissionIn) (*addPermissionOut, error) {
	switch {
	case !statementID.MatchString(in.StatementID):
		return nil, errInvalidParameter("StatementId: %q is not 1 to 100 letters, digits, '-' and '_'", in.StatementID)
	case !permitted.MatchString(in.Action):
		return nil, errInvalidParameter("Action: %q is not a Lambda action such as lambda:InvokeFunction", in.Action)
	}
	st := statement{Sid: in.StatementID, Effect: "Allow", Action: in.Action}
	switch {
	case in.Principal == "*":
		st.Principal = "*"
	case awsPrincipal.MatchString(in.Principal):
		arn := in.Principal
		if !strings.HasPrefix(arn, "arn:") {
			arn = "arn:aws:iam::" + arn + ":root"
		}
		st.Principal = map[string]string{"AWS": arn}
	case strings.HasSuffix(in.Principal, servicePrefix):
		st.Principal = map[string]string{"Service": in.Principal}
	default:
		return nil, errInvalidParameter("Principal: %q is neither an account, an ARN, a service (x.amazonaws.com) nor *", in.Principal)
	}
	st.Condition = map[string]map[string]string{}
	if in.SourceAccount != "" {
		st.Condition["StringEquals"] = map[string]string{"AWS:SourceAccount": in.SourceAccount}
	}
	if in.SourceArn != "" {
		st.Condition["ArnLike"] = map[string]string{"AWS:SourceArn": in.SourceArn}
	}
	err := s.Store.Update(func(tx *store.Tx) error {
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		st.Resource = f.ARN
		p, _, err := policies.Get(tx, f.Name)
		if err != nil {
			return err
		}
		for _, have := range p.Statements {
			if have.Sid == st.Sid {
				return awsapi.Errorf("ResourceConflictException", "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.Sid).WithStatus(409)
			}
		}
		p.Statements = append(p.Statements, st)
		p.RevisionID = s.Scheduler.UUID()
		return policies.Put(tx, p, f.Name)
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(st)
	return &addPermissionOut{string(text)}, err
}

type removePermissionIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName"`
	StatementID  string `json:"StatementId" uri:"StatementId"`
	Qualifier    string `json:"Qualifier,omitempty" query:"Qualifier"`
	RevisionID   string `json:"RevisionId,omitempty" query:"RevisionId"`
}

func (s *Service) removePermission(_ context.Context, _ *awsapi.Call, in *removePermissionIn) (*nothing, error) {
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		p, _, err := policies.Get(tx, f.Name)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(p.Statements, func(st statement) bool { return st.Sid == in.StatementID })
		if i < 0 {
			return awsapi.Errorf("ResourceNotFoundException", "Statement %s is not found in resource policy.", in.StatementID).WithStatus(404)
		}
		p.Statements = slices.Delete(p.Statements, i, i+1)
		p.RevisionID = s.Scheduler.UUID()
		return policies.Put(tx, p, f.Name)
	})
}

type getPolicyOut struct {
	Policy     string `json:"Policy"`
	RevisionID string `json:"RevisionId"`
}

func (s *Service) getPolicy(_ context.Context, _ *awsapi.Call, in *functionRef) (*getPolicyOut, error) {
	out := &getPolicyOut{}
	err := s.Store.View(func(tx *store.Tx) error {
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		p, _, err := policies.Get(tx, f.Name)
		out.Policy, out.RevisionID = p.document(), p.RevisionID
		if err == nil && out.Policy == "" {
			return awsapi.Errorf("ResourceNotFoundException", "The resource you requested does not exist.").WithStatus(404)
		}
		return err
	})
	return out, err
}

type concurrencyIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName"`
	Reserved     int    `json:"ReservedConcurrentExecutions"`
}

func (s *Service) putConcurrency(_ context.Context, _ *awsapi.Call, in *concurrencyIn) (*concurrency, error) {
	if in.Reserved < 0 || in.Reserved > accountLimit {
		return nil, errInvalidParameter("ReservedConcurrentExecutions: %d is not within 0 to %d", in.Reserved, accountLimit)
	}
	return &concurrency{&in.Reserved}, s.set(in.FunctionName, func(f *Function) { f.Reserved = &in.Reserved })
}

func (s *Service) getConcurrency(_ context.Context, _ *awsapi.Call, in *functionRef) (*concurrency, error) {
	f, err := s.view(*in)
	return &concurrency{f.Reserved}, err
}

func (s *Service) deleteConcurrency(_ context.Context, _ *awsapi.Call, in *functionRef) (*nothing, error) {
	return &nothing{}, s.set(in.FunctionName, func(f *Function) { f.Reserved = nil })
}

// set changes what is not part of a function's revision.
func (s *Service) set(ref string, change func(f *Function)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		f, err := s.find(tx, ref, "")
		if err != nil {
			return err
		}
		change(&f)
		return functions.Put(tx, f, f.Name)
	})
}

type destination struct {
	Destination string `json:"Destination,omitempty"`
}

type destinations struct {
	OnSuccess *destination `json:"OnSuccess,omitempty"`
	OnFailure *destination `json:"OnFailure,omitempty"`
}

type eventInvokeConfigIn struct {
	FunctionName string        `json:"FunctionName" uri:"FunctionName"`
	Qualifier    string        `json:"Qualifier,omitempty" query:"Qualifier"`
	MaximumRetry *int          `json:"MaximumRetryAttempts,omitempty"`
	MaximumAge   *int          `json:"MaximumEventAgeInSeconds,omitempty"`
	Destinations *destinations `json:"DestinationConfig,omitempty"`
}

type eventInvokeConfigOut struct {
	LastModified awsapi.Time   `json:"LastModified"`
	FunctionArn  string        `json:"FunctionArn"`
	MaximumRetry *int          `json:"MaximumRetryAttempts,omitempty"`
	MaximumAge   *int          `json:"MaximumEventAgeInSeconds,omitempty"`
	Destinations *destinations `json:"DestinationConfig,omitempty"`
}

func (s *Service) putEventInvokeConfig(_ context.Context, _ *awsapi.Call, in *eventInvokeConfigIn) (*eventInvokeConfigOut, error) {
	if in.MaximumRetry != nil && (*in.MaximumRetry < 0 || *in.MaximumRetry > 2) {
		return nil, errInvalidParameter("MaximumRetryAttempts: %d is not within 0 to 2", *in.MaximumRetry)
	}
	if in.MaximumAge != nil && (*in.MaximumAge < 60 || *in.MaximumAge > 21600) {
		return nil, errInvalidParameter("MaximumEventAgeInSeconds: %d is not within 60 to 21600", *in.MaximumAge)
	}
	err := s.set(in.FunctionName, func(f *Function) {
		f.MaxRetries, f.MaxAge, f.OnSuccess, f.OnFailure = in.MaximumRetry, 0, "", ""
		if in.MaximumAge != nil {
			f.MaxAge = time.Duration(*in.MaximumAge) * time.Second
		}
		if d := in.Destinations; d != nil {
			if d.OnSuccess != nil {
				f.OnSuccess = d.OnSuccess.Destination
			}
			if d.OnFailure != nil {
				f.OnFailure = d.OnFailure.Destination
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return s.eventInvokeConfig(in.FunctionName)
}

func (s *Service) eventInvokeConfig(ref string) (*eventInvokeConfigOut, error) {
	f, err := s.view(functionRef{FunctionName: ref})
	if err != nil {
		return nil, err
	}
	out := &eventInvokeConfigOut{LastModified: awsapi.Time{Time: f.Modified}, FunctionArn: f.ARN + ":$LATEST", MaximumRetry: f.MaxRetries, Destinations: &destinations{}}
	if f.MaxAge > 0 {
		age := int(f.MaxAge / time.Second)
		out.MaximumAge = &age
	}
	if f.OnSuccess != "" {
		out.Destinations.OnSuccess = &destination{f.OnSuccess}
	}
	if f.OnFailure != "" {
		out.Destinations.OnFailure = &destination{f.OnFailure}
	}
	return out, nil
}

func (s *Service) getEventInvokeConfig(_ context.Context, _ *awsapi.Call, in *functionRef) (*eventInvokeConfigOut, error) {
	f, err := s.view(*in)
	if err != nil {
		return nil, err
	}
	if f.MaxRetries == nil && f.MaxAge == 0 && f.OnSuccess == "" && f.OnFailure == "" {
		return nil, awsapi.Errorf("ResourceNotFoundException", "The function %s doesn't have an EventInvokeConfig", f.ARN+":$LATEST").WithStatus(404)
	}
	return s.eventInvokeConfig(in.FunctionName)
}

func (s *Service) deleteEventInvokeConfig(_ context.Context, _ *awsapi.Call, in *functionRef) (*nothing, error) {
	return &nothing{}, s.set(in.FunctionName, func(f *Function) {
		f.MaxRetries, f.MaxAge, f.OnSuccess, f.OnFailure = nil, 0, "", ""
	})
}

type tagIn struct {
	Resource string            `json:"Resource" uri:"Resource"`
	Tags     map[string]string `json:"Tags,omitempty"`
	TagKeys  []string          `json:"TagKeys,omitempty" query:"tagKeys"`
}

type tagsOut struct {
	Tags map[string]string `json:"Tags"`
}

func (s *Service) tagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*nothing, error) {
	return &nothing{}, s.set(in.Resource, func(f *Function) {
		if f.Tags == nil {
			f.Tags = map[string]string{}
		}
		for k, v := range in.Tags {
			f.Tags[k] = v
		}
	})
}

func (s *Service) untagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*nothing, error) {
	return &nothing{}, s.set(in.Resource, func(f *Function) {
		for _, k := range in.TagKeys {
			delete(f.Tags, k)
		}
	})
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *tagIn) (*tagsOut, error) {
	f, err := s.view(functionRef{FunctionName: in.Resource})
	return &tagsOut{f.Tags}, err
}
