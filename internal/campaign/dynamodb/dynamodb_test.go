package dynamodb_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	campaigndb "github.com/fleetstep/fleetstep/internal/campaign/dynamodb"

	"github.com/fleetstep/fleetstep/internal/campaign/campaigntest"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	localdynamodb "github.com/fleetstep/fleetstep/internal/localcloud/dynamodb"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func TestTableKeepsTheContract(t *testing.T) {
	url, table := local(t), "contract"
	api := dynamodb.New(dynamodb.Options{BaseEndpoint: &url, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	_, err := api.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("PK"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("SK"), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("PK"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("SK"), AttributeType: types.ScalarAttributeTypeS},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	campaigntest.Stores(t, campaigndb.New(api, table))
}

// local is the address of the local cloud's DynamoDB.
func local(t *testing.T) string {
	t.Helper()
	sched := scheduler.NewReal()
	var given localdynamodb.Config
	given.Scheduler, given.Store, given.Account, given.Region = sched, store.Memory(), "123456789012", "us-east-1"
	service := localdynamodb.New(given)
	door := awsapi.New(awsapi.Config{Scheduler: sched, Account: "123456789012", Region: "us-east-1"})
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
