package constraint

import "strings"

// Patterns that several packages have, as AWS's models write them.
var (
	_ = Expression("arn characters", `[\w+=/:,.@-]*`)
	_ = Expression("attribute name", `[a-zA-Z0-9_.,@/:#-]+`)
	_ = Expression("attribute value", `[a-zA-Z0-9_.,@/:#=\[\]-]*`)
	_ = Expression("certificate id", `(0x)?[a-fA-F0-9]+`)
	_ = Expression("digits", `[0-9]+`)
	_ = Expression("iot arn", `^arn:[!-~]+$`)
	_ = Expression("iot description", `[\p{Graph}\x20]*`)
	_ = Expression("job id", `[a-zA-Z0-9_-]+`)
	_ = Expression("job id or next", `[a-zA-Z0-9_-]+|^\$next`)
	_ = Expression("latin text", `[\u0009\u000A\u000D\u0020-\u00FF]+`)
	_ = Expression("log group name", `[\.\-_/#A-Za-z0-9]+`)
	_ = Expression("policy name", `[\w+=,.@-]+`)
	_ = Expression("printable", `[^\p{C}]+`)
	_ = Expression("rule name", `^[a-zA-Z0-9_]+$`)
	_ = Expression("tag text", `^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`)
	_ = Expression("thing group id", `[a-zA-Z0-9\-]+`)
	_ = Expression("thing name", `[a-zA-Z0-9:_-]+`)
	_ = Expression("word", `[\w]+`)
	_ = Function("reason code", `[\p{Upper}\p{Digit}_]+`, func(s string) bool {
		return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
	})
)
