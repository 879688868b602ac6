// Package event is the vocabulary of Fleetstep: the types that at least two of its contexts
// (jobs, workflow, device) and flows share. Read this package first. A type that only one of
// them uses is in its package.
//
// It has types and pure functions only. It reads no environment and imports the standard
// library alone, so that every context can depend on it. The files are one per subject:
//
//	event.go     the identifiers, and the names made from them
//	flow.go      an operation as the contexts know it
//	step.go      what the state machine hands to the functions
//	turn.go      one turn of a conversation: what a flow is given, and the move that it returns
//	device.go    device events: news and answers of a device
//	inbound.go   a decoded record of a device, or why it is refused
//	outcome.go   how an operation ended
//	domain.go    the events about a device that are published for other systems
//	control.go   flags that pause and resume a job, or everything
//	campaign.go  where a device stands in a campaign, and how that is counted
//	errors.go    the error names of any operation, and the statuses of jobs
//	rule.go      what the topic rules hand to the functions
//	form.go      how create-job's payload asks for an operation
//	window.go    when a device may be disturbed, in its own time zone
//	park.go      an attempt that continues later, in another execution
//	problem.go   mistakes in a payload, all at once
//
// Durations in payloads are whole numbers whose unit is in the name (downloadSeconds,
// jobMinutes). Times are RFC 3339 in UTC in what we write, and epoch milliseconds in what
// topic rules write. Values do not change after they are made and are safe to share.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// ThingName names an entry of the AWS IoT registry: [a-zA-Z0-9:_-]{1,128}.
type ThingName string

// Valid reports whether AWS IoT may have a thing of this name.
func (t ThingName) Valid() bool {
	for _, c := range []byte(t) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ':', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(t) >= 1 && len(t) <= 128
}

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

// ThingEndpointAttribute is the thing attribute that says which endpoint the
// device behind a thing is, in the form of EndpointID.Attribute. Whoever enters
// the device into the registry sets it.
const ThingEndpointAttribute = "endpointId"

// ThingZoneAttribute is the thing attribute that says in which time zone the device
// is, by its name. Rules of POSIX that hold a < or + do not fit into an attribute:
// they are only what devices report.
const ThingZoneAttribute = "tz"

// Thing attributes by which groups find devices: what a device runs, and its model.
const (
	ThingFirmwareAttribute = "firmwareVersion"
	ThingModelAttribute    = "model"
)

// ThingAttributes are the attributes that are ours to set, the most useful first: a thing
// without a type holds three, and others may have taken some.
// Source: AWS General Reference, "AWS IoT Core endpoints and quotas" (read 2026-11).
var ThingAttributes = []string{ThingFirmwareAttribute, ThingEndpointAttribute, ThingModelAttribute}

// Names of facts in a device's state that several operations know.
const (
	FactZone     = "zone"            // its time zone, as it reports it
	FactModel    = "model"           // as it reports it
	FactSoftware = "softwareVersion" // last proved to run
	FactBank     = "bank "           // and the path of an image: what was downloaded there, with the proof
)

// Attribute is the endpoint id as a thing's attribute may hold it: with @ in
// place of %. No endpoint id has an @ (R-ARC.3, R-ARC.4), so that nothing is lost.
func (id EndpointID) Attribute() string { return strings.ReplaceAll(string(id), "%", "@") }

// EndpointOfAttribute reads what Attribute wrote.
func EndpointOfAttribute(v string) EndpointID { return EndpointID(strings.ReplaceAll(v, "@", "%")) }

// AttributeValue is a text as the value of a thing's attribute may be,
// [a-zA-Z0-9_.,@/:#=\[\]-]* of at most 800 characters: others become _.
func AttributeValue(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_.,@/:#=[]-", r):
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 800)]
}

// ProbeThing is the thing whose pending job executions prepare-account asks for, to
// learn whether an endpoint is the jobs data plane's. It need not exist.
const ProbeThing = "fleetstep-endpoint-probe"

// ExecutionName is the name of the Step Functions execution of one lap of one attempt
// on one device: a readable prefix and a hash, the same for the same owner, thing,
// execution number and lap, at most 80 characters and free of those that Step
// Functions forbids.
func ExecutionName(o Owner, thing ThingName, executionNumber int64, lap int) string {
	parts := []string{o.Key(), string(thing), itoa(executionNumber)}
	if lap > 0 {
		parts = append(parts, itoa(int64(lap)))
	}
	sum := digest(parts...)
	var b strings.Builder
	for _, r := range o.Key() + "-" + string(thing) {
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
// agent keeps: of the purpose it shows what there is room for.
func CommandKey(execution string, purpose string) string {
	shown := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(purpose))
	const most = 32 - len("fs-") - len("-") - 16
	return "fs-" + shown[:min(len(shown), most)] + "-" + digest(execution, purpose)[:16]
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
