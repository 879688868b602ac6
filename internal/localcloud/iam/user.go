package iam

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func userOf(e entity) userShape {
	u := userShape{Path: e.Path, UserName: e.Name, UserID: e.ID, Arn: e.ARN, PermissionsBoundary: boundaryOf(e),
		Tags: tagList(e.Tags)}
	u.CreateDate.Time = e.Created
	return u
}

func (s *Service) createUser(_ ctx, _ call, in *createUserIn) (*userOut, error) {
	e, err := s.create(users, entity{Path: in.Path, Name: in.UserName, Boundary: in.PermissionsBoundary}, in.Tags)
	if err != nil {
		return nil, err
	}
	return &userOut{userOf(e)}, nil
}

// callerOr is the named user, or the caller's when no name is given.
func callerOr(c call, name string) (string, error) {
	if name == "" {
		name = nameOf(c.Identity.UserARN)
	}
	if name == "" {
		return "", invalid("Must specify userName when calling with non-User credentials")
	}
	return name, nil
}

func (s *Service) getUser(_ ctx, c call, in *userIn) (*userOut, error) {
	if in.UserName == "" && c.Identity.Root {
		return &userOut{userShape{Path: "/", UserName: "root", UserID: c.Account, Arn: c.Identity.ARN}}, nil
	}
	name, err := callerOr(c, in.UserName)
	if err != nil {
		return nil, err
	}
	e, err := s.get(users, name)
	return &userOut{userOf(e)}, err
}

func (s *Service) deleteUser(_ ctx, _ call, in *userIn) (*none, error) {
	return nil, s.delete(users, in.UserName)
}

func (s *Service) listUsers(_ ctx, _ call, in *listIn) (*listUsersOut, error) {
	out := &listUsersOut{}
	var err error
	out.Users, out.page, err = scan(s, users, in.paging, func(e entity) userShape {
		u := userOf(e)
		u.Tags, u.PermissionsBoundary = nil, nil
		return u
	})
	return out, err
}

func (s *Service) putUserPolicy(_ ctx, _ call, in *userPolicyIn) (*none, error) {
	return nil, s.putInline(users, in.UserName, in.PolicyName, in.PolicyDocument)
}

func (s *Service) getUserPolicy(_ ctx, _ call, in *userPolicyIn) (*userPolicyOut, error) {
	e, doc, err := s.getInline(users, in.UserName, in.PolicyName)
	return &userPolicyOut{e.Name, in.PolicyName, doc}, err
}

func (s *Service) deleteUserPolicy(_ ctx, _ call, in *userPolicyIn) (*none, error) {
	return nil, s.deleteInline(users, in.UserName, in.PolicyName)
}

func (s *Service) listUserPolicies(_ ctx, _ call, in *listOfUserIn) (*policyNamesOut, error) {
	return s.listInline(users, in.UserName, in.paging)
}

func (s *Service) attachUserPolicy(_ ctx, _ call, in *attachUserIn) (*none, error) {
	return nil, s.attach(users, in.UserName, in.PolicyArn)
}

func (s *Service) detachUserPolicy(_ ctx, _ call, in *attachUserIn) (*none, error) {
	return nil, s.detach(users, in.UserName, in.PolicyArn)
}

func (s *Service) listAttachedUserPolicies(_ ctx, _ call, in *listAttachedIn) (*attachedOut, error) {
	return s.listAttached(users, in.UserName, in.PathPrefix, in.paging)
}

func keyShape(k accessKey) accessKeyShape {
	out := accessKeyShape{UserName: k.User, AccessKeyID: k.ID, Status: "Inactive"}
	if k.Active {
		out.Status = "Active"
	}
	out.CreateDate.Time = k.Created
	return out
}

func (s *Service) createAccessKey(_ ctx, c call, in *userIn) (*accessKeyOut, error) {
	name, err := callerOr(c, in.UserName)
	if err != nil {
		return nil, err
	}
	k := accessKey{ID: s.newID("AKIA", 16), Secret: s.newID("", 40), Active: true, Created: s.config.Scheduler.Now()}
	err = s.update(func(tx *store.Tx) error {
		u, err := users.get(tx, name)
		if err != nil {
			return err
		}
		n := 0
		for _, err := range userKeyTable.Scan(tx, store.Query{Prefix: []string{strings.ToLower(name)}}) {
			if err != nil {
				return err
			}
			n++
		}
		if n >= 2 {
			return limitExceeded("Cannot exceed quota for AccessKeysPerUser: 2")
		}
		k.User = u.Name
		if err := userKeyTable.Put(tx, struct{}{}, strings.ToLower(name), k.ID); err != nil {
			return err
		}
		return keyTable.Put(tx, k, k.ID)
	})
	if err != nil {
		return nil, err
	}
	out := &accessKeyOut{keyShape(k)}
	out.AccessKey.SecretAccessKey = k.Secret
	return out, nil
}

// changeKey loads a user's access key and lets fn write it.
func (s *Service) changeKey(c call, in *accessKeyIn, fn func(tx *store.Tx, k accessKey) error) error {
	name, err := callerOr(c, in.UserName)
	if err != nil {
		return err
	}
	return s.update(func(tx *store.Tx) error {
		k, ok, err := keyTable.Get(tx, in.AccessKeyID)
		if err != nil {
			return err
		}
		if !ok || !strings.EqualFold(k.User, name) {
			return noSuchEntity("The Access Key with id %s cannot be found.", in.AccessKeyID)
		}
		return fn(tx, k)
	})
}

func (s *Service) updateAccessKey(_ ctx, c call, in *accessKeyIn) (*none, error) {
	if in.Status != "Active" && in.Status != "Inactive" {
		return nil, invalid("1 validation error detected: Value at 'status' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [Active, Inactive]")
	}
	return nil, s.changeKey(c, in, func(tx *store.Tx, k accessKey) error {
		k.Active = in.Status == "Active"
		return keyTable.Put(tx, k, k.ID)
	})
}

func (s *Service) deleteAccessKey(_ ctx, c call, in *accessKeyIn) (*none, error) {
	return nil, s.changeKey(c, in, func(tx *store.Tx, k accessKey) error {
		if err := userKeyTable.Delete(tx, strings.ToLower(k.User), k.ID); err != nil {
			return err
		}
		return keyTable.Delete(tx, k.ID)
	})
}

func (s *Service) listAccessKeys(_ ctx, c call, in *listOfUserIn) (*accessKeysOut, error) {
	name, err := callerOr(c, in.UserName)
	if err != nil {
		return nil, err
	}
	var all []accessKeyShape
	err = s.config.Store.View(func(tx *store.Tx) error {
		if _, err := users.get(tx, name); err != nil {
			return err
		}
		for row, err := range userKeyTable.Scan(tx, store.Query{Prefix: []string{strings.ToLower(name)}}) {
			if err != nil {
				return err
			}
			k, _, err := keyTable.Get(tx, row.Key[1])
			if err != nil {
				return err
			}
			all = append(all, keyShape(k))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &accessKeysOut{}
	out.AccessKeyMetadata, out.page, err = cut(all, in.paging)
	return out, err
}
