package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// versionCloud runs a function that answers with its variable WHO and the ARN
// that it was called by.
func versionCloud(t *testing.T, db *store.DB) *cloud {
	s := scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return newCloud(t, s, db, &InProcess{Scheduler: s, New: func(_ context.Context, f Function, _ awsapi.Identity,
		_ io.Writer) (Handler, error) {
		return handlerFunc(func(ctx context.Context, _ []byte) ([]byte, error) {
			c, _ := lambdacontext.FromContext(ctx)
			return json.Marshal(f.Env["WHO"] + " " + c.InvokedFunctionArn)
		}), nil
	}})
}

func (c *cloud) publish() string {
	c.t.Helper()
	return c.must("PublishVersion", map[string]string{"FunctionName": "f"}).(*configuration).Version
}

func (c *cloud) become(who string) {
	c.t.Helper()
	c.must("UpdateFunctionConfiguration", map[string]any{"FunctionName": "f",
		"Environment": map[string]any{"Variables": map[string]string{"WHO": who}}})
}

// ask invokes and returns who answered and which version ran.
func (c *cloud) ask(ref, qualifier string) string {
	c.t.Helper()
	out := c.must("Invoke", &invokeIn{FunctionName: ref, Qualifier: qualifier}).(*invokeOut)
	return strings.ReplaceAll(strings.Trim(string(out.Payload), `"`), "arn:aws:lambda:us-east-1:"+account+":function:", "") + " " + out.ExecutedVersion
}

func TestAVersionStaysAsItWasAndAnAliasLeadsToOne(t *testing.T) {
	db := store.Memory()
	c := versionCloud(t, db)
	c.create(map[string]any{"Environment": map[string]any{"Variables": map[string]string{"WHO": "first"}}})
	if v := c.publish(); v != "1" {
		t.Fatalf("got version %s", v)
	}
	if v := c.publish(); v != "1" {
		t.Fatalf("nothing changed, and got version %s", v)
	}
	c.must("CreateAlias", map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "1"})
	c.become("second")
	arn := "arn:aws:lambda:us-east-1:" + account + ":function:f"
	for range 2 {
		for _, row := range []struct{ ref, qualifier, want string }{
			{"f", "", "second f $LATEST"},
			{"f", "$LATEST", "second f:$LATEST $LATEST"},
			{"f", "1", "first f:1 1"},
			{"f:1", "", "first f:1 1"},
			{"f", "live", "first f:live 1"},
			{"f:live", "", "first f:live 1"},
			{arn + ":live", "", "first f:live 1"},
			{account + ":function:f:live", "live", "first f:live 1"},
		} {
			if got := c.ask(row.ref, row.qualifier); got != row.want {
				t.Errorf("%s %s: got %q, want %q", row.ref, row.qualifier, got, row.want)
			}
		}
		c = versionCloud(t, db) // after a restart
	}
	if v := c.publish(); v != "2" {
		t.Fatalf("got version %s", v)
	}
	c.must("UpdateAlias", map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "2"})
	if got := c.ask("f:live", ""); got != "second f:live 2" {
		t.Errorf("got %q", got)
	}
	var names []string
	list := c.must("ListVersionsByFunction", map[string]string{"FunctionName": "f"}).(*listVersionsOut)
	for _, v := range list.Versions {
		names = append(names, v.Version+" "+v.FunctionArn[len(arn)-1:])
	}
	if fmt.Sprint(names) != "[$LATEST f:$LATEST 1 f:1 2 f:2]" {
		t.Errorf("versions: %v", names)
	}
	if list := c.must("ListAliases", map[string]string{"FunctionName": "f", "FunctionVersion": "2"}).(*listAliasesOut).
		Aliases; len(list) != 1 || list[0].AliasArn != arn+":live" {
		t.Errorf("aliases: %v", list)
	}
	c.must("DeleteFunction", map[string]string{"FunctionName": "f", "Qualifier": "1"})
	c.become("third")
	if v := c.publish(); v != "3" {
		t.Errorf("numbers are never used again: got %s", v)
	}
	c.must("DeleteFunction", map[string]string{"FunctionName": "f"})
	if _, err := c.call("Invoke", &invokeIn{FunctionName: "f:live"}); awsapi.Code(err) != "ResourceNotFoundException" {
		t.Errorf("got %v", err)
	}
}

func TestAnAliasSharesItsCallsOutByWeight(t *testing.T) {
	c := versionCloud(t, store.Memory())
	c.create(map[string]any{"Publish": true})
	c.become("second")
	c.publish()
	c.must("CreateAlias", map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "1",
		"RoutingConfig": map[string]any{"AdditionalVersionWeights": map[string]float64{"2": 0.25}}})
	second := 0
	for range 1000 {
		if strings.HasSuffix(c.ask("f", "live"), " 2") {
			second++
		}
	}
	if second < 200 || second > 300 {
		t.Errorf("%d of 1000 calls went to the version with a quarter", second)
	}
	c.must("UpdateAlias", map[string]any{"FunctionName": "f", "Name": "live", "RoutingConfig": map[string]any{}})
	for range 50 {
		if got := c.ask("f", "live"); !strings.HasSuffix(got, " 1") {
			t.Fatalf("got %q", got)
		}
	}
}

func TestVersionsAndAliasesAreRefused(t *testing.T) {
	c := versionCloud(t, store.Memory())
	c.create(map[string]any{"Publish": true})
	c.become("second")
	c.publish()
	c.must("CreateAlias", map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "1"})
	type in = map[string]any
	weights := func(w map[string]float64) in { return in{"AdditionalVersionWeights": w} }
	for _, row := range []struct {
		operation string
		in        in
		code      string
	}{
		{"CreateAlias", in{"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}, "ResourceConflictException"},
		{"CreateAlias", in{"FunctionName": "f", "Name": "7", "FunctionVersion": "1"},
			"ValidationException"},
		{"CreateAlias", in{"FunctionName": "f", "Name": "a", "FunctionVersion": "9"}, "ResourceNotFoundException"},
		{"CreateAlias", in{"FunctionName": "f", "Name": "a", "FunctionVersion": "live"},
			"ValidationException"},
		{"CreateAlias", in{"FunctionName": "f", "Name": "a", "FunctionVersion": "1",
			"RoutingConfig": weights(map[string]float64{"2": 1.5})}, "ValidationException"},
		{"CreateAlias", in{"FunctionName": "f", "Name": "a", "FunctionVersion": "1",
			"RoutingConfig": weights(map[string]float64{"$LATEST": 0.5})}, "ValidationException"},
		{"GetAlias", in{"FunctionName": "f", "Name": "a"}, "ResourceNotFoundException"},
		{"UpdateAlias", in{"FunctionName": "f", "Name": "live", "FunctionVersion": "2", "RevisionId": "x"},
			"PreconditionFailedException"},
		{"DeleteAlias", in{"FunctionName": "f", "Name": "a"}, ""},
		{"DeleteFunction", in{"FunctionName": "f", "Qualifier": "1"}, "ResourceConflictException"},
		{"DeleteFunction", in{"FunctionName": "f:$LATEST"}, "InvalidParameterValueException"},
		{"PublishVersion", in{"FunctionName": "f", "CodeSha256": "x"}, "InvalidParameterValueException"},
		{"PublishVersion", in{"FunctionName": "f", "RevisionId": "x"}, "PreconditionFailedException"},
		{"UpdateFunctionConfiguration", in{"FunctionName": "f:live", "Timeout": 9}, "InvalidParameterValueException"},
		{"PutFunctionConcurrency", in{"FunctionName": "f:1", "ReservedConcurrentExecutions": 9},
			"InvalidParameterValueException"},
		{"Invoke", in{"FunctionName": "f:live", "Qualifier": "1"}, "InvalidParameterValueException"},
		{"Invoke", in{"FunctionName": "f", "Qualifier": "9"}, "ResourceNotFoundException"},
	} {
		if _, err := c.call(row.operation, row.in); awsapi.Code(err) != row.code {
			t.Errorf("%s %v: got %v, want %q", row.operation, row.in, err, row.code)
		}
	}
}

// A permission belongs to the qualifier that it is given for, and the call's
// resource is the ARN that is called.
func TestPermissionsAreOfAQualifier(t *testing.T) {
	c := versionCloud(t, store.Memory())
	c.create(map[string]any{"Publish": true})
	c.must("CreateAlias", map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "1"})
	c.must("AddPermission", map[string]string{"FunctionName": "f", "Qualifier": "live", "StatementId": "s",
		"Action": "lambda:InvokeFunction", "Principal": "iot.amazonaws.com"})
	arn := "arn:aws:lambda:us-east-1:" + account + ":function:f"
	if doc, err := c.svc.resourcePolicy(arn + ":live"); err != nil || !strings.Contains(doc, `"Resource":"`+arn+`:live"`) {
		t.Errorf("policy of the alias: %s, %v", doc, err)
	}
	for _, other := range []string{arn, arn + ":1"} {
		if doc, err := c.svc.resourcePolicy(other); err != nil || doc != "" {
			t.Errorf("policy of %s: %s, %v", other, doc, err)
		}
	}
	c.door = awsapi.New(awsapi.Config{Scheduler: c.s, Account: account, Region: "us-east-1",
		Authorizer: grants{"lambda:InvokeFunction " + arn + ":live"}})
	c.door.Add(c.svc.API())
	for _, row := range []struct{ ref, code string }{{"f:live", ""}, {"f", "AccessDeniedException"},
		{"f:1", "AccessDeniedException"}} {
		_, err := c.door.Call(t.Context(), awsapi.Identity{Account: account, ARN: "somebody"}, "lambda", "Invoke",
			&invokeIn{FunctionName: row.ref})
		if awsapi.Code(err) != row.code {
			t.Errorf("%s: got %v, want %q", row.ref, err, row.code)
		}
	}
}

func TestAnAliasHasAnEventInvokeConfigOfItsOwn(t *testing.T) {
	c := virtualCloud(t, store.Memory(), func(context.Context, []byte) ([]byte, error) {
		return nil, io.ErrUnexpectedEOF
	})
	c.create(map[string]any{"Publish": true})
	c.must("CreateAlias", map[string]any{"FunctionName": "f", "Name": "live", "FunctionVersion": "1"})
	c.must("PutFunctionEventInvokeConfig", map[string]any{"FunctionName": "f", "Qualifier": "live",
		"MaximumRetryAttempts": 0,
		"DestinationConfig": map[string]any{"OnFailure": map[string]string{"Destination": "arn:aws:sqs:us-east-1:" +
			account + ":of-the-alias"}}})
	c.must("PutFunctionEventInvokeConfig", map[string]any{"FunctionName": "f", "MaximumRetryAttempts": 1,
		"DestinationConfig": map[string]any{"OnFailure": map[string]string{"Destination": "arn:aws:sqs:us-east-1:" +
			account + ":of-latest"}}})
	for _, ref := range []string{"f", "f:live"} {
		c.must("Invoke", &invokeIn{FunctionName: ref, InvocationType: "Event"})
	}
	c.s.Run(nil)
	sent := strings.Join(c.find("sqs:SendMessage"), "\n")
	for _, want := range []string{`function:f:live\",\"requestId`, `\"approximateInvokeCount\":1`, `function:f:$LATEST\",\"requestId`, `\"approximateInvokeCount\":2`} {
		if !strings.Contains(sent, want) {
			t.Errorf("%s\nhas no %s", sent, want)
		}
	}
	all := c.must("ListFunctionEventInvokeConfigs", map[string]string{"FunctionName": "f"}).(*listInvokeConfigsOut)
	if list := all.Configs; len(list) != 2 {
		t.Errorf("got %d configurations", len(list))
	}
	c.must("UpdateFunctionEventInvokeConfig", map[string]any{"FunctionName": "f", "Qualifier": "live",
		"MaximumEventAgeInSeconds": 60})
	got := c.must("GetFunctionEventInvokeConfig",
		map[string]string{"FunctionName": "f", "Qualifier": "live"}).(*eventInvokeConfigOut)
	if *got.MaximumAge != 60 || *got.MaximumRetry != 0 || got.Destinations.OnFailure == nil {
		t.Errorf("an update leaves what it does not name: got %+v", got)
	}
	c.must("DeleteFunctionEventInvokeConfig", map[string]string{"FunctionName": "f", "Qualifier": "live"})
	if _, err := c.call("GetFunctionEventInvokeConfig", map[string]string{"FunctionName": "f",
		"Qualifier": "live"}); awsapi.Code(err) != "ResourceNotFoundException" {
		t.Errorf("got %v", err)
	}
}

// What one function has reserved is there for no other.
func TestReservedConcurrencyIsTakenFromTheAccounts(t *testing.T) {
	var c *cloud
	hold := true
	running := 0
	c = virtualCloud(t, store.Memory(), func(ctx context.Context, _ []byte) ([]byte, error) {
		running++
		defer func() { running-- }()
		for hold {
			if err := c.s.Sleep(ctx, time.Second); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	c.create(nil)
	c.create(map[string]any{"FunctionName": "g"})
	if _, err := c.call("PutFunctionConcurrency", map[string]any{"FunctionName": "f",
		"ReservedConcurrentExecutions": 901}); awsapi.Code(err) != "InvalidParameterValueException" {
		t.Fatalf("got %v", err)
	}
	c.must("PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 890})
	if _, err := c.call("PutFunctionConcurrency", map[string]any{"FunctionName": "g",
		"ReservedConcurrentExecutions": 11}); awsapi.Code(err) != "InvalidParameterValueException" {
		t.Fatalf("got %v", err)
	}
	codes := map[string]int{}
	ask := func(name string) {
		c.s.Go("invoke "+name, func() {
			_, err := c.call("Invoke", &invokeIn{FunctionName: name})
			if err != nil {
				codes[fmt.Sprint(name, " ", awsapi.Code(err), " ", awsapi.AsError(err).Fields["Reason"])]++
			}
		})
	}
	for range 120 {
		ask("g")
	}
	for range 2 {
		ask("f")
	}
	c.s.RunFor(time.Millisecond)
	if running != 112 || fmt.Sprint(codes) != "map[g TooManyRequestsException ConcurrentInvocationLimitExceeded:10]" {
		t.Errorf("%d run, refused were %v", running, codes)
	}
	hold = false
	c.s.Run(nil)
	settings := c.must("GetAccountSettings", map[string]string{}).(*accountSettings)
	if settings.Limit.UnreservedConcurrentExecutions != 110 || settings.Usage.FunctionCount != 2 {
		t.Errorf("got %+v", settings)
	}
}
