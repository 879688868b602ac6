// Package doctor finds what keeps an installed stack from working. Each finding has what to do
// about it. The package only reads, through AWS's APIs alone, so that it works the same on AWS
// and on a local cloud. A missing permission to read is a finding, too.
//
// The checks go from the outside in: credentials, the stack, settings of the account that no
// resource of the stack covers, the path of a device's message, and what has piled up. A check
// is a function in checks.go; doctor.go has their order. Package smoke begins with the checks
// of Standing and then tries the path itself.
package doctor
