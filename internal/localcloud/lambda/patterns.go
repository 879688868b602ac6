package lambda

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

// Patterns of members, as AWS's model writes them, for their tags.
var (
	_ = constraint.Expression("account", `\d{12}`)
	_ = constraint.Expression("arn or nothing", `(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()`)
	_ = constraint.Expression("dotted statement id", `([a-zA-Z0-9-_.]+)`)
	_ = constraint.Expression("environment variable", `[a-zA-Z]([a-zA-Z0-9_])+`)
	_ = constraint.Expression("function reference",
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(func`+
			`tion:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`)
	_ = constraint.Expression("function version", `(\$LATEST(\.PUBLISHED)?|[0-9]+)`)
	_ = constraint.Expression("function without version",
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(func`+
			`tion:)?([a-zA-Z0-9-_]+)`)
	_ = constraint.Expression("lambda action", `(lambda:[*]|lambda:[a-zA-Z]+|[*])`)
	_ = constraint.Expression("lambda destination",
		`$|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:([a-z]{2}((-go`+
			`v)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)`)
	_ = constraint.Expression("lambda qualifier", `\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`)
	_ = constraint.Expression("lambda region", `ALL|[a-z]{2}(-gov)?-[a-z]+-\d{1}`)
	_ = constraint.Expression("lambda resource",
		`arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA`+
			`-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mappin`+
			`g:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider`+
			`:[a-zA-Z0-9-_]+)`)
	_ = constraint.Expression("lambda role", `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`)
	_ = constraint.Expression("layer version arn",
		`arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+`)
	_ = constraint.Expression("no blanks", `[^\s]+`)
	_ = constraint.Expression("own function reference",
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(func`+
			`tion:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`)
	_ = constraint.Expression("source arn",
		`arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:([a-z]{2}(-gov)?-[a-z]+-\d{1})?:(\d{12})?:(.*)`)
	_ = constraint.Expression("statement id", `([a-zA-Z0-9-_]+)`)
	_ = constraint.Function("code bucket", `[0-9A-Za-z\.\-_]*(?<!\.)`, func(s string) bool {
		return !strings.HasSuffix(s, ".") &&
			!strings.ContainsFunc(s, func(r rune) bool { return !inName(r) && r != '.' })
	})
	_ = constraint.Function("lambda alias", `(?!^[0-9]+$)([a-zA-Z0-9-_]+)`, func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) &&
			!strings.ContainsFunc(s, func(r rune) bool { return !inName(r) })
	})
)

// inName says whether a character may be in the name of a function.
func inName(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}
