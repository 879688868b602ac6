// Package filterpolicy is the language of SNS subscription filter policies, which decide about
// the messages that a subscription gets. It does no I/O.
//
// Parse reads a policy for its scope; MatchAttributes and MatchBody then decide about
// messages. All keys of a policy must match. A key matches if one of its conditions does:
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
// In the scope MessageAttributes, keys name message attributes: String, Number and
// String.Array; Binary attributes count as absent. In the scope MessageBody, keys may nest, as
// the message does; a message that is not a JSON object never matches. If the message has a
// list, one of its elements must match.
//
// Errors of Parse are AWS's text after "Invalid parameter: FilterPolicy: ".
// A Policy does not change and may be used concurrently.
//
// Source: Amazon SNS Developer Guide, "Amazon SNS message filtering", "Filter
// policy constraints in Amazon SNS".
package filterpolicy
