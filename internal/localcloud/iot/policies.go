package iot

import (
	"context"
	"regexp"
	"strconv"
	"unicode"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	maxPolicySize       = 2048 // characters without white space
	maxPolicyVersions   = 5
	policiesOfOneTarget = 10
)

var policyNamePattern = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)

// parsedPolicy is a compiled document with the record it was made from.
type parsedPolicy struct {
	text     string
	document *policy.Document
}

func parsePolicy(text string) (*policy.Document, error) {
	size := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			size++
		}
	}
	if size > maxPolicySize {
		return nil, awsapi.Errorf("MalformedPolicyException",
			"The policy has %d characters without white space; at most %d are allowed.", size, maxPolicySize)
	}
	d, err := policy.Parse([]byte(text))
	if err == nil {
		err = d.CheckIdentity()
	}
	if err != nil {
		return nil, awsapi.Errorf("MalformedPolicyException", "Policy document is Malformed: %s",
			awsapi.AsError(err).Message)
	}
	return d, nil
}

type (
	createPolicyIn struct {
		PolicyName     string `json:"policyName" uri:"policyName" api:"min=1,max=128,pattern=policy name"`
		PolicyDocument string `json:"policyDocument" api:"max=404600"`
		Tags           []tag  `json:"tags,omitempty"`
	}
	createPolicyVersionIn struct {
		PolicyName     string `json:"policyName" uri:"policyName" api:"min=1,max=128,pattern=policy name"`
		PolicyDocument string `json:"policyDocument" api:"max=404600"`
		SetAsDefault   bool   `json:"setAsDefault,omitempty" query:"setAsDefault"`
	}
	policyNameIn struct {
		PolicyName string `json:"policyName" uri:"policyName" api:"min=1,max=128,pattern=policy name"`
	}
	policyVersionIn struct {
		PolicyName      string `json:"policyName" uri:"policyName" api:"min=1,max=128,pattern=policy name"`
		PolicyVersionID string `json:"policyVersionId" uri:"policyVersionId" api:"pattern=digits"`
	}
)

type createPolicyOut struct {
	PolicyName      string `json:"policyName"`
	PolicyARN       string `json:"policyArn"`
	PolicyDocument  string `json:"policyDocument"`
	PolicyVersionID string `json:"policyVersionId"`
}

func (s *Service) createPolicy(_ context.Context, _ *awsapi.Call, in *createPolicyIn) (*createPolicyOut, error) {
	if !policyNamePattern.MatchString(in.PolicyName) {
		return nil, invalid("policyName %q must be 1 to 128 characters of a-z, A-Z, 0-9 and _+=,.@-.", in.PolicyName)
	}
	if _, err := parsePolicy(in.PolicyDocument); err != nil {
		return nil, err
	}
	arn := s.arn("policy/" + in.PolicyName)
	err := s.db.Update(func(tx *store.Tx) error {
		if _, taken, err := policyTable.Get(tx, in.PolicyName); err != nil {
			return err
		} else if taken {
			return exists(in.PolicyName, arn, "Policy cannot be created - name already exists (name=%s)",
				in.PolicyName)
		}
		if err := addTags(tx, arn, tagMap(in.Tags)); err != nil {
			return err
		}
		now := s.now()
		if err := policyVersions.Put(tx, policyVersion{in.PolicyDocument, now}, in.PolicyName,
			store.Number(1)); err != nil {
			return err
		}
		return policyTable.Put(tx, policyRecord{Default: 1, Last: 1, Created: now, Modified: now,
			Generation: s.sched.UUID()}, in.PolicyName)
	})
	if err != nil {
		return nil, err
	}
	return &createPolicyOut{in.PolicyName, arn, in.PolicyDocument, "1"}, nil
}

func (s *Service) deletePolicy(_ context.Context, _ *awsapi.Call, in *policyNameIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		if _, err := s.getPolicyRecord(tx, in.PolicyName); err != nil {
			return err
		}
		targets, err := all(tx, policyTarget, in.PolicyName)
		if err != nil {
			return err
		}
		if len(targets) > 0 {
			return conflict("DeleteConflictException",
				"The policy cannot be deleted as the policy is attached to one or more principals (name=%s)",
				in.PolicyName)
		}
		versions, err := all(tx, policyVersions, in.PolicyName)
		if err != nil {
			return err
		}
		if len(versions) > 1 {
			return conflict("DeleteConflictException",
				"Cannot delete the policy because it has one or more policy versions attached to it (name=%s)",
				in.PolicyName)
		}
		if err := policyVersions.DeleteAll(tx, in.PolicyName); err != nil {
			return err
		}
		if err := tagTable.Delete(tx, s.arn("policy/"+in.PolicyName)); err != nil {
			return err
		}
		tx.OnCommit(s.changed)
		return policyTable.Delete(tx, in.PolicyName)
	})
}

type getPolicyOut struct {
	PolicyName       string       `json:"policyName"`
	PolicyARN        string       `json:"policyArn"`
	PolicyDocument   string       `json:"policyDocument"`
	DefaultVersionID string       `json:"defaultVersionId,omitempty"`
	PolicyVersionID  string       `json:"policyVersionId,omitempty"`
	IsDefaultVersion *bool        `json:"isDefaultVersion,omitempty"`
	CreationDate     *awsapi.Time `json:"creationDate,omitempty"`
	LastModifiedDate *awsapi.Time `json:"lastModifiedDate,omitempty"`
	GenerationID     string       `json:"generationId,omitempty"`
}

func (s *Service) getPolicy(_ context.Context, _ *awsapi.Call, in *policyNameIn) (*getPolicyOut, error) {
	var out *getPolicyOut
	err := s.db.View(func(tx *store.Tx) error {
		p, err := s.getPolicyRecord(tx, in.PolicyName)
		if err != nil {
			return err
		}
		id := strconv.FormatInt(p.Default, 10)
		_, v, err := s.getVersion(tx, in.PolicyName, id)
		out = &getPolicyOut{
			PolicyName: in.PolicyName, PolicyARN: s.arn("policy/" + in.PolicyName), PolicyDocument: v.Document,
			DefaultVersionID: id,
			CreationDate:     awsapi.TimeOf(moment(p.Created)), LastModifiedDate: awsapi.TimeOf(moment(p.Modified)),
			GenerationID: p.Generation,
		}
		return err
	})
	return out, err
}

type policyView struct {
	PolicyName string `json:"policyName"`
	PolicyARN  string `json:"policyArn"`
}

type policiesOut struct {
	Policies   []policyView `json:"policies"`
	NextMarker string       `json:"nextMarker,omitempty"`
}

func (s *Service) policyViews(list []string) []policyView {
	views := []policyView{}
	for _, name := range list {
		views = append(views, policyView{name, s.arn("policy/" + name)})
	}
	return views
}

type listPoliciesIn struct {
	PageSize       *int   `json:"pageSize,omitempty" query:"pageSize" api:"min=1,max=250"`
	Marker         string `json:"marker,omitempty" query:"marker" api:"max=1024"`
	AscendingOrder bool   `json:"ascendingOrder,omitempty" query:"isAscendingOrder"`
}

func (s *Service) listPolicies(_ context.Context, _ *awsapi.Call, in *listPoliciesIn) (*policiesOut, error) {
	p, err := newPage(in.PageSize, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &policiesOut{}
	err = s.db.View(func(tx *store.Tx) error {
		list, err := names(tx, policyTable, p)
		out.Policies, out.NextMarker = s.policyViews(list), p.token
		return err
	})
	return out, err
}
