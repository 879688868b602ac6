// Package trial plays a job over simulated devices and judges it: on a cloud that is
// already there, it makes a firmware image, invokes the create-job function with a
// payload, shows progress until the end, and prints a SUMMARY line that holds what
// happened against what should have happened. fleetstep demo plays it over the
// network, fleetstep rehearse in virtual time; the place is a World.
//
// It uses the AWS SDK, the simulator and the operator commands' own code, and
// knows nothing of what answers behind the endpoint except for one address: if
// Config.Residue is set, it is asked what the cloud still has under way.
package trial
