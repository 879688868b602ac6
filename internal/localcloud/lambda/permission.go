package lambda

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type addPermissionIn struct {
	FunctionName  string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=256,pattern=function reference"`
	Qualifier     string `json:"Qualifier,omitempty" query:"Qualifier" api:"min=1,max=128,pattern=lambda qualifier"`
	StatementID   string `json:"StatementId" api:"min=1,max=100,pattern=statement id"`
	Action        string `json:"Action" api:"pattern=lambda action"`
	Principal     string `json:"Principal" api:"pattern=no blanks"`
	SourceArn     string `json:"SourceArn,omitempty" api:"pattern=source arn"`
	SourceAccount string `json:"SourceAccount,omitempty" api:"max=12,pattern=account"`
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
		return nil, errInvalidParameter(
			"Principal: %q is neither an account, an ARN, a service (x.amazonaws.com) nor *", in.Principal)
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
		st.Resource = f.named()
		p, _, err := policies.Get(tx, f.policyKey()...)
		if err != nil {
			return err
		}
		if in.RevisionID != "" && in.RevisionID != p.RevisionID {
			return errRevision()
		}
		for _, have := range p.Statements {
			if have.Sid == st.Sid {
				return awsapi.Errorf("ResourceConflictException",
					"The statement id (%s) provided already exists. Please provide a new statement id, or remove "+
						"the existing statement.", st.Sid).WithStatus(409)
			}
		}
		p.Statements = append(p.Statements, st)
		p.RevisionID = s.Scheduler.UUID()
		return policies.Put(tx, p, f.policyKey()...)
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(st)
	return &addPermissionOut{string(text)}, err
}

type removePermissionIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=256,pattern=function reference"`
	StatementID  string `json:"StatementId" uri:"StatementId" api:"min=1,max=100,pattern=dotted statement id"`
	Qualifier    string `json:"Qualifier,omitempty" query:"Qualifier" api:"min=1,max=128,pattern=lambda qualifier"`
	RevisionID   string `json:"RevisionId,omitempty" query:"RevisionId"`
}

func (s *Service) removePermission(_ context.Context, _ *awsapi.Call, in *removePermissionIn) (*nothing, error) {
	return &nothing{}, s.Store.Update(func(tx *store.Tx) error {
		f, err := s.find(tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		p, _, err := policies.Get(tx, f.policyKey()...)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(p.Statements, func(st statement) bool { return st.Sid == in.StatementID })
		if i < 0 {
			return awsapi.Errorf("ResourceNotFoundException", "Statement %s is not found in resource policy.",
				in.StatementID).WithStatus(404)
		}
		p.Statements = slices.Delete(p.Statements, i, i+1)
		p.RevisionID = s.Scheduler.UUID()
		return policies.Put(tx, p, f.policyKey()...)
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
		p, _, err := policies.Get(tx, f.policyKey()...)
		out.Policy, out.RevisionID = p.document(), p.RevisionID
		if err == nil && out.Policy == "" {
			return awsapi.Errorf("ResourceNotFoundException", "The resource you requested does not exist.").
				WithStatus(404)
		}
		return err
	})
	return out, err
}

type concurrencyIn struct {
	FunctionName string `json:"FunctionName" uri:"FunctionName" api:"min=1,max=140,pattern=own function reference"`
	Reserved     int    `json:"ReservedConcurrentExecutions" api:"min=0"`
}

func (s *Service) putConcurrency(_ context.Context, _ *awsapi.Call, in *concurrencyIn) (*concurrency, error) {
	if in.Reserved < 0 || in.Reserved > accountLimit {
		return nil, errInvalidParameter("ReservedConcurrentExecutions: %d is not within 0 to %d", in.Reserved,
			accountLimit)
	}
	name, _ := s.name(in.FunctionName)
	s.mu.Lock()
	left := accountLimit - in.Reserved
	for other, n := range s.reserved {
		if other != name {
			left -= n
		}
	}
	s.mu.Unlock()
	if left < unreservedLeast {
		return nil, errInvalidParameter(
			"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "+
				"below its minimum value of [%d].", unreservedLeast)
	}
	return &concurrency{&in.Reserved}, s.set(in.FunctionName, func(f *Function) { f.Reserved = &in.Reserved })
}

func (s *Service) getConcurrency(_ context.Context, _ *awsapi.Call, in *ownRef) (*concurrency, error) {
	f, err := s.view(functionRef{FunctionName: in.FunctionName})
	return &concurrency{f.Reserved}, err
}

func (s *Service) deleteConcurrency(_ context.Context, _ *awsapi.Call, in *ownRef) (*nothing, error) {
	return &nothing{}, s.set(in.FunctionName, func(f *Function) { f.Reserved = nil })
}

// set changes what is not part of a function's revision.
func (s *Service) set(ref string, change func(f *Function)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		f, err := s.unpublished(tx, ref)
		if err != nil {
			return err
		}
		change(&f)
		tx.OnCommit(func() { s.reserve(f) })
		return functions.Put(tx, f, f.Name)
	})
}

type tagIn struct {
	Resource string            `json:"Resource" uri:"Resource" api:"min=1,max=256,pattern=lambda resource"`
	Tags     map[string]string `json:"Tags,omitempty"`
	TagKeys  []string          `json:"TagKeys,omitempty" query:"tagKeys"`
}

type tagsOut struct {
	Tags map[string]string `json:"Tags"`
}

func (s *Service) tagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*nothing, error) {
	return &nothing{}, s.retag(in.Resource, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

func (s *Service) untagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*nothing, error) {
	return &nothing{}, s.retag(in.Resource, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

// retag changes the tags of a function or an event source mapping.
func (s *Service) retag(resource string, change func(tags map[string]string)) error {
	changed := func(tags map[string]string) map[string]string {
		if tags == nil {
			tags = map[string]string{}
		}
		change(tags)
		return tags
	}
	uuid, ok := strings.CutPrefix(resource, s.mappingARN(""))
	if !ok {
		return s.set(resource, func(f *Function) { f.Tags = changed(f.Tags) })
	}
	return s.Store.Update(func(tx *store.Tx) error {
		m, err := s.oneMapping(tx, uuid)
		if err != nil {
			return err
		}
		m.Tags = changed(m.Tags)
		return mappings.Put(tx, m, uuid)
	})
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *tagIn) (*tagsOut, error) {
	if uuid, ok := strings.CutPrefix(in.Resource, s.mappingARN("")); ok {
		var m mapping
		err := s.Store.View(func(tx *store.Tx) (err error) {
			m, err = s.oneMapping(tx, uuid)
			return err
		})
		return &tagsOut{m.Tags}, err
	}
	f, err := s.view(functionRef{FunctionName: in.Resource})
	return &tagsOut{f.Tags}, err
}
