package iotjobsdataplane

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Handle answers a device's message if its topic is one of the reserved topics
// of jobs; otherwise it reports false. The answer is given to reply, which must
// send it to the asking client only. The client may publish to the topic: that
// has been checked before.
//
// A topic below $aws/things/T/jobs/ that no operation has is answered on
// topic/rejected with InvalidTopic. Topics that the service itself publishes
// (notify, notify-next, accepted, rejected) are not handled.
func (s *Service) Handle(ctx context.Context, topic string, payload []byte, reply func(topic string, payload []byte)) (
	handled bool) {
	thing, operation, ok := split(topic)
	if !ok {
		return false
	}
	now := s.config.Scheduler.Now().Unix()
	var in request
	out, err := s.answer(ctx, thing, operation, payload, &in)
	if err != nil {
		r := rejection(err)
		send(reply, topic+"/rejected", rejected{Code: r.Code, Message: r.Message, ClientToken: in.ClientToken,
			Timestamp: now, ExecutionState: r.State})
		return true
	}
	out.Timestamp, out.ClientToken = now, in.ClientToken
	send(reply, topic+"/accepted", out)
	return true
}

func send(reply func(string, []byte), topic string, body any) {
	b, err := json.Marshal(body)
	if err != nil { // a document that is no JSON is refused when the job is made
		b, _ = json.Marshal(rejected{Code: InternalError, Message: err.Error()})
		topic = strings.TrimSuffix(topic, "/accepted") + "/rejected"
	}
	reply(topic, b)
}

// split takes $aws/things/T/jobs/... apart.
func split(topic string) (thing string, operation []string, ok bool) {
	levels := strings.Split(topic, "/")
	if len(levels) < 5 || levels[0] != "$aws" || levels[1] != "things" || levels[3] != "jobs" || levels[2] == "" {
		return "", nil, false
	}
	switch last := levels[len(levels)-1]; {
	case last == "accepted", last == "rejected", strings.HasPrefix(last, "notify"):
		return "", nil, false
	}
	return levels[2], levels[4:], true
}

type request struct {
	ClientToken              string            `json:"clientToken"`
	Status                   string            `json:"status"`
	StatusDetails            map[string]string `json:"statusDetails"`
	StepTimeoutInMinutes     *int64            `json:"stepTimeoutInMinutes"`
	ExpectedVersion          *version          `json:"expectedVersion"`
	IncludeJobExecutionState bool              `json:"includeJobExecutionState"`
	IncludeJobDocument       *bool             `json:"includeJobDocument"`
	ExecutionNumber          int64             `json:"executionNumber"`
}

// version is a number that some device SDKs send as a string.
type version int64

func (v *version) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(bytes.Trim(b, `"`), &n); err != nil {
		return err
	}
	*v = version(n)
	return nil
}

type accepted struct {
	InProgressJobs *[]Summary      `json:"inProgressJobs,omitempty"`
	QueuedJobs     *[]Summary      `json:"queuedJobs,omitempty"`
	Execution      any             `json:"execution,omitempty"`
	ExecutionState *State          `json:"executionState,omitempty"`
	JobDocument    json.RawMessage `json:"jobDocument,omitempty"`
	Timestamp      int64           `json:"timestamp"`
	ClientToken    string          `json:"clientToken,omitempty"`
}

type rejected struct {
	Code           string `json:"code"`
	Message        string `json:"message"`
	ClientToken    string `json:"clientToken,omitempty"`
	Timestamp      int64  `json:"timestamp"`
	ExecutionState *State `json:"executionState,omitempty"`
}

func (s *Service) answer(ctx context.Context, thing string, operation []string, payload []byte, in *request) (
	*accepted, error) {
	job, verb := "", operation[0]
	if len(operation) == 2 {
		job, verb = operation[0], operation[1]
	}
	switch {
	case len(operation) > 2,
		job == "" && verb != "get" && verb != "start-next",
		job != "" && verb != "get" && verb != "update":
		return nil, Rejectf(InvalidTopic, "The topic does not map to any API operation.")
	}
	if err := decode(payload, in); err != nil {
		return nil, err
	}
	if len(in.ClientToken) > 64 {
		token := in.ClientToken
		in.ClientToken = ""
		return nil, Rejectf(InvalidRequest, "clientToken has %d characters, at most 64 are allowed.",
			utf8.RuneCountInString(token))
	}
	if !s.config.Quotas.AllowDevice("iotjobsdataplane", operationOf(job, verb)) {
		return nil, Rejectf(RequestThrottled, "The request was throttled.")
	}
	x := s.config.Executions
	switch {
	case job == "" && verb == "get":
		inProgress, queued, err := x.Pending(ctx, thing)
		if err != nil {
			return nil, err
		}
		inProgress, queued = notNil(inProgress), notNil(queued)
		return &accepted{InProgressJobs: &inProgress, QueuedJobs: &queued}, nil
	case job == "":
		e, err := x.StartNext(ctx, thing, in.StatusDetails, in.StepTimeoutInMinutes)
		if err != nil {
			return nil, err
		}
		return &accepted{Execution: e.MQTT()}, nil
	case verb == "get":
		e, err := x.Describe(ctx, thing, job, in.ExecutionNumber, in.IncludeJobDocument == nil ||
			*in.IncludeJobDocument)
		if err != nil {
			return nil, err
		}
		return &accepted{Execution: e.MQTT()}, nil
	default:
		state, document, err := x.Update(ctx, thing, job, Update{
			Status: in.Status, StatusDetails: in.StatusDetails, ExpectedVersion: (*int64)(in.ExpectedVersion),
			ExecutionNumber: in.ExecutionNumber, IncludeDocument: in.IncludeJobDocument != nil &&
				*in.IncludeJobDocument,
			StepTimeoutInMinutes: in.StepTimeoutInMinutes,
		})
		if err != nil {
			return nil, err
		}
		out := &accepted{JobDocument: json.RawMessage(document)}
		if in.IncludeJobExecutionState {
			out.ExecutionState = &state
		}
		return out, nil
	}
}

// operationOf is the operation of the API that a topic stands for.
func operationOf(job, verb string) string {
	switch {
	case verb == "update":
		return "UpdateJobExecution"
	case verb == "start-next":
		return "StartNextPendingJobExecution"
	case job == "":
		return "GetPendingJobExecutions"
	default:
		return "DescribeJobExecution"
	}
}

// decode reads a request; an empty payload is an empty request.
func decode(payload []byte, in *request) error {
	if len(bytes.TrimSpace(payload)) == 0 {
		return nil
	}
	if !utf8.Valid(payload) || !json.Valid(payload) || bytes.TrimSpace(payload)[0] != '{' {
		return Rejectf(InvalidJSON,
			"The contents of the request could not be interpreted as valid UTF-8-encoded JSON.")
	}
	if err := json.Unmarshal(payload, in); err != nil {
		return Rejectf(InvalidRequest, "%v", err)
	}
	return nil
}
