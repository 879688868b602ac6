// Package restarttest holds two promises of the local cloud by tests against
// the real program, with real Lambda processes and simulated agents on real
// sockets: nothing is lost at kill -9, and nobody touches another's upgrade.
//
// TestRestarts kills "fleetstep local" at random moments of a job, those
// of its own starting up included, and starts it again on the same folder and
// ports, while the agents keep running. The seed of the moments is printed;
// real processes make no run the same as another, so a seed repeats the moments
// and not the run. The environment says how much of it:
//
//	FLEETSTEP_RESTARTS=30       kills; 5 with a small fleet if not set
//	FLEETSTEP_RESTART_SEED=7    seed; the clock's if not set
//	FLEETSTEP_RESTART_FAULTS=…  difficult devices, as simulator.ParseFaults reads them
//	FLEETSTEP_BIN=…/bin         programs already built; built by the test if not set
//
// TestIntruders lets devices pretend to be others while a job runs.
//
// The tests are skipped with -short. They wait in real time, for what they look
// at are processes; no limit they set is near what a slow machine needs.
package restarttest
