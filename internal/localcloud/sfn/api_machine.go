package sfn

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// CreateStateMachineInput is the input of CreateStateMachine.
type CreateStateMachineInput struct {
	Name               string          `json:"name" api:"required,min=1,max=80"`
	Definition         string          `json:"definition" api:"required,min=1,max=1048576,bytes,hidden"`
	RoleARN            string          `json:"roleArn" api:"required,min=1,max=256"`
	Type               string          `json:"type" api:"values=STANDARD|EXPRESS"`
	Logging            *LoggingConfig  `json:"loggingConfiguration"`
	Tracing            *TracingConfig  `json:"tracingConfiguration"`
	Encryption         *EncryptionConf `json:"encryptionConfiguration"`
	Tags               []Tag           `json:"tags"`
	Publish            bool            `json:"publish"`
	VersionDescription string          `json:"versionDescription" api:"max=256,hidden"`
}

// CreateStateMachineOutput is the output of CreateStateMachine.
type CreateStateMachineOutput struct {
	StateMachineARN        string      `json:"stateMachineArn"`
	CreationDate           awsapi.Time `json:"creationDate"`
	StateMachineVersionARN string      `json:"stateMachineVersionArn,omitempty"`
}

func (s *Service) createStateMachine(ctx context.Context, c *awsapi.Call, in *CreateStateMachineInput) (
	*CreateStateMachineOutput, error) {
	if !names.Valid(in.Name) {
		return nil, invalidName(in.Name)
	}
	if in.Type == "" {
		in.Type = "STANDARD"
	}
	if !strings.HasPrefix(in.RoleARN, "arn:") {
		return nil, invalidARN(names.WrongPrefix(in.RoleARN))
	}
	if in.VersionDescription != "" && !in.Publish {
		return nil, validation("Version description can only be set when publish is true")
	}
	if len(in.Tags) > maxTags {
		return nil, tooManyTags()
	}
	if err := compile(in.Definition, in.Type); err != nil {
		return nil, err
	}
	if err := s.checkLogging(ctx, in.Logging); err != nil {
		return nil, err
	}
	if err := checkEncryption(in.Encryption); err != nil {
		return nil, err
	}
	arn := s.arn(names.StateMachine, in.Name)
	if err := s.checkRole(ctx, c, arn, in.RoleARN, in.RoleARN, in.Logging); err != nil {
		return nil, err
	}
	now := s.sched.Now()
	out := &CreateStateMachineOutput{StateMachineARN: arn, CreationDate: awsapi.Time{Time: now}}
	err := s.db.Update(func(tx *store.Tx) error {
		old, ok, err := machines.Get(tx, in.Name)
		if err != nil {
			return err
		}
		if ok {
			rev, _, err := revisions.Get(tx, in.Name, old.Revision)
			if err != nil {
				return err
			}
			if old.Deleting {
				return machineDeleting(arn)
			}
			if old.Type != in.Type || rev.Definition != in.Definition ||
				!sameConfig(rev.Logging, in.Logging) || !sameConfig(rev.Tracing, in.Tracing) ||
				!sameConfig(rev.Encryption, in.Encryption) {
				return awsapi.Errorf("StateMachineAlreadyExists", "State Machine Already Exists: '%s'", arn)
			}
			out.CreationDate = awsapi.Time{Time: old.Created}
			if in.Publish {
				v, err := s.publish(tx, &old, in.VersionDescription)
				if err != nil {
					return err
				}
				out.StateMachineVersionARN = arn + ":" + strconv.Itoa(v.Number)
			}
			return nil
		}
		m := machineRecord{Name: in.Name, Type: in.Type, Created: now, Revision: s.sched.UUID(),
			Tags: map[string]string{}}
		for _, t := range in.Tags {
			m.Tags[t.Key] = t.Value
		}
		rev := revisionRecord{ID: m.Revision, Machine: in.Name, Definition: in.Definition, RoleARN: in.RoleARN,
			Logging: in.Logging,
			Tracing: in.Tracing, Encryption: in.Encryption, Updated: now}
		if err := revisions.Put(tx, rev, in.Name, rev.ID); err != nil {
			return err
		}
		if in.Publish {
			v, err := s.publish(tx, &m, in.VersionDescription)
			if err != nil {
				return err
			}
			out.StateMachineVersionARN = arn + ":" + strconv.Itoa(v.Number)
		}
		return s.putMachine(tx, m)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateStateMachineInput is the input of UpdateStateMachine.
type UpdateStateMachineInput struct {
	StateMachineARN    string          `json:"stateMachineArn" api:"required,min=1,max=256"`
	Definition         string          `json:"definition" api:"min=1,max=1048576,bytes,hidden"`
	RoleARN            string          `json:"roleArn" api:"min=1,max=256"`
	Logging            *LoggingConfig  `json:"loggingConfiguration"`
	Tracing            *TracingConfig  `json:"tracingConfiguration"`
	Encryption         *EncryptionConf `json:"encryptionConfiguration"`
	Publish            bool            `json:"publish"`
	VersionDescription string          `json:"versionDescription" api:"max=256,hidden"`
}

// UpdateStateMachineOutput is the output of UpdateStateMachine.
type UpdateStateMachineOutput struct {
	UpdateDate             awsapi.Time `json:"updateDate"`
	RevisionID             string      `json:"revisionId,omitempty"`
	StateMachineVersionARN string      `json:"stateMachineVersionArn,omitempty"`
}

func (s *Service) updateStateMachine(ctx context.Context, c *awsapi.Call, in *UpdateStateMachineInput) (
	*UpdateStateMachineOutput, error) {
	name, qualifier, err := machineName(in.StateMachineARN)
	if err != nil {
		return nil, err
	}
	if qualifier != "" {
		return nil, noMachine(in.StateMachineARN)
	}
	if in.Definition == "" && in.RoleARN == "" && in.Logging == nil && in.Tracing == nil && in.Encryption == nil {
		return nil, awsapi.Errorf("MissingRequiredParameter",
			"Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be "+
				"specified")
	}
	if in.VersionDescription != "" && !in.Publish {
		return nil, validation("Version description can only be set when publish is true")
	}
	if err := checkEncryption(in.Encryption); err != nil {
		return nil, err
	}
	if err := s.checkLogging(ctx, in.Logging); err != nil {
		return nil, err
	}
	out := &UpdateStateMachineOutput{}
	var typ string
	var now revisionRecord
	err = s.db.View(func(tx *store.Tx) error {
		m, _, err := machines.Get(tx, name)
		typ = m.Type
		if err == nil {
			now, _, err = revisions.Get(tx, name, m.Revision)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if typ != "" && (in.RoleARN != "" || in.Logging != nil) {
		logging := in.Logging
		if logging == nil {
			logging = now.Logging
		}
		if err := s.checkRole(ctx, c, in.StateMachineARN, in.RoleARN, cmp.Or(in.RoleARN, now.RoleARN),
			logging); err != nil {
			return nil, err
		}
	}
	if in.Definition != "" && typ != "" {
		if err := compile(in.Definition, typ); err != nil {
			return nil, err
		}
	}
	err = s.db.Update(func(tx *store.Tx) error {
		m, ok, err := machines.Get(tx, name)
		if err != nil {
			return err
		}
		if !ok {
			return noMachine(in.StateMachineARN)
		}
		if m.Deleting {
			return machineDeleting(in.StateMachineARN)
		}
		rev, _, err := revisions.Get(tx, name, m.Revision)
		if err != nil {
			return err
		}
		if in.Definition != "" {
			rev.Definition = in.Definition
		}
		if in.RoleARN != "" {
			rev.RoleARN = in.RoleARN
		}
		if in.Logging != nil {
			rev.Logging = in.Logging
		}
		if in.Tracing != nil {
			rev.Tracing = in.Tracing
		}
		if in.Encryption != nil {
			rev.Encryption = in.Encryption
		}
		old, _, err := revisions.Get(tx, name, m.Revision)
		if err != nil {
			return err
		}
		out.UpdateDate = awsapi.Time{Time: s.sched.Now()}
		if sameConfig(old, rev) {
			// Nothing changes: no new revision.
			if m.Updated {
				out.RevisionID = rev.ID
			}
			if in.Publish {
				v, err := s.publish(tx, &m, in.VersionDescription)
				out.StateMachineVersionARN = in.StateMachineARN + ":" + strconv.Itoa(v.Number)
				return err
			}
			return nil
		}
		rev.ID, rev.Updated = s.sched.UUID(), s.sched.Now()
		m.Revision, m.Updated = rev.ID, true
		out.RevisionID = rev.ID
		if err := revisions.Put(tx, rev, name, rev.ID); err != nil {
			return err
		}
		if in.Publish {
			v, err := s.publish(tx, &m, in.VersionDescription)
			if err != nil {
				return err
			}
			out.StateMachineVersionARN = in.StateMachineARN + ":" + strconv.Itoa(v.Number)
		}
		return s.putMachine(tx, m)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// StateMachineRef names a state machine.
type StateMachineRef struct {
	StateMachineARN string `json:"stateMachineArn" api:"required,min=1,max=256"`
	IncludedData    string `json:"includedData" api:"values=ALL_DATA|METADATA_ONLY"`
}

func (s *Service) deleteStateMachine(ctx context.Context, c *awsapi.Call, in *StateMachineRef) (*Empty, error) {
	name, qualifier, err := machineName(in.StateMachineARN)
	if err != nil {
		return nil, err
	}
	if qualifier != "" {
		return nil, validation("The state machine ARN must not be qualified")
	}
	running := false
	err = s.db.Update(func(tx *store.Tx) error {
		m, ok, err := machines.Get(tx, name)
		if err != nil || !ok {
			return err
		}
		for row, err := range open.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			_, running = row, true
			break
		}
		if running {
			m.Deleting = true
			return s.putMachine(tx, m)
		}
		return s.purge(tx, name)
	})
	if err != nil {
		return nil, err
	}
	if running {
		s.drain(name)
	}
	return &Empty{}, nil
}

// StateMachine is a state machine as it is described.
type StateMachine struct {
	StateMachineARN    string              `json:"stateMachineArn"`
	Name               string              `json:"name"`
	Status             string              `json:"status,omitempty"`
	Definition         string              `json:"definition"`
	RoleARN            string              `json:"roleArn"`
	Type               string              `json:"type,omitempty"`
	CreationDate       *awsapi.Time        `json:"creationDate,omitempty"`
	UpdateDate         *awsapi.Time        `json:"updateDate,omitempty"`
	Logging            *LoggingConfig      `json:"loggingConfiguration,omitempty"`
	Tracing            *TracingConfig      `json:"tracingConfiguration,omitempty"`
	Encryption         *EncryptionConf     `json:"encryptionConfiguration,omitempty"`
	RevisionID         string              `json:"revisionId,omitempty"`
	Description        string              `json:"description,omitempty"`
	VariableReferences map[string][]string `json:"variableReferences,omitempty"`
	// Of the execution of a Map Run.
	MapRunARN string `json:"mapRunArn,omitempty"`
	Label     string `json:"label,omitempty"`
}

func (s *Service) describe(m machineRecord, rev revisionRecord, v *versionRecord) *StateMachine {
	out := &StateMachine{
		StateMachineARN: s.arn(names.StateMachine, m.Name), Name: m.Name, Status: "ACTIVE", Definition: rev.Definition,
		RoleARN: rev.RoleARN,
		Type:    m.Type, CreationDate: awsapi.TimeOf(m.Created), Logging: rev.Logging, Tracing: rev.Tracing,
		Encryption: shownEncryption(rev.Encryption),
	}
	if m.Deleting {
		out.Status = "DELETING"
	}
	if out.Logging == nil {
		out.Logging = &LoggingConfig{Level: "OFF"}
	}
	if out.Tracing == nil {
		out.Tracing = &TracingConfig{}
	}
	if plan, err := s.plan(&rev, m.Type); err == nil {
		out.VariableReferences = plan.References()
	}
	if m.Updated {
		out.RevisionID = rev.ID
	}
	if v != nil {
		out.StateMachineARN += ":" + strconv.Itoa(v.Number)
		out.Description = v.Description
		out.CreationDate = awsapi.TimeOf(v.Created)
		if v.Number == 1 && m.Versions == 1 && !m.Updated {
			out.RevisionID = ""
		} else {
			out.RevisionID = v.Revision
		}
	}
	return out
}

func (s *Service) describeStateMachine(ctx context.Context, c *awsapi.Call, in *StateMachineRef) (
	*StateMachine, error) {
	var out *StateMachine
	err := s.db.View(func(tx *store.Tx) error {
		m, rev, v, _, err := s.selected(tx, in.StateMachineARN)
		if err != nil {
			return err
		}
		out = s.describe(m, rev, v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if in.IncludedData == metadataOnly {
		out.Definition = "{}"
	}
	return out, nil
}

// StateMachineItem is a state machine in a list.
type StateMachineItem struct {
	StateMachineARN string      `json:"stateMachineArn"`
	Name            string      `json:"name"`
	Type            string      `json:"type"`
	CreationDate    awsapi.Time `json:"creationDate"`
}

// ListStateMachinesOutput is the output of ListStateMachines.
type ListStateMachinesOutput struct {
	StateMachines []StateMachineItem `json:"stateMachines"`
	NextToken     *string            `json:"nextToken,omitempty"`
}

func (s *Service) listStateMachines(ctx context.Context, c *awsapi.Call,
	in *ListInput) (*ListStateMachinesOutput, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ListStateMachinesOutput{}
	err = s.db.View(func(tx *store.Tx) (err error) {
		out.StateMachines, out.NextToken, err = list(tx, machines, store.Query{}, p,
			func(row store.Row[machineRecord]) (StateMachineItem, bool, error) {
				m := row.Value
				return StateMachineItem{s.arn(names.StateMachine, m.Name), m.Name, m.Type,
					awsapi.Time{Time: m.Created}}, true, nil
			})
		return err
	})
	return out, err
}

// ValidateInput is the input of ValidateStateMachineDefinition.
type ValidateInput struct {
	Definition string `json:"definition" api:"required,min=1,max=1048576,bytes,hidden"`
	Type       string `json:"type" api:"values=STANDARD|EXPRESS"`
	Severity   string `json:"severity" api:"values=ERROR|WARNING"`
	MaxResults int    `json:"maxResults" api:"min=0,max=100"`
}

// DiagnosticItem is a finding.
type DiagnosticItem struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Location string `json:"location,omitempty"`
}

// ValidateOutput is the output of ValidateStateMachineDefinition.
type ValidateOutput struct {
	Result      string           `json:"result"`
	Diagnostics []DiagnosticItem `json:"diagnostics"`
	Truncated   bool             `json:"truncated"`
}

func (s *Service) validateDefinition(ctx context.Context, c *awsapi.Call, in *ValidateInput) (*ValidateOutput, error) {
	n := in.MaxResults
	if n == 0 {
		n = 100
	}
	_, ds := asl.Compile(in.Definition, in.Type == express)
	out := &ValidateOutput{Result: "OK", Diagnostics: []DiagnosticItem{}}
	if ds.Failed() {
		out.Result = "FAIL"
	}
	if in.Severity == "WARNING" {
		ds = append(ds, asl.Warnings(in.Definition)...)
	}
	for _, d := range ds {
		if len(out.Diagnostics) == n {
			out.Truncated = true
			break
		}
		out.Diagnostics = append(out.Diagnostics, DiagnosticItem(d))
	}
	return out, nil
}
