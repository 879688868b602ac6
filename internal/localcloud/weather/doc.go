// Package weather makes the local cloud fail as AWS does on bad days and in large accounts.
// The failures are drawn from a seed: in virtual time the same seed gives the same weather.
//
// A Weather has kinds, and each kind has a rate. A service that could fail calls Draw with the
// kind. Draw counts the call and decides whether the failure happens this time; the service
// then fails in its own words:
//
//	throttled   a call is refused: more than the service allows (Around)
//	conflicts   a write to DynamoDB meets another transaction (Around)
//	failed      a call is answered with the service's own failure; nothing was done (Around)
//	unanswered  a call was done, and is answered with that failure all the same (Around)
//	killed      a function ends between two of its calls (Around, and lambda)
//	short       no concurrency is left for an invocation (lambda)
//	duplicated  a queue's message, a rule's action, a notification of a topic or an
//	            asynchronous invocation comes twice (sqs, topicrule, sns, lambda)
//	reordered   it is held back for some seconds, and others overtake it
//	late        it comes minutes later; a call's answer, seconds later; an index shows a write then
//	lost        a notification of a job, or of a client's presence, comes to nobody (iotdataplane)
//	stale       an eventually consistent read is answered as of a moment ago, an index shows a write seconds
//	            later (dynamodb, sfn)
//	cut         the connection of an MQTT client breaks at a message (iotdataplane)
//	impaired    a service refuses every call, for some minutes (Around); the rate is the share of time
//
// There is no weather before Begin, so that stacks are deployed without failures, and none for
// the account's root, which observes. What is tested is what the account's roles and AWS's own
// services do. A nil Weather has no failures.
//
// Events are the failures that happened, numbered as they are drawn. With Config.Only just
// some of them happen, which is how a failing run is reduced.
//
// docs/weather.md has what each kind stands for on AWS, with sources.
package weather
