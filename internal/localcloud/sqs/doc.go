// Package sqs is Amazon Simple Queue Service: standard queues with delays,
// visibility timeouts, long polling, retention and dead-letter queues. It
// answers AWS JSON 1.0 and the older Query protocol.
//
// A queue's URL is http://HOST/ACCOUNT/NAME. HOST is the address under which the caller
// reached the local cloud. When a caller sends the URL back, only account and name count. The
// Policy attribute is the queue's resource policy.
//
// A message is stored before its sending is answered, and so is the new visibility of a
// received message. A restart neither loses a message nor shows it again before its time.
// Messages come roughly in the order in which they become visible. A message that has been
// received maxReceiveCount times moves to the dead-letter queue at the next receive; a message
// move task brings it back. Messages past their retention are removed when the queue is next
// used. If a queue's messages have groups, quiet groups come before noisy ones.
//
// With Watch and NextVisible another service takes messages as they come, without polling.
//
// Limits are AWS's: 10 messages per batch, 1 MiB per message and batch, 20 s of polling, 12 h
// of visibility, 15 min of delay. The number of messages in flight has no limit. A name can be
// used again at once after DeleteQueue, where AWS requires 60 s.
//
// Not built: FIFO queues, AddPermission.
//
// Source: Amazon SQS API Reference and Developer Guide.
package sqs
