package iotjobsdataplane

import "encoding/json"

// The service keeps nothing in the store. This is the state that it is told of by Executions and shows to devices.

// Summary is an execution in the list of pending ones.
type Summary struct {
	JobID           string `json:"jobId"`
	QueuedAt        int64  `json:"queuedAt"`
	StartedAt       int64  `json:"startedAt,omitempty"`
	LastUpdatedAt   int64  `json:"lastUpdatedAt"`
	VersionNumber   int64  `json:"versionNumber"`
	ExecutionNumber int64  `json:"executionNumber"`
}

// Execution is an execution in full.
type Execution struct {
	JobID                            string            `json:"jobId"`
	ThingName                        string            `json:"thingName,omitempty"`
	Status                           string            `json:"status"`
	StatusDetails                    map[string]string `json:"statusDetails,omitempty"`
	QueuedAt                         int64             `json:"queuedAt"`
	StartedAt                        int64             `json:"startedAt,omitempty"`
	LastUpdatedAt                    int64             `json:"lastUpdatedAt"`
	ApproximateSecondsBeforeTimedOut *int64            `json:"approximateSecondsBeforeTimedOut,omitempty"`
	VersionNumber                    int64             `json:"versionNumber"`
	ExecutionNumber                  int64             `json:"executionNumber"`
	JobDocument                      string            `json:"jobDocument,omitempty"`
}

// MQTT returns the execution in the shape of MQTT payloads, where the job
// document is an object.
func (e *Execution) MQTT() any {
	if e == nil {
		return nil
	}
	return &mqttExecution{Execution: *e, Document: json.RawMessage(e.JobDocument)}
}

type mqttExecution struct {
	Execution
	Document json.RawMessage `json:"jobDocument,omitempty"`
}

// State is what an update answers, and what some refusals carry.
type State struct {
	Status        string            `json:"status"`
	StatusDetails map[string]string `json:"statusDetails"`
	VersionNumber int64             `json:"versionNumber"`
}

// Update is a device's update of an execution. Absent members change nothing.
type Update struct {
	Status               string
	StatusDetails        map[string]string // replaces all details; nil: unchanged
	ExpectedVersion      *int64
	ExecutionNumber      int64 // 0: the latest
	IncludeDocument      bool
	StepTimeoutInMinutes *int64 // -1 clears the step timer
}
