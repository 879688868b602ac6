package e2e

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/doctor"
	"github.com/fleetstep/fleetstep/internal/smoke"
)

// bench is a local cloud with the stack, and what a fault needs to be made there.
type bench struct {
	*testing.T
	where struct {
		Endpoint, MQTTS, CA, Region string
		Outputs                     map[string]string
	}
	config    aws.Config
	roots     *x509.CertPool
	resources map[string]string // physical ids by logical
	iam       *iam.Client
	iot       *iot.Client
	lambda    *lambda.Client
	s3        *s3.Client
	dynamodb  *dynamodb.Client
	late      string // the thing whose messages come again after the fault was mended
}

func newBench(t *testing.T) *bench {
	cmd := exec.Command(filepath.Join(programs(t), "fleetstep"), "local", "--port", "0", "--mqtt-port", "-1",
		"--mqtts-port", "0",
		"--data-dir", t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error("the local cloud:", err)
		}
	})
	b := &bench{T: t, resources: map[string]string{}}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &b.where)
	}
	if err != nil {
		t.Fatalf("the local cloud said %q: %v", line, err)
	}
	ca, err := os.ReadFile(b.where.CA)
	if err != nil {
		t.Fatal(err)
	}
	b.roots = x509.NewCertPool()
	b.roots.AppendCertsFromPEM(ca)
	b.config = b.as("test")
	b.iam, b.iot, b.lambda = iam.NewFromConfig(b.config), iot.NewFromConfig(b.config), lambda.NewFromConfig(b.config)
	b.dynamodb = dynamodb.NewFromConfig(b.config)
	b.s3 = s3.NewFromConfig(b.config, func(o *s3.Options) { o.UsePathStyle = true })
	list, err := cloudformation.NewFromConfig(b.config).DescribeStackResources(t.Context(),
		&cloudformation.DescribeStackResourcesInput{StackName: aws.String("fleetstep")})
	b.must(list, err)
	for _, r := range list.StackResources {
		b.resources[*r.LogicalResourceId] = aws.ToString(r.PhysicalResourceId)
	}
	return b
}

// as is the configuration of who has this access key.
func (b *bench) as(key string) aws.Config {
	return aws.Config{Region: b.where.Region, BaseEndpoint: &b.where.Endpoint, HTTPClient: http.DefaultClient,
		Credentials: credentials.NewStaticCredentialsProvider(key, "test", "")}
}

func (b *bench) must(_ any, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// deny takes an action away from a role of the stack.
func (b *bench) deny(role, action string) {
	b.Helper()
	b.must(b.iam.PutRolePolicy(b.Context(), &iam.PutRolePolicyInput{RoleName: aws.String(b.resources[role]),
		PolicyName: aws.String("fault"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Deny","Action":"` + action + `","Resource":"*"}]}`)}))
}

func (b *bench) restore(role string) {
	b.Helper()
	b.must(b.iam.DeleteRolePolicy(b.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String(b.resources[role]),
		PolicyName: aws.String("fault")}))
}

// fault is what is broken, and mended again, and the hop that must tell.
type fault struct {
	name        string
	make, mend  func(b *bench)
	stack, key  string // "" are the right ones
	hop         string
	seen, level string // part of what is seen; "" is a problem
	late        bool   // messages of its device come again when it is mended
}

// denied is the fault that a role lacks a permission.
func denied(role, action, hop, seen string) fault {
	return fault{name: role + " without " + action, hop: hop, seen: seen,
		make: func(b *bench) { b.deny(role, action) }, mend: func(b *bench) { b.restore(role) }}
}

func late(f fault) fault {
	f.late = true
	return f
}

func (b *bench) events(on bool) {
	config := map[string]iottypes.Configuration{"JOB": {Enabled: on}, "JOB_EXECUTION": {Enabled: on}}
	b.must(b.iot.UpdateEventConfigurations(b.Context(),
		&iot.UpdateEventConfigurationsInput{EventConfigurations: config}))
}

func (b *bench) endpoint(address string) (before string) {
	name := aws.String("fleetstep-start-upgrade")
	now, err := b.lambda.GetFunctionConfiguration(b.Context(), &lambda.GetFunctionConfigurationInput{
		FunctionName: name,
	})
	b.must(now, err)
	variables := now.Environment.Variables
	before, variables["IOT_JOBS_ENDPOINT"] = variables["IOT_JOBS_ENDPOINT"], address
	b.must(b.lambda.UpdateFunctionConfiguration(b.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: name, Environment: &lambdatypes.Environment{Variables: variables}}))
	return before
}

func (b *bench) mapping(on bool) {
	b.must(b.lambda.UpdateEventSourceMapping(b.Context(), &lambda.UpdateEventSourceMappingInput{
		UUID: aws.String(b.resources["MessageSource"]), Enabled: &on}))
}

// policy gives the device policy another document, and mends it by making version 1 the default again.
func (b *bench) policy(document string) {
	b.must(b.iot.CreatePolicyVersion(b.Context(), &iot.CreatePolicyVersionInput{SetAsDefault: true,
		PolicyName: aws.String("fleetstep-device"), PolicyDocument: &document}))
}

func (b *bench) policyAgain() {
	name := aws.String("fleetstep-device")
	b.must(b.iot.SetDefaultPolicyVersion(b.Context(),
		&iot.SetDefaultPolicyVersionInput{PolicyName: name, PolicyVersionId: aws.String("1")}))
	list, err := b.iot.ListPolicyVersions(b.Context(), &iot.ListPolicyVersionsInput{PolicyName: name})
	b.must(list, err)
	for _, v := range list.PolicyVersions {
		if !v.IsDefaultVersion {
			b.must(b.iot.DeletePolicyVersion(b.Context(),
				&iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: v.VersionId}))
		}
	}
}

func faults() []fault {
	var endpoint, bucketPolicy string
	const publishes = `"Action":"iot:Publish","Resource":` +
		`"arn:aws:iot:us-east-1:123456789012:topic/usp/v1/controller/self::fleetstep/from/x"`
	return []fault{
		{name: "an access key that nobody has", key: "AKIAIOSFODNN7EXAMPLE", hop: doctor.Credentials,
			seen: "InvalidClientTokenId"},
		{name: "a stack that is not there", stack: "fleetstop", hop: doctor.StackCheck,
			seen: "Stack with id fleetstop does not exist"},
		{name: "AWS IoT's events are off", hop: doctor.Events, seen: "JOB, JOB_EXECUTION",
			make: func(b *bench) { b.events(false) }, mend: func(b *bench) { b.events(true) }},
		{name: "wrong endpoint", hop: doctor.Endpoint, seen: "https://127.0.0.1:1, which does not answer",
			make: func(b *bench) { endpoint = b.endpoint("https://127.0.0.1:1") },
			mend: func(b *bench) { b.endpoint(endpoint) }},
		{name: "a function that may not run", hop: doctor.Functions, seen: "fleetstep-handle-device-message",
			make: func(b *bench) {
				b.must(b.lambda.PutFunctionConcurrency(b.Context(), &lambda.PutFunctionConcurrencyInput{
					FunctionName:                 aws.String("fleetstep-handle-device-message"),
					ReservedConcurrentExecutions: aws.Int32(0)}))
			}, mend: func(b *bench) {
				b.must(b.lambda.DeleteFunctionConcurrency(b.Context(), &lambda.DeleteFunctionConcurrencyInput{
					FunctionName: aws.String("fleetstep-handle-device-message")}))
			}},
		{name: "rule disabled", hop: doctor.Rules, seen: "fleetstep_usp_message is disabled",
			make: func(b *bench) {
				b.must(b.iot.DisableTopicRule(b.Context(),
					&iot.DisableTopicRuleInput{RuleName: aws.String("fleetstep_usp_message")}))
			}, mend: func(b *bench) {
				b.must(b.iot.EnableTopicRule(b.Context(),
					&iot.EnableTopicRuleInput{RuleName: aws.String("fleetstep_usp_message")}))
			}},
		{name: "queue mapping off", hop: doctor.Queues, seen: "handle-device-message is not read",
			make: func(b *bench) { b.mapping(false) }, mend: func(b *bench) { b.mapping(true) }},
		{name: "device policy of another controller", hop: doctor.Policy, seen: "does not allow devices to publish",
			make: func(b *bench) {
				b.policy(`{"Version":"2012-10-17","Statement":[` +
					`{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`)
			}, mend: (*bench).policyAgain},
		{name: "device policy that lets nobody connect", hop: "connect", seen: "the agent cannot connect to mqtts://",
			make: func(b *bench) {
				b.policy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + publishes + `}]}`)
			}, mend: (*bench).policyAgain},
		denied("MessageRuleRole", "sqs:SendMessage", "greeting", "messages lie in fleetstep-DeadLetterQueue"),
		late(denied("HandleDeviceMessageRole", "dynamodb:*", "greeting", "AccessDeniedException")),
		{name: "bucket that takes no image", hop: "image", seen: "AccessDenied",
			make: func(b *bench) {
				bucket := b.where.Outputs["FirmwareBucketName"]
				now, err := b.s3.GetBucketPolicy(b.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket})
				b.must(now, err)
				bucketPolicy = *now.Policy
				b.must(b.s3.PutBucketPolicy(b.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket,
					Policy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",` +
						`"Action":"s3:PutObject","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`)}))
			}, mend: func(b *bench) {
				b.must(b.s3.PutBucketPolicy(b.Context(), &s3.PutBucketPolicyInput{Policy: &bucketPolicy,
					Bucket: aws.String(b.where.Outputs["FirmwareBucketName"])}))
			}},
		denied("CreateJobRole", "iot:CreateJob", "create-job", "not authorized to perform: iot:CreateJob"),
		denied("StartUpgradeRole", "states:StartExecution", "start",
			"not authorized to perform: states:StartExecution"),
		denied("StateMachineRole", "lambda:InvokeFunction", "Inspect",
			"not authorized to perform: lambda:InvokeFunction"),
		// handle-device-message makes another address, and the upgrade goes on.
		{name: "SendUspOperateRole without s3:GetObject", hop: "AwaitReport", level: string(doctor.Note),
			seen: "Next.Renewal", make: func(b *bench) { b.deny("SendUspOperateRole", "s3:GetObject*") },
			mend: func(b *bench) { b.restore("SendUspOperateRole") }},
		{name: "nobody reads images", hop: "AwaitReport", seen: "HTTP status 403",
			make: func(b *bench) {
				b.deny("SendUspOperateRole", "s3:GetObject*")
				b.deny("HandleDeviceMessageRole", "s3:GetObject*")
			}, mend: func(b *bench) {
				b.restore("SendUspOperateRole")
				b.restore("HandleDeviceMessageRole")
			}},
		denied("FinalizeRole", "iotjobsdata:*", "Finalize", "not authorized to perform: iot"),
		denied("CreateCampaignRole", "states:StartExecution", "campaign/create",
			"not authorized to perform: states:StartExecution"),
		denied("TickRole", "sqs:SendMessage", "campaign/admit", "not authorized to perform: sqs:sendmessage"),
		denied("RunCampaignRole", "sns:Publish", "campaign/report", "not authorized to perform: SNS:Publish"),
		// The last one: it passes.
		{name: "no indexing", hop: doctor.Indexing, level: string(doctor.Note), seen: "fleet indexing is off"},
	}
}

// How long a hop may take. A fault is told when that is over, so it is short; on a machine that is busy with other
// things the hops before it may need more, and the fault is tried again.
const quick, slow = 5 * time.Second, 30 * time.Second

// TestSmokeTellsTheHop breaks the stack in one place at a time: the trial ends at the hop where that is, and says what
// is the matter; it leaves nothing behind. Mended, it passes.
func TestSmokeTellsTheHop(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	t.Parallel() // it mostly waits
	b := newBench(t)
	for i, f := range faults() {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			own := *b
			own.T = t
			if f.make != nil {
				f.make(&own)
			}
			report := own.try(2*i, f, quick)
			if f.late {
				b.late = fmt.Sprintf("smoke-%06d", 2*i)
			}
			if len(f.wrong(report)) > 0 {
				report = own.try(2*i+1, f, slow)
			}
			if f.mend != nil {
				f.mend(&own)
			}
			own.judge(report, f)
			if f.level == "" {
				return
			}
			if last := report.Hops[len(report.Hops)-1].Name; !report.Passed || last != "removal" {
				t.Errorf("it failed at %q, and ended with %s", report.Failed, last)
			}
		})
	}
	b.nothingLeft()
}

// clock is how often the bench has the stack's clock tick, beside its schedule.
const clock = 500 * time.Millisecond

// ticks runs the stack's clock fast, until the function that it returns is called.
func (b *bench) ticks() (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, err := b.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("fleetstep-tick")})
			if err != nil && ctx.Err() == nil {
				b.Error("tick:", err)
			}
			select {
			case <-time.After(clock):
			case <-ctx.Done():
			}
		}
	}()
	return func() { cancel(); <-done }
}

// nothingLeft looks for what the trials have left in the stack's table and buckets.
func (b *bench) nothingLeft() {
	b.Helper()
	rows := dynamodb.NewScanPaginator(b.dynamodb, &dynamodb.ScanInput{
		TableName: aws.String(b.where.Outputs["TableName"])})
	for rows.HasMorePages() {
		page, err := rows.NextPage(b.Context())
		b.must(page, err)
		for _, item := range page.Items {
			pk, _ := item["PK"].(*dynamodbtypes.AttributeValueMemberS)
			sk, _ := item["SK"].(*dynamodbtypes.AttributeValueMemberS)
			if strings.Contains(pk.Value+sk.Value, "smoke") &&
				(b.late == "" || !strings.Contains(pk.Value, b.late)) {
				b.Errorf("item %s %s is left", pk.Value, sk.Value)
			}
		}
	}
	for _, output := range []string{"FirmwareBucketName", "ResultsBucketName"} {
		list, err := b.s3.ListObjectVersions(b.Context(),
			&s3.ListObjectVersionsInput{Bucket: aws.String(b.where.Outputs[output])})
		b.must(list, err)
		for _, o := range list.Versions {
			if strings.Contains(*o.Key, "smoke") {
				b.Errorf("object %s is left in %s", *o.Key, output)
			}
		}
	}
}

// try runs the trial on the stack as it is.
func (b *bench) try(i int, f fault, patience time.Duration) *smoke.Report {
	if f.level != "" || strings.HasPrefix(f.hop, "campaign/") {
		defer b.ticks()()
	}
	c := smoke.Config{
		AWS: b.config, Stack: "fleetstep", Existing: true, Broker: b.where.MQTTS, RootCAs: b.roots,
		ID: fmt.Sprintf("%06d", i), Patience: patience, Clock: time.Second, Tell: func(smoke.Hop) {}, Now: time.Now,
		Sleep: func(ctx context.Context, d time.Duration) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	if f.stack != "" {
		c.Stack = f.stack
	}
	if f.key != "" {
		c.AWS = b.as(f.key)
	}
	report, err := smoke.Run(b.Context(), c)
	b.must(report, err)
	return report
}

// wrong says what a report has not told of a fault.
func (f fault) wrong(report *smoke.Report) (all []string) {
	want := doctor.Problem
	if f.level != "" {
		want = doctor.Level(f.level)
	}
	if !slices.ContainsFunc(report.Hops, func(h smoke.Hop) bool {
		return h.Name == f.hop && h.Level == want && strings.Contains(h.Seen, f.seen) && h.Do != ""
	}) {
		all = append(all, fmt.Sprintf("no hop %s with %q", f.hop, f.seen))
	}
	if want == doctor.Problem && report.Failed != f.hop {
		all = append(all, fmt.Sprintf("failed at %q, want %s", report.Failed, f.hop))
	}
	return all
}

// judge holds a report to a fault.
func (b *bench) judge(report *smoke.Report, f fault) {
	for _, h := range report.Hops {
		b.Logf("%-8s %-20s %6.1f %s", h.Level, h.Name, h.Seconds, h.Seen)
	}
	for _, problem := range f.wrong(report) {
		b.Error(problem)
	}
	if len(report.Left) > 0 {
		b.Errorf("left behind: %v", report.Left)
	}
	if things, err := b.iot.ListThings(b.Context(), &iot.ListThingsInput{}); err != nil || len(things.Things) > 0 {
		b.Errorf("things: %v, %v", things, err)
	}
}
