package restarttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/provision"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
	"github.com/fleetstep/fleetstep/internal/usp"
)

const (
	version = "2.0.0"
	jobID   = "job"
	group   = "demo"
)

// fleet is devices, the cloud they talk to, and what is asked of both.
type fleet struct {
	t     *testing.T
	where ready
	roots *x509.CertPool

	config   aws.Config
	iot      *iot.Client
	lambda   *lambda.Client
	sfn      *sfn.Client
	dynamodb *dynamodb.Client
	metrics  *cloudwatch.Client

	pace         pace
	things       []string
	faults       []*simulator.Fault // by device, nil for the healthy
	groupARN     string
	certificates map[string]tls.Certificate
	agents       *simulator.Fleet
}

// pace is how long a job takes.
type pace struct {
	perMinute int           // devices that the rollout begins with, each minute
	download  time.Duration // the longest transfer
}

// brisk is over as soon as the machine allows.
var brisk = pace{1000, 2 * time.Second}

// newFleet uploads the firmware, provisions the devices and connects them.
func newFleet(t *testing.T, where ready, devices int, faultList string, seed uint64, pace pace) *fleet {
	t.Helper()
	c := newFleetOff(t, where, devices, faultList, seed, pace)
	c.connect()
	return c
}

// newFleetOff is a fleet whose devices are switched off.
func newFleetOff(t *testing.T, where ready, devices int, faultList string, seed uint64, pace pace) *fleet {
	t.Helper()
	ctx := t.Context()
	pem, err := os.ReadFile(where.CA)
	if err != nil {
		t.Fatal(err)
	}
	c := &fleet{t: t, where: where, pace: pace, roots: x509.NewCertPool()}
	if !c.roots.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", where.CA)
	}
	faults, err := simulator.ParseFaults(faultList)
	if err != nil {
		t.Fatal(err)
	}
	if c.faults, err = faults.Assign(devices, seed); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(where.Region), config.WithBaseEndpoint(where.Endpoint),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil),
		config.WithRetryer(func() aws.Retryer {
			return retry.AddWithMaxBackoffDelay(retry.NewStandard(), time.Second)
		}))
	if err != nil {
		t.Fatal(err)
	}
	c.iot, c.lambda, c.sfn, c.dynamodb = iot.NewFromConfig(cfg), lambda.NewFromConfig(cfg), sfn.NewFromConfig(cfg),
		dynamodb.NewFromConfig(cfg)
	c.metrics, c.config = cloudwatch.NewFromConfig(cfg), cfg
	bucket := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err = bucket.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(where.Outputs["FirmwareBucketName"]), Key: aws.String(version + "/gateway.bin"),
		Body: bytes.NewReader(simulator.MakeImage(version, 512<<10, seed)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range devices {
		c.things = append(c.things, simulator.ThingName(i+1))
	}
	provisioned, err := provision.Devices(ctx, c.iot, provision.Fleet{Things: c.things,
		Policy: where.Outputs["DevicePolicyName"], Group: group, Endpoint: endpointOf})
	if err != nil {
		t.Fatal(err)
	}
	c.groupARN, c.certificates = provisioned.GroupARN, provisioned.Certificates
	transport, err := mqtt.New(mqtt.Config{Broker: where.MQTTS, RootCAs: c.roots, Timeout: 30 * time.Second,
		Credentials: func(thing string) (mqtt.Credentials, error) {
			certificate := c.certificates[thing]
			return mqtt.Credentials{Certificate: &certificate}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	c.agents, err = simulator.NewFleet(simulator.FleetConfig{
		Settings: simulator.Settings{
			Transport: transport, HTTP: patient{http.DefaultClient}, PublishQoS: 1,
			Controller: usp.EndpointID(where.Outputs["ControllerEndpointId"]),
			Timing: simulator.Timing{
				ConnectRetry: 200 * time.Millisecond, MaxRetry: 2 * time.Second, NotifRetry: 2 * time.Second,
				Download: [2]time.Duration{100 * time.Millisecond, pace.download},
				SlowLink: 5 * time.Second, OfflineAtStart: 5 * time.Second,
			},
		},
		Things: c.things, Seed: seed, Faults: faults, StartWithin: time.Duration(devices) * 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// endpointOf is the endpoint id that a thing's device has.
func endpointOf(thing string) event.EndpointID {
	return event.EndpointID(simulator.EndpointIDOf(simulator.OUI, thing))
}

// connect switches the devices on and waits for those that come at once.
func (c *fleet) connect() {
	c.t.Helper()
	c.agents.Start()
	c.t.Cleanup(c.agents.Stop)
	late := 0
	for _, f := range c.faults {
		if f != nil && f.Name == simulator.OfflineAtStart {
			late++
		}
	}
	c.until("the devices are connected", func() (bool, string) {
		p := c.agents.Progress()
		return p.Connected >= len(c.things)-late, fmt.Sprintf("%+v", p)
	})
}

// patient is how devices fetch firmware: a transfer that is cut off goes on
// where it was, as a download client with resumption does. S3 does not go away
// on AWS; here it is in the process that is killed.
type patient struct{ client *http.Client }

func (p patient) Do(req *http.Request) (*http.Response, error) {
	body := &resumed{p: p, req: req}
	resp, err := body.open()
	if err != nil {
		return nil, err
	}
	body.body, resp.Body = resp.Body, body
	return resp, nil
}

// resumed is a body that asks for the rest when it is cut off.
type resumed struct {
	p    patient
	req  *http.Request
	body io.ReadCloser
	read int64
}

func (r *resumed) open() (*http.Response, error) {
	for {
		req := r.req.Clone(r.req.Context())
		if r.read > 0 {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.read))
		}
		resp, err := r.p.client.Do(req)
		if err == nil {
			return resp, nil
		}
		if err := wait(r.req.Context()); err != nil {
			return nil, err
		}
	}
}

func (r *resumed) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.read += int64(n)
		if n > 0 {
			return n, nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			return 0, err
		}
		if err := errors.Join(r.body.Close(), wait(r.req.Context())); err != nil {
			return 0, err
		}
		resp, err := r.open()
		if err != nil {
			return 0, err
		}
		if resp.StatusCode != http.StatusPartialContent && r.read > 0 {
			return 0, errors.Join(fmt.Errorf("HTTP status %d for the rest of a transfer", resp.StatusCode),
				resp.Body.Close())
		}
		r.body = resp.Body
	}
}

func (r *resumed) Close() error { return r.body.Close() }

func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

// create creates the job, however often that takes.
func (c *fleet) create() {
	payload, err := json.Marshal(map[string]any{
		"jobId": jobID, "firmware": map[string]string{"version": version}, "targets": []string{c.groupARN},
		"rollout":  map[string]int{"maximumPerMinute": c.pace.perMinute},
		"abort":    map[string]any{"criteriaList": []any{}},
		"timeouts": map[string]int{"answerSeconds": 20, "downloadSeconds": 60, "rebootSeconds": 30},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.until("create-job creates the job", func() (bool, string) {
		created, err := cli.CreateJob(c.t.Context(), c.lambda, c.where.Stack, payload)
		if err != nil {
			return false, err.Error()
		}
		if created.JobID != jobID {
			c.t.Errorf("the job is %s", created.JobID)
		}
		return true, ""
	})
}

// until asks until the answer is yes. The limit is for what hangs.
func (c *fleet) until(what string, ask func() (done bool, instead string)) {
	c.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		done, instead := ask()
		if done {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("still waiting until %s: %s", what, instead)
		}
		if err := wait(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// ended waits for the job's end.
func (c *fleet) ended() {
	c.t.Helper()
	c.until("the job ends", func() (bool, string) {
		s, err := cli.Describe(c.t.Context(), c.iot, jobID)
		if err != nil {
			return false, err.Error()
		}
		return s.Ended(), fmt.Sprintf("%s %+v; devices %+v; left %s", s.Status, s.Counts, c.agents.Progress(),
			strings.Join(c.left(), "\n"))
	})
}

// judge checks what became of every device.
func (c *fleet) judge() {
	c.t.Helper()
	ctx := c.t.Context()
	s, err := cli.Describe(ctx, c.iot, jobID)
	if err != nil {
		c.t.Fatal(err)
	}
	failures, err := cli.Failures(ctx, c.iot, jobID, len(c.things))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("%s: %+v", s.Status, s.Counts)
	if s.Counts.Total() != len(c.things) {
		c.t.Errorf("the job reached %d devices of %d", s.Counts.Total(), len(c.things))
	}
	failed := map[string]cli.Failure{}
	for _, f := range failures {
		failed[f.Thing] = f
	}
	facts := c.agents.Facts()
	for i, thing := range c.things {
		f, bad := failed[thing]
		fault, fact := c.faults[i], facts[i]
		switch {
		case fault == nil && bad:
			c.t.Errorf("%s is healthy and ended with %s %s: %s; %+v", thing, f.Status, f.Reason, f.Detail, fact)
		case fault != nil && !(!bad && fault.Succeeds() || bad && fault.Allows(f.Reason)):
			c.t.Errorf("%s (%s) ended with %q %s", thing, fault.Name, f.Reason, f.Detail)
		case !bad && fact.Version != version:
			c.t.Errorf("%s is said to have succeeded and runs %s", thing, fact.Version)
		case fault == nil && (fact.Downloads != 1 || fact.Completed != 1):
			c.t.Errorf("%s downloaded %d times, %d of them to the end", thing, fact.Downloads, fact.Completed)
		}
	}
}

// clean waits until nothing is left of the job.
func (c *fleet) clean() {
	c.t.Helper()
	told := ""
	c.until("nothing is left of the job", func() (bool, string) {
		left := strings.Join(c.left(), "\n")
		if left != told && left != "" {
			told = left
			c.t.Logf("still left:\n%s", left)
		}
		return left == "", left
	})
}

// left lists what a finished job must not leave behind.
func (c *fleet) left() (left []string) {
	ctx := c.t.Context()
	fail := func(err error) []string { return append(left, err.Error()) }
	executions := sfn.NewListExecutionsPaginator(c.sfn, &sfn.ListExecutionsInput{
		StateMachineArn: aws.String(c.where.Outputs["StateMachineArn"]), StatusFilter: sfntypes.ExecutionStatusRunning,
	})
	for executions.HasMorePages() {
		page, err := executions.NextPage(ctx)
		if err != nil {
			return fail(err)
		}
		for _, e := range page.Executions {
			left = append(left, "open execution "+aws.ToString(e.Name))
		}
	}
	items := dynamodb.NewScanPaginator(c.dynamodb, &dynamodb.ScanInput{
		TableName: aws.String(c.where.Outputs["TableName"]), ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("PK, SK"),
	})
	for items.HasMorePages() {
		page, err := items.NextPage(ctx)
		if err != nil {
			return fail(err)
		}
		for _, item := range page.Items {
			sk, _ := item["SK"].(*types.AttributeValueMemberS)
			pk, _ := item["PK"].(*types.AttributeValueMemberS)
			kind, _, _ := strings.Cut(sk.Value, "#")
			switch kind {
			case "CLAIM", "AWAIT", "PENDING", "NEWS":
				left = append(left, "item "+pk.Value+" "+sk.Value)
			}
		}
	}
	resp, err := http.Get(c.where.Endpoint + "/_localcloud/residue")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var lines []string
	if err := json.NewDecoder(resp.Body).Decode(&lines); err != nil {
		return fail(err)
	}
	return append(left, lines...)
}

// number reads a number from the environment.
func number(t *testing.T, name string, missing uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return missing
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
