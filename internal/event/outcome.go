package event

import "encoding/json"

// Names of members of an outcome that are its message's attributes as well, for
// filter policies; a flow's own are beside them.
const (
	AttributeEvent    = "event"      // the flow's name of the outcome
	AttributeJob      = "jobId"      // whose it is:
	AttributeCampaign = "campaignId" // one of the two
	AttributeReason   = "reason"     // an error name; absent on plain success
)

// Parked is the event of an execution's output whose attempt goes on in another.
// Nobody else is told of it.
const Parked = "PARKED"

// Outcome is how an operation on a device ended: finalize's answer, the
// execution's output and the message on the outcome topic.
type Outcome struct {
	Event string `json:"event"` // the flow's Succeeded or Failed; Parked of an execution that ends before its attempt
	Owner
	ThingName       ThingName `json:"thingName"`
	ExecutionNumber int64     `json:"executionNumber"`
	Status          JobStatus `json:"status"`
	Reason          ErrorName `json:"reason,omitempty"`
	Detail          string    `json:"detail,omitempty"`
	Seconds         float64   `json:"seconds,omitempty"` // since the execution's start
	// Details are the flow's own members, which stand beside the others; Filters
	// names those that are attributes of the message.
	Details map[string]string `json:"-"`
	Filters []string          `json:"-"`
}

// MarshalJSON puts the flow's members beside the others.
func (o Outcome) MarshalJSON() ([]byte, error) {
	type plain Outcome
	b, err := json.Marshal(plain(o))
	if err != nil || len(o.Details) == 0 {
		return b, err
	}
	details, err := json.Marshal(o.Details)
	if err != nil {
		return nil, err
	}
	return append(append(b[:len(b)-1], ','), details[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON wrote. Members that are no text are left
// out of Details.
func (o *Outcome) UnmarshalJSON(b []byte) error {
	type plain Outcome
	if err := json.Unmarshal(b, (*plain)(o)); err != nil {
		return err
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	for _, name := range []string{"event", "jobId", "campaignId", "thingName", "executionNumber", "status", "reason",
		"detail", "seconds"} {
		delete(all, name)
	}
	for name, v := range all {
		if s, ok := v.(string); ok {
			if o.Details == nil {
				o.Details = map[string]string{}
			}
			o.Details[name] = s
		}
	}
	return nil
}
