package rehearsal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// soaking is a world with one device whose execution is open: it soaks.
func soaking(t *testing.T) (w *world, out map[string]string, job, execution string) {
	t.Helper()
	w = newCloud(t)
	out = w.deploy(t, stack, infra.Template, nil)
	plan := trial.Plan{Things: []string{"rg-1"}, Policy: out["DevicePolicyName"], Group: "demo",
		Controller: usp.EndpointID(out["ControllerEndpointId"]), Seed: 1}
	if err := w.register(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if err := w.build(plan); err != nil {
		t.Fatal(err)
	}
	w.fleet.Start()
	t.Cleanup(w.fleet.Stop)
	bucket := s3.NewFromConfig(w.operator(), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := bucket.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(out["FirmwareBucketName"]), Key: aws.String("2.0.0/gateway.bin"),
		Body: bytes.NewReader(simulator.MakeImage("2.0.0", 1<<10, 1)),
	}); err != nil {
		t.Fatal(err)
	}
	w.pass(t, time.Minute)
	created, err := cli.CreateJob(t.Context(), awslambda.NewFromConfig(w.operator()), stack, fmt.Appendf(nil,
		`{"firmware":{"version":"2.0.0"},"activation":{"soakSeconds":3000},`+
			`"targets":["arn:aws:iot:%s:%s:thinggroup/demo"]}`, region, account))
	if err != nil {
		t.Fatal(err)
	}
	w.pass(t, 10*time.Minute)
	var ran struct {
		Executions []struct{ ExecutionArn, Status string }
	}
	if err := w.call(t.Context(), "sfn", "ListExecutions",
		map[string]any{"stateMachineArn": out["StateMachineArn"]}, &ran); err != nil || len(ran.Executions) != 1 ||
		ran.Executions[0].Status != "RUNNING" {
		t.Fatalf("%v, %+v", err, ran)
	}
	return w, out, string(created.JobID), ran.Executions[0].ExecutionArn
}

// unreported is how many executions were found over that had not reported.
func (w *world) unreported(t *testing.T) (sum float64) {
	t.Helper()
	var found struct{ Datapoints []struct{ Sum float64 } }
	if err := w.call(t.Context(), "cloudwatch", "GetMetricStatistics", map[string]any{
		"Namespace": metrics.Namespace + "/" + stack, "MetricName": metrics.UpgradesUnreported,
		"Statistics": []string{"Sum"}, "Period": 86400, "StartTime": start,
		"EndTime": w.sched.Now().Add(time.Minute),
	}, &found); err != nil {
		t.Fatal(err)
	}
	for _, d := range found.Datapoints {
		sum += d.Sum
	}
	return sum
}

// TestAStoppedExecutionIsACancel: an operator stops a device's execution. Within minutes its job execution is
// CANCELED and says why, nothing is kept of the attempt, and the device is free for another job.
func TestAStoppedExecutionIsACancel(t *testing.T) {
	w, out, job, execution := soaking(t)
	w.must(t, "sfn", "StopExecution", map[string]any{"executionArn": execution, "error": "Operator", "cause": "no"})
	w.pass(t, 3*time.Minute)
	x := w.must(t, "iot", "DescribeJobExecution",
		map[string]any{"jobId": job, "thingName": "rg-1"})["execution"].(map[string]any)
	told := fmt.Sprint(x["statusDetails"])
	if x["status"] != "CANCELED" || !strings.Contains(told, "Job.Canceled") ||
		!strings.Contains(told, "its execution was stopped: Operator: no") {
		t.Errorf("the job execution is %v: %s", x["status"], told)
	}
	items := w.must(t, "dynamodb", "Query", map[string]any{"TableName": out["TableName"],
		"KeyConditionExpression":    "PK = :k",
		"ExpressionAttributeValues": map[string]any{":k": map[string]any{"S": "DEVICE#rg-1"}}})["Items"].([]any)
	for _, item := range items {
		sk := item.(map[string]any)["SK"].(map[string]any)["S"].(string)
		if sk == "CLAIM" || strings.HasPrefix(sk, "AWAIT#") || strings.HasPrefix(sk, "PENDING#") {
			t.Errorf("%s is left", sk)
		}
	}
	if n := w.unreported(t); n != 0 {
		t.Errorf("%v executions count as unreported", n)
	}
	next, err := cli.CreateJob(t.Context(), awslambda.NewFromConfig(w.operator()), stack, fmt.Appendf(nil,
		`{"jobId":"next","firmware":{"version":"2.0.0"},"targets":["arn:aws:iot:%s:%s:thing/rg-1"]}`, region, account))
	if err != nil {
		t.Fatal(err)
	}
	w.pass(t, 10*time.Minute)
	x = w.must(t, "iot", "DescribeJobExecution",
		map[string]any{"jobId": string(next.JobID), "thingName": "rg-1"})["execution"].(map[string]any)
	if x["status"] != "SUCCEEDED" {
		t.Errorf("the next job execution is %v: %v", x["status"], x["statusDetails"])
	}
}

// TestWhatAnEndWithoutAReportLeavesIsFound: a job is cancelled, which leaves the execution alone that is IN_PROGRESS,
// and finalize fails for good. Nobody works on it; the clock finds it, and an alarm tells.
func TestWhatACancelledJobLeavesIsFound(t *testing.T) {
	w, _, created, execution := soaking(t)
	w.must(t, "iot", "CancelJob", map[string]any{"jobId": created})
	w.must(t, "lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": stack + "-finalize",
		"ReservedConcurrentExecutions": 0})
	w.pass(t, 8*time.Hour)
	over := w.must(t, "sfn", "DescribeExecution", map[string]any{"executionArn": execution})
	if over["status"] != "FAILED" {
		t.Fatalf("the execution is %v", over["status"])
	}
	w.pass(t, 2*time.Hour)
	job := w.must(t, "iot", "DescribeJobExecution",
		map[string]any{"jobId": created, "thingName": "rg-1"})["execution"].(map[string]any)
	if job["status"] != "IN_PROGRESS" {
		t.Fatalf("the job execution is %v", job["status"])
	}
	if n := w.unreported(t); n == 0 || w.history(t, "stuck-upgrades") != "ALARM" {
		t.Errorf("found %v; the alarm is %s", n, w.state(t, "stuck-upgrades"))
	}
}
