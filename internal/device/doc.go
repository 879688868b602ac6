// Package device is the controller's side of USP: plain requests to an agent become
// USP messages on the way out, USP records become device events in plain words on
// the way in (event.DeviceEvent). It knows nothing of jobs, tokens or of any
// operation, and does no I/O: package iotdataplane below it publishes.
//
//	inbound.go        an MQTT message of a topic rule becomes an event.Inbound: whose it
//	                  is, what it says, and the NotifyResp that it must be answered by
//	request.go        Get, Operate, Add and Set: what a flow asks of an agent
//	answer.go         what an answer says: rows of a table, commands under way, faults
//	subscriptions.go  the Subscriptions without which no agent ever reports
//
// Paths are those of TR-181, objects with a trailing dot. The ids of requests are
// the caller's: an answer carries the id of its request, which is all that ties the
// two together. Read returns *event.Refused for what is not taken. All of the
// package is safe for concurrent use. Source: TR-369 1.4, and captures of a real
// agent, whose numbers (03f) stand in comments.
package device
