package trial

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// residueWait is how long work may go on after the job's end: an asynchronous
// invocation that failed is tried again after one minute, and after two more.
const residueWait = 200 * time.Second

// residue lists what a finished job must not leave behind: open
// executions, claims, tokens, pending items, news, undelivered messages. It
// asks until nothing is left or that time has passed, after ten seconds less and less often.
func (r *run) residue(ctx context.Context) ([]string, error) {
	deadline := r.Env.Now().Add(cmp.Or(r.Patience, residueWait))
	for look, pause := 1, 250*time.Millisecond; ; look++ {
		left, err := r.listResidue(ctx)
		if err != nil || len(left) == 0 || r.Env.Now().After(deadline) {
			return left, err
		}
		if look > 40 {
			pause = min(2*pause, time.Minute)
		}
		if err := r.Env.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (r *run) listResidue(ctx context.Context) ([]string, error) {
	var left []string
	executions := sfn.NewListExecutionsPaginator(r.sfn, &sfn.ListExecutionsInput{
		StateMachineArn: &r.machine, StatusFilter: sfntypes.ExecutionStatusRunning,
	})
	for executions.HasMorePages() {
		page, err := executions.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Executions {
			left = append(left, "left behind: open execution "+aws.ToString(e.Name))
		}
	}
	items := dynamodb.NewScanPaginator(r.dynamodb, &dynamodb.ScanInput{
		TableName: aws.String(r.outputs["TableName"]), ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("PK, SK"),
		FilterExpression: aws.String(
			"SK = :claim OR begins_with(SK, :await) OR begins_with(SK, :pending) OR begins_with(SK, :news)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":claim":   &types.AttributeValueMemberS{Value: "CLAIM"},
			":await":   &types.AttributeValueMemberS{Value: "AWAIT#"},
			":pending": &types.AttributeValueMemberS{Value: "PENDING#"},
			":news":    &types.AttributeValueMemberS{Value: "NEWS#"},
		},
	})
	for items.HasMorePages() {
		page, err := items.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			left = append(left, fmt.Sprintf("left behind: item %s %s", text(item["PK"]), text(item["SK"])))
		}
	}
	more, err := r.world().Residue(ctx)
	for _, line := range more {
		left = append(left, "left behind: "+line)
	}
	return left, err
}

func text(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return "?"
}
