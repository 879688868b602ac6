package rehearsal

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// newCloud is a cloud without a stack.
func newCloud(t *testing.T) *world {
	t.Helper()
	w := &world{sched: localcloud.NewVirtual(1, start), seed: 1, store: localcloud.NewMemoryStore()}
	if err := w.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.cloud.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) deploy(t *testing.T, name string, template []byte, parameters map[string]string) map[string]string {
	t.Helper()
	all := maps.Clone(settled)
	maps.Copy(all, parameters)
	out, err := w.cloud.Deploy(t.Context(), name, template, all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// must calls an operation as the account's root.
func (w *world) must(t *testing.T, service, operation string, in any) map[string]any {
	t.Helper()
	var out map[string]any
	if err := w.call(t.Context(), service, operation, in, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) pass(t *testing.T, d time.Duration) {
	t.Helper()
	if err := w.sched.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// resources are the physical ids of a stack's resources by their logical ones.
func (w *world) resources(t *testing.T, stack string) map[string]string {
	t.Helper()
	var out struct {
		StackResources []struct{ LogicalResourceID, PhysicalResourceID string }
	}
	if err := w.call(t.Context(), "cloudformation", "DescribeStackResources", map[string]any{"StackName": stack},
		&out); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, r := range out.StackResources {
		found[r.LogicalResourceID] = r.PhysicalResourceID
	}
	return found
}

func environment(t *testing.T, w *world, function string) map[string]any {
	t.Helper()
	out := w.must(t, "lambda", "GetFunctionConfiguration", map[string]any{"FunctionName": function})
	variables, _ := out["Environment"].(map[string]any)["Variables"].(map[string]any)
	return variables
}

// TestJobTemplateIsReplaced changes the default settings of jobs in a stack that stands. AWS changes nothing of a job
// template, and refuses to replace one that keeps its name.
func TestJobTemplateIsReplaced(t *testing.T) {
	w := newCloud(t)
	w.deploy(t, stack, infra.Template, settled)
	before, _ := environment(t, w, stack+"-create-job")["JOB_TEMPLATE_ID"].(string)

	var template map[string]any
	if err := json.Unmarshal(infra.Template, &template); err != nil {
		t.Fatal(err)
	}
	properties := template["Resources"].(map[string]any)["JobTemplate"].(map[string]any)["Properties"].(map[string]any)
	properties["TimeoutConfig"] = map[string]any{"InProgressTimeoutInMinutes": 720}
	changed := func() []byte {
		b, err := json.Marshal(template)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := w.cloud.Deploy(t.Context(), stack, changed(), settled); err == nil ||
		!strings.Contains(err.Error(), "custom-named resource requires replacing. Rename "+before) {
		t.Fatalf("another content under the same name: %v", err)
	}
	// What infra/app does: see TestJobTemplateIsNamedAfterItsContent there.
	properties["JobTemplateId"] = map[string]any{"Fn::Sub": "${AWS::StackName}-firmware-upgrade-00c0ffee"}
	w.deploy(t, stack, changed(), settled)

	after := environment(t, w, stack+"-create-job")["JOB_TEMPLATE_ID"]
	if after != stack+"-firmware-upgrade-00c0ffee" {
		t.Errorf("create-job uses %v", after)
	}
	out := w.must(t, "iot", "DescribeJobTemplate", map[string]any{"jobTemplateId": after})
	if got := out["timeoutConfig"].(map[string]any)["inProgressTimeoutInMinutes"]; fmt.Sprint(got) != "720" {
		t.Errorf("the new template has a timeout of %v", got)
	}
	if err := w.call(t.Context(), "iot", "DescribeJobTemplate", map[string]any{"jobTemplateId": before},
		nil); err == nil {
		t.Error("the old template is still there")
	}
	// The function may read it: its answer is about the target.
	answer := w.must(t, "lambda", "Invoke", map[string]any{"FunctionName": stack + "-create-job",
		"Payload": []byte(`{"firmwareVersion": "9", "upgradeTrigger": "IMMEDIATE", "targetArn": "arn:aws:iot:us-east-1:123456789012:thing/nobody"}`)})
	if text := fmt.Sprint(answer); strings.Contains(text, "AccessDenied") || strings.Contains(text, "not authorized") {
		t.Errorf("create-job answers %s", text)
	}
}

// TestTwoStacksShareNothing puts two stacks beside each other in one account and takes one away.
func TestTwoStacksShareNothing(t *testing.T) {
	const other = "other-stack"
	w := newCloud(t)
	w.deploy(t, stack, infra.Template, settled)
	w.deploy(t, other, infra.Template, map[string]string{"ControllerEndpointId": "self::other"})

	first, second := w.resources(t, stack), w.resources(t, other)
	if len(first) < 50 || len(first) != len(second) {
		t.Fatalf("%d and %d resources", len(first), len(second))
	}
	owned := slices.Collect(maps.Values(second))
	for id, physical := range first {
		// What this custom resource sets and finds in AWS IoT is the account's.
		if id != "Account" && slices.Contains(owned, physical) {
			t.Errorf("both stacks have %s, %s", id, physical)
		}
	}
	// the same in an account
	ours := []string{"LOG_LEVEL", "AGENT_TOPIC", "CONTROLLER_TOPIC", "IOT_DATA_ENDPOINT", "IOT_JOBS_ENDPOINT",
		"OPERATIONS", "ONBOARDING_PER_MINUTE", "EVENT_TOPIC_ARN",
		// parameters as they are by default
		"SOURCE_HOSTS", "SIGNING_KEYS", "REQUIRE_SIGNATURE", "IMAGE_BASE_URL",
		"IMAGE_KEY_PAIR_ID", "IMAGE_KEY_PARAMETER"}
	for id := range first {
		if !strings.HasSuffix(id, "Function") {
			continue
		}
		one, two := environment(t, w, first[id]), environment(t, w, second[id])
		for name, value := range one {
			if !slices.Contains(ours, name) && value == two[name] {
				t.Errorf("%s: both stacks have %s=%v", id, name, value)
			}
		}
	}

	// A change of one leaves the other as it is, and so does its end.
	w.deploy(t, other, infra.Template, map[string]string{"ControllerEndpointId": "self::other", "CostCenter": "7"})
	for name, want := range map[string]string{stack: "none", other: "7"} {
		arn := "arn:aws:lambda:" + region + ":" + account + ":function:" + name + "-finalize"
		tags, _ := w.must(t, "lambda", "ListTags", map[string]any{"Resource": arn})["Tags"].(map[string]any)
		if tags["CostCenter"] != want || tags["Stack"] != name || tags["Campaign"] != "none" {
			t.Errorf("%s: tags %v", name, tags)
		}
	}
	w.destroy(t, other)
	for id, physical := range w.resources(t, stack) {
		if first[id] != physical {
			t.Errorf("%s was %s and is %s", id, first[id], physical)
		}
	}
	for id := range first {
		if strings.HasSuffix(id, "Function") {
			environment(t, w, first[id])
		}
	}
	w.must(t, "iot", "DescribeJobTemplate", map[string]any{"jobTemplateId": first["JobTemplate"]})
}

// TestTwoStacksDoTheirOwnJobs runs a job in each of two stacks of one account at the same time.
// Every start-upgrade hears of both.
func TestTwoStacksDoTheirOwnJobs(t *testing.T) {
	w := newCloud(t)
	stacks := []string{stack, "other-stack"}
	outputs, jobs := map[string]map[string]string{}, map[string]string{}
	certificates := map[string]*x509.Certificate{}
	bucket := s3.NewFromConfig(w.operator(), func(o *s3.Options) { o.UsePathStyle = true })
	for i, name := range stacks {
		out := w.deploy(t, name, infra.Template, map[string]string{"ControllerEndpointId": fmt.Sprintf("self::%d", i)})
		outputs[name] = out
		plan := trial.Plan{
			Things: []string{fmt.Sprintf("of-%d-a", i), fmt.Sprintf("of-%d-b", i)}, Policy: out["DevicePolicyName"],
			Group:      fmt.Sprintf("group-%d", i),
			Controller: usp.EndpointID(out["ControllerEndpointId"]), Seed: uint64(i),
		}
		if err := w.register(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		maps.Copy(certificates, w.certificates)
		w.certificates = certificates
		if err := w.build(plan); err != nil {
			t.Fatal(err)
		}
		fleet := w.fleet
		fleet.Start()
		t.Cleanup(fleet.Stop)
		if _, err := bucket.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(out["FirmwareBucketName"]), Key: aws.String("2.0.0/gateway.bin"),
			Body: bytes.NewReader(simulator.MakeImage("2.0.0", 1<<10, 1)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(t, time.Minute)
	for i, name := range stacks {
		created, err := cli.CreateJob(t.Context(), awslambda.NewFromConfig(w.operator()), name, fmt.Appendf(nil,
			`{"firmwareVersion":"2.0.0","targetArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/group-%d"}`, i))
		if err != nil {
			t.Fatal(err)
		}
		jobs[name] = created.JobID
	}
	w.pass(t, time.Hour)
	for i, name := range stacks {
		job := w.must(t, "iot", "DescribeJob", map[string]any{"jobId": jobs[name]})["job"].(map[string]any)
		if details := job["jobProcessDetails"].(map[string]any); job["status"] != "COMPLETED" ||
			fmt.Sprint(details["numberOfSucceededThings"]) != "2" {
			t.Errorf("%s: job %v, %v", name, job["status"], details)
		}
		var ran struct {
			Executions []struct{ Name, Status string }
		}
		if err := w.call(t.Context(), "sfn", "ListExecutions",
			map[string]any{"stateMachineArn": outputs[name]["StateMachineArn"]}, &ran); err != nil {
			t.Fatal(err)
		}
		if len(ran.Executions) != 2 {
			t.Errorf("%s: %d executions: %v", name, len(ran.Executions), ran.Executions)
		}
		// A device of the other's is one that is away, and its attempt would be left pending for it.
		var metric struct {
			Datapoints []struct{ Sum float64 }
		}
		if err := w.call(t.Context(), "cloudwatch", "GetMetricStatistics", map[string]any{
			"Namespace": "Fleetstep/" + name, "MetricName": "UpgradesPending", "Statistics": []string{"Sum"},
			"Period":    7200,
			"StartTime": start, "EndTime": w.sched.Now().Add(time.Minute),
		}, &metric); err != nil {
			t.Fatal(err)
		}
		if len(metric.Datapoints) > 0 {
			t.Errorf("%s left attempts pending: %v", name, metric.Datapoints)
		}
		// AWS IoT tells both stacks of all ends: each counts its own.
		if err := w.call(t.Context(), "cloudwatch", "GetMetricStatistics", map[string]any{
			"Namespace": "Fleetstep/" + name, "MetricName": "JobExecutions", "Statistics": []string{"Sum"},
			"Dimensions": []any{map[string]any{"Name": "Status", "Value": "SUCCEEDED"}}, "Period": 7200,
			"StartTime": start, "EndTime": w.sched.Now().Add(time.Minute),
		}, &metric); err != nil {
			t.Fatal(err)
		}
		if len(metric.Datapoints) != 1 || metric.Datapoints[0].Sum != 2 {
			t.Errorf("%s counts job executions of others: %v", name, metric.Datapoints)
		}
		tagged := w.must(t, "iot", "ListTagsForResource", map[string]any{"resourceArn": job["jobArn"]})["tags"]
		tags := map[string]any{}
		for _, tag := range tagged.([]any) {
			tags[tag.(map[string]any)["Key"].(string)] = tag.(map[string]any)["Value"]
		}
		if len(tags) != 3 || tags["Campaign"] != "none" || tags["CostCenter"] != "none" || tags["Stack"] != name {
			t.Errorf("%s: the job has the tags %v", name, tags)
		}
		for _, x := range ran.Executions {
			if !strings.HasPrefix(x.Name, jobs[name]+"-of-"+strconv.Itoa(i)) || x.Status != "SUCCEEDED" {
				t.Errorf("%s ran %s, %s", name, x.Name, x.Status)
			}
		}
	}
}

// destroy deletes a stack and waits until it is gone.
func (w *world) destroy(t *testing.T, name string) {
	t.Helper()
	w.must(t, "cloudformation", "DeleteStack", map[string]any{"StackName": name})
	w.pass(t, time.Hour)
	var out struct {
		Stacks []struct{ StackStatus, StackStatusReason string }
	}
	if err := w.call(t.Context(), "cloudformation", "DescribeStacks", map[string]any{"StackName": name},
		&out); err == nil {
		t.Fatalf("the stack is there still: %+v", out)
	}
}

// TestStackGoesWithDevicesAttached: AWS IoT deletes no policy that is attached to a certificate, so it stays.
func TestStackGoesWithDevicesAttached(t *testing.T) {
	w := newCloud(t)
	out := w.deploy(t, stack, infra.Template, settled)
	certificate := w.must(t, "iot", "CreateKeysAndCertificate", map[string]any{"setAsActive": true})
	w.must(t, "iot", "AttachPolicy", map[string]any{"policyName": out["DevicePolicyName"],
		"target": certificate["certificateArn"]})
	w.destroy(t, stack)
	w.must(t, "iot", "GetPolicy", map[string]any{"policyName": out["DevicePolicyName"]})
	w.must(t, "dynamodb", "DescribeTable", map[string]any{"TableName": out["TableName"]})
}

// TestConcurrencyIsReservedWhereItIsAskedFor, and given back where it is not any more.
func TestConcurrencyIsReservedWhereItIsAskedFor(t *testing.T) {
	w := newCloud(t)
	for _, c := range []struct {
		parameters map[string]string
		want       map[string]string // by function
		starts     string            // at the same time, at most, by the mapping
	}{
		{nil, map[string]string{"handle-device-message": "none", "start-upgrade": "none", "finalize": "none",
			"tick": "none"}, "none"},
		{map[string]string{"ReserveMessageConcurrency": "true", "MessageConcurrency": "40",
			"StartReservedConcurrency": "20", "StepReservedConcurrency": "30"},
			map[string]string{"handle-device-message": "40", "start-upgrade": "20", "send-usp-operate": "30",
				"await-firmware-report": "30", "verify-version": "30", "usp-task": "30", "finalize": "30",
				"tick": "none"},
			"20"},
		{nil, map[string]string{"handle-device-message": "none", "start-upgrade": "none", "finalize": "none"}, "none"},
	} {
		w.deploy(t, stack, infra.Template, c.parameters)
		none := func(v any) string {
			if v == nil {
				return "none"
			}
			return fmt.Sprint(v)
		}
		for function, want := range c.want {
			out := w.must(t, "lambda", "GetFunctionConcurrency",
				map[string]any{"FunctionName": stack + "-" + function})
			if got := none(out["ReservedConcurrentExecutions"]); got != want {
				t.Errorf("with %v: %s reserves %s, want %s", c.parameters, function, got, want)
			}
		}
		mapping := w.must(t, "lambda", "GetEventSourceMapping",
			map[string]any{"UUID": w.resources(t, stack)["StartMapping"]})
		scaling, _ := mapping["ScalingConfig"].(map[string]any)
		if got := none(scaling["MaximumConcurrency"]); got != c.starts {
			t.Errorf("with %v: the queue of starts has %s invocations at a time, want %s", c.parameters, got, c.starts)
		}
	}
}
