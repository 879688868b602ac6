package event

import (
	"crypto/sha256"
	"encoding/hex"
)

import "regexp"

// Verb is what an operator asks of the function control.
type Verb string

// The verbs. The first two are of one job, the others of the whole stack.
const (
	VerbPause    Verb = "pause"     // nothing begins
	VerbResume   Verb = "resume"    // what was kept from beginning begins
	VerbStopAll  Verb = "stop-all"  // pause, of everything
	VerbStartAll Verb = "start-all" // resume, of everything
)

// ControlRequest is the payload of the function control.
type ControlRequest struct {
	Verb  Verb   `json:"verb"`
	JobID JobID  `json:"jobId,omitempty"` // with pause and resume
	Why   string `json:"why"`
	// Proof tells who asks: a GetCallerIdentity request to AWS STS, presigned by the
	// caller with the header ProofHeader, whose value is the request's Subject. Without
	// one the request is nobody's.
	Proof string `json:"proof,omitempty"`
}

// ProofHeader is the header that a proof has signed.
const ProofHeader = "X-Fleetstep-Request"

// Subject is what a proof is for: this very request.
func (r ControlRequest) Subject() string {
	sum := sha256.Sum256([]byte(string(r.Verb) + "\n" + string(r.JobID) + "\n" + r.Why))
	return hex.EncodeToString(sum[:])
}

// Nobody is who asked where nothing proves it.
const Nobody = "not proved"

// ControlState is whether what a flag is of may go on.
type ControlState string

// The states of a flag.
const (
	ControlRunning ControlState = "RUNNING" // also where there is no flag
	ControlPaused  ControlState = "PAUSED"  // until it is resumed
	ControlStopped ControlState = "STOPPED" // its owner is over: for good
)

// WhyJobDeleted is the reason of the flag of a job that AWS IoT has deleted: it tells nothing of the job after that.
const WhyJobDeleted = "the job is deleted"

// ControlAnswer is the flag as it is now; Changed is false if it was so before.
type ControlAnswer struct {
	State   ControlState `json:"state"`
	Changed bool         `json:"changed"`
	Rev     int64        `json:"rev"`
	Who     string       `json:"who,omitempty"`
	Why     string       `json:"why,omitempty"`
}

// Limits of a request: session tokens make proofs long.
const (
	mostControlText = 1024
	mostProof       = 4096
)

var jobIDForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Check tells all that is wrong with a request.
func (r ControlRequest) Check() error {
	var problems Problems
	add := func(path string, value any, allowed string) {
		problems = append(problems, Problem{Path: path, Value: value, Allowed: allowed})
	}
	switch r.Verb {
	case VerbPause, VerbResume:
		if !jobIDForm.MatchString(string(r.JobID)) {
			add("$.jobId", string(r.JobID), "a job id: 1 to 64 of a-z A-Z 0-9 _ -")
		}
	case VerbStopAll, VerbStartAll:
		if r.JobID != "" {
			add("$.jobId", string(r.JobID), "nothing: "+string(r.Verb)+" is of all jobs")
		}
	default:
		add("$.verb", string(r.Verb), "one of pause, resume, stop-all, start-all")
	}
	if len(r.Proof) > mostProof {
		add("$.proof", len(r.Proof), "up to 4096 bytes")
	}
	if (r.Verb == VerbPause || r.Verb == VerbStopAll) && r.Why == "" || len(r.Why) > mostControlText {
		add("$.why", r.Why, "the reason, up to 1024 bytes; it is shown for waiting devices")
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}
