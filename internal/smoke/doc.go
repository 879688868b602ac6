// Package smoke tries an installation with one thing, one certificate, one simulated agent
// over the account's own broker, one job and one campaign, which upgrade it one after the
// other. It reports what it saw at each hop. The first hop that fails ends it, with its name
// and what to do.
//
// It deploys a stack of its own or uses an existing one. At the end it removes whatever it
// made, also after a failure or when its context is cancelled, and lists what could not be
// removed. The same calls reach AWS and the local cloud.
package smoke
