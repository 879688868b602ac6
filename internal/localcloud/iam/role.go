package iam

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func roleOf(e entity) roleShape {
	r := roleShape{
		Path: e.Path, RoleName: e.Name, RoleID: e.ID, Arn: e.ARN, AssumeRolePolicyDocument: encoded(e.Trust),
		Description: e.Description, MaxSessionDuration: e.MaxSession, PermissionsBoundary: boundaryOf(e),
		Tags: tagList(e.Tags),
	}
	r.CreateDate.Time = e.Created
	return r
}

func checkTrust(doc string) error {
	d, err := policy.Parse([]byte(doc))
	if err != nil {
		return err
	}
	if size(doc) > 4096 {
		return limitExceeded("Cannot exceed quota for ACLSizePerRole: 4096")
	}
	return d.CheckTrust()
}

func (s *Service) createRole(_ ctx, _ call, in *createRoleIn) (*roleOut, error) {
	if in.AssumeRolePolicyDocument == "" {
		return nil, invalid("1 validation error detected: Value null at 'assumeRolePolicyDocument' failed to " +
			"satisfy constraint: Member must not be null")
	}
	if err := checkTrust(in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	if in.MaxSessionDuration == 0 {
		in.MaxSessionDuration = 3600
	}
	e, err := s.create(roles, entity{
		Path: in.Path, Name: in.RoleName, Description: in.Description, Trust: in.AssumeRolePolicyDocument,
		MaxSession: in.MaxSessionDuration, Boundary: in.PermissionsBoundary,
	}, in.Tags)
	if err != nil {
		return nil, err
	}
	return &roleOut{roleOf(e)}, nil
}

func (s *Service) getRole(_ ctx, _ call, in *roleIn) (*roleOut, error) {
	e, err := s.get(roles, in.RoleName)
	if err != nil {
		return nil, err
	}
	return &roleOut{roleOf(e)}, nil
}

func (s *Service) updateRole(_ ctx, _ call, in *updateRoleIn) (*none, error) {
	return &none{}, s.change(roles, in.RoleName, func(_ *store.Tx, e *entity) error {
		if in.Description != nil {
			e.Description = *in.Description
		}
		if in.MaxSessionDuration == 0 {
			return nil
		}
		e.MaxSession = in.MaxSessionDuration
		return nil
	})
}

func (s *Service) deleteRole(_ ctx, _ call, in *roleIn) (*none, error) {
	return nil, s.delete(roles, in.RoleName)
}

func (s *Service) listRoles(_ ctx, _ call, in *listIn) (*listRolesOut, error) {
	out := &listRolesOut{}
	var err error
	out.Roles, out.page, err = scan(s, roles, in.paging, func(e entity) roleShape {
		r := roleOf(e)
		r.Tags, r.PermissionsBoundary = nil, nil // AWS leaves them out of lists
		return r
	})
	return out, err
}

func (s *Service) updateAssumeRolePolicy(_ ctx, _ call, in *trustIn) (*none, error) {
	if err := checkTrust(in.PolicyDocument); err != nil {
		return nil, err
	}
	return nil, s.change(roles, in.RoleName, func(_ *store.Tx, e *entity) error {
		e.Trust = in.PolicyDocument
		return nil
	})
}

func (s *Service) tagRole(_ ctx, _ call, in *tagRoleIn) (*none, error) {
	return nil, s.change(roles, in.RoleName, func(_ *store.Tx, e *entity) error { return setTags(e, in.Tags) })
}

func (s *Service) untagRole(_ ctx, _ call, in *untagRoleIn) (*none, error) {
	return nil, s.change(roles, in.RoleName, func(_ *store.Tx, e *entity) error {
		for _, k := range in.TagKeys {
			delete(e.Tags, k)
		}
		return nil
	})
}

func (s *Service) listRoleTags(_ ctx, _ call, in *roleIn) (*tagsOut, error) {
	e, err := s.get(roles, in.RoleName)
	return &tagsOut{Tags: tagList(e.Tags)}, err
}

func (s *Service) putRoleBoundary(_ ctx, _ call, in *boundaryIn) (*none, error) {
	return nil, s.change(roles, in.RoleName, func(tx *store.Tx, e *entity) error {
		e.Boundary = in.PermissionsBoundary
		_, err := getPolicy(tx, in.PermissionsBoundary)
		return err
	})
}

func (s *Service) deleteRoleBoundary(_ ctx, _ call, in *boundaryIn) (*none, error) {
	return nil, s.change(roles, in.RoleName, func(_ *store.Tx, e *entity) error {
		if e.Boundary == "" {
			return noSuchEntity("The role with name %s has no permissions boundary.", in.RoleName)
		}
		e.Boundary = ""
		return nil
	})
}

// listInstanceProfilesForRole answers that there are none, as there cannot be
// any; clients ask before they delete a role.
func (s *Service) listInstanceProfilesForRole(_ ctx, _ call, in *roleIn) (*instanceProfilesOut, error) {
	_, err := s.get(roles, in.RoleName)
	return &instanceProfilesOut{InstanceProfiles: []none{}}, err
}

func (s *Service) putRolePolicy(_ ctx, _ call, in *rolePolicyIn) (*none, error) {
	return nil, s.putInline(roles, in.RoleName, in.PolicyName, in.PolicyDocument)
}

func (s *Service) getRolePolicy(_ ctx, _ call, in *rolePolicyIn) (*rolePolicyOut, error) {
	e, doc, err := s.getInline(roles, in.RoleName, in.PolicyName)
	return &rolePolicyOut{e.Name, in.PolicyName, doc}, err
}

func (s *Service) deleteRolePolicy(_ ctx, _ call, in *rolePolicyIn) (*none, error) {
	return nil, s.deleteInline(roles, in.RoleName, in.PolicyName)
}

func (s *Service) listRolePolicies(_ ctx, _ call, in *listOfRoleIn) (*policyNamesOut, error) {
	return s.listInline(roles, in.RoleName, in.paging)
}

func (s *Service) attachRolePolicy(_ ctx, _ call, in *attachRoleIn) (*none, error) {
	return nil, s.attach(roles, in.RoleName, in.PolicyArn)
}

func (s *Service) detachRolePolicy(_ ctx, _ call, in *attachRoleIn) (*none, error) {
	return nil, s.detach(roles, in.RoleName, in.PolicyArn)
}

func (s *Service) listAttachedRolePolicies(_ ctx, _ call, in *listOfRoleIn) (*attachedOut, error) {
	return s.listAttached(roles, in.RoleName, in.PathPrefix, in.paging)
}
