package iot

import (
	"context"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type attachIn struct {
	PolicyName string `json:"policyName" uri:"policyName" api:"min=1,max=128,pattern=policy name"`
	Target     string `json:"target"`
}

// checkTarget says whether a policy can be attached to the target.
func (s *Service) checkTarget(tx *store.Tx, target string) error {
	if id := s.nameIn("cert", target); id != "" {
		_, err := s.getCertificate(tx, id)
		return err
	}
	if name := s.nameIn("thinggroup", target); name != "" {
		g, err := s.getGroup(tx, name)
		if err == nil && g.dynamic() {
			err = invalid("A policy cannot be attached to a dynamic thing group.")
		}
		return err
	}
	if strings.HasPrefix(target, "arn:aws:cognito-identity:") || strings.Contains(target, ":") &&
		!strings.HasPrefix(target, "arn:") {
		return awsapi.NotBuilt("policies of Cognito identities")
	}
	return invalid("The target %q is not the ARN of a certificate or thing group of this account.", target)
}

func (s *Service) attachPolicy(_ context.Context, _ *awsapi.Call, in *attachIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		if _, err := s.getPolicyRecord(tx, in.PolicyName); err != nil {
			return err
		}
		if err := s.checkTarget(tx, in.Target); err != nil {
			return err
		}
		attached, err := all(tx, targetPolicy, in.Target)
		if err != nil || slices.Contains(attached, in.PolicyName) {
			return err
		}
		if len(attached) >= policiesOfOneTarget {
			return limitExceeded("The target has %d policies; at most %d are allowed.", len(attached),
				policiesOfOneTarget)
		}
		tx.OnCommit(s.changedOf(in.Target))
		if err := policyTarget.Put(tx, mark{}, in.PolicyName, in.Target); err != nil {
			return err
		}
		return targetPolicy.Put(tx, mark{}, in.Target, in.PolicyName)
	})
}

func (s *Service) detachPolicy(_ context.Context, _ *awsapi.Call, in *attachIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		if _, err := s.getPolicyRecord(tx, in.PolicyName); err != nil {
			return err
		}
		return s.detach(tx, in.PolicyName, in.Target)
	})
}

func (s *Service) detach(tx *store.Tx, policyName, target string) error {
	tx.OnCommit(s.changedOf(target))
	if err := policyTarget.Delete(tx, policyName, target); err != nil {
		return err
	}
	return targetPolicy.Delete(tx, target, policyName)
}

// detachAll detaches every policy of a target that goes.
func (s *Service) detachAll(tx *store.Tx, target string) error {
	attached, err := all(tx, targetPolicy, target)
	if err != nil {
		return err
	}
	for _, p := range attached {
		if err := s.detach(tx, p, target); err != nil {
			return err
		}
	}
	return nil
}

// The older operations name the target in a header.
type principalPolicyIn struct {
	PolicyName string `json:"policyName" uri:"policyName" api:"min=1,max=128,pattern=policy name"`
	Principal  string `json:"principal" header:"x-amzn-iot-principal"`
}

func (s *Service) attachPrincipalPolicy(ctx context.Context, c *awsapi.Call, in *principalPolicyIn) (*empty, error) {
	return s.attachPolicy(ctx, c, &attachIn{in.PolicyName, in.Principal})
}

func (s *Service) detachPrincipalPolicy(ctx context.Context, c *awsapi.Call, in *principalPolicyIn) (*empty, error) {
	return s.detachPolicy(ctx, c, &attachIn{in.PolicyName, in.Principal})
}

type attachedIn struct {
	Target    string `json:"target" uri:"target"`
	Recursive bool   `json:"recursive,omitempty" query:"recursive"`
	Marker    string `json:"marker,omitempty" query:"marker" api:"max=1024"`
	PageSize  *int   `json:"pageSize,omitempty" query:"pageSize" api:"min=1,max=250"`
}

func (s *Service) listAttached(_ context.Context, _ *awsapi.Call, in *attachedIn) (*policiesOut, error) {
	p, err := newPage(in.PageSize, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &policiesOut{}
	err = s.db.View(func(tx *store.Tx) error {
		if err := s.checkTarget(tx, in.Target); err != nil {
			return err
		}
		targets := []string{in.Target}
		if in.Recursive {
			more, err := s.inherited(tx, in.Target)
			if err != nil {
				return err
			}
			targets = append(targets, more...)
		}
		var list []string
		for _, t := range targets {
			attached, err := all(tx, targetPolicy, t)
			if err != nil {
				return err
			}
			for _, name := range attached {
				if !slices.Contains(list, name) {
					list = append(list, name)
				}
			}
		}
		slices.Sort(list)
		var shown []string
		for _, name := range list {
			if len(p.after) == 1 && name <= p.after[0] {
				continue
			}
			if p.full() {
				break
			}
			shown = append(shown, name)
			p.add(name)
		}
		out.Policies, out.NextMarker = s.policyViews(shown), p.token
		return nil
	})
	return out, err
}

// inherited lists the thing groups whose policies a target has as well: the
// groups of a certificate's things, and the groups above a group.
func (s *Service) inherited(tx *store.Tx, target string) ([]string, error) {
	var groups []string
	if name := s.nameIn("thinggroup", target); name != "" {
		above, err := ancestors(tx, name)
		if err != nil {
			return nil, err
		}
		groups = above
	} else {
		things, err := all(tx, principalThing, target)
		if err != nil {
			return nil, err
		}
		for _, t := range things {
			of, err := groupsOf(tx, t)
			if err != nil {
				return nil, err
			}
			groups = append(groups, of...)
		}
	}
	var arns []string
	for _, g := range groups {
		if arn := s.arn("thinggroup/" + g); !slices.Contains(arns, arn) {
			arns = append(arns, arn)
		}
	}
	return arns, nil
}

type targetsIn struct {
	PolicyName string `json:"policyName" uri:"policyName" api:"min=1,max=128,pattern=policy name"`
	Marker     string `json:"marker,omitempty" query:"marker" api:"max=1024"`
	PageSize   *int   `json:"pageSize,omitempty" query:"pageSize" api:"min=1,max=250"`
}

type targetsOut struct {
	Targets    []string `json:"targets"`
	NextMarker string   `json:"nextMarker,omitempty"`
}

func (s *Service) listTargets(_ context.Context, _ *awsapi.Call, in *targetsIn) (*targetsOut, error) {
	p, err := newPage(in.PageSize, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &targetsOut{}
	err = s.db.View(func(tx *store.Tx) error {
		if _, err := s.getPolicyRecord(tx, in.PolicyName); err != nil {
			return err
		}
		out.Targets, err = names(tx, policyTarget, p, in.PolicyName)
		out.NextMarker = p.token
		return err
	})
	return out, err
}

type principalPoliciesIn struct {
	Principal string `json:"principal" header:"x-amzn-iot-principal"`
	Marker    string `json:"marker,omitempty" query:"marker" api:"max=1024"`
	PageSize  *int   `json:"pageSize,omitempty" query:"pageSize" api:"min=1,max=250"`
}

func (s *Service) listPrincipalPolicies(ctx context.Context, c *awsapi.Call, in *principalPoliciesIn) (
	*policiesOut, error) {
	return s.listAttached(ctx, c, &attachedIn{Target: in.Principal, Marker: in.Marker, PageSize: in.PageSize})
}
