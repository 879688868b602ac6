package sfn

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// PublishVersionInput is the input of PublishStateMachineVersion.
type PublishVersionInput struct {
	StateMachineARN string `json:"stateMachineArn" api:"required,min=1,max=256"`
	RevisionID      string `json:"revisionId"`
	Description     string `json:"description" api:"max=256,hidden"`
}

// PublishVersionOutput is the output of PublishStateMachineVersion.
type PublishVersionOutput struct {
	StateMachineVersionARN string      `json:"stateMachineVersionArn"`
	CreationDate           awsapi.Time `json:"creationDate"`
}

func (s *Service) publishVersion(ctx context.Context, c *awsapi.Call,
	in *PublishVersionInput) (*PublishVersionOutput, error) {
	name, _, err := machineName(in.StateMachineARN)
	if err != nil {
		return nil, err
	}
	out := &PublishVersionOutput{}
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
		if in.RevisionID != "" && !(in.RevisionID == m.Revision || in.RevisionID == "INITIAL" && !m.Updated) {
			return awsapi.Errorf("ConflictException",
				"Failed to publish the State Machine version for revision %s. The current State Machine revision "+
					"is %s.", in.RevisionID, m.Revision)
		}
		v, err := s.publish(tx, &m, in.Description)
		out.StateMachineVersionARN = fmt.Sprintf("%s:%d", s.arn(names.StateMachine, name), v.Number)
		out.CreationDate = awsapi.Time{Time: v.Created}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteVersionInput is the input of DeleteStateMachineVersion.
type DeleteVersionInput struct {
	StateMachineVersionARN string `json:"stateMachineVersionArn" api:"required,min=1,max=2000"`
}

func (s *Service) deleteVersion(ctx context.Context, c *awsapi.Call, in *DeleteVersionInput) (*Empty, error) {
	name, qualifier, err := machineName(in.StateMachineVersionARN)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(qualifier)
	if err != nil {
		return nil, invalidARN(names.WrongType(in.StateMachineVersionARN))
	}
	err = s.db.Update(func(tx *store.Tx) error {
		var used []string
		for row, err := range aliases.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			for _, r := range row.Value.Routing {
				if r.version() == n {
					used = append(used, row.Value.Name)
				}
			}
		}
		if used != nil {
			return awsapi.Errorf("ConflictException",
				"Version to be deleted must not be referenced by an alias. Current list of aliases referencing "+
					"this version: [%s]", strings.Join(used, ", "))
		}
		return versions.Delete(tx, name, store.Number(uint64(n)))
	})
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}

// ListVersionsInput is the input of ListStateMachineVersions and of
// ListStateMachineAliases.
type ListVersionsInput struct {
	StateMachineARN string `json:"stateMachineArn" api:"required,min=1,max=256"`
	MaxResults      int    `json:"maxResults" api:"min=0,max=1000"`
	NextToken       string `json:"nextToken" api:"min=1,max=1024"`
}

// VersionItem is a version in a list.
type VersionItem struct {
	StateMachineVersionARN string      `json:"stateMachineVersionArn"`
	CreationDate           awsapi.Time `json:"creationDate"`
}

// ListVersionsOutput is the output of ListStateMachineVersions.
type ListVersionsOutput struct {
	StateMachineVersions []VersionItem `json:"stateMachineVersions"`
	NextToken            *string       `json:"nextToken,omitempty"`
}

func (s *Service) listVersions(ctx context.Context, c *awsapi.Call,
	in *ListVersionsInput) (*ListVersionsOutput, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	name, _, err := machineName(in.StateMachineARN)
	if err != nil {
		return nil, err
	}
	out := &ListVersionsOutput{}
	err = s.db.View(func(tx *store.Tx) (err error) {
		q := store.Query{Prefix: []string{name}, Reverse: true}
		out.StateMachineVersions, out.NextToken, err = list(tx, versions, q, p,
			func(row store.Row[versionRecord]) (VersionItem, bool, error) {
				return VersionItem{fmt.Sprintf("%s:%d", s.arn(names.StateMachine, name), row.Value.Number),
					awsapi.Time{Time: row.Value.Created}}, true, nil
			})
		return err
	})
	return out, err
}
