package iam

import (
	"context"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Assume lets an AWS service take on a role for the resource sourceARN. The
// role's trust policy decides; the error is STS's AccessDenied, also when
// there is no such role. Characters that a session name may not have become
// hyphens.
func (s *Service) Assume(_ context.Context, roleARN, servicePrincipal, sourceARN, sessionName string) (
	awsapi.Identity, error) {
	account := accountOf(sourceARN)
	if account == "" {
		account = s.config.Account
	}
	id := awsapi.ServiceOf(servicePrincipal, account, sourceARN)
	role, decision, err := s.checkTrust(id, roleARN, nil)
	if err != nil {
		return awsapi.Identity{}, err
	}
	if decision != policy.Allow {
		return awsapi.Identity{}, s.recordDenial(mayNotAssume(servicePrincipal, roleARN))
	}
	return s.session(role, sessionName), nil
}

// AssumeAs lets a caller take on a role. A trust policy that names the caller
// is enough; one that names the account leaves it to the caller's own
// policies. It returns the longest time in seconds that the session may last.
func (s *Service) AssumeAs(_ context.Context, caller awsapi.Identity, roleARN, sessionName, externalID,
	sourceIP string) (_ awsapi.Identity, maxSession int, err error) {
	conditions := map[string][]string{"sts:RoleSessionName": {sessionName}}
	if externalID != "" {
		conditions["sts:ExternalId"] = []string{externalID}
	}
	role, decision, err := s.checkTrust(caller, roleARN, conditions)
	if err != nil {
		return awsapi.Identity{}, 0, err
	}
	byIdentity := s.decide(awsapi.Request{Identity: caller, Action: "sts:AssumeRole", Resource: roleARN,
		Conditions: conditions, SourceIP: sourceIP})
	switch {
	case awsapi.IsFault(byIdentity):
		return awsapi.Identity{}, 0, byIdentity
	case caller.Root:
		// AWS: "Roles may not be assumed by root accounts."
		return awsapi.Identity{}, 0, awsapi.Errorf("AccessDenied", "Roles may not be assumed by root accounts.").
			WithStatus(403)
	case decision == policy.Delegated && byIdentity == nil:
	case decision == policy.Allow && (byIdentity == nil || !strings.Contains(byIdentity.Error(), "explicit deny")):
	default:
		return awsapi.Identity{}, 0, s.recordDenial(mayNotAssume(caller.ARN, roleARN))
	}
	return s.session(role, sessionName), role.MaxSession, nil
}

// checkTrust asks a role's trust policy about a caller.
func (s *Service) checkTrust(id awsapi.Identity, roleARN string, conditions map[string][]string) (role entity,
	d policy.Decision, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		var err error
		role, err = roles.getShared(tx, nameOf(roleARN))
		return err
	})
	if awsapi.Code(err) == "NoSuchEntity" || err == nil && role.ARN != roleARN {
		return role, policy.None, nil // AWS does not tell who has which roles
	}
	if err != nil {
		return role, policy.None, err
	}
	doc, err := s.document(role.Trust)
	if err != nil {
		return role, policy.None, err
	}
	d, _ = policy.Evaluate([]*policy.Document{doc}, policy.Request{
		Action: "sts:AssumeRole", Resource: roleARN, Principal: s.principalOf(id),
		Find: func() map[string][]string { return s.values(id, roleARN, "", conditions, nil) },
	})
	return role, d, nil
}

// session is the identity of a session of a role.
func (s *Service) session(role entity, name string) awsapi.Identity {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_+=,.@-", r):
			return r
		}
		return '-'
	}, name)
	name = name[:min(len(name), 64)]
	return awsapi.Identity{
		Account: s.config.Account,
		ARN:     "arn:aws:sts::" + s.config.Account + ":assumed-role/" + role.Name + "/" + name,
		UserID:  role.ID + ":" + name,
		RoleARN: role.ARN,
	}
}
