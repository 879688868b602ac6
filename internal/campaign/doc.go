// Package campaign decides what becomes of a fleet over days: which devices may begin,
// when, and whether what was seen of them is reason to go on.
//
//	request.go    what an operator asks for; all mistakes are told at once
//	version.go    ranges of versions
//	plan.go       who takes part, in which wave: a fair sample of models, the same each time
//	gate.go       whether a wave was good: pass, fail, inconclusive
//	counts.go     what the counts of devices say of a wave
//	admission.go  how many may begin in this minute, and of which zone
//	record.go     a campaign as it is stored, and how it is changed
//	create.go     Creator: makes a campaign of a request, or only its plan
//	machine.go    Machine: the steps of statemachines/firmware-campaign.asl.json
//	driver.go     Driver: does what is done by the clock
//	control.go    Controller: the verbs of operators
//	report.go     what is said of a campaign
//	ports.go      what the package needs of others
//
// A campaign is one execution of a state machine, which waits by task tokens: for an
// approval, for the end of a wave, for an operator's word. What it waits for is found by
// the clock (Driver) or said by an operator (Controller); both write it into the record
// first and answer the token after, so that doing so twice is doing so once.
//
// Devices are counted where they stand (event.Standing), in the transactions that change
// them. The record holds no number of devices but those of the plan and of what was
// admitted: whatever a gate decides comes from those counts, all of which always add up.
//
// The record (Campaign) is one item, changed on condition of its revision. Its task token
// is a secret, and goes when the step is over. Times are UTC. Everything is safe for
// concurrent use.
package campaign
