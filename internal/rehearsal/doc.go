// Package rehearsal plays a job in virtual time, in one process and without
// sockets: before a launch, and in tests. The local cloud, the template, the
// state machine, the rules and the Lambda handlers are those of any other run;
// the agents are the simulator's. Only what lies between them differs:
//
//   - Time and the order of tasks are the scheduler's in virtual mode. Hours
//     pass in seconds, and one seed is one run, on any machine.
//   - Functions are handlers in this process. Their SDK clients and everybody
//     else's talk to the cloud's HTTP handler by a call, not by a connection
//     (transport.go), and what a job asks for thousands of times is not
//     even put into words: the services get the typed input (direct.go).
//     A function keeps the identity of its role; its requests
//     carry no signature, which nobody could have forged on the way. Presigned
//     URLs are signed and checked as ever, except for their dates.
//   - Agents attach to the broker's core (devices.go), each under its own
//     certificate; the same policies are asked.
//
// Run prints what trial.Run prints. The SUMMARY has some more members: digest, the
// SHA-256 of all execution histories and final states, which two runs of one
// seed share; virtualSeconds, which the job took; seconds, which it took to
// play; peakMemoryMiB, of the process so far. A run that fails prints the
// command that repeats it to Env.Err.
//
// While the job runs there are no goroutines but the scheduler's; afterwards
// histories are read on all processors. Run may be called at the same time from
// several. A cancelled context ends it at the next look at the job.
package rehearsal
