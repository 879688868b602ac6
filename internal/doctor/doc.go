// Package doctor looks at an installed stack and says what keeps it from working, each
// finding with what to do about it. It reads only, by AWS's APIs alone, so that it does
// the same on AWS and on a local cloud; where it may not look, that is the finding.
//
// The checks go from the outside in: credentials, the stack, what belongs to the account
// and has no resource of the stack, the way of a device's message, what has piled up. A check
// is a function in checks.go; doctor.go has their order.
// Package smoke begins with those of Standing and then tries the way itself.
package doctor
