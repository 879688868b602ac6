// Package device is the controller's side of USP. On the way out, plain requests to an
// agent become USP messages. On the way in, USP records become device events in plain
// words (event.DeviceEvent). The package knows no jobs, tokens or operations, and does
// no I/O: package iotdataplane below it publishes.
//
//	inbound.go        makes an event.Inbound of what a topic rule hands on: its sender, its
//	                  content, and the NotifyResp that must answer it
//	request.go        Get, Operate, Add and Set: what a flow asks of an agent
//	answer.go         what an answer says: rows of a table, commands under way, faults
//	subscriptions.go  the Subscriptions without which no agent ever reports
//
// Paths are those of TR-181, objects with a trailing dot. The caller chooses the ids of
// requests; an answer carries the id of its request, and nothing else ties the two
// together. Read returns *event.Refused for a record that is refused. The whole package
// is safe for concurrent use. Source: TR-369 1.4, and captures of a real
// agent, whose numbers (03f) stand in comments.
package device
