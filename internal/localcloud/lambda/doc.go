// Package lambda is AWS Lambda in the local cloud: functions with versions and aliases,
// synchronous and asynchronous invocation, event source mappings of SQS queues, resource
// policies, reserved concurrency, and two executors with one interface.
//
//   - Process runs the function's bootstrap file as a process of its own
//     against the Runtime API, in the environment that Lambda gives it.
//   - InProcess calls handlers of this program, for virtual time.
//
// An asynchronous invocation is stored before it is answered with 202. If the function fails
// it is tried again after one and two minutes, unless the function's event invoke
// configuration has other values. Then it goes to the on-failure destination or the
// dead-letter queue. A throttled invocation is tried again after 1 s, 2 s, 4 s and so on, up
// to five minutes, or up to twice as long where several of the function wait so. After a
// restart it continues.
//
// What differs from AWS: a function has at most Config.MaxEnvironments execution environments.
// A further invocation waits until one is free, and does not count as running meanwhile. An
// event source mapping reaches its state at once, where AWS takes up to a minute; source.go
// has its pollers. Recursive invocations are not stopped. Layers, container images,
// provisioned concurrency, function URLs and event sources other than standard queues are
// refused by name.
//
// Log lines of a function are written to CloudWatch Logs with the function's role. Without
// that permission there are no logs, as on AWS.
//
// Sources: Lambda API reference 2015-03-31; "Using the Lambda runtime API";
// "How Lambda handles errors and retries with asynchronous invocation".
package lambda
