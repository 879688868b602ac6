package sfn

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

// TestSDKOverHTTP lets the SDK for Go speak to the service.
func TestSDKOverHTTP(t *testing.T) {
	w := virtual(t)
	srv := httptest.NewServer(w.door)
	defer srv.Close()
	c := sfn.New(sfn.Options{Region: "us-east-1", BaseEndpoint: aws.String(srv.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		})})
	ctx := context.Background()
	m, err := c.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{Name: aws.String("m"), RoleArn: aws.String(role),
		Definition: aws.String(tenStates(true))})
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: m.StateMachineArn, Input: aws.String(`{"n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: e.ExecutionArn})
	if err != nil || d.Status != "SUCCEEDED" {
		t.Fatal(err, d)
	}
	h, err := c.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: e.ExecutionArn,
		ReverseOrder: true})
	if err != nil || len(h.Events) != 22 || h.Events[21].ExecutionStartedEventDetails == nil ||
		h.Events[21].Timestamp == nil {
		t.Fatal(err, h)
	}
}
