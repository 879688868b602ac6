package iotjobsdataplane

import (
	"context"
	"encoding/json"

	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
)

// Executions keeps the job executions; iot/jobs implements it. Errors are
// *Rejection where the device is at fault.
type Executions interface {
	// Pending lists at most ten executions in all, in the order in which the
	// thing is to run them.
	Pending(ctx context.Context, thing string) (inProgress, queued []Summary, err error)
	// StartNext returns the execution in progress, or starts the next queued
	// one; nil if there is neither.
	StartNext(ctx context.Context, thing string, details map[string]string, stepTimeoutInMinutes *int64) (
		*Execution, error)
	// Describe returns an execution that is not terminal. The job "$next" is
	// the first pending one, nil if there is none; number 0 is the latest.
	Describe(ctx context.Context, thing, jobID string, number int64, document bool) (*Execution, error)
	// Update changes an execution. The document is "" unless asked for.
	Update(ctx context.Context, thing, jobID string, u Update) (state State, document string, err error)
}

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

// Config is what the service needs.
type Config struct {
	platform.Platform

	Executions Executions
}

// Service is the device side of AWS IoT Jobs.
type Service struct{ config Config }

// New returns the service. It keeps no state of its own.
func New(config Config) *Service { return &Service{config: config} }

// Start has nothing to resume.
func (s *Service) Start(context.Context) error { return nil }

// Residue is empty: the service holds nothing.
func (s *Service) Residue(context.Context) []string { return nil }
