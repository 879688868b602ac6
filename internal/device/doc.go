// Package device is the controller's side of USP: requests to an agent on the way
// out, device events in plain words (event.DeviceEvent) on the way in. It knows
// nothing of jobs, tokens or executions, and does no I/O: package iotdataplane below publishes.
//
//	inbound.go        an MQTT message of a topic rule becomes Inbound: whose it is,
//	                  what it says, and the NotifyResp that it must be answered by
//	look.go           what a Get showed, and what that means for an upgrade
//	subscriptions.go  the Subscriptions without which no agent ever reports
//	talk.go           Talk: the conversation of each step, one file per step:
//	inspect.go download.go report.go activate.go verify.go rollback.go
//
// A conversation is a function of its memory and the event at hand. It never
// waits: the answer to its request comes back as an event. Its rules are those
// that real agents taught:
//
//   - An answer belongs to a request by its message id, news to a command by
//     command key and command path, never by Device.LocalAgent.Request.{i}.
//   - Requests may be lost, and are lost while the agent is away. After a retry, a
//     reconnect or a restart the agent is looked at (Get) before it is told
//     anything again; Download() and Activate() are not idempotent.
//   - An OperateResp is no completion, and of several copies with one message id
//     none is trusted to be the last word: 7005 means look.
//   - Neither TransferComplete!, OperationComplete, nor Boot! is waited for alone,
//     and none of them proves an upgrade: the running version does.
//
// Errors in a conversation are event.Failures. All of the package is safe for
// concurrent use. Source: TR-369 1.4, and shared/usp's captures of a real agent.
package device
