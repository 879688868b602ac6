// Package configuration has the configurations of an AWS IoT job: how fast it rolls out, when
// it is aborted, when an execution times out or is retried, between which times the job runs,
// and how S3 URLs in its document are presigned. Each is a type with AWS's members, the limits
// of their values (Check), and what follows from it, such as the rate of a rollout. There is
// no I/O and no state.
//
//	settings.go     Settings: the configurations that jobs and job templates share
//	rollout.go      jobExecutionsRolloutConfig: things a minute
//	abort.go        abortConfig: whether a job is to be aborted
//	retry.go        jobExecutionsRetryConfig: whether a failed execution is queued again
//	scheduling.go   schedulingConfig: start and end
//
// Rates are in things a minute, timeouts in minutes; URLs expire after seconds. A nil
// configuration means that there is none, and every method may be called on it. Errors are
// sentences for the caller who gave the configuration.
//
// Source: AWS IoT developer guide, "How job configurations work"; API model iot.
package configuration
