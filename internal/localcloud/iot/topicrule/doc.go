// Package topicrule is AWS IoT's rules engine: the operations on topic rules,
// which the service iot serves, and the engine that runs them.
//
// The broker asks Prepare what the rules want of a message, saves the
// Execution it gets in the transaction that accepts the message, and starts
// it. The row is removed once every action has ended, well or badly; Start
// runs what a dead process left behind. So actions run at least once.
//
// A statement without external functions is evaluated in Prepare, so that a
// message whose WHERE is false costs nothing further. Errors of the statement
// end the rule for that message: they are logged and counted, and no error
// action runs, as on AWS. A failed action is tried three times if the failure
// may pass; then all failed actions of a rule are reported to its error
// action in one message.
//
// Actions that are built: lambda, sqs, sns, stepFunctions, republish, s3,
// cloudwatchMetric, cloudwatchLogs, dynamoDB, dynamoDBv2. A rule with another
// is refused. Lambda is called as the service, so that the function's policy
// decides; everything else under the action's role.
package topicrule
