// Package constraint checks the members of requests as the model of AWS's API has them, before
// anything else looks at a request. It says what is wrong in the words of AWS's front ends, all of
// it at once and in the order of the members:
//
//	2 validation errors detected: Value 'LOUD' at 'level' failed to satisfy constraint: Member must satisfy enum
//	value set: [ALL, OFF]; Value null at 'name' failed to satisfy constraint: Member must not be null
//
// Constraints are tags of the input structs, `api:"..."`, with these words between commas:
//
//	required          the member must be there
//	min=1 max=80      length of a text in characters or of a list, or value of a number
//	bytes             lengths are counted in bytes of UTF-8
//	arn=1024          a text that begins like an ARN has this greatest length, and none of the other limits
//	values=A|B        the texts that may be given
//	set=NAME          the same, from a Set
//	pattern=NAME      one of Patterns, or an Expression of the package
//	hidden            the value is not shown, as it may be secret
//	each.WORD         the same for the texts or numbers in a list, or the values of a map
//	key.WORD          the same for the keys of a map
//
// A text that is not a pointer and empty counts as absent unless it is required; then it is there and too short. A
// number that is not a pointer and 0 counts as absent. Members of members are checked at any depth, in lists and maps
// too; a list or a map is shown whole, with all that its texts must be. Of calls it knows nothing; there is no I/O.
// Checks are safe for concurrent use.
//
// Source: Smithy specification, "Constraint traits"; answers of Step Functions in public issues
// (getmoto/moto#6438) and recordings; for lists and maps, answers of CloudFormation
// (deploymentTargets.organizationalUnitIds) and Lambda (routingConfig.additionalVersionWeights) as
// getmoto/moto has them.
package constraint
