// Package device is the controller's side of USP. Plain requests to an agent become USP
// messages, and USP records become device events (event.DeviceEvent). The package knows no
// jobs, tokens or operations, and does no I/O: package iotdataplane below it publishes.
//
//	inbound.go        turns the payload of a topic rule into an event.Inbound: sender, content,
//	                  and the NotifyResp that must answer it
//	request.go        Get, Operate, Add, Set and Delete: the requests of flows
//	answer.go         reads answers: rows of a table, running commands, faults
//	subscriptions.go  the Subscriptions without which an agent reports nothing
//
// Paths are those of TR-181; objects end with a dot. The caller chooses the id of a request,
// and the answer has the same id. Nothing else connects the two. Read returns *event.Refused
// for a record that is refused. Everything is safe for concurrent use. Source: TR-369 1.4, and
// captures of a real agent, whose numbers (such as 03f) are in comments.
package device
