package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const account = "123456789012"

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type cloud struct {
	s    *scheduler.Scheduler
	svc  *Service
	door *awsapi.Door
}

func newCloud(t interface{ Fatal(...any) }, db *store.DB) *cloud {
	c := &cloud{s: scheduler.NewVirtual(1, start)}
	c.svc = New(Config{Platform: platform.Platform{Scheduler: c.s, Store: db, Account: account, Region: "us-east-1"}})
	c.door = awsapi.New(awsapi.Config{Scheduler: c.s, Account: account, Region: "us-east-1"})
	c.door.Add(c.svc.API())
	if err := c.svc.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

// call runs an operation with JSON in and JSON out.
func (c *cloud) call(operation, in string) (string, error) {
	out, err := c.door.Call(context.Background(), awsapi.RootOf(account), "dynamodb", operation, json.RawMessage(in))
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(out)
	return string(b), err
}

const createT = `{"TableName":"tbl","BillingMode":"PAY_PER_REQUEST",
	"AttributeDefinitions":[{"AttributeName":"PK","AttributeType":"S"},{"AttributeName":"SK","AttributeType":"N"}],
	"KeySchema":[{"AttributeName":"PK","KeyType":"HASH"},{"AttributeName":"SK","KeyType":"RANGE"}]}`

func withTable(t *testing.T) *cloud {
	t.Helper()
	c := newCloud(t, store.Memory())
	c.must(t, "CreateTable", createT)
	return c
}

func (c *cloud) must(t *testing.T, operation, in string) string {
	t.Helper()
	out, err := c.call(operation, in)
	if err != nil {
		t.Fatalf("%s %s: %v", operation, in, err)
	}
	return out
}

func (c *cloud) refuse(t *testing.T, operation, in, code, text string) *awsapi.Error {
	t.Helper()
	_, err := c.call(operation, in)
	e, ok := errors.AsType[*awsapi.Error](err)
	if !ok || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("%s %s: got %v, want %s with %q", operation, in, err, code, text)
		return &awsapi.Error{}
	}
	return e
}

func put(pk string, sk int, more string) string {
	return fmt.Sprintf(`{"TableName":"tbl","Item":{"PK":{"S":"%s"},"SK":{"N":"%d"}%s}}`, pk, sk, more)
}

func TestConditionalWrites(t *testing.T) {
	c := withTable(t)
	const once = `,"ConditionExpression":"attribute_not_exists(PK)"}`
	first := strings.TrimSuffix(put("a", 1, `,"v":{"S":"x"}`), "}") + once
	c.must(t, "PutItem", first)
	c.refuse(t, "PutItem", first, "ConditionalCheckFailedException", "The conditional request failed")
	e := c.refuse(t, "PutItem", strings.TrimSuffix(first, "}")+`,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`, "ConditionalCheckFailedException", "")
	if b, _ := json.Marshal(e.Fields["Item"]); !strings.Contains(string(b), `"v":{"S":"x"}`) {
		t.Errorf("the failure shows %s", b)
	}
	key := `{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}}`
	got := c.must(t, "UpdateItem", key+`,"UpdateExpression":"SET v = :v ADD n :one","ExpressionAttributeValues":{":v":{"S":"y"},":one":{"N":"1"}},"ReturnValues":"UPDATED_NEW"}`)
	if got != `{"Attributes":{"n":{"N":"1"},"v":{"S":"y"}}}` {
		t.Errorf("updated: %s", got)
	}
	c.refuse(t, "UpdateItem", key+`,"UpdateExpression":"SET SK = :v","ExpressionAttributeValues":{":v":{"N":"1"}}}`, "ValidationException", "This attribute is part of the key")
	if got := c.must(t, "DeleteItem", key+`,"ReturnValues":"ALL_OLD"}`); !strings.Contains(got, `"n":{"N":"1"}`) {
		t.Errorf("deleted: %s", got)
	}
	if got := c.must(t, "GetItem", key+`}`); got != `{}` {
		t.Errorf("after the deletion: %s", got)
	}
	if got := c.must(t, "UpdateItem", key+`,"UpdateExpression":"SET v = :v","ExpressionAttributeValues":{":v":{"S":"new"}},"ReturnValues":"ALL_NEW"}`); !strings.Contains(got, `"PK":{"S":"a"}`) {
		t.Errorf("update of a missing item: %s", got)
	}
}

// TestWordsOfRefusals: what DynamoDB says, as github.com/nubo-db/dynamodb-conformance has it, which is run against
// AWS.
func TestWordsOfRefusals(t *testing.T) {
	c := withTable(t)
	const (
		values  = `"ExpressionAttributeValues":{":p":{"S":"a"}}`
		keyed   = `"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}}`
		query   = `{"TableName":"tbl","KeyConditionExpression":"PK = :p",` + values
		oneOf   = `{"TableName":"other","AttributeDefinitions":[{"AttributeName":"PK","AttributeType":"S"}],"KeySchema":[{"AttributeName":"PK","KeyType":"HASH"}`
		problem = "1 validation error detected: "
	)
	requests := strings.Repeat(`,{"PutRequest":{"Item":{"PK":{"S":"a"},"SK":{"N":"1"}}}}`, 26)[1:]
	gets := strings.Repeat(`,{"Get":{`+keyed+`}}`, 101)[1:]
	keys := strings.Repeat(`,{"PK":{"S":"a"},"SK":{"N":"1"}}`, 101)[1:]
	var large []string
	for i := range 12 {
		large = append(large, fmt.Sprintf(`{"Put":{"TableName":"tbl","Item":{"PK":{"S":"a"},"SK":{"N":"%d"},"x":{"S":"%s"}}}}`,
			i, strings.Repeat("x", 350_000)))
	}
	c.must(t, "CreateTable", oneOf+`],"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}`)
	for _, r := range []struct{ operation, in, text string }{
		{"BatchGetItem", `{"RequestItems":{}}`, "The requestItems parameter is required for BatchGetItem"},
		{"BatchGetItem", `{"RequestItems":{"tbl":{"Keys":[` + keys + `]}}}`, problem +
			"Value at 'RequestItems.tbl.member.Keys' failed to satisfy constraint: Member must have length " +
			"less than or equal to 100"},
		{"BatchWriteItem", `{"RequestItems":{}}`, "The requestItems parameter is required for BatchWriteItem"},
		{"BatchWriteItem", `{"RequestItems":{"tbl":[` + requests + `]}}`, "' at 'requestItems' failed to satisfy constraint: " +
			"Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have " +
			"length greater than or equal to 1]"},
		{"TransactWriteItems", `{"TransactItems":[]}`, problem + "Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"TransactGetItems", `{"TransactItems":[` + gets + `]}`, "at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100"},
		{"TransactGetItems", `{"TransactItems":[{"Get":{` + keyed + `}},{"Get":{` + keyed + `}}]}`, "Transaction request cannot include multiple operations on one item"},
		{"TransactWriteItems", `{"TransactItems":[` + strings.Join(large, ",") + `]}`, "4194304"},
		{"PutItem", `{"TableName":"bad table!@#","Item":{}}`, problem + "Value 'bad table!@#' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{"PutItem", `{"TableName":"","Item":{}}`, problem + "Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"GetItem", `{"TableName":"` + strings.Repeat("a", 256) + `","Key":{}}`, "at 'tableName' failed to satisfy constraint: Member must have length less than or equal to 255"},
		{"PutItem", strings.TrimSuffix(put("a", 1, ""), "}") + `,` + values + `}`, "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"},
		{"Scan", `{"TableName":"tbl","ExpressionAttributeNames":{"#a":"a"}}`, "ExpressionAttributeNames can only be specified when using expressions"},
		{"PutItem", strings.TrimSuffix(put("a", 1, ""), "}") + `,"ConditionExpression":"attribute_exists(PK)","Expected":{"a":{}}}`,
			"Can not use both expression and non-expression parameters in the same request: Non-expression " +
				"parameters: {Expected} Expression parameters: {ConditionExpression}"},
		{"PutItem", strings.TrimSuffix(put("a", 1, ""), "}") + `,"ReturnItemCollectionMetrics":"ALL"}`, "at 'returnItemCollectionMetrics' failed to satisfy constraint: Member must satisfy enum value set"},
		{"Query", query + `,"Limit":0}`, problem + "Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"Scan", `{"TableName":"tbl","Limit":0}`, problem + "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"Query", `{"TableName":"tbl","KeyConditionExpression":"",` + values + `}`, "Invalid KeyConditionExpression: The expression can not be empty;"},
		{"UpdateItem", `{` + keyed + `,"UpdateExpression":""}`, "Invalid UpdateExpression: The expression can not be empty;"},
		{"UpdateItem", `{` + keyed + `,"UpdateExpression":"INVALID SYNTAX HERE"}`, `Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"`},
		{"GetItem", `{` + keyed + `,"ProjectionExpression":"!!! INVALID !!!"}`, `Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"`},
		{"Scan", `{"TableName":"tbl","Segment":0}`, "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"},
		{"Scan", `{"TableName":"tbl","TotalSegments":4}`, "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"},
		{"Query", query + `,"Select":"SPECIFIC_ATTRIBUTES"}`, "SPECIFIC_ATTRIBUTES"},
		{"Query", query + `,"Select":"ALL_ATTRIBUTES","ProjectionExpression":"PK"}`, "ALL_ATTRIBUTES"},
		{"CreateTable", oneOf + `,{"AttributeName":"PK","KeyType":"RANGE"}]}`, "Invalid KeySchema: Some index key attribute have no definition"},
		{"CreateTable", oneOf + strings.Repeat(`,{"AttributeName":"PK","KeyType":"RANGE"}`, 2) + `]}`, "KeySchemaElement(attributeName=PK, keyType=RANGE)]' at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{"CreateTable", strings.Replace(oneOf, "other", "third", 1) + `]}`, "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{"CreateTable", oneOf + `],"LocalSecondaryIndexes":[{}]}`, "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"},
		{"UpdateTable", `{"TableName":"other","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}`, "The provisioned throughput for the table will not change. The requested value equals the current value."},
		{"UpdateTable", `{"TableName":"other","ProvisionedThroughput":{"ReadCapacityUnits":0,"WriteCapacityUnits":5}}`, "'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"UpdateTable", `{"TableName":"other","BillingMode":"PAY_PER_REQUEST","ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}`, "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		{"TagResource", `{"ResourceArn":"not-a-valid-arn","Tags":[{"Key":"k","Value":"v"}]}`, "Invalid TableArn: Invalid ResourceArn provided as input not-a-valid-arn"},
	} {
		c.refuse(t, r.operation, r.in, "ValidationException", r.text)
	}
	c.refuse(t, "ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/nobody"}`, "AccessDeniedException", "is not authorized to perform: dynamodb:ListTagsOfResource")
	c.must(t, "GetItem", strings.Replace(`{`+keyed+`}`, `"tbl"`, `"arn:aws:dynamodb:us-east-1:123456789012:table/tbl"`, 1))
	c.must(t, "UpdateTable", `{"TableName":"other","ProvisionedThroughput":{"ReadCapacityUnits":6,"WriteCapacityUnits":5}}`)
}

func TestBadRequestsAreRefused(t *testing.T) {
	c := withTable(t)
	for _, r := range []struct{ operation, in, code, text string }{
		{"CreateTable", createT, "ResourceInUseException", "Table already exists: tbl"},
		{"CreateTable", strings.Replace(createT, `"tbl"`, `"x"`, 1), "ValidationException", "1 validation error detected: Value 'x' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"CreateTable", strings.Replace(createT, `{"TableName":"tbl"`, `{"TableName":"other","LocalSecondaryIndexes":[{}]`, 1), "NotImplemented", "LocalSecondaryIndexes"},
		{"CreateTable", strings.Replace(createT, `{"TableName":"tbl"`, `{"TableName":"other","WarmThroughput":{}`, 1), "NotImplemented", "WarmThroughput"},
		{"CreateTable", strings.Replace(createT, `{"TableName":"tbl"`, `{"TableName":"other","OnDemandThroughput":{}`, 1), "NotImplemented", "WarmThroughput"},
		{"UpdateTable", `{"TableName":"tbl","WarmThroughput":{}}`, "NotImplemented", "WarmThroughput"},
		{"DescribeTable", `{"TableName":"nosuch"}`, "ResourceNotFoundException", "Table: nosuch not found"},
		{"PutItem", `{"TableName":"nosuch","Item":{}}`, "ResourceNotFoundException", ""},
		// Recorded by LocalStack on AWS (stepfunctions, error_handling/test_task_service_dynamodb, 16 May 2023).
		{"PutItem", `{"TableName":"nosuch"}`, "ValidationException",
			"1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null"},
		{"GetItem", `{"TableName":"tbl"}`, "ValidationException", "Value null at 'key' failed to satisfy constraint"},
		{"UpdateItem", `{"TableName":"tbl"}`, "ValidationException", "Value null at 'key' failed to satisfy constraint"},
		{"DeleteItem", `{"TableName":"tbl"}`, "ValidationException", "Value null at 'key' failed to satisfy constraint"},
		{"PutItem", `{"TableName":"tbl","Item":{"PK":{"S":"a"}}}`, "ValidationException", "Missing the key SK in the item"},
		{"PutItem", `{"TableName":"tbl","Item":{"PK":{"N":"1"},"SK":{"N":"1"}}}`, "ValidationException", "Type mismatch for key PK expected: S actual: N"},
		{"PutItem", `{"TableName":"tbl","Item":{"PK":{"S":""},"SK":{"N":"1"}}}`, "ValidationException", "empty string value. Key: PK"},
		{"PutItem", put("a", 1, `,"big":{"S":"`+strings.Repeat("x", maxItem)+`"}`), "ValidationException", "Item size has exceeded"},
		{"PutItem", put("a", 1, `,"deep":`+strings.Repeat(`{"L":[`, 40)+`{"S":"x"}`+strings.Repeat(`]}`, 40)), "ValidationException", "Nesting Levels"},
		{"PutItem", `{"TableName":"tbl","Item":{},"Expected":{}}`, "NotImplemented", "Expected"},
		{"GetItem", `{"TableName":"tbl","Key":{"PK":{"S":"a"}}}`, "ValidationException", "does not match the schema"},
		{"Query", `{"TableName":"tbl"}`, "ValidationException", "KeyConditionExpression"},
		{"Query", `{"TableName":"tbl","IndexName":"idx"}`, "ValidationException", "does not have the specified index: idx"},
		{"Query", `{"TableName":"tbl","KeyConditionExpression":"PK = :p","ExpressionAttributeValues":{":p":{"N":"1"}}}`, "ValidationException", "does not match schema type"},
		{"Scan", `{"TableName":"tbl","Segment":3,"TotalSegments":3}`, "ValidationException", "Segment"},
		{"PutItem", strings.TrimSuffix(put("a", 1, ""), "}") + `,"ConditionExpression":"attribute_exists(PK)","ExpressionAttributeValues":{":x":{"S":"y"}}}`, "ValidationException", "unused in expressions: keys: {:x}"},
		{"Query", `{"TableName":"tbl","KeyConditionExpression":"PK = :p","FilterExpression":"PK = :p OR SK > :n","ExpressionAttributeValues":{":p":{"S":"a"},":n":{"N":"1"}}}`,
			"ValidationException", "Filter Expression can only contain non-primary key attributes: Primary key " +
				"attribute: PK"},
		{"Query", `{"TableName":"tbl","KeyConditionExpression":"PK = :p","FilterExpression":"a = :n AND #s > :n","ExpressionAttributeNames":{"#s":"SK"},"ExpressionAttributeValues":{":p":{"S":"a"},":n":{"N":"1"}}}`,
			"ValidationException", "Primary key attribute: SK"},
	} {
		c.refuse(t, r.operation, r.in, r.code, r.text)
	}
	if got := c.must(t, "Scan", `{"TableName":"tbl","Select":"COUNT"}`); got != `{"Count":0,"ScannedCount":0}` {
		t.Errorf("refused writes left %s", got)
	}
}

func TestQueriesPageInKeyOrder(t *testing.T) {
	c := withTable(t)
	for _, sk := range []int{10, -3, 2, 7, 100} {
		c.must(t, "PutItem", put("a", sk, fmt.Sprintf(`,"f":{"N":"%d"}`, sk)))
	}
	c.must(t, "PutItem", put("ab", 1, ""))
	query := func(more string) string {
		return c.must(t, "Query", `{"TableName":"tbl","ProjectionExpression":"SK","KeyConditionExpression":"PK = :p`+more+`}`)
	}
	const p = `"ExpressionAttributeValues":{":p":{"S":"a"}`
	keys := func(out string) string {
		var page struct {
			Items            []map[string]struct{ N string }
			LastEvaluatedKey map[string]any
		}
		if err := json.Unmarshal([]byte(out), &page); err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, i := range page.Items {
			s += i["SK"].N + " "
		}
		if page.LastEvaluatedKey != nil {
			s += "more"
		}
		return strings.TrimSpace(s)
	}
	for more, want := range map[string]string{
		`",` + p + `}`:                                                               "-3 2 7 10 100",
		`",` + p + `},"ScanIndexForward":false`:                                      "100 10 7 2 -3",
		` AND SK > :x",` + p + `,":x":{"N":"2"}}`:                                    "7 10 100",
		` AND SK <= :x",` + p + `,":x":{"N":"2"}}`:                                   "-3 2",
		` AND SK = :x",` + p + `,":x":{"N":"7"}}`:                                    "7",
		` AND SK BETWEEN :x AND :y",` + p + `,":x":{"N":"2"},":y":{"N":"10"}}`:       "2 7 10",
		`",` + p + `},"Limit":2`:                                                     "-3 2 more",
		`",` + p + `},"Limit":2,"ExclusiveStartKey":{"PK":{"S":"a"},"SK":{"N":"2"}}`: "7 10 more",
		`",` + p + `},"Limit":2,"ScanIndexForward":false,"ExclusiveStartKey":{"PK":{"S":"a"},"SK":{"N":"2"}}`: "-3",
		`",` + p + `,":x":{"N":"5"}},"FilterExpression":"f > :x","Limit":3`:                                   "7 more",
	} {
		if got := keys(query(more)); got != want {
			t.Errorf("%s: got %q, want %q", more, got, want)
		}
	}
	var all []string
	for segment := range 3 {
		all = append(all, strings.Fields(keys(c.must(t, "Scan", fmt.Sprintf(`{"TableName":"tbl","Segment":%d,"TotalSegments":3}`, segment))))...)
	}
	if slices.Sort(all); len(all) != 6 {
		t.Errorf("the segments together gave %v", all)
	}
}

func TestTransactionsAreAllOrNothing(t *testing.T) {
	c := withTable(t)
	c.must(t, "PutItem", put("a", 1, ""))
	e := c.refuse(t, "TransactWriteItems", `{"TransactItems":[{"Put":`+put("b", 1, "")+`},
		{"ConditionCheck":{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}},"ConditionExpression":"attribute_not_exists(PK)"}}]}`,
		"TransactionCanceledException", "[None, ConditionalCheckFailed]")
	if b, _ := json.Marshal(e.Fields["CancellationReasons"]); string(b) != `[{"Code":"None"},{"Code":"ConditionalCheckFailed","Message":"The conditional request failed"}]` {
		t.Errorf("reasons: %s", b)
	}
	if got := c.must(t, "Scan", `{"TableName":"tbl","Select":"COUNT"}`); !strings.Contains(got, `"Count":1`) {
		t.Errorf("a cancelled transaction left %s", got)
	}
	const add = `{"ClientRequestToken":"%s","TransactItems":[{"Update":{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"%d"}}}}]}`
	c.must(t, "TransactWriteItems", fmt.Sprintf(add, "t1", 1))
	c.must(t, "TransactWriteItems", fmt.Sprintf(add, "t1", 1))
	c.refuse(t, "TransactWriteItems", fmt.Sprintf(add, "t1", 2), "IdempotentParameterMismatchException", "")
	got := c.must(t, "TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"tbl","Key":{"PK":{"S":"a"},"SK":{"N":"1"}}}}]}`)
	if !strings.Contains(got, `"n":{"N":"1"}`) {
		t.Errorf("one token, two transactions: %s", got)
	}
	c.refuse(t, "TransactWriteItems", `{"TransactItems":[{"Put":`+put("z", 1, "")+`},{"Put":`+put("z", 1, "")+`}]}`, "ValidationException", "multiple operations on one item")
	c.s.Run(nil)
	c.must(t, "TransactWriteItems", fmt.Sprintf(add, "t1", 2))
}

func TestBatches(t *testing.T) {
	c := withTable(t)
	put := func(i int) string { return fmt.Sprintf(`{"PutRequest":{"Item":{"PK":{"S":"a"},"SK":{"N":"%d"}}}}`, i) }
	c.must(t, "BatchWriteItem", `{"RequestItems":{"tbl":[`+put(1)+`,`+put(2)+`]}}`)
	c.must(t, "BatchWriteItem", `{"RequestItems":{"tbl":[{"DeleteRequest":{"Key":{"PK":{"S":"a"},"SK":{"N":"1"}}}},`+put(3)+`]}}`)
	got := c.must(t, "BatchGetItem", `{"RequestItems":{"tbl":{"Keys":[{"PK":{"S":"a"},"SK":{"N":"1"}},{"PK":{"S":"a"},"SK":{"N":"2"}},{"PK":{"S":"a"},"SK":{"N":"3"}}]}}}`)
	if strings.Count(got, `"PK"`) != 2 {
		t.Errorf("got %s", got)
	}
	c.refuse(t, "BatchWriteItem", `{"RequestItems":{"tbl":[`+put(1)+`,`+put(1)+`]}}`, "ValidationException", "duplicates")
	c.refuse(t, "BatchWriteItem", `{"RequestItems":{}}`, "ValidationException", "BatchWriteItem")
}

func TestExpiredItemsAreDeletedAlsoAfterARestart(t *testing.T) {
	db := store.Memory()
	c := newCloud(t, db)
	c.must(t, "CreateTable", createT)
	c.must(t, "UpdateTimeToLive", `{"TableName":"tbl","TimeToLiveSpecification":{"AttributeName":"expiresAt","Enabled":true}}`)
	ttl := func(after time.Duration) string {
		return fmt.Sprintf(`,"expiresAt":{"N":"%d"}`, start.Add(after).Unix())
	}
	c.must(t, "PutItem", put("a", 1, ttl(time.Minute)))
	c.must(t, "PutItem", put("a", 2, ttl(time.Hour)))
	c.must(t, "PutItem", put("a", 3, ttl(time.Hour)))
	c.must(t, "PutItem", put("a", 3, ``)) // no longer expires
	c.must(t, "PutItem", put("a", 4, `,"expiresAt":{"S":"soon"}`))
	count := func(c *cloud) string { return c.must(t, "Scan", `{"TableName":"tbl","Select":"COUNT"}`) }
	c.s.RunFor(2 * time.Minute)
	if got := count(c); !strings.Contains(got, `"Count":3`) {
		t.Errorf("after the first expiry: %s", got)
	}
	again := newCloud(t, db)
	again.s.Run(nil)
	if got := count(again); !strings.Contains(got, `"Count":2`) {
		t.Errorf("after the restart: %s", got)
	}
	if p := again.s.Pending(); len(p) != 0 {
		t.Errorf("left over: %v", p)
	}
	if got := again.must(t, "DescribeTable", `{"TableName":"tbl"}`); !strings.Contains(got, `"ItemCount":2`) {
		t.Errorf("count: %s", got)
	}
}

// TestTableAgreesWithAMap runs random operations beside a map.
func TestTableAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCloud(t, store.Memory())
		c.must(t, "CreateTable", createT)
		model := map[string]int{}
		for range rapid.IntRange(1, 20).Draw(rt, "operations") {
			pk := rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(rt, "pk")
			sk := rapid.IntRange(-2, 2).Draw(rt, "sk")
			v := rapid.IntRange(0, 3).Draw(rt, "v")
			id := fmt.Sprintf("%s %d", pk, sk)
			key := fmt.Sprintf(`{"TableName":"tbl","Key":{"PK":{"S":"%s"},"SK":{"N":"%d"}}`, pk, sk)
			old, there := model[id]
			switch rapid.IntRange(0, 3).Draw(rt, "operation") {
			case 0:
				c.must(t, "PutItem", put(pk, sk, fmt.Sprintf(`,"v":{"N":"%d"}`, v)))
				model[id] = v
			case 1:
				c.must(t, "DeleteItem", key+"}")
				delete(model, id)
			case 2:
				c.must(t, "UpdateItem", key+fmt.Sprintf(`,"UpdateExpression":"ADD v :v","ExpressionAttributeValues":{":v":{"N":"%d"}}}`, v))
				model[id] = old + v
			case 3:
				_, err := c.call("UpdateItem", key+fmt.Sprintf(`,"ConditionExpression":"v = :old","UpdateExpression":"SET v = :v","ExpressionAttributeValues":{":v":{"N":"%d"},":old":{"N":"1"}}}`, v))
				met := there && old == 1
				if met != (err == nil) {
					rt.Fatalf("condition on %q: %v", id, err)
				}
				if met {
					model[id] = v
				}
			}
		}
		var page struct{ Items []map[string]expr.Value }
		if err := json.Unmarshal([]byte(c.must(t, "Scan", `{"TableName":"tbl"}`)), &page); err != nil {
			rt.Fatal(err)
		}
		got := map[string]int{}
		for _, i := range page.Items {
			n := 0
			_, _ = fmt.Sscan(i["v"].Str, &n)
			got[i["PK"].Str+" "+i["SK"].Str] = n
		}
		if !maps.Equal(got, model) {
			rt.Fatalf("table %v, model %v", got, model)
		}
	})
}

func BenchmarkPutItem(b *testing.B) {
	db, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	c := newCloud(b, db)
	if _, err := c.call("CreateTable", createT); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := c.call("PutItem", put("a", i, "")); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestCountersAreReadInBothForms(t *testing.T) {
	for _, want := range []counter{{}, {Items: 123, Bytes: -5}, {Items: 1 << 40, Bytes: 1 << 50}} {
		var got, old counter
		if err := got.DecodeRecord(want.AppendRecord(nil)); err != nil || got != want {
			t.Errorf("%+v: %+v, %v", want, got, err)
		}
		b, err := json.Marshal(struct{ Items, Bytes int64 }(want))
		if err != nil {
			t.Fatal(err)
		}
		if err := old.DecodeRecord(b); err != nil || old != want {
			t.Errorf("as JSON %+v: %+v, %v", want, old, err)
		}
	}
	for _, damaged := range []string{"", "\x01", "\x01\x02", "\x01\x02\x04\x06", "\x02\x02\x04"} {
		if err := new(counter).DecodeRecord([]byte(damaged)); err == nil {
			t.Errorf("%x was read", damaged)
		}
	}
}
