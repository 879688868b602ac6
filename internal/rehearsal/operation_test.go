package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/infra/operation"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// withOperations is the template with one operation more than the stack has: it has one
// of each task.
func withOperations(t testing.TB) []byte {
	t.Helper()
	asl, err := os.ReadFile("testdata/every-task.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	template, err := operation.Merge(infra.Template, []string{"every-task"}, func(string) []byte { return asl })
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// played is a job of an operation, on its way or at its end.
type played struct {
	*world
	t       testing.TB
	ctx     context.Context
	outputs map[string]string
	faults  []*simulator.Fault
}

// operate is a world with operations, devices and their agents.
func operate(t testing.TB, seed uint64, devices int, faults string, fault localcloud.Fault) *played {
	t.Helper()
	return operateSlowly(t, seed, devices, faults, fault, simulator.Timing{})
}

// operateSlowly is operate with devices that take their time.
func operateSlowly(t testing.TB, seed uint64, devices int, faults string, fault localcloud.Fault,
	timing simulator.Timing) *played {
	t.Helper()
	p := &played{t: t, ctx: context.Background(), world: &world{
		sched: localcloud.NewVirtual(seed, start), seed: seed, store: localcloud.NewMemoryStore(), fault: fault,
		logs: true, timing: timing,
	}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.open(p.ctx))
	var err error
	p.outputs, err = p.cloud.Deploy(p.ctx, stack, withOperations(t), settled)
	must(err)
	plan := trial.Plan{Policy: p.outputs["DevicePolicyName"], Group: "demo",
		Controller: usp.EndpointID(p.outputs["ControllerEndpointId"]), Seed: seed}
	for i := range devices {
		plan.Things = append(plan.Things, simulator.ThingName(i+1))
	}
	plan.Faults, err = simulator.ParseFaults(faults)
	must(err)
	p.faults, err = plan.Faults.Assign(devices, seed)
	must(err)
	must(p.register(p.ctx, plan))
	must(p.build(plan))
	p.fleet.Start()
	return p
}

// create makes a job of an operation.
func (p *played) create(job, operation, input string) {
	p.t.Helper()
	if operation == "every-task" { // which create-job does not know
		if err := p.createOperation(p.ctx, job, operation, input); err != nil {
			p.t.Fatal(err)
		}
		return
	}
	payload := fmt.Sprintf(`{"operation":%q,"jobId":%q,"input":%s,`+
		`"targets":["arn:aws:iot:%s:%s:thinggroup/demo"],"rollout":{"maximumPerMinute":1000},"abort":{"criteriaList":[]}}`,
		operation, job, input, region, account)
	if _, err := cli.CreateJob(p.ctx, lambda.NewFromConfig(p.operator()), stack, []byte(payload)); err != nil {
		p.t.Fatal(err)
	}
}

// createOperation makes a job as create-job does, of an operation that it need not know.
func (w *world) createOperation(ctx context.Context, job, operation, input string) error {
	document := fmt.Sprintf(`{"operation":%q,"owner":%q,"input":%s,"timeouts":{"jobMinutes":120}}`, operation, stack,
		input)
	return w.call(ctx, "iot", "CreateJob", map[string]any{
		"jobId": job, "document": document,
		"targets":       []string{"arn:aws:iot:" + region + ":" + account + ":thinggroup/demo"},
		"timeoutConfig": map[string]any{"inProgressTimeoutInMinutes": 120},
	}, nil)
}

// ends waits for the end of a job, and gives its counts by status.
func (p *played) ends(job string) map[string]int {
	p.t.Helper()
	for began := p.sched.Now(); p.sched.Now().Sub(began) < 6*time.Hour; {
		var out struct {
			Job struct {
				Status            string
				JobProcessDetails map[string]any
			}
		}
		if err := p.call(p.ctx, "iot", "DescribeJob", map[string]any{"jobId": job}, &out); err != nil {
			p.t.Fatal(err)
		}
		if s := out.Job.Status; s == "COMPLETED" || s == "CANCELED" {
			counts := map[string]int{}
			for _, status := range []string{"Succeeded", "Failed", "Rejected", "TimedOut", "Canceled", "InProgress",
				"Queued"} {
				if n, _ := out.Job.JobProcessDetails["numberOf"+status+"Things"].(float64); n > 0 {
					counts[strings.ToUpper(status)] = int(n)
				}
			}
			return counts
		}
		if err := p.sched.Sleep(p.ctx, 10*time.Second); err != nil {
			p.t.Fatal(err)
		}
	}
	p.t.Fatalf("job %s does not end", job)
	return nil
}

// reason is how a device's execution of a job is, or ended; "" before there is one.
func (p *played) reason(job, thing string) (status, reason, detail string) {
	p.t.Helper()
	var out struct {
		Execution struct {
			Status        string
			StatusDetails struct{ DetailsMap map[string]string }
		}
	}
	err := p.call(p.ctx, "iot", "DescribeJobExecution", map[string]any{"jobId": job, "thingName": thing}, &out)
	if localcloud.ErrorCode(errors.Unwrap(err)) == "ResourceNotFoundException" {
		return "", "", "" // not rolled out yet
	}
	if err != nil {
		p.t.Fatal(err)
	}
	d := out.Execution.StatusDetails.DetailsMap
	return out.Execution.Status, d["reason"], d["detail"]
}

// clean waits until nothing is left of a job, and complains of what is.
func (p *played) clean() {
	p.t.Helper()
	var left []string
	for range 300 {
		s := &outage{world: p.world, ctx: p.ctx}
		items, err := s.itemsOf(p.outputs["TableName"])
		if err != nil {
			p.t.Fatal(err)
		}
		if left = append(p.cloud.Residue(p.ctx), items...); len(left) == 0 {
			return
		}
		if err := p.sched.Sleep(p.ctx, time.Second); err != nil {
			p.t.Fatal(err)
		}
	}
	p.t.Errorf("left: %s", strings.Join(left, "\n"))
}

// told logs what became of each device.
func (p *played) told(job string) {
	for i := range p.faults {
		thing := simulator.ThingName(i + 1)
		status, reason, detail := p.reason(job, thing)
		p.t.Logf("%s %v: %s %s %s", thing, p.faults[i], status, reason, detail)
	}
	for _, denied := range p.cloud.Denied() {
		p.t.Log(denied)
	}
}

// expect compares the end of a job.
func (p *played) expect(job string, want map[string]int) {
	p.t.Helper()
	if got := p.ends(job); !maps.Equal(got, want) {
		p.t.Errorf("job %s ended %v, want %v", job, got, want)
		p.told(job)
	}
	p.clean()
}

// difficult are faults of devices that no operation is to mind, but for the last, whose
// records name another sender after its greeting.
const difficult = "offline-at-start=5,duplicate-all=10,reorder=10,delay=10,garbage=10,wrong-endpoint-id=1"

func TestAHundredDevicesRestart(t *testing.T) {
	p := operate(t, 1, 100, difficult, nil)
	p.create("restart", "reboot", `{"bootSeconds":120,"answerSeconds":60}`)
	p.expect("restart", map[string]int{"SUCCEEDED": 99, "FAILED": 1})
	for i, f := range p.fleet.Facts() {
		want := 2
		if p.faults[i] != nil && p.faults[i].Name == simulator.WrongEndpointID {
			want = 1
			if _, reason, _ := p.reason("restart", f.Thing); reason != "Device.NoReport" {
				t.Errorf("%s, whose records are refused, ended with %s", f.Thing, reason)
			}
		}
		if f.Boots != want {
			t.Errorf("%s %s booted %d times, want %d: %+v", f.Thing, f.Fault, f.Boots, want, f)
		}
	}
}

// TestARestartThatOutlastsATryIsWaitedFor: the state runs out of time while the device restarts, and its next try
// waits for that restart and does not ask for another.
func TestARestartThatOutlastsATryIsWaitedFor(t *testing.T) {
	p := operateSlowly(t, 1, 20, "duplicate-all=5,delay=5", nil, simulator.Timing{Boot: 45 * time.Second})
	p.create("restart", "reboot", `{"bootSeconds":20,"answerSeconds":20}`)
	p.expect("restart", map[string]int{"SUCCEEDED": 20})
	for _, f := range p.fleet.Facts() {
		if f.Boots != 2 {
			t.Errorf("%s %s booted %d times: %+v", f.Thing, f.Fault, f.Boots, f)
		}
	}
}

// TestARestartThatOutlastsAllTriesIsNoneMore: a device that does not come back is given up, and is not restarted
// again when it does.
func TestARestartThatOutlastsAllTriesIsNoneMore(t *testing.T) {
	p := operateSlowly(t, 1, 5, "", nil, simulator.Timing{Boot: 5 * time.Minute})
	p.create("restart", "reboot", `{"bootSeconds":20,"answerSeconds":20}`)
	p.expect("restart", map[string]int{"FAILED": 5})
	if err := p.sched.Sleep(p.ctx, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, f := range p.fleet.Facts() {
		if _, reason, _ := p.reason("restart", f.Thing); f.Boots != 2 || reason != "Device.Offline" {
			t.Errorf("%s booted %d times, and ended with %s", f.Thing, f.Boots, reason)
		}
	}
}

const keepAlive = "Device.MQTT.Client.1.KeepAliveTime"

func TestAHundredDevicesAreSet(t *testing.T) {
	p := operate(t, 2, 100, difficult, nil)
	p.create("good", "set-parameters", `{"parameters":{"`+keepAlive+`":300},"answerSeconds":60}`)
	p.expect("good", map[string]int{"SUCCEEDED": 99, "FAILED": 1})
	// The device takes it, and keeps another: what was there is put back.
	p.create("bad", "set-parameters", `{"parameters":{"`+keepAlive+`":"9999"},"answerSeconds":60}`)
	p.expect("bad", map[string]int{"FAILED": 100})
	// The device refuses one: none is written.
	p.create("none", "set-parameters", `{"parameters":{"`+keepAlive+`":"10","Device.DeviceInfo.UpTime":"1"},"answerSeconds":60}`)
	p.expect("none", map[string]int{"FAILED": 1, "REJECTED": 99})
	// What is there now is read, and left in S3.
	p.create("collected", "collect", `{"paths":["`+keepAlive+`","Device.No.Such"],"answerSeconds":60}`)
	p.expect("collected", map[string]int{"SUCCEEDED": 99, "FAILED": 1})
	for i := range 100 {
		thing := simulator.ThingName(i + 1)
		if p.faults[i] != nil && p.faults[i].Name == simulator.WrongEndpointID {
			continue
		}
		if status, reason, detail := p.reason("bad", thing); reason != "Verify.Mismatch" {
			t.Errorf("%s: %s %s %s", thing, status, reason, detail)
		}
		if status, reason, detail := p.reason("none", thing); reason != "Device.Refused" ||
			!strings.HasPrefix(detail, "7013 ") {
			t.Errorf("%s: %s %s %s", thing, status, reason, detail)
		}
		var line struct {
			JobID, ThingName string
			Parameters       map[string]string
			Missing          map[string]struct{ Code int }
		}
		text := p.object("collect/collected/" + thing + ".jsonl")
		if err := json.Unmarshal([]byte(text), &line); err != nil || line.ThingName != thing ||
			line.JobID != "collected" ||
			line.Parameters[keepAlive] != "300" || line.Missing["Device.No.Such"].Code != 7026 ||
			strings.Contains(text, "\n") {
			t.Errorf("%s left %s, %v", thing, text, err)
		}
	}
}

// pausedAtFirst has a job paused from before it is made until some minutes later: nothing of
// it begins meanwhile.
func (p *played) pausedAtFirst(job string) {
	p.t.Helper()
	if err := p.control(p.ctx, "pause", job); err != nil {
		p.t.Fatal(err)
	}
	p.sched.After(5*time.Minute, "an operator", func() {
		for i := range p.faults {
			if status, _, _ := p.reason(job, simulator.ThingName(i+1)); status != "QUEUED" {
				p.t.Errorf("%s is %s while its job is paused", simulator.ThingName(i+1), status)
			}
		}
		if err := p.control(p.ctx, "resume", job); err != nil {
			p.t.Error(err)
		}
	})
}

// object is one of the bucket of results.
func (p *played) object(key string) string {
	p.t.Helper()
	out, err := s3.NewFromConfig(p.operator(), func(o *s3.Options) { o.UsePathStyle = true }).GetObject(p.ctx,
		&s3.GetObjectInput{Bucket: aws.String(p.outputs["ResultsBucketName"]), Key: &key})
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// A pair of files that is not in the stack is played, whatever its devices do, and when
// a device's job execution is cancelled in the middle.
func TestEveryTaskIsPlayed(t *testing.T) {
	for seed := uint64(1); seed <= 2; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			p := operate(t, seed, 24, "offline-at-start=2,duplicate-all=2,reorder=2,delay=2,garbage=2", nil)
			if seed == 2 {
				p.pausedAtFirst("every")
			}
			p.create("every", "every-task", `{"answerSeconds":120}`)
			victim := simulator.ThingName(24)
			for {
				if status, _, _ := p.reason("every", victim); status == "IN_PROGRESS" {
					break
				}
				if err := p.sched.Sleep(p.ctx, time.Second); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.sched.Sleep(p.ctx, time.Duration(p.sched.Rand().IntN(20))*time.Second); err != nil {
				t.Fatal(err)
			}
			if err := p.call(p.ctx, "iot", "CancelJobExecution", map[string]any{"jobId": "every", "thingName": victim,
				"force": true}, nil); err != nil {
				t.Fatal(err)
			}
			p.expect("every", map[string]int{"SUCCEEDED": 23, "CANCELED": 1})
			for _, f := range p.fleet.Facts() {
				if f.Thing != victim && (f.Boots != 2 || f.Sets != 1 || f.Operates != 2) {
					t.Errorf("%+v: booted, set and operated otherwise than once, once and twice", f)
				}
			}
			var thing struct{ Attributes map[string]string }
			if err := p.call(p.ctx, "iot", "DescribeThing", map[string]any{"thingName": simulator.ThingName(1)},
				&thing); err != nil ||
				thing.Attributes["note"] != "done" {
				t.Errorf("%+v, %v", thing, err)
			}
			var out struct {
				Execution struct {
					StatusDetails struct{ DetailsMap map[string]string }
				}
			}
			if err := p.call(p.ctx, "iot", "DescribeJobExecution", map[string]any{"jobId": "every",
				"thingName": simulator.ThingName(1)}, &out); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"cause": "RemoteReboot", "got": `{"` + keepAlive + `":"100"}`}
			if got := out.Execution.StatusDetails.DetailsMap; !maps.Equal(got, want) {
				t.Errorf("told %v, want %v", got, want)
			}
		})
	}
}
