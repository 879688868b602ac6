// Package campaign runs a fleet's upgrade over days. It decides which devices may begin, when
// they may, and whether the results so far allow it to continue.
//
//	request.go    what an operator asks for; all mistakes at once
//	plan.go       which devices take part, and in which wave: a fair sample of models, always the same
//	gate.go       whether a wave was good: pass, fail, inconclusive
//	counts.go     a wave's results, from the counts of devices
//	admission.go  how many devices may begin in this minute, and in which zone
//	record.go     a campaign as it is stored, and how it is changed
//	create.go     Creator: makes a campaign of a request, or only its plan
//	machine.go    Machine: the steps of statemachines/firmware-campaign.asl.json
//	driver.go     Driver: the work of the clock
//	gone.go       a campaign whose execution is gone
//	lookafter.go  devices at work that nobody may work on any more
//	control.go    Controller: the commands of operators
//	report.go     the report of a campaign
//	list.go       lists of devices, by the index
//	ports.go      the interfaces that the package needs
//
// A campaign is one execution of a state machine, which waits by task tokens: for an approval,
// for the end of a wave, or for an operator's command. The clock (Driver) notices that a wave
// has ended; operators act through the Controller. Both first write the result into the record
// and then answer the token, so that repeating it has no second effect.
//
// Devices are counted by where they stand (event.Standing), in the transactions that change
// their standing. The record has no numbers of devices except those of the plan and of
// admission. A gate decides from the counts, which always add up.
//
// The record (Campaign) is one item, changed on condition of its revision. Its task token is a
// secret and is deleted when the step is over. Times are UTC. Everything is safe for
// concurrent use.
package campaign
