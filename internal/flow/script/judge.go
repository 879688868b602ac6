package script

import (
	"encoding/json"
	"regexp"

	"github.com/fleetstep/fleetstep/internal/event"
)

// ending is what a state hands over for FINALIZE.
type ending struct {
	Outcome    event.JobStatus `json:"outcome"` // SUCCEEDED, FAILED or REJECTED; "" is by the reason
	Reason     event.ErrorName `json:"reason"`
	Detail     string          `json:"detail"`
	Details    values          `json:"details"`
	Attributes values          `json:"attributes"`
}

// reasonForm is a name that an author may give to a reason: Word.Word.
var reasonForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,40}(\.[A-Za-z0-9]{1,40}){1,3}$`)

// judge names how an execution ended: as its author says, else by what a Catch caught.
func (*flow) judge(in event.FinalizeInput, known event.DeviceState) (event.Conclusion, error) {
	var end ending
	if len(in.Results) > 0 {
		if err := json.Unmarshal(in.Results, &end); err != nil {
			return event.Conclusion{}, event.Failf(TaskInvalid, "FINALIZE: %s", err)
		}
	}
	switch end.Outcome {
	case "", event.StatusSucceeded, event.StatusFailed, event.StatusRejected:
	default:
		return event.Conclusion{},
			event.Failf(TaskInvalid, "FINALIZE: outcome %q is none of SUCCEEDED, FAILED, REJECTED", end.Outcome)
	}
	c := event.Conclusion{
		Reason: end.Reason, Detail: end.Detail, Details: end.Details.text(), Attributes: end.Attributes.text(),
	}
	if c.Reason != "" && !reasonForm.MatchString(string(c.Reason)) {
		return event.Conclusion{}, event.Failf(TaskInvalid, "FINALIZE: reason %q is not of the form Word.Word",
			c.Reason)
	}
	if in.Failure != nil && c.Reason == "" {
		name, detail := in.Failure.Reason(ErrorNames(), known)
		c.Reason = name
		if c.Detail == "" {
			c.Detail = detail
		}
	}
	c.Status = status(c.Reason)
	if end.Outcome != "" && c.Status != event.StatusCanceled {
		c.Status = end.Outcome
	}
	return c, nil
}

// status is the job status that a reason leads to; no reason is a success. A task that
// is none is not the device's fault.
func status(n event.ErrorName) event.JobStatus {
	switch n {
	case OperationDuplicate, OperationNotEligible:
		return event.StatusRejected
	case TaskInvalid:
		return event.StatusCanceled
	}
	return n.Status()
}
