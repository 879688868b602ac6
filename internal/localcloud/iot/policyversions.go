package iot

import (
	"context"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type createVersionOut struct {
	PolicyARN        string `json:"policyArn"`
	PolicyDocument   string `json:"policyDocument"`
	PolicyVersionID  string `json:"policyVersionId"`
	IsDefaultVersion bool   `json:"isDefaultVersion"`
}

func (s *Service) createPolicyVersion(_ context.Context, _ *awsapi.Call,
	in *createPolicyVersionIn) (*createVersionOut, error) {
	if _, err := parsePolicy(in.PolicyDocument); err != nil {
		return nil, err
	}
	var id string
	err := s.db.Update(func(tx *store.Tx) error {
		p, err := s.getPolicyRecord(tx, in.PolicyName)
		if err != nil {
			return err
		}
		versions, err := all(tx, policyVersions, in.PolicyName)
		if err != nil {
			return err
		}
		if len(versions) >= maxPolicyVersions {
			return conflict("VersionsLimitExceededException",
				"The policy %s already has the maximum number of versions (%d)", in.PolicyName, maxPolicyVersions)
		}
		p.Last++
		id = strconv.FormatInt(p.Last, 10)
		p.Modified = s.now()
		if in.SetAsDefault {
			p.Default = p.Last
			tx.OnCommit(s.changed)
		}
		if err := policyVersions.Put(tx, policyVersion{in.PolicyDocument, s.now()}, in.PolicyName,
			store.Number(uint64(p.Last))); err != nil {
			return err
		}
		return policyTable.Put(tx, p, in.PolicyName)
	})
	if err != nil {
		return nil, err
	}
	return &createVersionOut{s.arn("policy/" + in.PolicyName), in.PolicyDocument, id, in.SetAsDefault}, nil
}

func (s *Service) deletePolicyVersion(_ context.Context, _ *awsapi.Call, in *policyVersionIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		p, err := s.getPolicyRecord(tx, in.PolicyName)
		if err != nil {
			return err
		}
		n, _, err := s.getVersion(tx, in.PolicyName, in.PolicyVersionID)
		if err != nil {
			return err
		}
		if n == p.Default {
			return conflict("DeleteConflictException", "Cannot delete the default version of a policy")
		}
		return policyVersions.Delete(tx, in.PolicyName, store.Number(uint64(n)))
	})
}

func (s *Service) setDefaultVersion(_ context.Context, _ *awsapi.Call, in *policyVersionIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		p, err := s.getPolicyRecord(tx, in.PolicyName)
		if err != nil {
			return err
		}
		n, _, err := s.getVersion(tx, in.PolicyName, in.PolicyVersionID)
		if err != nil {
			return err
		}
		p.Default, p.Modified = n, s.now()
		tx.OnCommit(s.changed)
		return policyTable.Put(tx, p, in.PolicyName)
	})
}

func (s *Service) getPolicyVersion(_ context.Context, _ *awsapi.Call, in *policyVersionIn) (*getPolicyOut, error) {
	var out *getPolicyOut
	err := s.db.View(func(tx *store.Tx) error {
		p, err := s.getPolicyRecord(tx, in.PolicyName)
		if err != nil {
			return err
		}
		n, v, err := s.getVersion(tx, in.PolicyName, in.PolicyVersionID)
		isDefault := n == p.Default
		out = &getPolicyOut{
			PolicyName: in.PolicyName, PolicyARN: s.arn("policy/" + in.PolicyName), PolicyDocument: v.Document,
			PolicyVersionID: in.PolicyVersionID, IsDefaultVersion: &isDefault,
			CreationDate: awsapi.TimeOf(moment(v.Created)), LastModifiedDate: awsapi.TimeOf(moment(v.Created)),
			GenerationID: p.Generation,
		}
		return err
	})
	return out, err
}

type policyVersionView struct {
	VersionID        string       `json:"versionId"`
	IsDefaultVersion bool         `json:"isDefaultVersion"`
	CreateDate       *awsapi.Time `json:"createDate"`
}

type policyVersionsOut struct {
	PolicyVersions []policyVersionView `json:"policyVersions"`
}

func (s *Service) listPolicyVersions(_ context.Context, _ *awsapi.Call, in *policyNameIn) (*policyVersionsOut, error) {
	out := &policyVersionsOut{PolicyVersions: []policyVersionView{}}
	err := s.db.View(func(tx *store.Tx) error {
		p, err := s.getPolicyRecord(tx, in.PolicyName)
		if err != nil {
			return err
		}
		for row, err := range policyVersions.Scan(tx, store.Query{Prefix: []string{in.PolicyName}, Reverse: true}) {
			if err != nil {
				return err
			}
			n := int64(store.ParseNumber(row.Key[1]))
			out.PolicyVersions = append(out.PolicyVersions, policyVersionView{strconv.FormatInt(n, 10), n == p.Default,
				awsapi.TimeOf(moment(row.Value.Created))})
		}
		return nil
	})
	return out, err
}
