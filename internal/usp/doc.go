// Package usp is the vocabulary of TR-369 (USP) that the controller (package
// device) and the simulated agent (package simulator) share: endpoint IDs,
// records, messages, paths, error codes, and how all that sits on MQTT. It does
// no I/O and keeps no state; every function is safe for concurrent use.
//
// Shapes. A Record is the envelope: who, to whom, and either a Message or the
// word that somebody connected or disconnected. DecodeRecord reads one MQTT
// payload down to the message; Record.Encode writes it. A message is the
// generated *uspmsg.Msg. New builds one around any body, NewGet, NewOperate and
// so on around the usual ones; As and Open take the body out again; ReadNotify,
// ReadOperateResp and ReadGetResp turn the bodies that a controller waits for
// into plain values. Equal values always encode to equal bytes.
//
// Values of parameters and arguments are strings in their XML Schema form, as
// on the wire: booleans "true" and "false", times in UTC with a Z. Paths of
// objects end with a dot, commands with "()", events with "!"; an event or a
// completion names its object and itself apart, compare Notification.Path.
//
// Errors. An Error is a USP error, from whichever message or result it came; it
// wraps its Code, so errors.Is(err, usp.ResourcesExceeded) works through every
// layer. A RecordError is a record that cannot be used, with the code 7100 to
// 7106 to answer it by, and whoever sent it as far as that could be read.
// Decoders return nothing else beside an error.
//
// Source: TR-369 Issue 1 Amendment 4, sections Architecture (endpoint IDs, path
// names), MTP/MQTT, Record and Messages; requirements are tagged by number,
// R-MQTT.24. TR-181 2.19 for the names of the firmware model.
package usp
