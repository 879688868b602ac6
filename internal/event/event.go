// Package event is the vocabulary of Fleetstep: every name, payload and error
// that passes between an operator, the three contexts (jobs, workflow, device),
// the Lambda functions and the topic rules. Read this package first.
//
// It holds words only. It reads no environment, calls nothing and imports the
// standard library alone, so that each context can depend on it and none on
// another. The files are one per subject:
//
//	event.go     the identifiers, and the names that infrastructure and code share
//	errors.go    the error names that the state machine catches and a job reports
//	request.go   create-job's payload, in its two forms, with its validation
//	document.go  the job document: what a job asks of each device
//	step.go      what the state machine hands to the functions, and gets back
//	device.go    device events: a device's news in plain words
//	rule.go      what the topic rules hand to the functions
//	problem.go   validation problems, all of a payload at once
//
// Durations in payloads are whole numbers whose unit is in the name
// (downloadSeconds, jobMinutes). Times are RFC 3339 in UTC in what we write and
// epoch milliseconds in what topic rules write. Nothing here is mutable after
// construction; all of it is safe to share.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// ThingName names an entry of the AWS IoT registry: [a-zA-Z0-9:_-]{1,128}.
type ThingName string

// EndpointID names a USP party (TR-369 section 2.4), such as os::012345-SN1.
// It may hold characters that a ThingName may not, and is never used as one.
type EndpointID string

// JobID names an AWS IoT job: [a-zA-Z0-9_-]{1,64}.
type JobID string

// TaskToken resumes a waiting task of a state machine. It is a secret: it never
// goes into a log line, which is why it prints as a placeholder.
type TaskToken string

// String hides the token from logs and error texts.
func (TaskToken) String() string { return "[task token]" }

// GoString hides the token from %#v as well.
func (TaskToken) GoString() string { return "[task token]" }

// Environment variables of the functions.
const (
	EnvTable              = "TABLE_NAME"
	EnvStateMachine       = "STATE_MACHINE_ARN"
	EnvFirmwareBucket     = "FIRMWARE_BUCKET"
	EnvJobTemplate        = "JOB_TEMPLATE_ID"
	EnvControllerEndpoint = "CONTROLLER_ENDPOINT_ID"
	EnvAgentTopic         = "AGENT_TOPIC"
	EnvControllerTopic    = "CONTROLLER_TOPIC"
	EnvOutcomeTopic       = "OUTCOME_TOPIC_ARN"
	EnvDataEndpoint       = "IOT_DATA_ENDPOINT" // URL
	EnvJobsEndpoint       = "IOT_JOBS_ENDPOINT" // URL
	EnvMetricsNamespace   = "METRICS_NAMESPACE"
	EnvLogLevel           = "LOG_LEVEL"
)

// What prepare-account takes and gives, as property and attributes of its custom
// resource.
const (
	AccountJobsEndpoint = "JobsEndpoint" // property: a host, "" to find it; attribute: a URL
	AccountDataEndpoint = "DataEndpoint" // attribute: a URL
)

// ProbeThing is the thing whose pending job executions prepare-account asks for, to
// learn whether an endpoint is the jobs data plane's. It need not exist.
const ProbeThing = "fleetstep-endpoint-probe"

// Keys of every log line.
const (
	LogRequestID    = "requestId"
	LogThing        = "thingName"
	LogEndpoint     = "endpointId"
	LogJob          = "jobId"
	LogExecutionARN = "executionArn"
	LogRule         = "ruleName"
)

// MetricsNamespace is the namespace of our metrics. Their only dimension, where
// they have one at all, is named beside them: its values are few and fixed.
const MetricsNamespace = "Fleetstep"

// Metrics.
const (
	MetricUpgradesStarted = "UpgradesStarted" // count
	MetricUpgradesPending = "UpgradesPending" // count: job executions left for an absent device
	MetricUpgradesOver    = "UpgradesOver"    // count: job executions that were over when they were to begin
	MetricDevicesFinished = "DevicesFinished" // count; Result = one of Results
	MetricFailures        = "UpgradeFailures" // count; Reason = one of Reasons
	MetricUpgradeDuration = "UpgradeDuration" // seconds from start to Finalize, of successes
	MetricPhaseReached    = "PhaseReached"    // count; Phase = one of Phases
	MetricPhaseDuration   = "PhaseDuration"   // seconds; Phase = one of Phases
	MetricJobExecutions   = "JobExecutions"   // count; Status = the terminal status that AWS IoT announced
	MetricRefusedRecords  = "RefusedRecords"  // count; Reason = one of the Refused constants
	MetricDeviceMessages  = "DeviceMessages"  // count; Kind = a Kind
)

// Dimensions of metrics.
const (
	DimensionResult = "Result"
	DimensionReason = "Reason"
	DimensionPhase  = "Phase"
	DimensionStatus = "Status"
	DimensionKind   = "Kind"
)

// Results of an upgrade: values of DimensionResult.
const (
	ResultSucceeded = string(StatusSucceeded)
	ResultFailed    = string(StatusFailed)
	ResultRejected  = string(StatusRejected)
	ResultTimedOut  = string(StatusTimedOut)
	ResultCanceled  = string(StatusCanceled)
)

// Phases of an upgrade as an operator sees it: values of DimensionPhase.
const (
	PhaseInspect  = "Inspect"  // what runs there, and is it well
	PhaseDownload = "Download" // from the accepted request to the complete image
	PhaseActivate = "Activate" // from the complete image to the restarted device
	PhaseVerify   = "Verify"   // from the restart to the proof
)

var (
	// Results lists the values of DimensionResult.
	Results = []string{ResultSucceeded, ResultFailed, ResultRejected, ResultTimedOut, ResultCanceled}
	// Phases lists the values of DimensionPhase.
	Phases = []string{PhaseInspect, PhaseDownload, PhaseActivate, PhaseVerify}
	// Reasons lists the values of DimensionReason of MetricFailures.
	Reasons = func() []string {
		var names []string
		for _, n := range ErrorNames() {
			if n != UpgradeUpToDate {
				names = append(names, string(n))
			}
		}
		return names
	}()
)

// The outcome of an upgrade as published on the outcome topic, with the message
// attributes that filter policies may use.
const (
	OutcomeSuccess    = "FIRMWARE_UPGRADE_SUCCESS"
	OutcomeFail       = "FIRMWARE_UPGRADE_FAIL"
	AttributeEvent    = "event"           // OutcomeSuccess or OutcomeFail
	AttributeJob      = "jobId"           //
	AttributeReason   = "reason"          // an error name; absent on plain success
	AttributeFirmware = "firmwareVersion" // the version wanted
)

// ThingVersionAttribute is the thing attribute that finalize keeps: the
// firmware version that the device last proved to run.
const ThingVersionAttribute = "firmwareVersion"

// ThingEndpointAttribute is the thing attribute that says which endpoint the
// device behind a thing is, in the form of EndpointID.Attribute. Whoever enters
// the device into the registry sets it.
const ThingEndpointAttribute = "endpointId"

// Attribute is the endpoint id as a thing's attribute may hold it: with @ in
// place of %. No endpoint id has an @ (R-ARC.3, R-ARC.4), so that nothing is lost.
func (id EndpointID) Attribute() string { return strings.ReplaceAll(string(id), "%", "@") }

// EndpointOfAttribute reads what Attribute wrote.
func EndpointOfAttribute(v string) EndpointID { return EndpointID(strings.ReplaceAll(v, "@", "%")) }

// Why a record was refused: values of DimensionReason of MetricRefusedRecords.
const (
	RefusedTopic      = "Topic"      // topic and thing disagree
	RefusedClient     = "Client"     // the connection is another thing's
	RefusedSender     = "Sender"     // from_id is not this thing's endpoint
	RefusedOwner      = "Owner"      // the endpoint belongs to another thing
	RefusedRecipient  = "Recipient"  // to_id is not this controller
	RefusedUnreadable = "Unreadable" // not a USP record or message
	RefusedSession    = "Session"    // session context, which this controller does not keep
)

// ExecutionName is the name of the Step Functions execution that upgrades one
// device for one attempt of a job: a readable prefix and a hash, the same for
// the same job, thing and execution number, at most 80 characters and free of
// those that Step Functions forbids.
func ExecutionName(job JobID, thing ThingName, executionNumber int64) string {
	sum := digest(string(job), string(thing), itoa(executionNumber))
	var b strings.Builder
	for _, r := range string(job) + "-" + string(thing) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	prefix := b.String()
	const keep = 80 - 1 - 24
	if len(prefix) > keep {
		prefix = prefix[:keep]
	}
	return prefix + "-" + sum[:24]
}

// CommandKey names one USP command of one attempt, so that its completion finds
// the task that waits for it. It is derived from the execution, so that every
// retry of a function computes the same key; at most 32 characters, which every
// agent keeps.
func CommandKey(execution string, purpose string) string {
	return "fs-" + strings.ToLower(purpose) + "-" + digest(execution, purpose)[:16]
}

// digest hashes parts unambiguously: a length goes before each.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(itoa(int64(len(p))) + ":" + p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
