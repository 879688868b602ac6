// Package demo runs one whole campaign for a person who looks at Fleetstep for
// the first time, and for the build that wants to know that it still works:
// simulated devices on a cloud that is already there, a firmware image it makes,
// the create-job function invoked with a payload, progress until the end, and a
// SUMMARY line that holds what happened against what should have happened.
//
// It uses the AWS SDK, the simulator and the operator commands' own code, and
// knows nothing of what answers behind the endpoint except for one address: if
// Config.Residue is set, it is asked what the cloud still has under way.
package demo
