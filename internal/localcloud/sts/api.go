package sts

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// API returns the operations of STS.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalFailure", Status: 500},
		Throttled: awsapi.Word{Code: "Throttling", Status: 400},
		ID:        "sts", Signing: "sts", Prefix: "sts", Invalid: "ValidationError",
		Protocols: []awsapi.Protocol{awsapi.Query},
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Version: "2011-06-15", DeniedCode: "AccessDenied",
		Unbuilt: []string{
			"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "DecodeAuthorizationMessage",
			"GetDelegatedAccessToken", "GetFederationToken", "GetWebIdentityToken",
		},
		Operations: []awsapi.Operation{
			awsapi.Op("GetCallerIdentity", s.getCallerIdentity, awsapi.Action("-")),
			// The role's trust policy decides with the caller's policies.
			awsapi.Op("AssumeRole", s.assumeRole, awsapi.Action("-")),
			awsapi.Op("GetSessionToken", s.getSessionToken, awsapi.Action("-")),
			awsapi.Op("GetAccessKeyInfo", s.getAccessKeyInfo),
		},
	}
}

// Wire shapes.
type (
	none struct{}

	credentials struct {
		AccessKeyID     string      `json:"AccessKeyId"`
		SecretAccessKey string      `json:"SecretAccessKey"`
		SessionToken    string      `json:"SessionToken"`
		Expiration      awsapi.Time `json:"Expiration"`
	}
	callerIdentityOut struct {
		UserID  string `json:"UserId"`
		Account string `json:"Account"`
		Arn     string `json:"Arn"`
	}
	assumeRoleIn struct {
		RoleArn         string              `json:"RoleArn" api:"min=20,max=2048,pattern=role arn"`
		RoleSessionName string              `json:"RoleSessionName" api:"min=2,max=64,pattern=session name"`
		DurationSeconds *int                `json:"DurationSeconds" api:"min=900,max=43200"`
		ExternalID      string              `json:"ExternalId" api:"min=2,max=1224,pattern=external id"`
		Policy          string              `json:"Policy" api:"min=1,pattern=latin text"`
		PolicyArns      []map[string]string `json:"PolicyArns"`
		Tags            []map[string]string `json:"Tags" api:"max=50"`
		SerialNumber    string              `json:"SerialNumber" api:"min=9,max=256,pattern=arn characters"`
		SourceIdentity  string              `json:"SourceIdentity" api:"min=2,max=64,pattern=session name"`
	}
	assumedRoleUser struct {
		AssumedRoleID string `json:"AssumedRoleId"`
		Arn           string `json:"Arn"`
	}
	assumeRoleOut struct {
		AssumedRoleUser assumedRoleUser `json:"AssumedRoleUser"`
		Credentials     credentials     `json:"Credentials"`
	}
	sessionTokenIn struct {
		DurationSeconds *int   `json:"DurationSeconds" api:"min=900,max=129600"`
		SerialNumber    string `json:"SerialNumber" api:"min=9,max=256,pattern=arn characters"`
	}
	sessionTokenOut struct {
		Credentials credentials `json:"Credentials"`
	}
	accessKeyInfoIn struct {
		AccessKeyID string `json:"AccessKeyId" api:"min=16,max=128"`
	}
	accessKeyInfoOut struct {
		Account string `json:"Account"`
	}
)

func (s *Service) getCallerIdentity(_ context.Context, c *awsapi.Call, _ *none) (*callerIdentityOut, error) {
	return &callerIdentityOut{c.Identity.UserID, c.Identity.Account, c.Identity.ARN}, nil
}

var sessionName = regexp.MustCompile(`^[\w+=,.@-]*$`)

func (s *Service) assumeRole(ctx context.Context, c *awsapi.Call, in *assumeRoleIn) (*assumeRoleOut, error) {
	if in.RoleArn == "" || !strings.Contains(in.RoleArn, ":role/") {
		return nil, invalid("%s is invalid", in.RoleArn)
	}
	if n := len(in.RoleSessionName); n < 2 || n > 64 {
		return nil, invalid("1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy "+
			"constraint: "+
			"Member must have length between 2 and 64", in.RoleSessionName)
	}
	if !sessionName.MatchString(in.RoleSessionName) {
		return nil, invalid("1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy "+
			"constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*", in.RoleSessionName)
	}
	switch {
	case in.Policy != "" || len(in.PolicyArns) > 0:
		return nil, awsapi.NotBuilt("session policies of sts:AssumeRole")
	case len(in.Tags) > 0 || in.SourceIdentity != "":
		return nil, awsapi.NotBuilt("session tags and source identities of sts:AssumeRole")
	case in.SerialNumber != "":
		return nil, awsapi.NotBuilt("multi-factor authentication of sts:AssumeRole")
	}
	id, longest, err := s.config.Roles.AssumeAs(ctx, c.Identity, in.RoleArn, in.RoleSessionName, in.ExternalID,
		c.SourceIP)
	if err != nil {
		return nil, err
	}
	seconds := 3600
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	if seconds < 900 || seconds > 43200 {
		return nil, invalid("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy "+
			"constraint: "+
			"Member must be between 900 and 43200", seconds)
	}
	if seconds > longest {
		return nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if c.Identity.RoleARN != "" && seconds > 3600 {
		return nil, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by " +
			"role chaining")
	}
	out := &assumeRoleOut{AssumedRoleUser: assumedRoleUser{id.UserID, id.ARN}}
	out.Credentials, err = s.issue(id, time.Duration(seconds)*time.Second)
	return out, err
}

func (s *Service) getSessionToken(_ context.Context, c *awsapi.Call, in *sessionTokenIn) (*sessionTokenOut, error) {
	if in.SerialNumber != "" {
		return nil, awsapi.NotBuilt("multi-factor authentication of sts:GetSessionToken")
	}
	if c.Identity.RoleARN != "" {
		return nil, awsapi.Errorf("AccessDenied", "Cannot call GetSessionToken with session credentials").
			WithStatus(403)
	}
	seconds := 43200
	if c.Identity.Root {
		seconds = 3600
	}
	if in.DurationSeconds != nil {
		if *in.DurationSeconds < 900 || *in.DurationSeconds > 129600 {
			return nil, invalid("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy "+
				"constraint: "+
				"Member must be between 900 and 129600", *in.DurationSeconds)
		}
		if !c.Identity.Root || *in.DurationSeconds < seconds {
			seconds = *in.DurationSeconds
		}
	}
	out := &sessionTokenOut{}
	var err error
	out.Credentials, err = s.issue(c.Identity, time.Duration(seconds)*time.Second)
	return out, err
}

func (s *Service) getAccessKeyInfo(ctx context.Context, _ *awsapi.Call,
	in *accessKeyInfoIn) (*accessKeyInfoOut, error) {
	c, ok, err := s.credentialsOf(ctx, in.AccessKeyID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, invalid("The access key %s is not known", in.AccessKeyID)
	}
	return &accessKeyInfoOut{c.identity.Account}, nil
}
