// Package trial runs one job over simulated devices and judges how it ended. The cloud
// is there already; a World says where the devices run. The command fleetstep demo runs a
// trial over the network, fleetstep rehearse in virtual time.
//
// A trial uploads a firmware image if the job is one of upgrades, invokes the function
// create-job with a payload and shows progress until the job is over (trial.go). Then it
// compares how each device ended with how it should have ended (judge.go) and lists what
// the job left behind: open executions, claims, tokens, messages (residue.go). Of an
// operation other than the upgrade, healthy devices must succeed, and a device with a
// fault may fail under any error name.
//
// Each mismatch is printed as a line PROBLEM. The last line is a SUMMARY, with the
// averages for one upgrade (usage.go, transitions.go). Run returns cli.ErrFailed if there
// was a problem, and the process then exits with code 1.
//
// The package uses the AWS SDK, the simulator and the code of the operator commands. It
// knows one thing about a local cloud: Config.Inspect is the address where it lists
// unfinished work and counts calls.
package trial
