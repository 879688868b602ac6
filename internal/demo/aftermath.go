package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// clients are the services that a demonstration talks to.
type clients struct {
	cloudformation *cloudformation.Client
	dynamodb       *dynamodb.Client
	iot            *iot.Client
	lambda         *lambda.Client
	s3             *s3.Client
	sfn            *sfn.Client
}

func newClients(cfg aws.Config) clients {
	return clients{
		cloudformation: cloudformation.NewFromConfig(cfg),
		dynamodb:       dynamodb.NewFromConfig(cfg),
		iot:            iot.NewFromConfig(cfg),
		lambda:         lambda.NewFromConfig(cfg),
		s3:             s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil }),
		sfn:            sfn.NewFromConfig(cfg),
	}
}

// settle is how long what is under way at the campaign's end may take.
const settle = 20 * time.Second

// residue lists what a finished campaign must not leave behind: open
// executions, claims, tokens, pending items, news, undelivered messages. It
// asks until nothing is left or settle has passed.
func (r *run) residue(ctx context.Context) ([]string, error) {
	deadline := r.Env.Now().Add(settle)
	for {
		left, err := r.left(ctx)
		if err != nil || len(left) == 0 || r.Env.Now().After(deadline) {
			return left, err
		}
		if err := r.Env.Sleep(ctx, 250*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (r *run) left(ctx context.Context) ([]string, error) {
	var left []string
	executions := sfn.NewListExecutionsPaginator(r.sfn, &sfn.ListExecutionsInput{
		StateMachineArn: aws.String(r.outputs["StateMachineArn"]), StatusFilter: sfntypes.ExecutionStatusRunning,
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
		TableName: aws.String(r.outputs["TableName"]), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("PK, SK"),
		FilterExpression: aws.String("SK = :claim OR begins_with(SK, :await) OR begins_with(SK, :pending) OR begins_with(SK, :news)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":claim": &types.AttributeValueMemberS{Value: "CLAIM"}, ":await": &types.AttributeValueMemberS{Value: "AWAIT#"},
			":pending": &types.AttributeValueMemberS{Value: "PENDING#"}, ":news": &types.AttributeValueMemberS{Value: "NEWS#"},
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
	if r.Residue == "" {
		return left, nil
	}
	more, err := r.cloudResidue(ctx)
	return append(left, more...), err
}

func text(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return "?"
}

func (r *run) cloudResidue(ctx context.Context) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Residue, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var lines []string
	if err := json.NewDecoder(resp.Body).Decode(&lines); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Residue, err)
	}
	for i := range lines {
		lines[i] = "left behind: " + lines[i]
	}
	return lines, nil
}

// transitions is the average number of state transitions of the executions
// that succeeded, retries included, as AWS counts them.
func (r *run) transitions(ctx context.Context) (float64, error) {
	executions := sfn.NewListExecutionsPaginator(r.sfn, &sfn.ListExecutionsInput{
		StateMachineArn: aws.String(r.outputs["StateMachineArn"]), StatusFilter: sfntypes.ExecutionStatusSucceeded,
	})
	sum, upgrades := 0, 0
	for executions.HasMorePages() {
		page, err := executions.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		for _, e := range page.Executions {
			n, failed, err := r.transitionsOf(ctx, e.ExecutionArn)
			if err != nil {
				return 0, err
			}
			if !failed {
				sum += n
				upgrades++
			}
		}
	}
	if upgrades == 0 {
		return 0, nil
	}
	return math.Round(100*float64(sum)/float64(upgrades)) / 100, nil
}

// transitionsOf counts one execution's transitions; failed tells that a task
// failed for good on its way, so that it was no upgrade.
func (r *run) transitionsOf(ctx context.Context, arn *string) (n int, failed bool, err error) {
	entered, tasks, scheduled := 0, 0, 0
	pages := sfn.NewGetExecutionHistoryPaginator(r.sfn, &sfn.GetExecutionHistoryInput{ExecutionArn: arn, IncludeExecutionData: aws.Bool(false)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, false, err
		}
		last := ""
		for _, e := range page.Events {
			kind := string(e.Type)
			switch {
			case strings.HasSuffix(kind, "StateEntered"):
				entered++
				if kind == "TaskStateEntered" {
					tasks++
				}
			case kind == "TaskScheduled":
				scheduled++
			case kind == "TaskStateExited" && (last == "TaskFailed" || last == "TaskTimedOut"):
				failed = true
			}
			last = kind
		}
	}
	return entered + max(0, scheduled-tasks), failed, nil
}
