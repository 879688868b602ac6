// Package uspmsg is the USP message as Go types, generated from
// proto/usp-msg.proto (TR-369, section "Messages"). Package internal/usp builds
// and reads them; the types are used directly where a message is more than it
// offers.
package uspmsg
