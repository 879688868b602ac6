package java

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Member is a member of an API's model as Step Functions spells it in SDK integrations: with the name that it has in
// the SDK for Java 2.x, whose names begin with a small letter, and then the first letter in upper case. So
// DBClusterIdentifier is DbClusterIdentifier, SSEKMSKeyId is SsekmsKeyId, and ETag stays.
//
// Source: aws-sdk-java-v2, codegen, Utils.unCapitalize.
func Member(name string) string {
	if name == "" {
		return ""
	}
	runes := []rune(name)
	var b strings.Builder
	i := 0
	for i < len(runes) {
		b.WriteRune(unicode.ToLower(runes[i]))
		i++
		if i < len(runes) && unicode.IsUpper(runes[i]) && (i+1 >= len(runes) || !unicode.IsLower(runes[i+1])) {
			continue
		}
		break
	}
	b.WriteString(string(runes[i:]))
	r, n := utf8.DecodeRuneInString(b.String())
	return string(unicode.ToUpper(r)) + b.String()[n:]
}
