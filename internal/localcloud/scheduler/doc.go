// Package scheduler is the only place in the local cloud with goroutines, a
// clock and randomness. Every service takes a *Scheduler and is otherwise
// synchronous code.
//
// There are two modes behind one type:
//
//   - Real (NewReal): tasks are goroutines, the clock is the machine's,
//     randomness is seeded from the operating system.
//   - Virtual (NewVirtual): exactly one task runs at a time, chosen from the
//     runnable ones in an order drawn from the seed. The clock stands still
//     while a task can run; when none can, it jumps to the earliest timer.
//     One seed is one run, on any machine and with any GOMAXPROCS, as long as
//     all waiting goes through this package.
//
// Only Sleep and Gate.Wait wait. Never hold a mutex across either: in virtual mode the next
// task would block the only runner. Do not use channels, sync.WaitGroup or context deadlines
// of the standard library to wait for another task. Use a Gate, and WithTimeout for deadlines.
//
// In virtual mode Sleep and Gate.Wait may also be called from outside any task
// (a test, a command): they then run the loop until the wait is over. Tasks and
// timers of equal time run in an order drawn from the seed.
//
// Failed takes the error of a task that nothing waits for.
//
// All methods are safe for concurrent use. A panic in a task is not recovered.
package scheduler
