// Package eventbridgescheduler is Amazon EventBridge Scheduler: schedules in groups, which
// call a target as a role. The time of a schedule is a rate, a cron expression or a single
// point, in any time zone. The SDK's package is named scheduler; here that name is taken by
// the clock of the local cloud.
//
// Targets are Lambda functions (invoked asynchronously), SQS queues, SNS topics and state
// machines by their ARN. Any operation of a service of the local cloud is a target by
// arn:aws:scheduler:::aws-sdk:service:operation, except operations that only read, which
// Scheduler refuses. <aws.scheduler.schedule-arn>, -scheduled-time, -execution-id and
// -attempt-number in the input are replaced at each attempt.
//
// When a schedule is due, one transaction stores the invocation and the schedule's next time,
// and a restart continues from there. If times were missed while the process was down, there
// is one invocation for the last of them. An invocation that fails is tried again with growing
// delays, as its retry policy says (24 hours and 185 times by default). Then it goes to the
// schedule's dead-letter queue. A failure that cannot pass (a missing permission or resource,
// input that the target refuses) sends it there at once. Delivery is at least once, as on AWS:
// Config.Weather may delay an invocation or make it twice.
//
// AWS invokes within the minute of a schedule's time. Here it is invoked at that time, to the
// second, unless the weather delays it.
//
// AWS's documentation does not say the following. The delays between attempts: here 1 s,
// doubled each time up to 15 minutes, with jitter. A single point that is in the past when the
// schedule is made: here it is never invoked. A change of a rate without a start: here the
// rate begins again if the expression has changed, and keeps its times otherwise.
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
