// Package rehearsal runs a job in virtual time, in one process and without sockets: before a
// launch, and in tests. The local cloud, the template, the state machine, the rules and the
// Lambda handlers are those of any other run; the agents are the simulator's. Only the
// connections between them differ:
//
//   - Time and the order of tasks are the scheduler's in virtual mode. Hours
//     pass in seconds, and one seed is one run, on any machine.
//   - Functions are handlers in this process. SDK clients call the cloud's HTTP
//     handler without a connection (transport.go). The operations that a job calls
//     thousands of times skip HTTP too: the service gets the typed input (direct.go).
//     A function keeps the identity of its role. Its requests carry no signature,
//     since nobody is between it and the cloud. Presigned URLs are signed and checked
//     as usual, except for their dates.
//   - Agents attach to the broker's core (devices.go), each under its own
//     certificate, and the same policies apply.
//
// It uses the local cloud through package localcloud and nothing below it.
//
// Run prints what trial.Run prints. Its SUMMARY has more members: digest, the SHA-256 of all
// execution histories and final states, which is the same for two runs of one seed;
// virtualSeconds, how long the job took; seconds, how long the rehearsal took; peakMemoryMiB,
// the most that the process has used so far. If a run fails, it prints the command that
// repeats it to Env.Err.
//
// While the job runs there are no goroutines except the scheduler's. Afterwards all processors
// read histories. Run may be called from several goroutines. A cancelled context ends it at
// the next look at the job.
package rehearsal
