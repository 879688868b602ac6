package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// told is a message of a topic, as a queue has it.
type told struct {
	ID, Event, Operation, ThingName, Outcome, JobID string
}

// subscribe makes a queue that hears of a topic, with a filter policy.
func (w *world) subscribe(t *testing.T, topic, name, filter string) (url string) {
	t.Helper()
	url, _ = w.must(t, "sqs", "CreateQueue", map[string]any{"QueueName": name})["QueueUrl"].(string)
	arn := "arn:aws:sqs:" + region + ":" + account + ":" + name
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},` +
		`"Action":"sqs:SendMessage","Resource":"` + arn + `"}]}`
	w.must(t, "sqs", "SetQueueAttributes", map[string]any{"QueueUrl": url, "Attributes": map[string]string{
		"Policy": policy}})
	attributes := map[string]string{"RawMessageDelivery": "true"}
	if filter != "" {
		attributes["FilterPolicy"] = filter
	}
	w.must(t, "sns", "Subscribe", map[string]any{"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn,
		"Attributes": attributes})
	return url
}

// drain reads what a queue has, each event once, held to the schema.
func (w *world) drain(t *testing.T, url string, schema *jsonschema.Schema) map[string]told {
	t.Helper()
	all := map[string]told{}
	for {
		var out struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		if err := w.call(t.Context(), "sqs", "ReceiveMessage", map[string]any{"QueueUrl": url,
			"MaxNumberOfMessages": 10}, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			document, err := jsonschema.UnmarshalJSON(strings.NewReader(m.Body))
			if err == nil {
				err = schema.Validate(document)
			}
			var e told
			if err != nil || json.Unmarshal([]byte(m.Body), &e) != nil {
				t.Fatalf("%s: %v", m.Body, err)
			}
			all[e.ID] = e
			w.must(t, "sqs", "DeleteMessage", map[string]any{"QueueUrl": url, "ReceiptHandle": m.ReceiptHandle})
		}
	}
}

func domainSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../events/schema/domain-event.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestOtherSystemsAreTold: who subscribes to the topic of domain events hears of every
// device what became of it, once; a filter policy picks by operation and outcome.
func TestOtherSystemsAreTold(t *testing.T) {
	t.Parallel()
	schema := domainSchema(t)
	var w *world
	var everything, failures string
	events := map[string]map[string]int{} // by thing, of its upgrade
	_, out, err := play(t, Config{
		Devices: 12, Seed: 3, Onboard: true, Event: "../../events/create-job-quick.json",
		Faults: "bad-checksum@2,wrong-version@3,loses-transfer-complete@4,duplicate-all@5",
		with:   map[string]string{"DomainEvents": "true"}, opened: func(x *world) { w = x },
		deployed: func(outputs map[string]string) {
			everything = w.subscribe(t, outputs["EventTopicArn"], "everything", "")
			failures = w.subscribe(t, outputs["EventTopicArn"], "failures",
				`{"operation":["firmware-upgrade"],"event":["Finished"],"outcome":["FAILED"]}`)
		},
		over: func(_ context.Context, x *world, job string) error {
			onboarded := 0
			for _, e := range x.drain(t, everything, schema) {
				switch {
				case e.Operation == "firmware-upgrade":
					if events[e.ThingName] == nil {
						events[e.ThingName] = map[string]int{}
					}
					events[e.ThingName][e.Event]++
					if e.JobID != job {
						t.Errorf("%+v is of another job than %s", e, job)
					}
				case e.Event == "Onboarded":
					onboarded++
				}
			}
			if onboarded < 9 {
				t.Errorf("%d devices were onboarded", onboarded)
			}
			var things []string
			for _, e := range x.drain(t, failures, schema) {
				things = append(things, e.ThingName)
			}
			slices.Sort(things)
			if want := []string{"rg-000002", "rg-000003"}; !slices.Equal(things, want) {
				t.Errorf("failed are %v, want %v", things, want)
			}
			return nil
		},
	})
	// The two queues are not ours: they hold what was told.
	if !errors.Is(err, cli.ErrFailed) || strings.Count(out, "PROBLEM: ") != 2 ||
		strings.Count(out, "PROBLEM: left behind: sqs: queue ") != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	plain := []string{"DownloadStarted", "Downloaded", "Finished", "Rebooted", "Started", "Verified"}
	want := map[string][]string{
		"rg-000002": {"DownloadStarted", "Finished", "Started"},
		"rg-000003": {"DownloadStarted", "Downloaded", "Finished", "Rebooted", "RolledBack", "Started"},
	}
	if len(events) != 12 {
		t.Errorf("%d devices were told of", len(events))
	}
	for thing, names := range events {
		expected := plain
		if w, ok := want[thing]; ok {
			expected = w
		}
		if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, expected) {
			t.Errorf("%s: told %v, want %v", thing, got, expected)
		}
		for name, n := range names {
			if n != 1 {
				t.Errorf("%s: %s has %d ids", thing, name, n)
			}
		}
	}
}

// TestAnOperationTellsOthersOnce: of each device its beginning and its end, in bad weather, too. What SNS refuses
// after the SDK's retries may be lost; with this seed there is none.
func TestAnOperationTellsOthersOnce(t *testing.T) {
	t.Parallel()
	weather, err := localcloud.ParseWeather("bad", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	schema := domainSchema(t)
	var w *world
	var queue string
	told := map[string]map[string]int{}
	_, out, _ := play(t, Config{
		Devices: 40, Seed: 1, Operation: trial.Operation{Name: "reboot"}, Weather: weather,
		with: map[string]string{"DomainEvents": "true"}, opened: func(x *world) { w = x },
		deployed: func(outputs map[string]string) {
			queue = w.subscribe(t, outputs["EventTopicArn"], "everything", "")
		},
		over: func(ctx context.Context, x *world, _ string) error {
			for range 10 { // messages are late
				for _, e := range x.drain(t, queue, schema) {
					if told[e.ThingName] == nil {
						told[e.ThingName] = map[string]int{}
					}
					told[e.ThingName][e.Event]++
				}
				if err := x.sched.Sleep(ctx, time.Minute); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if len(told) != 40 {
		t.Errorf("of %d devices was told\n%s", len(told), out)
	}
	for thing, events := range told {
		if !maps.Equal(events, map[string]int{"Started": 1, "Finished": 1}) {
			t.Errorf("%s: %v", thing, events)
		}
	}
}

// TestSamplesOfDomainEvents holds the samples to the schema.
func TestSamplesOfDomainEvents(t *testing.T) {
	schema := domainSchema(t)
	for _, name := range []string{"finished", "downloaded", "onboarded"} {
		b, err := os.ReadFile("../../events/domain-event-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err == nil {
			err = schema.Validate(document)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		members := document.(map[string]any)
		members["outcome"] = "DONE"
		if schema.Validate(members) == nil {
			t.Errorf("%s: any outcome is taken", name)
		}
	}
}

// TestWhoTellsMayTell: without the policy of domain events each function that tells of
// something is refused by name, and no upgrade minds.
func TestWhoTellsMayTell(t *testing.T) {
	t.Parallel()
	var template map[string]any
	if err := json.Unmarshal(infra.Template, &template); err != nil {
		t.Fatal(err)
	}
	resources := template["Resources"].(map[string]any)
	var want []string
	for _, role := range resources["EventPolicy"].(map[string]any)["Properties"].(map[string]any)["Roles"].([]any) {
		want = append(want, role.(map[string]any)["Ref"].(string))
	}
	delete(resources, "EventPolicy")
	b, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{}
	_, out, err := play(t, Config{Devices: 3, Seed: 5, Faults: "old-image@1", Template: b,
		Event: "../../events/create-job-quick.json", with: map[string]string{"DomainEvents": "true"},
		over: func(ctx context.Context, w *world, _ string) error {
			// One has an image of that name already, and is told to start it. The end of another's restart is an
			// operator's.
			target := func(n int) string {
				return `["arn:aws:iot:` + region + ":" + account + ":thing/" + simulator.ThingName(n) + `"]`
			}
			for _, payload := range []string{
				`{"jobId":"proof","firmware":{"version":"2.0.0","versionIsProof":true},"targets":` + target(1) + `}`,
				`{"jobId":"ended","operation":"reboot","input":{},"targets":` + target(3) + `}`,
			} {
				if _, err := cli.CreateJob(ctx, lambda.NewFromConfig(w.operator()), stack,
					[]byte(payload)); err != nil {
					return err
				}
			}
			w.pass(t, time.Second)
			w.must(t, "iot", "CancelJobExecution", map[string]any{"jobId": "ended", "force": true,
				"thingName": simulator.ThingName(3)})
			w.pass(t, 30*time.Minute)
			for _, denied := range w.cloud.Denied() {
				who, what, _ := strings.Cut(denied, " is not authorized to perform: ")
				if !strings.HasPrefix(what, "sns:Publish ") {
					t.Errorf("refused: %s", denied)
				}
				_, role, _ := strings.Cut(who, ":assumed-role/"+stack+"-")
				role, _, _ = strings.Cut(role, "-")
				refused[role] = true
			}
			return nil
		}})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(refused)); !slices.Equal(got, want) {
		t.Errorf("refused are %v, the policy is for %v", got, want)
	}
}
