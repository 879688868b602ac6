// Package lambda is the local cloud's AWS Lambda: functions with versions and
// aliases, synchronous and asynchronous invocation, event source mappings of SQS
// queues, resource policies, reserved concurrency, and two executors behind one
// interface.
//
//   - Process runs the function's bootstrap file as a process of its own
//     against the Runtime API, in the environment that Lambda gives it.
//   - InProcess calls handlers of this program, for virtual time.
//
// An asynchronous invocation is in the store before it is answered with 202
// and is tried again after one and two minutes if the function fails, unless
// the function's event invoke configuration says otherwise; then it goes to the
// on-failure destination or the dead-letter queue. One that is throttled is tried
// again after 1 s, 2 s, 4 s and so on, up to five minutes. A restart resumes it.
//
// What differs from AWS: where AWS would start a further execution environment
// beyond Config.MaxEnvironments of one function, an invocation waits for one
// to become free; it does not count as running meanwhile. An event source
// mapping gets to its state at once, where AWS takes up to a minute; see
// source.go for its pollers. Recursive invocations are not stopped. Layers,
// container images, provisioned concurrency, function URLs and event sources
// other than standard queues are refused by name.
//
// Log lines of a function go to CloudWatch Logs as the function's role, so a
// role without that permission has no logs, as on AWS.
//
// Sources: Lambda API reference 2015-03-31; "Using the Lambda runtime API";
// "How Lambda handles errors and retries with asynchronous invocation".
package lambda
