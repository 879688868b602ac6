// Package upgrade is the operation firmware-upgrade, with everything that is special to it.
// statemachines/firmware-upgrade.asl.json has its states; this package decides what they send
// to a device and what follows from the answers.
//
//	names.go         its steps, error names, phases and outcomes; its part of TR-181
//	payload.go       its document and the results of its steps
//	conversation.go  what all conversations have in common; a file per step beside it:
//	inspect.go download.go report.go activate.go verify.go rollback.go
//	look.go          reads a Get, and what it means for an upgrade
//	park.go          what a parked upgrade remembers
//	image.go signature.go  the image of a payload: found, hashed, and its signature checked
//	judge.go         how an upgrade ended, and what is reported
//	overhear.go      what a device reports of its version while no upgrade is at work
//
// A conversation is a function of its memory and one event. It never waits: the answer
// to its request comes back as an event. Its rules come from what real agents do:
//
//   - An answer belongs to a request by its message id, news to a command by
//     command key and command path, never by Device.LocalAgent.Request.{i}.
//   - Requests may be lost, and always are while the agent is away. After a retry, a
//     reconnect or a restart the flow looks at the agent (Get) before it commands
//     anything again: Download() and Activate() are not idempotent.
//   - An OperateResp does not mean that the command is complete. Several copies may
//     come with one message id, and none of them is final: after 7005 the flow looks.
//   - No step waits for one of TransferComplete!, OperationComplete and Boot! alone.
//     None of them proves an upgrade; only the running version does.
//
// Errors in a conversation are event.Failures. A Flow is safe for concurrent use.
// Sources: TR-369 1.4 and TR-181. Numbers such as 07a in comments are those of captures
// of the reference agent (docs/usp.md).
package upgrade

import (
	"slices"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Flow is the operation.
type Flow struct {
	controller event.EndpointID
}

// New is the upgrade as the controller of this endpoint id plays it.
func New(controller event.EndpointID) event.Flow {
	f := &Flow{controller: controller}
	return event.Flow{
		Operation: Operation,
		Commands:  []event.Step{Download, Activate, Rollback},
		Gates:     []event.Step{Download, Activate}, // a rollback is never held: it undoes
		Models:    Inspect,
		Phases: map[event.Step]string{
			Inspect: PhaseInspect, Download: PhaseDownload, Activate: PhaseActivate, Verify: PhaseVerify,
		},
		Played: UpgradeDuplicate, Unfit: UpgradeNotEligible, Succeeded: OutcomeSuccess, Failed: OutcomeFail,
		Plan: f.Plan, Begin: f.Begin, Continue: f.Continue, Hold: f.Hold, Judge: f.Judge, Learn: f.Learn,
		Overhear: f.Overhear,
	}
}

// Subscriptions are those that an agent needs before its upgrade can be followed.
func Subscriptions() []device.Subscription { return slices.Clone(subscriptions) }

// subscriptions are those without which no step hears anything. Command paths have
// a wildcard for the instance: an object path is refused by Add (03f).
var subscriptions = []device.Subscription{
	{Name: "boot", Kind: device.EventNews, Of: device.BootEvent},
	{Name: "transfer", Kind: device.EventNews, Of: device.TransferEvent},
	{Name: "download", Kind: device.CommandNews, Of: firmwareImages + "*." + commandDownload},
	{Name: "activate", Kind: device.CommandNews, Of: firmwareImages + "*." + commandActivate},
}
