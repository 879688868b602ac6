// Package sns is Amazon Simple Notification Service: standard topics that fan
// out to SQS queues, Lambda functions and HTTP endpoints on this machine. It
// answers the Query protocol.
//
// Publish stores one delivery for each subscription that wants the message (filter policies:
// package filterpolicy) before it answers, so that nothing acknowledged is lost. After a
// restart Start continues them. A delivery acts as the service principal sns.amazonaws.com for
// the topic, so the policy of the queue or function must allow it.
//
// A delivery is tried again if it fails for a reason of the receiver that can pass (status 429
// or 5xx, no connection). To queues and functions these are three times at once, then twice
// after 1 s, then 10 times from 1 s to 20 s, then every 20 s, 100,015 times in all. To HTTP it
// is three times every 20 s, or as the healthyRetryPolicy of the subscription's DeliveryPolicy
// says. After another failure, or the last one, the message goes to the subscription's
// dead-letter queue, or is dropped if there is none. Subscribers get a message at least once,
// in any order.
//
// Subscriptions by email and SMS stay pending and get no messages. HTTP endpoints must be on a
// loopback address and confirm with the token they are sent. The Signature of messages is
// empty, because the key is AWS's.
//
// Not built: FIFO topics, mobile push, Firehose, data protection, SMS.
//
// Source: Amazon SNS API Reference and Developer Guide ("Amazon SNS message
// delivery retries", "Parsing message formats").
package sns
