package cloudwatchlogs

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("log group identifier", `[\w#+=/:,.@-]*`)
	_ = constraint.Expression("log group pattern", `[\.\-_/#A-Za-z0-9]*`)
	_ = constraint.Expression("log stream name", `[^:*]*`)
	_ = constraint.Expression("log tag key", `^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$`)
)
