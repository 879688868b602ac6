package iot

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
		return nil, awsapi.Errorf("MalformedPolicyException", "The policy has %d characters without white space; at most %d are allowed.", size, maxPolicySize)
	}
	d, err := policy.Parse([]byte(text))
	if err == nil {
		err = d.CheckIdentity()
	}
	if err != nil {
		return nil, awsapi.Errorf("MalformedPolicyException", "Policy document is Malformed: %s", awsapi.AsError(err).Message)
	}
	return d, nil
}

type (
	createPolicyIn struct {
		PolicyName     string `json:"policyName" uri:"policyName"`
		PolicyDocument string `json:"policyDocument"`
		Tags           []tag  `json:"tags,omitempty"`
	}
	createPolicyVersionIn struct {
		PolicyName     string `json:"policyName" uri:"policyName"`
		PolicyDocument string `json:"policyDocument"`
		SetAsDefault   bool   `json:"setAsDefault,omitempty" query:"setAsDefault"`
	}
	policyNameIn struct {
		PolicyName string `json:"policyName" uri:"policyName"`
	}
	policyVersionIn struct {
		PolicyName      string `json:"policyName" uri:"policyName"`
		PolicyVersionID string `json:"policyVersionId" uri:"policyVersionId"`
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
			return exists(in.PolicyName, arn, "Policy cannot be created - name already exists (name=%s)", in.PolicyName)
		}
		if err := addTags(tx, arn, tagMap(in.Tags)); err != nil {
			return err
		}
		now := s.now()
		if err := policyVersions.Put(tx, policyVersion{in.PolicyDocument, now}, in.PolicyName, store.Number(1)); err != nil {
			return err
		}
		return policyTable.Put(tx, policyRecord{Default: 1, Last: 1, Created: now, Modified: now, Generation: s.sched.UUID()}, in.PolicyName)
	})
	if err != nil {
		return nil, err
	}
	return &createPolicyOut{in.PolicyName, arn, in.PolicyDocument, "1"}, nil
}

func (s *Service) getPolicyRecord(tx *store.Tx, name string) (policyRecord, error) {
	p, ok, err := policyTable.Get(tx, name)
	if err == nil && !ok {
		err = errNoPolicy(name)
	}
	return p, err
}

func errNoPolicy(name string) error { return notFound("Policy not found (name=%s)", name) }

func (s *Service) getVersion(tx *store.Tx, name, id string) (int64, policyVersion, error) {
	n, err := strconv.ParseInt(id, 10, 63)
	if err != nil || n < 1 {
		return 0, policyVersion{}, invalid("policyVersionId %q is not a number.", id)
	}
	v, ok, err := policyVersions.Get(tx, name, store.Number(uint64(n)))
	if err == nil && !ok {
		err = notFound("Policy version %s of policy %s does not exist.", id, name)
	}
	return n, v, err
}

type createVersionOut struct {
	PolicyARN        string `json:"policyArn"`
	PolicyDocument   string `json:"policyDocument"`
	PolicyVersionID  string `json:"policyVersionId"`
	IsDefaultVersion bool   `json:"isDefaultVersion"`
}

func (s *Service) createPolicyVersion(_ context.Context, _ *awsapi.Call, in *createPolicyVersionIn) (*createVersionOut, error) {
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
			return conflict("VersionsLimitExceededException", "The policy %s already has the maximum number of versions (%d)", in.PolicyName, maxPolicyVersions)
		}
		p.Last++
		id = strconv.FormatInt(p.Last, 10)
		p.Modified = s.now()
		if in.SetAsDefault {
			p.Default = p.Last
			tx.OnCommit(s.changed)
		}
		if err := policyVersions.Put(tx, policyVersion{in.PolicyDocument, s.now()}, in.PolicyName, store.Number(uint64(p.Last))); err != nil {
			return err
		}
		return policyTable.Put(tx, p, in.PolicyName)
	})
	if err != nil {
		return nil, err
	}
	return &createVersionOut{s.arn("policy/" + in.PolicyName), in.PolicyDocument, id, in.SetAsDefault}, nil
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
			return conflict("DeleteConflictException", "The policy cannot be deleted as the policy is attached to one or more principals (name=%s)", in.PolicyName)
		}
		versions, err := all(tx, policyVersions, in.PolicyName)
		if err != nil {
			return err
		}
		if len(versions) > 1 {
			return conflict("DeleteConflictException", "Cannot delete the policy because it has one or more policy versions attached to it (name=%s)", in.PolicyName)
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
			PolicyName: in.PolicyName, PolicyARN: s.arn("policy/" + in.PolicyName), PolicyDocument: v.Document, DefaultVersionID: id,
			CreationDate: awsapi.TimeOf(moment(p.Created)), LastModifiedDate: awsapi.TimeOf(moment(p.Modified)), GenerationID: p.Generation,
		}
		return err
	})
	return out, err
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
			CreationDate: awsapi.TimeOf(moment(v.Created)), LastModifiedDate: awsapi.TimeOf(moment(v.Created)), GenerationID: p.Generation,
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
			out.PolicyVersions = append(out.PolicyVersions, policyVersionView{strconv.FormatInt(n, 10), n == p.Default, awsapi.TimeOf(moment(row.Value.Created))})
		}
		return nil
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
	PageSize       int    `json:"pageSize,omitempty" query:"pageSize"`
	Marker         string `json:"marker,omitempty" query:"marker"`
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

type attachIn struct {
	PolicyName string `json:"policyName" uri:"policyName"`
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
	if strings.HasPrefix(target, "arn:aws:cognito-identity:") || strings.Contains(target, ":") && !strings.HasPrefix(target, "arn:") {
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
			return limitExceeded("The target has %d policies; at most %d are allowed.", len(attached), policiesOfOneTarget)
		}
		tx.OnCommit(s.changed)
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
	tx.OnCommit(s.changed)
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
	PolicyName string `json:"policyName" uri:"policyName"`
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
	Marker    string `json:"marker,omitempty" query:"marker"`
	PageSize  int    `json:"pageSize,omitempty" query:"pageSize"`
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
			of, err := registry{s}.GroupsOf(tx, t)
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
	PolicyName string `json:"policyName" uri:"policyName"`
	Marker     string `json:"marker,omitempty" query:"marker"`
	PageSize   int    `json:"pageSize,omitempty" query:"pageSize"`
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
	Marker    string `json:"marker,omitempty" query:"marker"`
	PageSize  int    `json:"pageSize,omitempty" query:"pageSize"`
}

func (s *Service) listPrincipalPolicies(ctx context.Context, c *awsapi.Call, in *principalPoliciesIn) (*policiesOut, error) {
	return s.listAttached(ctx, c, &attachedIn{Target: in.Principal, Marker: in.Marker, PageSize: in.PageSize})
}
