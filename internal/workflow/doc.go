// Package workflow owns executions and task tokens: which execution has a device,
// who waits for what news of it, and how the two find each other although
// everything arrives at least once, in any order. It knows nothing of USP and of no
// operation: what is said to a device, and what follows, its event.Flow knows, which
// the document of an attempt names and the device's claim records.
//
//	start.go     Starter: an attempt is offered, or its device appears
//	steps.go     Steps: a step's function registers its task
//	inbox.go     Inbox: records of devices, and their presence
//	deliver.go   ... and the news in them, handed to who waits for it
//	greeting.go  ... and whose an endpoint is
//	end.go       Ender: an attempt's owner has ended it; Releaser: it came to its end
//	close.go     ... and who of several that find it over tells of it
//	store.go     the items, and the Store that keeps them
//	ports.go     what else a constructor is given; one that is missing is its error
//
// # One table, one partition per device
//
//	PK DEVICE#<thing>   SK
//	                    STATE                      what is known of the device (event.DeviceState)
//	                    CLAIM                      the execution that owns the device, and its operation
//	                    PENDING#<owner>            an attempt that waits for the device to appear
//	                    AWAIT#<step>               a task that waits: token, conversation
//	                    NEWS#<kind>#<command key>  news that came before anyone waited for it
//	PK ENDPOINT#<id>    SK OWNER                   the thing that an endpoint belongs to
//
// Every read is one strongly consistent query of a device's own partition, a few
// kilobytes whatever the size of the job.
//
// # The four rules
//
//  1. No lost news. Who waits writes AWAIT, then reads NEWS; news that nobody
//     waits for is written to NEWS, and then AWAIT is read again. At least one
//     sees the other, in every interleaving. The same holds for PENDING, written
//     before STATE is read, and STATE.connected, written before PENDING is read.
//  2. No double effect. A task is resumed first and its AWAIT removed after; a
//     second resume finds a dead token, which is no error. A message that must not
//     be sent twice is sent only by who wrote the conversation's next revision.
//  3. No crossed wires. Await.Matches compares message id, or command key and
//     command path; the thing is the partition.
//  4. No orphans. AWAIT is written only under the execution's own CLAIM, in one
//     transaction, and both go together.
//
// All is safe concurrently and may be repeated after any error.
//
// Errors: ErrGone when the execution no longer owns the device (its owner ended
// it); ErrAgain for a message that is to be delivered once more; everything else is
// passed on from the ports and worth a retry. Times are taken from the injected
// clock; items carry an expiry well after their use as the last resort.
package workflow
