package awsapi

import "strings"

// Identity is who makes a call.
type Identity struct {
	// Account is the twelve-digit account.
	Account string
	// ARN names the caller in messages: a root, user, assumed-role ARN, or
	// the principal of a service ("iot.amazonaws.com").
	ARN string
	// UserID is the principal's unique id, as in GetCallerIdentity.
	UserID string
	// RoleARN is the role whose policies apply; empty for other callers.
	RoleARN string
	// UserARN is the IAM user whose policies apply; empty for other callers.
	UserARN string
	// Service is the service principal when an AWS service calls on its own
	// behalf, such as "iot.amazonaws.com". Only resource policies can allow
	// such a call.
	Service string
	// SourceARN and SourceAccount are the resource for which a service calls
	// (aws:SourceArn, aws:SourceAccount).
	SourceARN, SourceAccount string
	// Via is the service through which a caller does something that the
	// service asks for on its behalf: "ssm.us-east-1.amazonaws.com".
	Via string `json:"-"`
	// Root is set for the account's root user, who may do everything.
	Root bool
}

// RootOf is the root user of an account.
func RootOf(account string) Identity {
	return Identity{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, Root: true}
}

// ServiceOf is an AWS service acting for a resource.
func ServiceOf(principal, account, sourceARN string) Identity {
	return Identity{Account: account, ARN: principal, Service: principal, SourceARN: sourceARN, SourceAccount: account}
}

// Anonymous is the sender of an unsigned request. Only resource policies that
// name everybody can allow what it does.
func Anonymous() Identity { return Identity{ARN: "anonymous"} }

// RoleName is the name of the role behind the identity, "" if none.
func (id Identity) RoleName() string {
	return id.RoleARN[strings.LastIndexByte(id.RoleARN, '/')+1:]
}
