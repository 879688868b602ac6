package iot

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// TestSDK makes calls with AWS's SDK over HTTP: bindings of path, query,
// header and body, times and errors.
func TestSDK(t *testing.T) {
	c := newCloud(t)
	server := httptest.NewServer(c.door)
	defer server.Close()
	config := aws.Config{
		Region: testRegion, BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	}
	ctx := t.Context()
	client := sdk.NewFromConfig(config)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := aws.String("gw:1")
	_, err := client.CreateThing(ctx, &sdk.CreateThingInput{ThingName: name,
		AttributePayload: &types.AttributePayload{Attributes: map[string]string{"a": "b"}}})
	must(err)
	things, err := client.ListThings(ctx, &sdk.ListThingsInput{AttributeName: aws.String("a"),
		AttributeValue: aws.String("b"), MaxResults: aws.Int32(5)})
	must(err)
	if len(things.Things) != 1 || *things.Things[0].ThingArn != arnOf("thing/gw:1") {
		t.Errorf("things %v", things.Things)
	}
	_, err = client.CreateThingGroup(ctx, &sdk.CreateThingGroupInput{ThingGroupName: aws.String("g"),
		ThingGroupProperties: &types.ThingGroupProperties{ThingGroupDescription: aws.String("d")}})
	must(err)
	_, err = client.AddThingToThingGroup(ctx, &sdk.AddThingToThingGroupInput{ThingGroupName: aws.String("g"),
		ThingName: name})
	must(err)
	keys, err := client.CreateKeysAndCertificate(ctx, &sdk.CreateKeysAndCertificateInput{SetAsActive: true})
	must(err)
	_, err = client.AttachThingPrincipal(ctx, &sdk.AttachThingPrincipalInput{ThingName: name,
		Principal: keys.CertificateArn})
	must(err)
	_, err = client.CreatePolicy(ctx, &sdk.CreatePolicyInput{PolicyName: aws.String("p"),
		PolicyDocument: aws.String(devicePolicy)})
	must(err)
	_, err = client.AttachPolicy(ctx, &sdk.AttachPolicyInput{PolicyName: aws.String("p"), Target: keys.CertificateArn})
	must(err)
	attached, err := client.ListAttachedPolicies(ctx, &sdk.ListAttachedPoliciesInput{Target: keys.CertificateArn})
	must(err)
	of, err := client.ListPrincipalThings(ctx, &sdk.ListPrincipalThingsInput{Principal: keys.CertificateArn})
	must(err)
	if len(attached.Policies) != 1 || len(of.Things) != 1 || of.Things[0] != "gw:1" {
		t.Errorf("attached %v, things %v", attached.Policies, of.Things)
	}
	_, err = client.CreateJob(ctx, &sdk.CreateJobInput{
		JobId: aws.String("fw"), Targets: []string{arnOf("thinggroup/g")}, Document: aws.String(`{"v":1}`),
		JobExecutionsRolloutConfig: &types.JobExecutionsRolloutConfig{MaximumPerMinute: aws.Int32(5),
			ExponentialRate: &types.ExponentialRolloutRate{
				BaseRatePerMinute: aws.Int32(1), IncrementFactor: aws.Float64(1.5),
				RateIncreaseCriteria: &types.RateIncreaseCriteria{NumberOfNotifiedThings: aws.Int32(3)}}},
		AbortConfig: &types.AbortConfig{CriteriaList: []types.AbortCriteria{{
			Action: types.AbortActionCancel, FailureType: types.JobExecutionFailureTypeAll,
			ThresholdPercentage: aws.Float64(12.5), MinNumberOfExecutedThings: aws.Int32(2)}}},
		TimeoutConfig: &types.TimeoutConfig{InProgressTimeoutInMinutes: aws.Int64(5)},
	})
	must(err)
	c.run(1e9)
	job, err := client.DescribeJob(ctx, &sdk.DescribeJobInput{JobId: aws.String("fw")})
	must(err)
	if j := job.Job; j.Status != types.JobStatusInProgress || *j.JobProcessDetails.NumberOfQueuedThings != 1 ||
		*j.JobExecutionsRolloutConfig.ExponentialRate.IncrementFactor != 1.5 ||
		!j.CreatedAt.Equal(c.sched.Now().Add(-1e9)) {
		t.Errorf("job %+v", job.Job)
	}
	device := func(method, path, body string) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
		must(err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/"+testRegion+
			"/iot-jobs-data/aws4_request, SignedHeaders=host, Signature=00")
		response, err := http.DefaultClient.Do(r)
		must(err)
		defer response.Body.Close()
		var m map[string]any
		must(json.NewDecoder(response.Body).Decode(&m))
		return response.StatusCode, m
	}
	status, out := device("PUT", "/things/gw%3A1/jobs/$next", `{}`)
	if e, _ := out["execution"].(map[string]any); status != 200 || e["jobDocument"] != `{"v":1}` || e["status"] != "IN_PROGRESS" || e["approximateSecondsBeforeTimedOut"] != 300.0 {
		t.Errorf("started %d %v", status, out)
	}
	if status, out = device("GET", "/things/gw:1/jobs", ""); status != 200 || len(out["inProgressJobs"].([]any)) != 1 {
		t.Errorf("pending %d %v", status, out)
	}
	if status, out = device("GET", "/things/gw:1/jobs/$next?includeJobDocument=false", ""); status != 200 ||
		out["execution"].(map[string]any)["jobDocument"] != nil {
		t.Errorf("next %d %v", status, out)
	}
	status, out = device("POST", "/things/gw:1/jobs/fw", `{"status":"SUCCEEDED","includeJobExecutionState":true,"statusDetails":{"k":"v"},"expectedVersion":2}`)
	if e, _ := out["executionState"].(map[string]any); status != 200 || e["versionNumber"] != 3.0 {
		t.Errorf("updated %d %v", status, out)
	}
	if status, out = device("GET", "/things/gw:1/jobs/fw", ""); status != 410 {
		t.Errorf("terminal %d %v", status, out)
	}
	if status, out = device("POST", "/things/gw:1/jobs/fw", `{"status":"FAILED"}`); status != 409 {
		t.Errorf("update of a terminal execution %d %v", status, out)
	}
	list, err := client.ListJobExecutionsForJob(ctx, &sdk.ListJobExecutionsForJobInput{JobId: aws.String("fw"),
		Status: types.JobExecutionStatusSucceeded})
	must(err)
	if len(list.ExecutionSummaries) != 1 || *list.ExecutionSummaries[0].ThingArn != arnOf("thing/gw:1") {
		t.Errorf("executions %+v", list.ExecutionSummaries)
	}
	if _, err = client.DescribeThing(ctx,
		&sdk.DescribeThingInput{ThingName: aws.String("none")}); !as[*types.ResourceNotFoundException](err) {
		t.Errorf("missing thing: %v", err)
	}
	if _, err := client.CreateJob(ctx, &sdk.CreateJobInput{JobId: aws.String("fw"), Targets: []string{arnOf("thinggroup/g")}, Document: aws.String(`{}`)}); !as[*types.ResourceAlreadyExistsException](err) {
		t.Errorf("job twice: %v", err)
	}
	_, err = client.DeleteJob(ctx, &sdk.DeleteJobInput{JobId: aws.String("fw"), Force: true})
	must(err)
	end, err := client.DescribeEndpoint(ctx, &sdk.DescribeEndpointInput{EndpointType: aws.String("iot:Data-ATS")})
	must(err)
	if *end.EndpointAddress != "127.0.0.1:8883" {
		t.Errorf("endpoint %s", *end.EndpointAddress)
	}
	_, err = client.UpdateCertificate(ctx, &sdk.UpdateCertificateInput{CertificateId: keys.CertificateId,
		NewStatus: types.CertificateStatusInactive})
	must(err)
	_, err = client.UpdateEventConfigurations(ctx,
		&sdk.UpdateEventConfigurationsInput{EventConfigurations: map[string]types.Configuration{
			"JOB": {Enabled: true},
		}})
	must(err)
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
