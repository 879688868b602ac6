package sts

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("external id", `[\w+=,.@:\/-]*`)
	_ = constraint.Expression("role arn",
		`[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+`)
	_ = constraint.Expression("session name", `[\w+=,.@-]*`)
)
