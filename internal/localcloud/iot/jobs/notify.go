package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/outbox"
	dataplane "github.com/fleetstep/fleetstep/internal/localcloud/iotjobsdataplane"
)

// NextKind marks notify-next messages in the outbox. Their document, with its
// presigned URLs, is put in when they are sent and is never stored.
const NextKind = "notify-next"

func seconds(ms int64) int64 { return ms / 1000 }

func (e *execution) summary() dataplane.Summary {
	return dataplane.Summary{
		JobID: e.Job, QueuedAt: seconds(e.Queued), StartedAt: seconds(e.Started), LastUpdatedAt: seconds(e.Updated),
		VersionNumber: e.Version, ExecutionNumber: e.Number,
	}
}

// view is the execution as a device sees it, without the document.
func (e *execution) view(now int64) *dataplane.Execution {
	v := &dataplane.Execution{
		JobID: e.Job, ThingName: e.Thing, Status: e.Status, StatusDetails: e.Details,
		QueuedAt: seconds(e.Queued), StartedAt: seconds(e.Started), LastUpdatedAt: seconds(e.Updated),
		VersionNumber: e.Version, ExecutionNumber: e.Number,
	}
	if at := e.due(); at != 0 {
		left := max(at-now, 0) / 1000
		v.ApproximateSecondsBeforeTimedOut = &left
	}
	return v
}

func (e *execution) state() dataplane.State {
	details := e.Details
	if details == nil {
		details = map[string]string{}
	}
	return dataplane.State{Status: e.Status, StatusDetails: details, VersionNumber: e.Version}
}

type notifyPayload struct {
	Timestamp int64                          `json:"timestamp"`
	Jobs      map[string][]dataplane.Summary `json:"jobs"`
}

type nextPayload struct {
	Timestamp int64                `json:"timestamp"`
	Execution *dataplane.Execution `json:"execution,omitempty"`
}

// notify tells a thing that its list of pending executions has other members,
// or another first one.
func (c *change) notify(thing string, w *watched) error {
	head, err := pendingHead(c.tx, thing)
	if err != nil {
		return err
	}
	if !w.changed && head == w.head {
		return nil
	}
	list, err := pendingList(c.tx, thing, maxPending)
	if err != nil {
		return err
	}
	topic := "$aws/things/" + thing + "/jobs/notify"
	if w.changed {
		p := notifyPayload{Timestamp: c.now.Unix(), Jobs: map[string][]dataplane.Summary{}}
		for i := range list {
			p.Jobs[list[i].Status] = append(p.Jobs[list[i].Status], list[i].summary())
		}
		if err := c.send("", topic, p); err != nil {
			return err
		}
	}
	if head == w.head {
		return nil
	}
	next := nextPayload{Timestamp: c.now.Unix()}
	if len(list) > 0 {
		next.Execution = list[0].view(c.ms)
	}
	return c.send(NextKind, topic+"-next", next)
}

func (c *change) send(kind, topic string, payload any) error {
	b, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	return c.s.config.Outbox.Add(c.tx, outbox.Message{Kind: kind, Topic: topic, Payload: b})
}

// queueEvent is send for an event. AWS IoT promises no order between events and what
// it sends to devices ("Event messages", AWS IoT developer guide, 2026: published
// at least once, possibly out of order). The events of a change come last here: a
// device whose execution is force-canceled has been given its next job before
// anybody hears that the old one was canceled.
func (c *change) queueEvent(topic string, payload any) error {
	b, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	c.events = append(c.events, outbox.Message{Topic: topic, Payload: b})
	return nil
}

// Next completes the payload of a message of kind NextKind with the job
// document. A document whose URLs cannot be signed is left out, so that the
// device, which then asks for it, is told why.
func (s *Service) Next(ctx context.Context, payload []byte) ([]byte, error) {
	var p nextPayload
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, err
	}
	if p.Execution == nil {
		return payload, nil
	}
	document, err := s.documentFor(ctx, p.Execution.JobID, p.Execution.ThingName, p.Execution.ExecutionNumber)
	if _, refused := errors.AsType[*awsapi.Error](err); err != nil && !refused {
		return nil, err
	}
	p.Execution.JobDocument = document
	return json.Marshal(struct {
		Timestamp int64 `json:"timestamp"`
		Execution any   `json:"execution"`
	}{p.Timestamp, p.Execution.MQTT()})
}

func operationOf(status string) string { return strings.ToLower(status) }

type executionEvent struct {
	EventType     string            `json:"eventType"`
	EventID       string            `json:"eventId"`
	Timestamp     int64             `json:"timestamp"`
	Operation     string            `json:"operation"`
	JobID         string            `json:"jobId"`
	ThingARN      string            `json:"thingArn"`
	Status        string            `json:"status"`
	StatusDetails map[string]string `json:"statusDetails"`
}

func (c *change) executionEvent(e *execution, operation string) error {
	enabled, err := c.s.config.Registry.EventsEnabled(c.tx, "JOB_EXECUTION")
	if err != nil || !enabled {
		return err
	}
	return c.queueEvent("$aws/events/jobExecution/"+e.Job+"/"+operation, executionEvent{
		EventType: "JOB_EXECUTION", EventID: c.s.sched.UUID(), Timestamp: c.now.Unix(), Operation: operation,
		JobID: e.Job, ThingARN: c.s.thingARN(e.Thing), Status: e.Status, StatusDetails: e.state().StatusDetails,
	})
}

type jobEvent struct {
	EventType         string         `json:"eventType"`
	EventID           string         `json:"eventId"`
	Timestamp         int64          `json:"timestamp"`
	Operation         string         `json:"operation"`
	JobID             string         `json:"jobId"`
	Status            string         `json:"status"`
	TargetSelection   string         `json:"targetSelection"`
	Targets           []string       `json:"targets"`
	Description       string         `json:"description"`
	CompletedAt       int64          `json:"completedAt,omitempty"`
	CreatedAt         int64          `json:"createdAt"`
	LastUpdatedAt     int64          `json:"lastUpdatedAt"`
	Comment           string         `json:"comment,omitempty"`
	JobProcessDetails map[string]int `json:"jobProcessDetails,omitempty"`
}

func (c *change) jobEvent(j *loaded, operation string) error {
	enabled, err := c.s.config.Registry.EventsEnabled(c.tx, "JOB")
	if err != nil || !enabled {
		return err
	}
	e := jobEvent{
		EventType: "JOB", EventID: c.s.sched.UUID(), Timestamp: c.now.Unix(), Operation: operation,
		JobID: j.ID, Status: j.Status, TargetSelection: j.Selection, Targets: j.Targets, Description: j.Description,
		CompletedAt: j.Completed, CreatedAt: j.Created, LastUpdatedAt: j.Updated, Comment: j.Comment,
	}
	if operation == "completed" {
		e.JobProcessDetails = map[string]int{
			"numberOfCanceledThings": j.By[Canceled], "numberOfRejectedThings": j.By[Rejected],
			"numberOfFailedThings": j.By[Failed], "numberOfRemovedThings": j.By[Removed],
			"numberOfSucceededThings": j.By[Succeeded],
		}
	}
	return c.queueEvent("$aws/events/job/"+j.ID+"/"+operation, e)
}
