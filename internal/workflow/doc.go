// Package workflow owns executions and task tokens: which execution has a device, and which
// task waits for which news of it. News and tasks find each other although everything arrives
// at least once, in any order. The package knows neither USP nor any operation. An event.Flow
// decides what to send to a device and what follows from its answer. The document of an
// attempt names the flow; the device's claim records it.
//
//	start.go     Starter: begins an attempt, now or when its device appears
//	steps.go     Steps: a step's function registers its task
//	inbox.go     Inbox: takes records of devices, and their presence
//	batch.go     Inbox: takes many messages at once, as a queue hands them over
//	deliver.go   Inbox: hands the news in a record to the task that waits for it
//	greeting.go  Inbox: notes that an agent is there, and at first which thing its endpoint belongs to
//	arrival.go   devices that are to be onboarded: notes them, and has them begun
//	control.go   flags: which attempts may continue, which were held; Controller: changes them
//	park.go      Parker: ends an execution whose attempt continues later, and decides when
//	tick.go      Ticker: the work of each minute
//	stand.go     campaigns count their devices by where each stands; Carrier: lets devices begin without a job
//	waits.go     for what a device waits that does not begin
//	sweep.go     finds attempts without an execution
//	stopped.go   ends attempts whose execution was stopped by somebody
//	lost.go      ends attempts of campaigns that nobody works on, or that were cancelled
//	end.go       Ender: ends an execution whose owner has ended the attempt;
//	             Releaser: frees the device of an execution that came to its end
//	close.go     decides which of several callers reports that an attempt is over
//	store.go     the items, and the Store that keeps them
//	ports.go     the other interfaces that constructors take
//
// # One table, one partition per device
//
//	PK DEVICE#<thing>   SK
//	                    STATE                      what is known of the device (event.DeviceState)
//	                    CLAIM                      the execution that owns the device, and its operation
//	                    PENDING#<owner>            an attempt that waits for the device, or for its time
//	                    AWAIT#<step>               a task that waits: token, conversation
//	                    NEWS#<kind>#<command key>  news that came before a task waited for it
//	                    CAMPAIGN#<id>              where the device stands with a campaign
//	PK ENDPOINT#<id>    SK OWNER                   the thing that an endpoint belongs to
//	PK CONTROL#<owner>  SK CONTROL                 a flag: whether the owner's attempts may continue
//	PK STOP             SK CONTROL                 the flag for everything
//	PK COUNT#<campaign>#<shard>         SK COUNT   how many devices stand where, changed with their standings
//	   of each CAMPAIGN#<id>, in the index standings: <campaign>#<shard>, and state, error, wave, model, thing
//	PK DUE#<minute>#<hash mod 16>       SK <thing>#<owner>   PENDING may begin in that minute
//	PK TICK             SK LEASE                   which tick is at work, and the last minute that is done
//	                    LIFTED#<flag's PK>         a flag was lifted: the devices under KNOCK are to be started
//	PK ARRIVAL#<hash mod 8>             SK <thing>           a device that has appeared
//	PK KNOCK#<flag's PK>#<hash mod 64>  SK <thing>#<owner>   an attempt that the flag holds
//
// Every read is one strongly consistent query of a device's own partition: a few kilobytes,
// whatever the size of the job.
//
// # The four rules
//
//  1. No lost news. A task that waits reads NEWS, then writes AWAIT under the claim's
//     revision, which each piece of news raises. News that no task waits for is written
//     to NEWS, and then AWAIT is read again. So at least one of the two sees the other,
//     in every interleaving. The same holds for PENDING, written before STATE is read,
//     and STATE.connected, written before PENDING is read; and for KNOCK, written before
//     CONTROL is read once more, and CONTROL, written before the tick reads KNOCK.
//     News that only one task may take is noted in the claim before the task is resumed,
//     with the entry into the state, whose next try may take it again.
//     An attempt that waits for its time, or for another to be done with its device,
//     has a DUE item in a minute that the tick has not read yet.
//  2. No double effect. A task is resumed first; its AWAIT goes as the next step is
//     registered, or the device released. A second resume finds a dead token, which is
//     no error. A message that must not be sent twice is sent only by the caller that
//     wrote the conversation's next revision, and only while its task is not over.
//     Tries of a step are ordered if the state machine numbers them: a late one
//     registers nothing, and a task that is over changes no device.
//  3. No crossed wires. Await.Matches compares message id, or command key and
//     command path; the thing is the partition.
//  4. No orphans. AWAIT is written only under the execution's own CLAIM, in one
//     transaction, and both go together.
//
// An attempt may have several executions, one after the other: its laps. They are ordered by
// execution number and lap. An earlier one never removes or hides what a later one wrote.
//
// All methods are safe for concurrent use and may be repeated after any error.
//
// Errors: ErrGone if the execution no longer owns the device, because its owner ended it;
// ErrAgain for a message that must be delivered once more. Every other error comes from a port
// and is worth a retry. Time comes from the injected clock. As a last resort items expire,
// well after their use.
package workflow
