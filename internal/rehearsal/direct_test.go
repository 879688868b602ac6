package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/fleetstep/fleetstep/internal/functions"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// empty is a cloud without a stack.
func empty(t *testing.T) *world {
	t.Helper()
	w := &world{sched: localcloud.NewVirtual(1, start)}
	var err error
	w.cloud, err = localcloud.New(localcloud.Config{
		Scheduler: w.sched, Store: localcloud.NewMemoryStore(), Account: account, Region: region, Endpoint: endpoint,
		InProcess: w.function,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cloud.Close(context.Background()) })
	w.handler = w.cloud.Handler()
	if err := w.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func directly(w *world) *world {
	w.door = w.cloud
	return w
}

// counting counts the calls that were made directly.
type counting struct {
	door
	calls map[string]int
}

func (c counting) Direct(ctx context.Context, id localcloud.Identity, service, operation string, in, out any) (
	bool, error) {
	called, err := c.door.Direct(ctx, id, service, operation, in, out)
	if called {
		c.calls[operation]++
	}
	return called, err
}

// story makes calls of every operation that is called directly, good ones and
// bad ones, and says what came of each.
func story(t *testing.T, w *world) (log []string) {
	ctx := t.Context()
	cfg := w.operator()
	tell := func(what string, out any, err error) {
		if err != nil {
			line := fmt.Sprintf("%s: %T", what, errors.Unwrap(errors.Unwrap(err)))
			if api, ok := errors.AsType[smithy.APIError](err); ok {
				line = fmt.Sprintf("%s: %T %s %s %s", what, api, api.ErrorCode(), api.ErrorMessage(), api.ErrorFault())
			}
			if c, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
				for _, r := range c.CancellationReasons {
					line += fmt.Sprintf(" [%s %s %v]", aws.ToString(r.Code), aws.ToString(r.Message), shown(r.Item))
				}
			}
			if c, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
				line += fmt.Sprint(" ", shown(c.Item))
			}
			log = append(log, line)
			return
		}
		v := reflect.ValueOf(out).Elem()
		v.FieldByName("ResultMetadata").Set(reflect.ValueOf(middleware.Metadata{}))
		log = append(log, fmt.Sprintf("%s: %+v", what, shown(out)))
	}

	db := dynamodb.NewFromConfig(cfg)
	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("things"), BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("p"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("s"), KeyType: types.KeyTypeRange}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("p"),
			AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("s"),
			AttributeType: types.ScalarAttributeTypeS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.sched.Sleep(ctx, time.Minute)
	key := map[string]types.AttributeValue{"p": text("x"), "s": text("1")}
	item := map[string]types.AttributeValue{
		"p": text("x"), "s": text("1"), "n": &types.AttributeValueMemberN{Value: "1.50"},
		"b":   &types.AttributeValueMemberB{Value: []byte{0, 1}},
		"yes": &types.AttributeValueMemberBOOL{Value: true}, "null": &types.AttributeValueMemberNULL{Value: true},
		"m": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"l": &types.AttributeValueMemberL{
			Value: []types.AttributeValue{text("é\"")},
		}}},
	}
	{
		out, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("things"), Item: item})
		tell("put", out, err)
	}
	{
		out, err := db.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: aws.String("things"), Item: map[string]types.AttributeValue{"p": text("x"), "s": text("2"),
				"set": &types.AttributeValueMemberSS{Value: []string{"b", "a"}}},
			ReturnValues: types.ReturnValueAllOld, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		tell("put a set", out, err)
	}
	for _, number := range []string{"one", "1e200"} {
		out, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("things"),
			Item: map[string]types.AttributeValue{"p": text("x"), "s": text("3"), "n": &types.AttributeValueMemberN{
				Value: number,
			}}})
		tell("put the number "+number, out, err)
	}
	for _, table := range []string{"things", "others"} {
		out, err := db.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: aws.String(table), Item: item, ConditionExpression: aws.String("attribute_not_exists(p)"),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		tell("put where it is, table "+table, out, err)
	}
	{
		out, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("things"), Key: key,
			ConsistentRead: aws.Bool(true)})
		tell("get", out, err)
	}
	{
		out, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("things"),
			Key: map[string]types.AttributeValue{"p": text("y"), "s": text("1")}})
		tell("get nothing", out, err)
	}
	{
		out, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("things"), Key: key,
			AttributesToGet: []string{"n"}})
		tell("get the old way", out, err)
	}
	{
		out, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: aws.String("things"), Key: key, UpdateExpression: aws.String("SET #n = #n + :one"),
			ExpressionAttributeNames: map[string]string{"#n": "n"},
			ExpressionAttributeValues: map[string]types.AttributeValue{":one": &types.AttributeValueMemberN{
				Value: "1",
			}}, ReturnValues: types.ReturnValueUpdatedNew,
		})
		tell("update", out, err)
	}
	{
		out, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("things"), Key: key,
			UpdateExpression: aws.String("SET")})
		tell("update without a meaning", out, err)
	}
	for _, limit := range []*int32{nil, aws.Int32(1)} {
		out, err := db.Query(ctx, &dynamodb.QueryInput{
			TableName: aws.String("things"), KeyConditionExpression: aws.String("p = :p"), Limit: limit,
			ScanIndexForward:          aws.Bool(false),
			ExpressionAttributeValues: map[string]types.AttributeValue{":p": text("x")},
			ConsistentRead:            aws.Bool(true),
		})
		tell("query", out, err)
	}
	{
		out, err := db.Query(ctx, &dynamodb.QueryInput{
			TableName: aws.String("things"), KeyConditionExpression: aws.String("p = :p"), Select: types.SelectCount,
			ExpressionAttributeValues: map[string]types.AttributeValue{":p": text("y")},
		})
		tell("query nothing", out, err)
	}
	for _, exists := range []string{"attribute_exists(p)", "attribute_not_exists(p)"} {
		out, err := db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
			TransactItems: []types.TransactWriteItem{
				{ConditionCheck: &types.ConditionCheck{TableName: aws.String("things"), Key: key,
					ConditionExpression:                 aws.String(exists),
					ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}},
				{Put: &types.Put{TableName: aws.String("things"), Item: map[string]types.AttributeValue{"p": text("x"),
					"s": text("4")}}},
			}})
		tell("transaction", out, err)
	}
	{
		out, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("things"), Key: key,
			ReturnValues: types.ReturnValueAllOld})
		tell("delete", out, err)
	}

	things := iot.NewFromConfig(cfg)
	if _, err := things.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("one")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		out, err := things.UpdateThing(ctx, &iot.UpdateThingInput{
			ThingName: aws.String(name), AttributePayload: &iottypes.AttributePayload{Attributes: map[string]string{
				"a": "b",
			}, Merge: true},
		})
		tell("update thing "+name, out, err)
	}
	for _, name := range []string{"one", "two"} {
		out, err := things.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(name)})
		if out != nil && aws.ToString(out.ThingId) != "" {
			out.ThingId = aws.String("drawn")
		}
		tell("describe thing "+name, out, err)
	}
	data := iotdataplane.NewFromConfig(cfg)
	for _, topic := range []string{"a/b", "a/#"} {
		out, err := data.Publish(ctx, &iotdataplane.PublishInput{Topic: aws.String(topic), Qos: 1,
			Payload: []byte("x")})
		tell("publish to "+topic, out, err)
	}

	machines := sfn.NewFromConfig(cfg)
	for _, token := range []string{"", "nonsense"} {
		out, err := machines.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: aws.String(token),
			Output: aws.String("{}")})
		tell("success of "+token, out, err)
	}
	{
		out, err := machines.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: aws.String("nonsense"),
			Error: aws.String("E")})
		tell("failure", out, err)
	}
	{
		out, err := machines.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: aws.String("nonsense")})
		tell("heartbeat", out, err)
	}
	if _, err := w.cloud.Call(ctx, w.cloud.Root(), "iam", "CreateRole", map[string]any{
		"RoleName":                 "r",
		"AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"states.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
	}); err != nil {
		t.Fatal(err)
	}
	machine, err := machines.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: aws.String("m"), RoleArn: aws.String("arn:aws:iam::" + account + ":role/r"),
		Definition: aws.String(`{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{`{}`, `{}`, `{"a":1}`, `{`} {
		out, err := machines.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: machine.StateMachineArn,
			Name: aws.String("e"), Input: aws.String(input)})
		tell("start with "+input, out, err)
	}

	topics := sns.NewFromConfig(cfg)
	topic, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, arn := range []string{aws.ToString(topic.TopicArn), aws.ToString(topic.TopicArn) + "x"} {
		out, err := topics.Publish(ctx, &sns.PublishInput{TopicArn: aws.String(arn), Message: aws.String("hello"),
			Subject: aws.String("s")})
		if out != nil {
			out.MessageId = aws.String(fmt.Sprint(len(aws.ToString(out.MessageId)), " characters"))
		}
		tell("notify", out, err)
	}
	return log
}

// shown is a value as text, without addresses.
func shown(v any) string {
	var show func(reflect.Value) string
	show = func(r reflect.Value) string {
		switch r.Kind() {
		case reflect.Pointer, reflect.Interface:
			if r.IsNil() {
				return "nil"
			}
			if at, ok := r.Interface().(*time.Time); ok {
				return at.UTC().String()
			}
			return show(r.Elem())
		case reflect.Struct:
			line := r.Type().Name() + "{"
			for i := range r.NumField() {
				if f := r.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
					line += f.Name + ":" + show(r.Field(i)) + " "
				}
			}
			return line + "}"
		case reflect.Map:
			m := map[string]string{}
			for i := r.MapRange(); i.Next(); {
				m[i.Key().String()] = show(i.Value())
			}
			return fmt.Sprint(m)
		case reflect.Slice:
			if r.Type().Elem().Kind() == reflect.Uint8 {
				return fmt.Sprint(r.Interface())
			}
			line := "["
			for i := range r.Len() {
				line += show(r.Index(i)) + " "
			}
			return line + "]"
		default:
			return fmt.Sprintf("%#v", r.Interface())
		}
	}
	return show(reflect.ValueOf(v))
}

// TestDirectCallsAreThoseOfTheWire holds the calls that skip the wire to those
// that take it: the same outputs, the same errors of the same types.
func TestDirectCallsAreThoseOfTheWire(t *testing.T) {
	got, want := story(t, directly(empty(t))), story(t, empty(t))
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("directly:\n%s\nover the wire:\n%s", got[i], want[i])
		}
	}
}

// TestEveryDirectCallIsMade sees that the calls of the story that can be made
// directly are.
func TestEveryDirectCallIsMade(t *testing.T) {
	w := directly(empty(t))
	count := counting{w.door, map[string]int{}}
	w.door = count
	story(t, w)
	for _, operations := range outputs {
		for operation := range operations {
			if count.calls[operation] == 0 {
				t.Errorf("%s takes the wire", operation)
			}
		}
	}
}

func TestAJobOverTheWireEndsTheSame(t *testing.T) {
	// How often a busy device is asked again is drawn, and the wire draws more.
	var faults []string
	for _, f := range simulator.AllFaults {
		if f.Name != simulator.BusyWithAnother {
			faults = append(faults, f.Name)
		}
	}
	c := Config{Devices: 50, Seed: 7, Faults: strings.Join(faults, ",")}
	want, out, err := play(t, c)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.Wire = true
	got, out, err := play(t, c)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Succeeded != want.Succeeded || got.Failed != want.Failed || got.Rejected != want.Rejected ||
		got.PerUpgrade.Transitions != want.PerUpgrade.Transitions {
		t.Errorf("over the wire %+v, directly %+v", got, want)
	}
}

// A function tries its calls in a rehearsal as often, and waits as long, as its process does.
func TestFunctionsHaveTheLimitsOfTheirProcesses(t *testing.T) {
	files, err := filepath.Glob("../../lambdas/*/main.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	limits := map[string]functions.Limits{"Patient": functions.Patient, "Starting": functions.Starting,
		"Brisk": functions.Brisk}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`functions\.Main\(functions\.New\w+, functions\.(\w+)\)`).FindSubmatch(text)
		name := filepath.Base(filepath.Dir(file))
		if m == nil || makers[name].construct == nil || makers[name].limits != limits[string(m[1])] {
			t.Errorf("%s: %q in its main, %+v here", name, m, makers[name].limits)
		}
	}
	if len(makers) != len(files) {
		t.Errorf("%d functions here, %d in lambdas", len(makers), len(files))
	}
}
