package iotjobsdataplane

import (
	"context"

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
