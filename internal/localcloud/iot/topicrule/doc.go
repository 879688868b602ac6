// Package topicrule is AWS IoT's rules engine: the operations on topic rules,
// which the service iot serves, and the engine that runs them.
//
// The broker asks Prepare which actions a message leads to, stores the returned Execution in
// the transaction that accepts the message, and starts it. The row is removed when every
// action has ended, successfully or not. After a restart Start runs what is left. So actions
// run at least once.
//
// A statement without external functions is evaluated in Prepare, so that a message whose
// WHERE is false costs nothing more. An error of the statement ends the rule for that message:
// it is logged and counted, and no error action runs, as on AWS. A failed action is tried
// three times if the failure may pass. Then one message to the rule's error action reports all
// failed actions.
//
// Built are the actions lambda, sqs, sns, stepFunctions, republish, s3, cloudwatchMetric,
// cloudwatchLogs, dynamoDB and dynamoDBv2. A rule with another action is refused. Lambda is
// called as the service, so that the function's policy decides; all others are called with the
// action's role.
package topicrule
