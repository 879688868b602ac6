// Package smoke tries an installation: one thing, one certificate, one simulated agent
// over the account's own broker, one image, one job, one upgrade. Each hop of the way is
// told with what was seen there; the first that fails ends it, named, with what to do.
//
// It deploys a stack of its own, or takes one that is there. Whatever it made goes at
// the end, also after a failure or when its context is cancelled; what could not be
// removed is listed. It reaches AWS and the local cloud by the same calls.
package smoke
