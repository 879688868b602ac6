// Package metrics names the metrics that the Lambda functions write and that the stack's
// dashboard and alarms read (infra/app). A metric has at most one dimension, which is named
// beside it and has few and fixed values.
package metrics

import "github.com/fleetstep/fleetstep/internal/event"

// Namespace is where they are, unless the environment says otherwise.
const Namespace = "Fleetstep"

// Names of metrics.
const (
	UpgradesStarted = "UpgradesStarted" // count
	UpgradesPending = "UpgradesPending" // count: attempts left for an absent device
	UpgradesParked  = "UpgradesParked"  // count: executions that ended before their attempt, which goes on later
	UpgradesFound   = "UpgradesFound"   // count: attempts begun that nobody worked on until the clock found them
	UpgradesOver    = "UpgradesOver"    // count: attempts that were over when they were to begin
	DevicesFinished = "DevicesFinished" // count; Result = one of Results
	Failures        = "UpgradeFailures" // count; Reason = an error name of the flow
	// count: tries of Finalize that failed, from the FailingTries-th of one report on
	ReportsFailing     = "ReportsFailing"
	UpgradesUnreported = "UpgradesUnreported" // count: executions found over that had not reported
	DetailsRefused     = "DetailsRefused"     // count: ends whose details AWS IoT refused; their reason was told
	ThingsNotUpdated   = "ThingsNotUpdated"   // count: ends after which the thing's attributes could not be set
	UpgradeDuration    = "UpgradeDuration"    // seconds from start to Finalize, of upgrades that succeeded
	PhaseReached       = "PhaseReached"       // count; Phase = one of the flow's
	PhaseDuration      = "PhaseDuration"      // seconds; Phase = one of the flow's
	JobExecutions      = "JobExecutions"      // count; Status = the terminal status that AWS IoT announced
	RefusedRecords     = "RefusedRecords"     // count; Reason = one of event's Refused constants
	DeviceMessages     = "DeviceMessages"     // count; Kind = an event.Kind
	DroppedNews        = "DroppedNews"        // count: what devices said beyond what is taken of one at once
	EventsUntold       = "EventsUntold"       // count: domain events that could not be published
	DevicesOnboarded   = "DevicesOnboarded"   // count; Result = one of Results
	Ticks              = "Ticks"              // count: minutes of which the tick did the work
	CampaignsHalted    = "CampaignsHalted"    // count, when people are told: devices in danger are still at work
	// count, each minute: campaigns whose execution has ended before them, and does not go on yet
	CampaignsStopped = "CampaignsStopped"
)

// FailingTries is how often in a row a report fails before it counts as failing:
// about a minute of trying. A state machine that gives up has failed before.
const FailingTries = 6

// Names of dimensions.
const (
	Result = "Result"
	Reason = "Reason"
	Phase  = "Phase"
	Status = "Status"
	Kind   = "Kind"
)

// Values of Result.
const (
	Succeeded = string(event.StatusSucceeded)
	Failed    = string(event.StatusFailed)
	Rejected  = string(event.StatusRejected)
	TimedOut  = string(event.StatusTimedOut)
	Canceled  = string(event.StatusCanceled)
)

// Results lists the values of Result.
var Results = []string{Succeeded, Failed, Rejected, TimedOut, Canceled}
