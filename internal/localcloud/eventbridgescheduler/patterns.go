package eventbridgescheduler

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("schedule client token", `^[a-zA-Z0-9-_]+$`)
	_ = constraint.Expression("schedule group arn",
		`^arn:aws(-[a-z]+)?:scheduler:[a-z0-9\-]+:\d{12}:schedule-group\/[0-9a-zA-Z-_.]+$`)
	_ = constraint.Expression("schedule key",
		`^arn:aws(-[a-z]+)?:kms:[a-z0-9\-]+:\d{12}:(key|alias)\/[0-9a-zA-Z-_]*$`)
	_ = constraint.Expression("schedule name", `^[0-9a-zA-Z-_.]+$`)
	_ = constraint.Expression("schedule queue", `^arn:aws(-[a-z]+)?:sqs:[a-z0-9\-]+:\d{12}:[a-zA-Z0-9\-_]+$`)
	_ = constraint.Expression("schedule role", `^arn:aws(-[a-z]+)?:iam::\d{12}:role\/[\w+=,.@\/-]+$`)
)
