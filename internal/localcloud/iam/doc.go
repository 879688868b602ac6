// Package iam is AWS Identity and Access Management: roles, users, access keys
// and policies, and the decision whether a call is allowed. Every service of
// the local cloud asks it through awsapi.Authorizer.
//
// A Service answers the IAM API (Query protocol) and is also
//   - the awsapi.Authorizer (authorize.go). The policies of the caller's role or user and
//     the policy of the resource decide together. An explicit deny wins. Within one account
//     either may allow; across accounts both must. AWS services that act for themselves
//     are allowed by resource policies only. The account's root may do everything that no
//     resource policy denies.
//   - the place where services assume roles (Assume): the role's trust policy decides.
//   - the source of what sts needs: the secret of an access key (AccessKey), and whether a
//     caller may assume a role (AssumeAs).
//
// Condition keys: aws:SourceArn and aws:SourceAccount of the resource a service
// acts for; aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType,
// aws:PrincipalIsAWSService, aws:PrincipalServiceName, aws:PrincipalTag/...,
// aws:userid, aws:username; aws:SourceIp; aws:SecureTransport, which is always
// true; aws:CurrentTime, aws:EpochTime; aws:RequestedRegion,
// aws:ResourceAccount; and what the operation itself gives.
//
// Permissions boundaries are evaluated. Groups, session policies, instance profiles and
// organisations are not built. Of AWS's managed policies there are those in managed.go.
//
// All methods are safe for concurrent use. Source: IAM API Reference; IAM User
// Guide, "Policy evaluation logic", "AWS global condition context keys",
// "Troubleshoot access denied error messages".
package iam
