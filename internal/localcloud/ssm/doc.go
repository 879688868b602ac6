// Package ssm is the Parameter Store of AWS Systems Manager: String, StringList and
// SecureString parameters with versions, labels, hierarchies, tags and patterns. Secure
// strings are encrypted with the KMS key that they name, or with alias/aws/ssm, on behalf of
// the caller: a caller that may not use the key gets no value.
//
// A value has at most 4,096 characters, 8,192 in the advanced tier. A parameter keeps 100
// versions. The next one deletes the oldest, unless that has a label, which is an error. All
// answers are consistent at once, where AWS's may lag.
//
// Errors are AWS's codes with status 400: ParameterNotFound, ParameterAlreadyExists, ParameterVersionNotFound,
// ValidationException, ... (errors.go). The service is safe for concurrent use.
//
// Not built: everything else of Systems Manager, parameter policies (expiry), sharing, the data type aws:ec2:image.
//
// Source: AWS Systems Manager API Reference and User Guide, "AWS Systems Manager Parameter Store" (2026-11).
package ssm
