package iam

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("iam description", `[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*`)
	_ = constraint.Expression("iam tag key", `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`)
	_ = constraint.Expression("iam tag value", `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`)
	_ = constraint.Own("entity name", `[\w+=,.@-]+`, invalidName)
	_ = constraint.Own("path", `(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`, invalidPath)
	_ = constraint.Own("policy path", `((/[A-Za-z0-9\.,\+@=_-]+)*)/`, invalidPath)
	_ = constraint.Own("path prefix", `\u002F[\u0021-\u007F]*`, invalidPrefix)
	_ = constraint.Own("entity path prefix", `(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`, invalidPrefix)
	_ = constraint.Own("policy path prefix", `((/[A-Za-z0-9\.,\+@=_-]+)*)/`, invalidPrefix)
	_ = constraint.Expression("policy version", `v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
)

// How IAM says that names and paths have characters that they may not have.
const (
	invalidName = "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the " +
		"following: +=,.@_-"
	invalidPath = "The specified value for %s is invalid. It must begin and end with / and contain only " +
		"alphanumeric characters and/or / characters."
	invalidPrefix = "The specified value for %s is invalid. It must begin with the / character and contain only " +
		"alphanumeric characters and/or / characters."
)
