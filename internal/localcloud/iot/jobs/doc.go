// Package jobs is AWS IoT Jobs: the operations of the control plane (CreateJob to
// DeleteJobTemplate) and the job executions behind them, which iotjobsdataplane shows to
// devices.
//
// # How a job goes
//
// A job proceeds in steps. Each is a transaction of at most a thousand things, and the job's
// record has the next step and its time (work, nextAt):
//
//	resolve   members of the target groups are stored as waiting targets
//	roll out  once a minute, as many waiting targets as the rate allows get a
//	          QUEUED execution and a notification
//	cancel    a thousand executions a minute become CANCELED
//	delete    executions, then the job, are removed
//
// Due steps and timeouts of executions are rows of one table in the order of their time, with
// a single timer. After a restart Start sets the timer again, and steps that became due
// meanwhile run at once.
//
// Three parts do no I/O and are packages of their own: the configurations of a job, their
// limits and arithmetic (configuration), its document with placeholders (document), and the
// rules for status details (statusdetails).
//
// # Limits and rates
//
// Without a rollout configuration the rate is 1,000 things a minute, the account quota. This
// is also the highest exponential rate if there is no maximumPerMinute. No answer needs a
// scan: there is a tally per job, and there are indexes by job, by status and by thing. Counts
// are of the latest execution of each thing. The number of jobs in progress is not limited.
//
// # What AWS leaves open, and what is done here
//
//   - Execution numbers start at 1 and rise by 1 with each retry.
//   - Abort: minNumberOfExecutedThings is compared with the things notified;
//     the percentage is of the things notified (Config.AbortShare). Failures
//     that are retried do not count.
//   - A group as target stands for its members and those of its child groups.
//   - A thing that joins a group of a continuous job gets a new execution
//     unless it has one that is not terminal, whatever its last one came to.
//   - CANCELED by an abort has the reason code ABORT_CRITERIA_MET.
//   - ListJobs answers the newest job first.
//
// Not built, and refused by name: maintenance windows, namespaces, managed
// templates' parameters, package versions, code signing placeholders.
//
// Times are kept in milliseconds since the epoch, timeouts given in minutes.
// Refusals to devices are *iotjobsdataplane.Rejection, to operators
// *awsapi.Error. Safe for concurrent use.
//
// Source: AWS IoT developer guide, "Jobs", "How job configurations work",
// "Jobs API"; API model iot.
package jobs
