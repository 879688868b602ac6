package dynamodb_test

import (
	"context"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	localdynamodb "github.com/fleetstep/fleetstep/internal/localcloud/dynamodb"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
)

// FLEETSTEP_DYNAMODB names the address of a DynamoDB (AWS's own local one, another
// emulator) that the contract is held against instead of the local cloud's.
func TestTableKeepsTheContract(t *testing.T) {
	url := os.Getenv("FLEETSTEP_DYNAMODB")
	if url == "" {
		url = local(t, nil)
	}
	workflowtest.Contract(t, newStore(t, url))
}

func client(url string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test",
			"test", ""),
		Retryer: hurried(),
	}, workflowdb.Options)
}

// newStore is a store over a new table of the DynamoDB at url.
func newStore(t *testing.T, url string) *workflowdb.Store {
	t.Helper()
	ctx := context.Background()
	api := client(url)
	table := "contract"
	_, _ = api.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
	_, err := api.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("PK"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("SK"),
				KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("PK"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("SK"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(event.StandingsShard), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(event.StandingsPlace), AttributeType: types.ScalarAttributeTypeS},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String(event.StandingsIndex), KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String(event.StandingsShard), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String(event.StandingsPlace), KeyType: types.KeyTypeRange},
			},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeInclude,
				NonKeyAttributes: event.StandingsAttributes()},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return workflowdb.New(api, table)
}

// local is the address of the local cloud's DynamoDB, with its faults.
func local(t *testing.T, fault awsapi.Fault) string {
	t.Helper()
	return localWith(t, awsapi.Config{Fault: fault})
}

// localWith is local behind another door.
func localWith(t *testing.T, c awsapi.Config) string {
	t.Helper()
	sched := scheduler.NewReal()
	var given localdynamodb.Config
	given.Scheduler, given.Store, given.Account, given.Region = sched, store.Memory(), "123456789012", "us-east-1"
	service := localdynamodb.New(given)
	c.Scheduler, c.Account, c.Region = sched, given.Account, given.Region
	door := awsapi.New(c)
	door.Add(service.API())
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(door)
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := sched.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}
