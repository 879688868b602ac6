// Package usp has what the controller (package device) and the simulated agent (package
// simulator) share of TR-369 (USP): endpoint IDs, records, messages, paths, error codes, and
// their use of MQTT. It does no I/O and keeps no state; every function is safe for concurrent
// use.
//
// Types. A Record is the envelope: sender, recipient, and either a Message or the notice that
// a party connected or disconnected. DecodeRecord reads one MQTT payload down to the message;
// Record.Encode writes it. A message is the generated *uspmsg.Msg. New builds one around any
// body; NewGet, NewOperate and so on build the usual ones. As and Open return the body.
// ReadNotify, ReadOperateResp and ReadGetResp turn the bodies that a controller waits for into
// plain values. Equal values always encode to equal bytes.
//
// Values of parameters and arguments are strings in their XML Schema form, as on the wire:
// booleans "true" and "false", times in UTC with a Z. Paths of objects end with a dot,
// commands with "()", events with "!". An event or a completion has the path of its object and
// its own name apart; compare Notification.Path.
//
// Errors. An Error is a USP error, from any message or result. It wraps its Code, so
// errors.Is(err, usp.ResourcesExceeded) works through every layer. A RecordError is a record
// that cannot be used, with the code 7100 to 7106 for the answer, and its sender as far as it
// could be read. A decoder that returns an error returns nothing else.
//
// Source: TR-369 Issue 1 Amendment 4, sections Architecture (endpoint IDs, path
// names), MTP/MQTT, Record and Messages; requirements are tagged by number,
// R-MQTT.24. TR-181 2.19 for the names of the firmware model.
package usp
