// Package sns is Amazon Simple Notification Service: standard topics that fan
// out to SQS queues, Lambda functions and HTTP endpoints on this machine. It
// answers the Query protocol.
//
// Publish writes one delivery per subscription that wants the message (filter
// policies: package filterpolicy) into the store together with the answer, so
// that nothing acknowledged is lost; Start goes on with what was left. A
// delivery acts as the service principal sns.amazonaws.com for the topic, so
// that the policy of the queue or function must allow it.
//
// A delivery that fails for a reason on the receiver's side that time can cure
// (status 429 or 5xx, no connection) is tried again: to queues and functions
// at once three times, then after 1 s twice, then 10 times from 1 s to 20 s,
// then every 20 s, 100,015 times in all; to HTTP three times every 20 s, or as
// the healthyRetryPolicy of the subscription's DeliveryPolicy says. Other
// failures, and the last one, send the message to the subscription's
// dead-letter queue, or drop it if there is none. Subscribers see a message at
// least once, in any order.
//
// Subscriptions by email and SMS are kept as pending and nothing is ever sent
// to them. HTTP endpoints must be on a loopback address and confirm with the
// token they are sent. Messages carry no valid Signature: it is empty, as the
// key is AWS's.
//
// Not built: FIFO topics, mobile push, Firehose, data protection, SMS.
//
// Source: Amazon SNS API Reference and Developer Guide ("Amazon SNS message
// delivery retries", "Parsing message formats").
package sns
