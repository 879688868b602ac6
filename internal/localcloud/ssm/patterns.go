package ssm

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("parameter filter", `tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType`)
	_ = constraint.Expression("parameter key id", `^([a-zA-Z0-9:/_-]+)$`)
)
