// Package filterpolicy is the language of SNS subscription filter policies: it
// says which messages a subscription wants. It is pure.
//
// Parse reads a policy once for its scope; MatchAttributes and MatchBody then
// decide. All keys of a policy must match; a key matches if one of its
// conditions does:
//
//	"text", 7, true, null             equal
//	{"prefix": "a"} {"suffix": "z"}   begins, ends with
//	{"equals-ignore-case": "A"}       equal in any case
//	{"wildcard": "a*z"}               * stands for any characters
//	{"anything-but": x}               none of x: a value, a list of values, or
//	                                  a prefix, suffix, wildcard or
//	                                  equals-ignore-case condition
//	{"numeric": [">=", 0, "<", 10]}   numbers in a range; also ["=", 7]
//	{"cidr": "10.0.0.0/8"}            IP addresses
//	{"exists": false}                 the key is absent (true: present)
//	"$or": [{...}, {...}]             one of the policies matches
//
// In the scope MessageAttributes keys name message attributes: String, Number
// and String.Array ones; Binary ones count as absent. In the scope MessageBody
// keys may nest, as the message does; a message that is no JSON object never
// matches. Where the message has a list, one of its elements must match.
//
// Errors of Parse are AWS's text after "Invalid parameter: FilterPolicy: ".
// A Policy does not change and may be used concurrently.
//
// Source: Amazon SNS Developer Guide, "Amazon SNS message filtering", "Filter
// policy constraints in Amazon SNS".
package filterpolicy
