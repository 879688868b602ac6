package tokens_test

import (
	"context"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/workflow/tokens"
	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
)

// FLEETSTEP_DYNAMODB names the address of a DynamoDB (AWS's own local one, the local
// cloud, another emulator) that the contract is held against.
func TestTableKeepsTheContract(t *testing.T) {
	url := os.Getenv("FLEETSTEP_DYNAMODB")
	if url == "" {
		t.Skip("FLEETSTEP_DYNAMODB is not set")
	}
	ctx := context.Background()
	api := dynamodb.New(dynamodb.Options{
		BaseEndpoint: &url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	table := "contract"
	_, _ = api.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
	_, err := api.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("PK"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("SK"), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("PK"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("SK"), AttributeType: types.ScalarAttributeTypeS},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	workflowtest.Contract(t, tokens.New(api, table))
}
