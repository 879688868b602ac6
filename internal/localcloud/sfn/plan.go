package sfn

import (
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const express = "EXPRESS"

// host gives a run time, randomness and tokens.
type host struct {
	s *Service
	k key
}

func (h host) Now() time.Time       { return h.s.sched.Now() }
func (h host) Random(n int64) int64 { return h.s.sched.Rand().Int64N(n) }
func (h host) UUID() string         { return h.s.sched.UUID() }

func (h host) Token(branch string, attempt int) string {
	return makeToken(h.k, branch, attempt, h.s.sched.UUID())
}

func (h host) ActivityExists(arn string) bool {
	name, ok := activityName(arn)
	if !ok {
		return false
	}
	found := false
	err := h.s.db.View(func(tx *store.Tx) (err error) {
		_, found, err = activities.Get(tx, name)
		return err
	})
	h.s.background("look for activity "+name, h.k, err)
	return found
}

// plan returns the compiled form of a revision.
func (s *Service) plan(rev *revisionRecord, typ string) (*asl.Machine, error) {
	id := rev.Machine + "/" + rev.ID
	s.mu.Lock()
	p := s.plans[id]
	s.mu.Unlock()
	if p != nil {
		return p.machine, nil
	}
	m, ds := asl.Compile(rev.Definition, typ == express)
	if m == nil {
		return nil, ds
	}
	s.mu.Lock()
	s.plans[id] = &plan{m, rev}
	s.mu.Unlock()
	return m, nil
}

func (s *Service) info(rec *executionRecord, rev *revisionRecord) asl.Info {
	info := asl.Info{
		ExecutionARN: rec.ARN, ExecutionName: rec.name(),
		MachineARN: s.arn(names.StateMachine, rec.machine()), MachineName: rec.machine(),
		RoleARN: rev.RoleARN, Region: s.Region, Account: s.Account,
		Started: rec.Started, Input: asl.TextData(rec.Input), RedriveCount: rec.RedriveCount, Redriven: rec.Redriven,
		Synchronous: rec.Synchronous,
	}
	if rec.Version != 0 {
		info.VersionARN, info.AliasARN = s.versionARN(rec), rec.Alias
	}
	if rec.Child != nil {
		info.Around = rec.Child.Around
	}
	return info
}

// program is what an execution runs: the state machine, or the processor of the
// Map state that the execution is a child of.
func (s *Service) program(rec *executionRecord, rev *revisionRecord) (*asl.Machine, error) {
	if rec.Child == nil {
		return s.plan(rev, rec.Type)
	}
	m, err := s.plan(rev, "STANDARD")
	if err != nil {
		return nil, err
	}
	if m = m.Child(rec.Child.State); m == nil {
		return nil, fmt.Errorf("sfn: execution %s: no Map state %s", rec.ARN, rec.Child.State)
	}
	return m, nil
}

func (s *Service) run(rec *executionRecord, rev *revisionRecord, snap asl.Snapshot) (*asl.Run, error) {
	if rev == nil {
		return nil, fmt.Errorf("sfn: execution %s: its revision is gone", rec.ARN)
	}
	m, err := s.program(rec, rev)
	if err != nil {
		return nil, err
	}
	run := asl.Resume(m, host{s, rec.key()}, s.info(rec, rev), snap)
	return run, nil
}

func compile(definition, typ string) error {
	if len(definition) > asl.MaxDefinition {
		return awsapi.Errorf("InvalidDefinition",
			"Invalid State Machine Definition: 'MAX_DEFINITION_SIZE_EXCEEDED: The definition is longer than "+
				"1048576 bytes'")
	}
	if m, ds := asl.Compile(definition, typ == express); m == nil {
		return awsapi.Errorf("InvalidDefinition", "%s", ds.Error())
	}
	return nil
}
