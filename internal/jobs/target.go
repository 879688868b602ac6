package jobs

import (
	"context"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/event"
)

// targets checks that they are there.
func (c *Creator) targets(ctx context.Context, arns []string) (problems event.Problems, err error) {
	for i, arn := range arns {
		ok, err := c.Jobs.TargetExists(ctx, arn)
		if err != nil {
			return nil, err
		}
		if !ok {
			problems = append(problems, event.Problem{
				Path: fmt.Sprintf("$.targets[%d]", i), Value: arn,
				Allowed: "a thing or thing group that exists in this account and region",
			})
		}
	}
	return problems, nil
}

// A job stops itself after so many devices, where its payload does not say after
// how many: a quarter of the target, so that a target of four can stop too, but no
// fewer than fewest, which one device's trouble is not, and no more than the template
// says.
const (
	share  = 4
	fewest = 3
)

// count looks how many devices the target has, refuses to do nothing, and has the
// template's abort criteria follow the size. A thing that is in two groups counts
// twice.
func (c *Creator) count(ctx context.Context, req *Request, t Template) error {
	enough := 1
	byTemplate := req.Abort != nil && req.Abort == t.Abort
	if byTemplate {
		for _, k := range t.Abort.CriteriaList {
			enough = max(enough, k.MinNumberOfExecutedThings*share)
		}
	}
	things := 0
	for _, arn := range req.Targets {
		if things >= enough {
			break
		}
		n, err := c.Jobs.Things(ctx, arn, enough-things)
		if err != nil {
			return err
		}
		things += n
	}
	if things == 0 && req.TargetSelection != Continuous && !req.AllowEmpty {
		return ErrEmpty
	}
	if !byTemplate {
		return nil
	}
	least := max(fewest, (things+share-1)/share)
	abort := Abort{}
	for _, k := range t.Abort.CriteriaList {
		k.MinNumberOfExecutedThings = min(k.MinNumberOfExecutedThings, least)
		abort.CriteriaList = append(abort.CriteriaList, k)
	}
	req.Abort = &abort
	return nil
}
