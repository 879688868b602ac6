// Package weather lets the local cloud fail as AWS does on bad days and in large
// accounts. It is drawn from a seed: the same seed in virtual time is the same
// weather.
//
// A Weather has kinds, and each kind a rate. Who could be hit asks Draw with the
// kind, which counts the question and says whether it happens this time; what
// happens then is the asker's to do, in the words of its service:
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
//
// There is no weather before Begin, so that stacks are deployed in peace, and
// none for the account's root, who looks on: what is tried is what the account's
// roles and AWS's own services do. A nil Weather is fair.
//
// Events, those that happened, are numbered as they are drawn; Config.Only lets
// just some of them happen, which is how a failing run is made small.
//
// What each kind stands for on AWS is told, with sources, in docs/weather.md.
package weather
