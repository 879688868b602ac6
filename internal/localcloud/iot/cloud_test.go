package iot

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotjobsdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	testAccount = "123456789012"
	testRegion  = "eu-west-1"
)

type published struct {
	topic   string
	payload map[string]any
}

// cloud is the service under virtual time, with what it published.
type cloud struct {
	t       testing.TB
	sched   *scheduler.Scheduler
	db      *store.DB
	iot     *Service
	devices *iotjobsdataplane.Service
	door    *awsapi.Door
	sent    []published
	signed  []jobs.PresignRequest
	meter   jobs.Metrics
	metrics []jobs.Metric
	objects map[string]string // of S3, by bucket/key
}

// Put takes the metrics of jobs.
func (c *cloud) Put(_ context.Context, metrics []jobs.Metric) error {
	c.metrics = append(c.metrics, metrics...)
	return nil
}

type objectIn struct{ Bucket, Key string }

type objectOut struct{ Body []byte }

// s3 is as much of S3 as reads a job document.
func (c *cloud) s3() awsapi.Service {
	return awsapi.Service{ID: "s3", Prefix: "s3", Operations: []awsapi.Operation{
		awsapi.Op("GetObject", func(_ context.Context, _ *awsapi.Call, in *objectIn) (*objectOut, error) {
			body, ok := c.objects[in.Bucket+"/"+in.Key]
			if !ok {
				return nil, awsapi.Errorf("NoSuchKey", "The specified key does not exist.").WithStatus(404)
			}
			return &objectOut{[]byte(body)}, nil
		}),
	}}
}

func (c *cloud) Publish(_ context.Context, topic string, payload []byte) error {
	p := published{topic: topic}
	if err := json.Unmarshal(payload, &p.payload); err != nil {
		return err
	}
	c.sent = append(c.sent, p)
	return nil
}

func (c *cloud) Presign(_ context.Context, r jobs.PresignRequest) (string, error) {
	if strings.HasSuffix(r.RoleARN, "/none") {
		return "", awsapi.Errorf("AccessDenied", "the role does not exist").WithStatus(403)
	}
	c.signed = append(c.signed, r)
	return fmt.Sprintf("https://signed/%s/%s?n=%d&x=1", r.Bucket, r.Key, len(c.signed)), nil
}

func newCloud(t testing.TB) *cloud {
	c := &cloud{t: t, sched: scheduler.NewVirtual(1, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), db: store.Memory()}
	c.restart()
	return c
}

// restart makes the services anew over the same store.
func (c *cloud) restart() {
	c.t.Helper()
	var err error
	c.door = awsapi.New(awsapi.Config{Scheduler: c.sched, Account: testAccount, Region: testRegion})
	c.iot, err = New(Config{
		Platform: platform.Platform{Scheduler: c.sched, Store: c.db, Account: testAccount, Region: testRegion,
			Caller: c.door},
		Endpoints: Endpoints{Data: "127.0.0.1:8883", Jobs: "127.0.0.1:4566"}, Publisher: c, Presigner: c,
		Metrics: c.meter,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.devices = iotjobsdataplane.New(iotjobsdataplane.Config{Platform: platform.Platform{Scheduler: c.sched,
		Account: testAccount, Region: testRegion}, Executions: c.iot.Jobs()})
	c.door.Add(c.s3())
	c.door.Add(c.iot.API())
	c.door.Add(c.devices.API())
	if err := c.iot.Start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// useDoor serves s alone.
func (c *cloud) useDoor(s *Service) {
	c.door = awsapi.New(awsapi.Config{Scheduler: s.sched, Account: testAccount, Region: testRegion})
	c.door.Add(s.API())
}

// crash loses everything that is not in the store: tasks, timers, caches.
func (c *cloud) crash() {
	c.t.Helper()
	now := c.sched.Now()
	if err := c.sched.Close(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.sched = scheduler.NewVirtual(2, now)
	c.restart()
}

// try runs an operation; input is JSON.
func (c *cloud) try(operation, input string) (map[string]any, error) {
	service := "iot"
	if name, ok := strings.CutPrefix(operation, "data:"); ok {
		service, operation = "iotjobsdataplane", name
	}
	out, err := c.door.Call(context.Background(), awsapi.RootOf(testAccount), service, operation,
		json.RawMessage(input))
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, json.Unmarshal(b, &m)
}

func (c *cloud) call(operation, input string) map[string]any {
	c.t.Helper()
	out, err := c.try(operation, input)
	if err != nil {
		c.t.Fatalf("%s %s: %v", operation, input, err)
	}
	return out
}

func (c *cloud) refuse(operation, input, code string) {
	c.t.Helper()
	_, err := c.try(operation, input)
	if awsapi.Code(err) != code {
		c.t.Errorf("%s %s: got %v, want %s", operation, input, err, code)
	}
}

// things makes things named prefix-0000, ...
func (c *cloud) things(prefix string, n int) {
	c.t.Helper()
	for i := range n {
		c.call("CreateThing", fmt.Sprintf(`{"thingName":"%s-%04d"}`, prefix, i))
	}
}

func (c *cloud) group(name string, members ...string) {
	c.t.Helper()
	c.call("CreateThingGroup", fmt.Sprintf(`{"thingGroupName":%q}`, name))
	for _, m := range members {
		c.call("AddThingToThingGroup", fmt.Sprintf(`{"thingGroupName":%q,"thingName":%q}`, name, m))
	}
}

func (c *cloud) groupOf(name, prefix string, n int) {
	c.t.Helper()
	c.things(prefix, n)
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf("%s-%04d", prefix, i))
	}
	c.group(name, members...)
}

func arnOf(resource string) string {
	return "arn:aws:iot:" + testRegion + ":" + testAccount + ":" + resource
}

// events enables all events.
func (c *cloud) events(types ...string) {
	c.t.Helper()
	m := map[string]eventConfiguration{}
	for _, e := range types {
		m[e] = eventConfiguration{true}
	}
	b, _ := json.Marshal(updateEventsIn{m})
	c.call("UpdateEventConfigurations", string(b))
}

func (c *cloud) run(d time.Duration) { c.sched.RunFor(d) }

// topics are those published since the last time, in order.
func (c *cloud) topics() []string {
	var list []string
	for _, p := range c.sent {
		list = append(list, p.topic)
	}
	c.sent = nil
	return list
}

// job is DescribeJob's job.
func (c *cloud) job(id string) map[string]any {
	c.t.Helper()
	return c.call("DescribeJob", fmt.Sprintf(`{"jobId":%q}`, id))["job"].(map[string]any)
}

// counts prints what is not zero of a job's process details, and its status.
func (c *cloud) counts(id string) string {
	c.t.Helper()
	j := c.job(id)
	line := []string{}
	for k, v := range j["jobProcessDetails"].(map[string]any) {
		if n, ok := v.(float64); ok && n != 0 {
			line = append(line, fmt.Sprintf("%s=%v", strings.TrimSuffix(strings.TrimPrefix(k, "numberOf"), "Things"),
				n))
		}
	}
	sort.Strings(line)
	return j["status"].(string) + " " + strings.Join(line, " ")
}

func (c *cloud) wantCounts(id, want string) {
	c.t.Helper()
	if got := c.counts(id); got != want {
		c.t.Errorf("%s at %s: got %q, want %q", id, c.sched.Now().Format("15:04:05"), got, want)
	}
}

// mqtt sends a device's request and returns the reply.
func (c *cloud) mqtt(topic, payload string) (string, map[string]any) {
	c.t.Helper()
	var reply string
	var body map[string]any
	if !c.devices.Handle(context.Background(), topic, []byte(payload), func(t string, p []byte) {
		reply = strings.TrimPrefix(t, topic+"/")
		if err := json.Unmarshal(p, &body); err != nil {
			c.t.Fatal(err)
		}
	}) {
		return "unhandled", nil
	}
	return reply, body
}

// report sends a device's update and fails unless it is accepted.
func (c *cloud) report(thing, job, status string) {
	c.t.Helper()
	if reply, body := c.mqtt("$aws/things/"+thing+"/jobs/"+job+"/update", fmt.Sprintf(`{"status":%q}`, status)); reply != "accepted" {
		c.t.Fatalf("%s on %s to %s: %s %v", job, thing, status, reply, body)
	}
}

// clean fails if something is left to do.
func (c *cloud) clean() {
	c.t.Helper()
	c.run(0)
	if lines := c.iot.Residue(c.t.Context()); len(lines) > 0 {
		c.t.Errorf("left over: %s", strings.Join(lines, "; "))
	}
	if names := c.sched.Pending(); len(names) > 0 {
		c.t.Errorf("in the scheduler: %v", names)
	}
}
