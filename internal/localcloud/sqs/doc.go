// Package sqs is Amazon Simple Queue Service: standard queues with delays,
// visibility timeouts, long polling, retention and dead-letter queues. It
// answers AWS JSON 1.0 and the older Query protocol.
//
// A queue's URL is http://HOST/ACCOUNT/NAME, where HOST is the address under
// which the caller reached the local cloud; only account and name count when
// a URL comes back. The Policy attribute is the queue's resource policy.
//
// Messages are in the store before their sending is answered, and a received
// message's new visibility is too, so that a restart neither loses a message
// nor shows one again before its time. Messages come roughly in the order in
// which they become visible. One that has been received maxReceiveCount times
// moves to the dead-letter queue at the next receive that meets it; a message
// move task takes it back. Messages past their retention are removed when the
// queue is next used. On a queue whose messages have groups, quiet groups come
// before noisy ones.
//
// Watch and NextVisible let another service take messages as they come, without
// asking again and again.
//
// Limits are AWS's: 10 messages per batch, 1 MiB per message and batch, 20 s of
// polling, 12 h of visibility, 15 min of delay; the number of messages in flight has
// none. A name can be used again at once after DeleteQueue, where AWS has it
// wait 60 s.
//
// Not built: FIFO queues, AddPermission.
//
// Source: Amazon SQS API Reference and Developer Guide.
package sqs
