package awsapi

import (
	"net/http"
	"strings"
)

// takesNoRoom are beginnings of the names of operations that read, remove, stop,
// or let go on what has begun.
var takesNoRoom = []string{
	"Abort", "Assume", "BatchGet", "Cancel", "Continue", "Delete", "Describe", "Detach", "Disassociate", "Filter",
	"Get", "Head", "List",
	"Lookup", "Purge", "Query", "Receive", "Remove", "Scan", "Search", "Select", "SendTask", "Simulate",
	"StartNextPending", "StartQuery", "Stop",
	"Test", "TransactGet", "Unsubscribe", "Untag", "UpdateJobExecution", "Validate",
}

// room asks for room for a request, and says in the service's words that there is
// none. What only reads or removes has always room: it is how room is made.
func (q *request) room(op *Operation) error {
	full := q.door.config.Full
	if full == nil {
		return nil
	}
	if op == nil {
		if m := q.r.Method; m == http.MethodGet || m == http.MethodHead || m == http.MethodDelete ||
			q.r.URL.Query().Has("delete") {
			return nil
		}
	} else {
		for _, begins := range takesNoRoom {
			if strings.HasPrefix(op.Name, begins) {
				return nil
			}
		}
	}
	err := full(max(q.r.ContentLength, int64(len(q.body))), q.call.Identity.RoleARN != "")
	if err == nil {
		return nil
	}
	e := Errorf("ThrottlingException", "Rate exceeded: %v", err)
	if w := q.service.Throttled; w.Code != "" {
		e.Code, e.Status = w.Code, w.Status
	}
	return e
}
