package cloudformation

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("change set", `[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/]*`)
	_ = constraint.Expression("change set name", `[a-zA-Z][-a-zA-Z0-9]*`)
	_ = constraint.Expression("resource to skip", `[a-zA-Z0-9]+|[a-zA-Z][-a-zA-Z0-9]*\.[a-zA-Z0-9]+`)
	_ = constraint.Expression("stack name",
		`([a-zA-Z][-a-zA-Z0-9]*)|(arn:\b(aws|aws-us-gov|aws-cn)\b:[-a-zA-Z0-9:/._+]*)`)
	_ = constraint.Expression("stack request token", `[a-zA-Z0-9][-a-zA-Z0-9]*`)
)
