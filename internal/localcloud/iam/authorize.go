package iam

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// maxDocuments bounds the cache of resource policies.
const maxDocuments = 4096

// Authorize implements awsapi.Authorizer.
func (s *Service) Authorize(_ context.Context, r awsapi.Request) error {
	return s.recordDenial(s.decide(r))
}

// recordDenial remembers a denial and returns it.
func (s *Service) recordDenial(err error) error {
	if e, ok := err.(*awsapi.Error); ok && e.Denial != nil {
		s.denials.Add(*e.Denial)
	}
	return err
}

// Denied lists what was refused since the process began, each once and not more
// than a few hundred.
func (s *Service) Denied() []awsapi.Denial { return s.denials.List() }

// decide is Authorize without a trace.
func (s *Service) decide(r awsapi.Request) error {
	id := r.Identity
	resourceDoc, err := s.document(r.ResourcePolicy)
	if err != nil {
		return err
	}
	own := &principalPolicies{}
	if arn := principalARN(id); arn != "" && !id.Root {
		if own, err = s.policiesOf(arn); err != nil {
			return err
		}
	}
	q := policy.Request{Action: r.Action, Resource: r.Resource}
	if own.values || resourceDoc != nil && resourceDoc.UsesValues() {
		q.Find = sync.OnceValue(func() map[string][]string {
			return s.values(id, r.Resource, r.SourceIP, r.Conditions, own.tags)
		})
	}

	byResource := policy.None
	if resourceDoc != nil {
		withPrincipal := q
		withPrincipal.Principal = s.principalOf(id)
		byResource, _ = policy.Evaluate([]*policy.Document{resourceDoc}, withPrincipal)
		if byResource == policy.ExplicitDeny {
			return notAuthorized(r, awsapi.DenyOfResource)
		}
	}
	// A KMS key belongs to its policy: what the account's own policies allow counts where the key's hands it over.
	ofKey := strings.HasPrefix(r.Action, "kms:") && resourceDoc != nil
	if ofKey && byResource != policy.Allow && byResource != policy.Delegated {
		return notAuthorized(r, awsapi.NoResourcePolicy)
	}
	if id.Root {
		return nil
	}
	if principalARN(id) == "" { // a service, or nobody
		if byResource == policy.Allow {
			return nil
		}
		return notAuthorized(r, awsapi.NoResourcePolicy)
	}

	byIdentity, _ := policy.Evaluate(own.docs, q)
	if byIdentity == policy.ExplicitDeny {
		return notAuthorized(r, awsapi.DenyOfIdentity)
	}
	if own.boundary != nil {
		switch d, _ := policy.Evaluate(own.boundary, q); {
		case d == policy.ExplicitDeny:
			return notAuthorized(r, awsapi.DenyOfBoundary)
		case d != policy.Allow && byResource != policy.Allow:
			return notAuthorized(r, awsapi.NoBoundary)
		}
	}
	if owner := accountOf(r.Resource); owner != "" && owner != id.Account {
		if byIdentity == policy.Allow && byResource != policy.Allow && byResource != policy.Delegated {
			return notAuthorized(r, awsapi.NoResourcePolicy)
		}
	} else if byResource == policy.Allow {
		return nil
	}
	if byIdentity == policy.Allow {
		return nil
	}
	return notAuthorized(r, awsapi.NoIdentityPolicy)
}

// principalARN is the ARN of the role or user whose policies apply.
func principalARN(id awsapi.Identity) string {
	if id.RoleARN != "" {
		return id.RoleARN
	}
	return id.UserARN
}

// principalOf is the caller as Principal elements name it: Step Functions also by its regional principal.
func (s *Service) principalOf(id awsapi.Identity) policy.Principal {
	if id.Service != "" {
		p := policy.Principal{Services: []string{id.Service}}
		if id.Service == "states.amazonaws.com" {
			p.Services = append(p.Services, "states."+s.config.Region+".amazonaws.com")
		}
		return p
	}
	p := policy.Principal{Account: id.Account, AWS: []string{id.ARN}}
	if id.RoleARN != "" {
		p.AWS = append(p.AWS, id.RoleARN)
	}
	if id.UserID != "" && !id.Root {
		uniqueID, _, _ := strings.Cut(id.UserID, ":")
		p.AWS = append(p.AWS, uniqueID)
	}
	return p
}

// accountOf is the account in an ARN, "" if it has none.
func accountOf(arn string) string {
	for range 4 {
		_, after, ok := strings.Cut(arn, ":")
		if !ok {
			return ""
		}
		arn = after
	}
	account, _, ok := strings.Cut(arn, ":")
	if !ok {
		return ""
	}
	return account
}

// document compiles a resource policy; nil for "".
func (s *Service) document(text string) (*policy.Document, error) {
	if text == "" {
		return nil, nil
	}
	s.mu.RLock()
	d := s.documents[text]
	s.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	d, err := policy.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.documents) >= maxDocuments {
		clear(s.documents)
	}
	s.documents[text] = d
	return d, nil
}

// policiesOf returns the compiled policies of a role or user. One that does
// not exist (any more) has none.
func (s *Service) policiesOf(arn string) (*principalPolicies, error) {
	s.mu.RLock()
	p, changes := s.principals[arn], s.changes
	s.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	k := roles
	if strings.Contains(arn, ":user/") {
		k = users
	}
	p = &principalPolicies{}
	err := s.config.Store.View(func(tx *store.Tx) error {
		e, err := k.get(tx, nameOf(arn))
		if awsapi.Code(err) == "NoSuchEntity" || err == nil && e.ARN != arn {
			return nil
		}
		if err != nil {
			return err
		}
		p.tags = e.Tags
		texts := make([]string, 0, len(e.Inline)+len(e.Attached))
		for _, name := range slices.Sorted(maps.Keys(e.Inline)) {
			doc := e.Inline[name]
			texts = append(texts, doc)
		}
		for _, arn := range e.Attached {
			m, err := getPolicy(tx, arn)
			if err != nil {
				return err
			}
			texts = append(texts, m.document())
		}
		if p.docs, err = parseAll(texts); err != nil {
			return err
		}
		if e.Boundary != "" {
			m, err := getPolicy(tx, e.Boundary)
			if err != nil {
				return err
			}
			if p.boundary, err = parseAll([]string{m.document()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range append(p.docs[:len(p.docs):len(p.docs)], p.boundary...) {
		p.values = p.values || d.UsesValues()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == changes {
		s.principals[arn] = p
	}
	return p, nil
}

func parseAll(texts []string) ([]*policy.Document, error) {
	docs := make([]*policy.Document, 0, len(texts))
	for _, t := range texts {
		d, err := policy.Parse([]byte(t))
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// values are the condition keys of a request.
func (s *Service) values(id awsapi.Identity, resource, sourceIP string, further map[string][]string,
	tags map[string]string) map[string][]string {
	now := s.config.Scheduler.Now()
	v := map[string][]string{
		"aws:SecureTransport":       {"true"},
		"aws:CurrentTime":           {now.Format(time.RFC3339)},
		"aws:EpochTime":             {strconv.FormatInt(now.Unix(), 10)},
		"aws:RequestedRegion":       {s.config.Region},
		"aws:PrincipalIsAWSService": {strconv.FormatBool(id.Service != "")},
	}
	set := func(key, value string) {
		if value != "" {
			v[key] = []string{value}
		}
	}
	set("aws:SourceIp", sourceIP)
	set("aws:SourceArn", id.SourceARN)
	set("aws:SourceAccount", id.SourceAccount)
	owner := accountOf(resource)
	if owner == "" {
		owner = s.config.Account // of a bucket, whose ARN does not say
	}
	set("aws:ResourceAccount", owner)
	set("s3:ResourceAccount", owner)
	switch {
	case id.Service != "":
		set("aws:PrincipalServiceName", id.Service)
	case id.Root:
		set("aws:PrincipalType", "Account")
		set("aws:PrincipalArn", id.ARN)
	case id.RoleARN != "":
		set("aws:PrincipalType", "AssumedRole")
		set("aws:PrincipalArn", id.RoleARN)
	case id.UserARN != "":
		set("aws:PrincipalType", "User")
		set("aws:PrincipalArn", id.UserARN)
		set("aws:username", nameOf(id.UserARN))
	default:
		set("aws:PrincipalType", "Anonymous")
	}
	if id.Service == "" {
		set("aws:PrincipalAccount", id.Account)
		set("aws:userid", id.UserID)
	}
	for k, t := range tags {
		set("aws:PrincipalTag/"+k, t)
	}
	for k, values := range further {
		v[k] = values
	}
	return v
}
