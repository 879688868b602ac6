package iam

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	maxManagedSize = 6144 // bytes of a managed policy without white space
	maxVersions    = 5
)

func (s *Service) shapeOf(tx *store.Tx, p managedPolicy) (policyShape, error) {
	out := policyShape{
		PolicyName: p.Name, PolicyID: p.ID, Arn: p.ARN, Path: p.Path, DefaultVersionID: p.Default,
		IsAttachable: true, Description: p.Description, Tags: tagList(p.Tags),
	}
	out.CreateDate.Time, out.UpdateDate.Time = p.Created, p.Updated
	for _, err := range attachmentTable.Scan(tx, store.Query{Prefix: []string{p.ARN}}) {
		if err != nil {
			return out, err
		}
		out.AttachmentCount++
	}
	return out, nil
}

func checkManaged(doc string) error {
	d, err := policy.Parse([]byte(doc))
	if err != nil {
		return err
	}
	if size(doc) > maxManagedSize {
		return limitExceeded("Cannot exceed quota for PolicySize: %d", maxManagedSize)
	}
	return d.CheckIdentity()
}

func (s *Service) createPolicy(_ ctx, _ call, in *createPolicyIn) (*policyOut, error) {
	if err := checkName("policyName", in.PolicyName); err != nil {
		return nil, err
	}
	if err := checkManaged(in.PolicyDocument); err != nil {
		return nil, err
	}
	now := s.config.Scheduler.Now()
	p := managedPolicy{
		Name: in.PolicyName, Path: pathOr(in.Path), Description: in.Description, ID: s.newID("ANPA", 17), Created: now,
		Updated: now,
		Default: "v1", Next: 2, Versions: map[string]policyVersion{"v1": {in.PolicyDocument, now}},
	}
	p.ARN = s.arn("policy", p.Path, p.Name)
	var e entity
	if err := setTags(&e, in.Tags); err != nil {
		return nil, err
	}
	p.Tags = e.Tags
	out := &policyOut{}
	return out, s.update(func(tx *store.Tx) error {
		if _, ok, err := policyTable.Get(tx, p.ARN); err != nil {
			return err
		} else if ok {
			return alreadyExists("A policy called %s already exists. Duplicate names are not allowed.", p.Name)
		}
		if err := policyTable.Put(tx, p, p.ARN); err != nil {
			return err
		}
		var err error
		out.Policy, err = s.shapeOf(tx, p)
		return err
	})
}

func (s *Service) getPolicy(_ ctx, _ call, in *policyIn) (*policyOut, error) {
	out := &policyOut{}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		p, err := getPolicy(tx, in.PolicyArn)
		if err != nil {
			return err
		}
		out.Policy, err = s.shapeOf(tx, p)
		return err
	})
}

// changePolicy loads a customer's policy, lets fn change it and writes it.
func (s *Service) changePolicy(arn string, fn func(tx *store.Tx, p *managedPolicy) error) error {
	if _, ok := awsManaged[arn]; ok {
		return awsapi.Errorf("AccessDenied", "Cannot perform the operation on the AWS managed policy %s", arn).
			WithStatus(403)
	}
	return s.update(func(tx *store.Tx) error {
		p, err := getPolicy(tx, arn)
		if err != nil {
			return err
		}
		if err := fn(tx, &p); err != nil {
			return err
		}
		return policyTable.Put(tx, p, arn)
	})
}

func (s *Service) deletePolicy(_ ctx, _ call, in *policyIn) (*none, error) {
	return nil, s.update(func(tx *store.Tx) error {
		p, err := getPolicy(tx, in.PolicyArn)
		if err != nil {
			return err
		}
		shape, err := s.shapeOf(tx, p)
		if err != nil {
			return err
		}
		if shape.AttachmentCount > 0 {
			return deleteConflict("Cannot delete a policy attached to entities.")
		}
		if len(p.Versions) > 1 {
			return deleteConflict("This policy has more than one version. Before you delete a policy, you must " +
				"delete the policy's versions. The default version is deleted with the policy.")
		}
		return policyTable.Delete(tx, in.PolicyArn)
	})
}

// boundaryUsage is of lists that look at permissions boundaries.
const boundaryUsage = "PermissionsBoundary"

func (s *Service) listPolicies(_ ctx, _ call, in *listPoliciesIn) (*listPoliciesOut, error) {
	if in.UsageFilter == boundaryUsage {
		return nil, awsapi.NotBuilt("ListPolicies by permissions boundaries")
	}
	var all []policyShape
	err := s.config.Store.View(func(tx *store.Tx) error {
		var list []managedPolicy
		if in.Scope != "Local" {
			for _, arn := range sortedKeys(awsManaged) {
				p, _ := awsManagedPolicy(arn)
				list = append(list, p)
			}
		}
		if in.Scope != "AWS" {
			for row, err := range policyTable.Scan(tx, store.Query{}) {
				if err != nil {
					return err
				}
				list = append(list, row.Value)
			}
		}
		for _, p := range list {
			if !strings.HasPrefix(p.Path, pathOr(in.PathPrefix)) {
				continue
			}
			shape, err := s.shapeOf(tx, p)
			if err != nil {
				return err
			}
			shape.Tags, shape.Description = nil, ""
			if shape.AttachmentCount > 0 || !in.OnlyAttached {
				all = append(all, shape)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &listPoliciesOut{}
	out.Policies, out.page, err = cut(all, in.paging)
	return out, err
}

func (p managedPolicy) version(id string, document bool) policyVersionShape {
	v := p.Versions[id]
	out := policyVersionShape{VersionID: id, IsDefaultVersion: id == p.Default}
	out.CreateDate.Time = v.Created
	if document {
		out.Document = encoded(v.Document)
	}
	return out
}

func (s *Service) createPolicyVersion(_ ctx, _ call, in *createPolicyVersionIn) (*policyVersionOut, error) {
	if err := checkManaged(in.PolicyDocument); err != nil {
		return nil, err
	}
	out := &policyVersionOut{}
	return out, s.changePolicy(in.PolicyArn, func(_ *store.Tx, p *managedPolicy) error {
		if len(p.Versions) >= maxVersions {
			return limitExceeded("A managed policy can have up to %d versions. Before you create a new version, "+
				"you must delete an existing version.", maxVersions)
		}
		id := fmt.Sprintf("v%d", p.Next)
		p.Next++
		p.Updated = s.config.Scheduler.Now()
		p.Versions[id] = policyVersion{in.PolicyDocument, p.Updated}
		if in.SetAsDefault {
			p.Default = id
		}
		out.PolicyVersion = p.version(id, false)
		return nil
	})
}

func noVersion(arn, id string) error {
	return noSuchEntity("Policy %s version %s does not exist or is not attachable.", arn, id)
}

func (s *Service) getPolicyVersion(_ ctx, _ call, in *policyVersionIn) (*policyVersionOut, error) {
	out := &policyVersionOut{}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		p, err := getPolicy(tx, in.PolicyArn)
		if err != nil {
			return err
		}
		if _, ok := p.Versions[in.VersionID]; !ok {
			return noVersion(in.PolicyArn, in.VersionID)
		}
		out.PolicyVersion = p.version(in.VersionID, true)
		return nil
	})
}

func (s *Service) deletePolicyVersion(_ ctx, _ call, in *policyVersionIn) (*none, error) {
	return nil, s.changePolicy(in.PolicyArn, func(_ *store.Tx, p *managedPolicy) error {
		if _, ok := p.Versions[in.VersionID]; !ok {
			return noVersion(in.PolicyArn, in.VersionID)
		}
		if p.Default == in.VersionID {
			return deleteConflict("Cannot delete the default version of a policy.")
		}
		delete(p.Versions, in.VersionID)
		return nil
	})
}

func (s *Service) setDefaultPolicyVersion(_ ctx, _ call, in *policyVersionIn) (*none, error) {
	return nil, s.changePolicy(in.PolicyArn, func(_ *store.Tx, p *managedPolicy) error {
		if _, ok := p.Versions[in.VersionID]; !ok {
			return noVersion(in.PolicyArn, in.VersionID)
		}
		p.Default = in.VersionID
		return nil
	})
}

func (s *Service) listPolicyVersions(_ ctx, _ call, in *policyIn) (*policyVersionsOut, error) {
	var all []policyVersionShape
	err := s.config.Store.View(func(tx *store.Tx) error {
		p, err := getPolicy(tx, in.PolicyArn)
		for id := range p.Versions {
			all = append(all, p.version(id, false))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b policyVersionShape) int { return strings.Compare(b.VersionID, a.VersionID) })
	out := &policyVersionsOut{}
	out.Versions, out.page, err = cut(all, in.paging)
	return out, err
}

func (s *Service) listEntitiesForPolicy(_ ctx, _ call, in *entitiesIn) (*entitiesOut, error) {
	if in.PolicyUsageFilter == boundaryUsage {
		return nil, awsapi.NotBuilt("ListEntitiesForPolicy by permissions boundaries")
	}
	wants := func(kind string) bool { return in.EntityFilter == "" || in.EntityFilter == kind }
	out := &entitiesOut{PolicyGroups: []none{}, PolicyUsers: []policyUser{}, PolicyRoles: []policyRole{}}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		if _, err := getPolicy(tx, in.PolicyArn); err != nil {
			return err
		}
		for row, err := range attachmentTable.Scan(tx, store.Query{Prefix: []string{in.PolicyArn}}) {
			if err != nil {
				return err
			}
			if !wants("Role") && row.Key[1] == roles.name || !wants("User") && row.Key[1] == users.name {
				continue
			}
			if row.Key[1] == roles.name {
				e, err := roles.get(tx, row.Key[2])
				if err != nil {
					return err
				}
				if strings.HasPrefix(e.Path, pathOr(in.PathPrefix)) {
					out.PolicyRoles = append(out.PolicyRoles, policyRole{e.Name, e.ID})
				}
				continue
			}
			e, err := users.get(tx, row.Key[2])
			if err != nil {
				return err
			}
			if strings.HasPrefix(e.Path, pathOr(in.PathPrefix)) {
				out.PolicyUsers = append(out.PolicyUsers, policyUser{e.Name, e.ID})
			}
		}
		return nil
	})
}
