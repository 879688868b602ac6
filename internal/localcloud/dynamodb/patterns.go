package dynamodb

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("table name", `[a-zA-Z0-9_.-]+`)
	_ = constraint.Function("table", `[a-zA-Z0-9_.-]+`, func(s string) bool { // of "" its length alone is told
		return s == "" || constraint.Patterns["table name"].Matches(s)
	})
)
