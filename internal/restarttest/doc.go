// Package restarttest tests two promises of the local cloud with the real program, real
// Lambda processes and simulated agents on real sockets: kill -9 loses nothing, and no
// device can touch another's upgrade.
//
// TestRestarts kills "fleetstep local" at random moments of a job, also while it starts
// up, and starts it again on the same folder and ports. The agents keep running. It
// prints the seed of the moments. A seed repeats the moments, not the run: real
// processes make every run different. Environment variables say how much to do:
//
//	FLEETSTEP_RESTARTS=30       kills; 5 with a small fleet if not set
//	FLEETSTEP_RESTART_SEED=7    seed; the clock's if not set
//	FLEETSTEP_RESTART_FAULTS=…  difficult devices, as simulator.ParseFaults reads them
//	FLEETSTEP_BIN=…/bin         programs already built; built by the test if not set
//
// TestIntruders lets devices act as other devices while a job runs.
//
// The tests are skipped with -short. They wait in real time, because they look at
// processes. Their limits are far beyond what a slow machine needs.
package restarttest
