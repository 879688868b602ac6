package script

import (
	"encoding/json"
	"fmt"
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

// judge names how an execution ended: as its author says, else by what a Catch caught. What it may
// not say ends the attempt as Task.Invalid: said again it would be the same, and the device would
// wait for it.
func (*flow) judge(in event.FinalizeInput, known event.DeviceState) (event.Conclusion, error) {
	end, err := readEnding(in.Results)
	if err != nil {
		return event.Conclusion{Status: status(TaskInvalid), Reason: TaskInvalid, Detail: err.Error()}, nil
	}
	c := event.Conclusion{
		Reason: end.Reason, Detail: end.Detail, Details: end.Details.text(), Attributes: end.Attributes.text(),
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

func readEnding(results json.RawMessage) (end ending, err error) {
	if len(results) == 0 {
		return end, nil
	}
	if err := json.Unmarshal(results, &end); err != nil {
		return end, fmt.Errorf("FINALIZE: %w", err)
	}
	switch end.Outcome {
	case "", event.StatusSucceeded, event.StatusFailed, event.StatusRejected:
	default:
		return end, fmt.Errorf("FINALIZE: outcome %q is none of SUCCEEDED, FAILED, REJECTED", end.Outcome)
	}
	if end.Reason != "" && !reasonForm.MatchString(string(end.Reason)) {
		return end, fmt.Errorf("FINALIZE: reason %q is not of the form Word.Word", end.Reason)
	}
	if _, ok := end.Attributes[event.ThingEndpointAttribute]; ok {
		return end, fmt.Errorf("FINALIZE: attributes: %s says which device the thing is, and is not for a workflow "+
			"to set", event.ThingEndpointAttribute)
	}
	return end, nil
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
