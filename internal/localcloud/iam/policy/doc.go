// Package policy is the language of AWS policies. It parses policy documents and decides about
// a request (evaluate.go). It knows no service and has no state; iam, iot and every service
// with resource policies use it.
//
// Parse compiles a document once. Evaluate takes compiled documents and a
// Request: action, resource, principal and the values of condition keys and
// policy variables. Names of keys and of actions are compared without regard
// to case; resources, principals and values with it, as AWS does.
//
// Wildcards are * (any characters) and ? (one character). In a resource and in
// the Arn operators they stay within one of the first five parts of an ARN;
// in the last part, or in the last part that the pattern has, they match
// colons too. The value of a variable such as ${aws:username} is taken
// literally. In documents of a version before 2012-10-17, ${...} is plain text.
//
// A pattern with a variable that has no value, or more than one, matches nothing. Under
// NotResource and in a condition the whole statement then matches nothing, so that a Deny does
// not become wider. ${key, 'default'} gives a variable a default, and ${*}, ${?} and ${$} are
// the characters.
//
// Errors of Parse and of the Check methods are *awsapi.Error with code
// MalformedPolicyDocument and AWS's wording where it is known.
//
// Documents do not change after Parse and may be used concurrently.
//
// Source: IAM User Guide, "Grammar of the IAM JSON policy language", "IAM JSON
// policy elements: Condition operators", "... Variables and tags", "Policy
// evaluation logic".
package policy
