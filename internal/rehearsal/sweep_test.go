package rehearsal

import (
	"bytes"
	"fmt"
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

// TestWhatACancelledJobLeavesIsFound: a job is cancelled, which leaves the execution alone
// that is IN_PROGRESS, and the state machine's execution for it is stopped by hand. Nobody
// works on it; the clock finds it, and an alarm tells.
func TestWhatACancelledJobLeavesIsFound(t *testing.T) {
	w := newCloud(t)
	out := w.deploy(t, stack, infra.Template, nil)
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
	w.must(t, "iot", "CancelJob", map[string]any{"jobId": created.JobID})
	w.must(t, "sfn", "StopExecution", map[string]any{"executionArn": ran.Executions[0].ExecutionArn})
	w.pass(t, 2*time.Hour)
	job := w.must(t, "iot", "DescribeJobExecution",
		map[string]any{"jobId": created.JobID, "thingName": "rg-1"})["execution"].(map[string]any)
	if job["status"] != "IN_PROGRESS" {
		t.Fatalf("the job execution is %v", job["status"])
	}
	var found struct{ Datapoints []struct{ Sum float64 } }
	if err := w.call(t.Context(), "cloudwatch", "GetMetricStatistics", map[string]any{
		"Namespace": metrics.Namespace + "/" + stack, "MetricName": metrics.UpgradesUnreported,
		"Statistics": []string{"Sum"}, "Period": 86400, "StartTime": start,
		"EndTime": w.sched.Now().Add(time.Minute),
	}, &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Datapoints) == 0 || w.history(t, "stuck-upgrades") != "ALARM" {
		t.Errorf("found %v; the alarm is %s", found.Datapoints, w.state(t, "stuck-upgrades"))
	}
}
