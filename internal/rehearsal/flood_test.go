package rehearsal

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// flooder is a device beside a job that publishes on its own topic as fast as it can, and
// comes back when it is disconnected for it.
type flooder struct {
	thing     string
	published int // that the broker took, or seemed to
	ends      []string
}

// flood publishes so many pieces of news a second until stop says so: completions of
// commands that nobody gave, and restarts, all of which want an answer.
func (f *flooder) flood(ctx context.Context, w *world, perSecond int, stop func() bool) error {
	endpoint := trial.Plan{}.Endpoint(f.thing)
	controller := usp.EndpointID("self::fleetstep")
	message := localcloud.Message{
		Topic: "usp/v1/controller/" + string(controller) + "/from/" + f.thing, QoS: 1, ContentType: usp.ContentType,
		ResponseTopic: "usp/v1/agent/" + f.thing,
	}
	for n := 0; !stop(); {
		over := false
		conn, err := w.cloud.Connect(ctx, localcloud.MQTTClient{
			ID: f.thing, Certificate: w.certificates[f.thing], Received: func(localcloud.Message) {},
			Ended: func(reason string) { f.ends, over = append(f.ends, reason), true },
		})
		if err != nil {
			return err
		}
		if err := conn.Subscribe(ctx, message.ResponseTopic); err != nil {
			return err
		}
		for !over && !stop() {
			for range perSecond {
				news := usp.Notification{ID: strconv.Itoa(n), SubscriptionID: "s", SendResp: true,
					Kind: usp.KindOperationComplete, Path: usp.FirmwareImage(2) + usp.CommandDownload,
					CommandKey: fmt.Sprint("flood-", n)}
				if n%4 == 3 {
					news.Kind, news.Path, news.CommandKey = usp.KindEvent, usp.EventBoot, ""
				}
				n++
				message.Payload, err = usp.NewRecord(usp.EndpointID(endpoint), controller, news.Message()).Encode()
				if err != nil {
					return err
				}
				if conn.Publish(ctx, message) == nil {
					f.published++
				}
				if over {
					break
				}
			}
			if err := w.sched.Sleep(ctx, time.Second); err != nil {
				return err
			}
		}
		if !over {
			conn.Disconnect(ctx)
		}
		if err := w.sched.Sleep(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	return nil
}

// waiting is how many messages of devices wait to be taken.
func (w *world) waiting(ctx context.Context, queue string) (int, error) {
	var out struct{ Attributes map[string]string }
	err := w.call(ctx, "sqs", "GetQueueAttributes", map[string]any{"QueueUrl": queue,
		"AttributeNames": []string{"ApproximateNumberOfMessages"}}, &out)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out.Attributes["ApproximateNumberOfMessages"])
}

// flooded is a job beside devices that flood their own topics.
type flooded struct {
	devices, flooders, perSecond int
	lasts                        time.Duration // of the flood; 0: as long as the job
	mostMiB                      int           // of memory, 0 if others share the process
}

func (c flooded) play(t *testing.T) {
	t.Helper()
	var w *world
	over := false
	told := errors.New("the flood did not begin")
	most, state, items := 0, "", 0
	var flooders []*flooder
	story := func(ctx context.Context, sched *localcloud.Scheduler) error {
		for len(w.certificates) < c.devices {
			if err := sched.Sleep(ctx, time.Second); err != nil {
				return err
			}
		}
		seed := sha256.Sum256([]byte("flooders"))
		key := ed25519.NewKeyFromSeed(seed[:])
		var queues struct{ QueueUrls []string }
		if err := w.call(ctx, "sqs", "ListQueues", map[string]any{}, &queues); err != nil {
			return err
		}
		began := sched.Now()
		stop := func() bool {
			if c.lasts > 0 {
				return sched.Now().Sub(began) > c.lasts
			}
			return over
		}
		var failed error
		for i := range c.flooders {
			f := &flooder{thing: fmt.Sprint("flooder-", i)}
			flooders = append(flooders, f)
			plan := trial.Plan{Policy: stack + "-device"}
			if err := w.provision(ctx, plan, f.thing, int64(1_000_000+i), key); err != nil {
				return err
			}
			sched.Go("flooder", func() { failed = errors.Join(failed, f.flood(ctx, w, c.perSecond, stop)) })
		}
		for !stop() {
			if err := sched.Sleep(ctx, time.Second); err != nil {
				return err
			}
			for _, queue := range queues.QueueUrls {
				n, err := w.waiting(ctx, queue)
				if err != nil {
					return err
				}
				most = max(most, n)
			}
		}
		return failed
	}
	var out bytes.Buffer
	summary, err := Run(t.Context(), Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: c.devices, Seed: 9,
		Event: "../../events/create-job.json", Image: 1 << 10,
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("story", func() { told = story(context.WithoutCancel(t.Context()), sched) })
		},
		opened: func(opened *world) { w = opened },
		over: func(ctx context.Context, w *world, _ string) error {
			over = true
			// The alarm looks at five minutes that are over.
			if err := w.sched.Sleep(ctx, 10*time.Minute); err != nil {
				return err
			}
			state = w.history(t, "flooding-devices")
			for _, f := range flooders {
				n, err := w.partition(ctx, f.thing)
				if err != nil {
					return err
				}
				items = max(items, n)
			}
			return nil
		},
	})
	if err != nil || told != nil {
		t.Fatalf("%v, flood: %v\n%s", err, told, last(out.String()))
	}
	published, disconnected := 0, 0
	for _, f := range flooders {
		published += f.published
		for _, why := range f.ends {
			if why != "THROTTLED" {
				t.Errorf("%s was disconnected for %s", f.thing, why)
			}
			disconnected++
		}
	}
	if disconnected < c.flooders {
		t.Errorf("%d flooders were disconnected %d times", c.flooders, disconnected)
	}
	// What waits is what came since the last batch: the broker lets 100 a second of each
	// through.
	if limit := 3 * 100 * c.flooders; most > limit {
		t.Errorf("%d messages waited, at most %d may", most, limit)
	}
	if items > 40 {
		t.Errorf("the table has %d items of a device that floods", items)
	}
	if c.mostMiB > 0 && summary.PeakMemoryMiB > c.mostMiB {
		t.Errorf("the process took %d MiB, at most %d are allowed", summary.PeakMemoryMiB, c.mostMiB)
	}
	if state != "ALARM" {
		t.Errorf("nobody was told: the alarm was %q", state)
	}
	t.Logf("%d taken of the flood, %d disconnections, %d messages waited at most, %d items", published,
		disconnected, most, items)
	t.Logf("job in %.0f virtual seconds, %.1f s, peak %d MiB", summary.VirtualSeconds, summary.Seconds,
		summary.PeakMemoryMiB)
}

// history is the worst state that an alarm of the stack had.
func (w *world) history(t *testing.T, alarm string) string {
	t.Helper()
	var out struct {
		AlarmHistoryItems []struct{ HistorySummary string }
	}
	if err := w.call(context.WithoutCancel(t.Context()), "cloudwatch", "DescribeAlarmHistory",
		map[string]any{"AlarmName": stack + "-" + alarm, "HistoryItemType": "StateUpdate"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, h := range out.AlarmHistoryItems {
		if bytes.Contains([]byte(h.HistorySummary), []byte("to ALARM")) {
			return "ALARM"
		}
	}
	return w.state(t, alarm)
}

// partition is how many items the table has of a device.
func (w *world) partition(ctx context.Context, thing string) (int, error) {
	var tables struct{ TableNames []string }
	if err := w.call(ctx, "dynamodb", "ListTables", map[string]any{}, &tables); err != nil {
		return 0, err
	}
	var out struct{ Count int }
	err := w.call(ctx, "dynamodb", "Query", map[string]any{
		"TableName": tables.TableNames[0], "KeyConditionExpression": "PK = :pk", "Select": "COUNT",
		"ExpressionAttributeValues": map[string]any{":pk": map[string]any{"S": "DEVICE#" + thing}},
	}, &out)
	return out.Count, err
}

// TestAFloodBesideAJob: a device publishes on its own topic as fast as it can, and the job
// beside it ends as it should.
func TestAFloodBesideAJob(t *testing.T) {
	flooded{devices: 10, flooders: 1, perSecond: 150, lasts: 30 * time.Second}.play(t)
}

// TestThreeFloodsBesideAJob is make test-flood: three devices, at ten times what the broker
// takes, for as long as a job lasts.
func TestThreeFloodsBesideAJob(t *testing.T) {
	if os.Getenv("FLEETSTEP_FLOOD") == "" {
		t.Skip("FLEETSTEP_FLOOD is not set")
	}
	flooded{devices: 50, flooders: 3, perSecond: 1000, mostMiB: 256}.play(t)
}
