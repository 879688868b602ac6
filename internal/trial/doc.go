// Package trial runs a job over simulated devices, on a cloud that is already there, and
// judges it. It makes a firmware image if the job is one of upgrades, invokes the function
// create-job with a payload, shows progress until the end, and compares what became of
// each device with what should have: of another operation, healthy devices succeed and
// difficult ones end in any way that has a name. The last line is a SUMMARY. fleetstep demo runs it over the network,
// fleetstep rehearse in virtual time; a World is the place where it runs.
//
// It uses the AWS SDK, the simulator and the code of the operator commands. It knows one
// thing about the cloud behind the endpoint: if Config.Residue is set, that address
// lists the work which the cloud has not finished.
package trial
