// Package eventbridgescheduler is Amazon EventBridge Scheduler: schedules in
// groups, whose time is a rate, a cron expression or a single point, in any time
// zone, and which call a target as a role. Its SDK package is named scheduler,
// which here is the clock that everything stands on.
//
// Targets are Lambda functions (invoked asynchronously), SQS queues, SNS topics
// and state machines by their ARN, and any operation of a service that is there
// by arn:aws:scheduler:::aws-sdk:service:operation, except those that only read,
// which Scheduler refuses. <aws.scheduler.schedule-arn>, -scheduled-time,
// -execution-id and -attempt-number in the input are replaced at each attempt.
//
// A schedule that is due is turned into an invocation in the same transaction
// that notes its next time; a restart goes on from there. What was due while the
// process was down is invoked once, for the last of the times that were missed.
// An invocation that fails is tried again with growing delays, as its retry
// policy says (24 hours and 185 times, if it says nothing); then it goes to the
// schedule's dead-letter queue. What cannot succeed by being repeated (missing
// permission, a resource that is not there, input that the target refuses) goes
// there at once. Delivery is at least once, as AWS promises: Config.Weather may make an
// invocation late, or have it made twice.
//
// Times: AWS invokes within the minute of a schedule's time; here it is at that
// time, to the second, unless the weather says otherwise.
//
// What AWS's documentation leaves open: the delays between attempts (here 1 s,
// doubled each time up to 15 minutes, with jitter); a single point that lies in
// the past when the schedule is made (here it is never invoked); what a change
// does to a rate without a start (here it begins again at once if the expression
// has changed, and keeps its beat otherwise).
//
// Not built: targets of other services (ECS, Kinesis, EventBridge, SageMaker
// and so on), encryption with a key of one's own (KmsKeyArn).
//
// Safe for concurrent use. Two invocations of one schedule may run at the same
// time, as on AWS.
//
// Sources: EventBridge Scheduler API Reference 2021-06-30; User Guide, "Schedule
// types", "Managing targets", "Configuring a schedule's dead-letter queue",
// "Adding context attributes" (read 2026-11).
package eventbridgescheduler
