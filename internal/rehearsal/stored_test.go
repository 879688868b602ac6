package rehearsal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// samples are the richest of what was stored under each name.
type samples map[string]map[string]any

func (s samples) add(name string, of map[string]any) {
	if old := s[name]; len(of) > len(old) {
		s[name] = of
	}
}

func (s samples) write(t *testing.T, file string) {
	t.Helper()
	b, err := json.MarshalIndent(s, "", " ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o777)
	}
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stored is what jobs leave in the table and in executions while they run.
type stored struct {
	items, upgrades, scripts, inputs samples
}

// take reads the table.
func (s stored) take(ctx context.Context, w *world) error {
	var tables struct{ TableNames []string }
	if err := w.call(ctx, "dynamodb", "ListTables", map[string]any{}, &tables); err != nil ||
		len(tables.TableNames) == 0 {
		return err // before it is deployed
	}
	for start := any(nil); ; {
		in := map[string]any{"TableName": tables.TableNames[0]}
		if start != nil {
			in["ExclusiveStartKey"] = start
		}
		var out struct {
			Items            []map[string]any
			LastEvaluatedKey map[string]any
		}
		if err := w.call(ctx, "dynamodb", "Scan", in, &out); err != nil {
			return err
		}
		for _, item := range out.Items {
			s.item(item)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		start = out.LastEvaluatedKey
	}
}

func (s stored) item(item map[string]any) {
	text := func(name string) string {
		v, _ := item[name].(map[string]any)
		of, _ := v["S"].(string)
		return of
	}
	if text("token") != "" {
		item["token"] = map[string]any{"S": "token"}
	}
	pk, _, _ := strings.Cut(text("PK"), "#")
	sk, rest, _ := strings.Cut(text("SK"), "#")
	if pk == "DUE" || pk == "KNOCK" || pk == "ARRIVAL" {
		sk = ""
	}
	name := pk + " " + sk
	switch {
	case sk == "NEWS":
		kind, _, _ := strings.Cut(rest, "#")
		name += " " + kind
	case sk == "PENDING" && text("resume") != "":
		name += " parked"
	}
	s.items.add(name, item)
	if memory := text("state"); sk == "AWAIT" && memory != "" {
		var members map[string]any
		if json.Unmarshal([]byte(memory), &members) != nil {
			return
		}
		into, kind := s.upgrades, ""
		if task, ok := members["task"].(map[string]any); ok {
			into, kind = s.scripts, fmt.Sprint(" ", task["task"])
		}
		into.add(rest+kind, members)
	}
}

// ran reads the inputs of executions.
func (s stored) ran(ctx context.Context, w *world, machine string) error {
	arn := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-" + machine
	for e, err := range w.cloud.Executions(ctx, arn) {
		if err != nil {
			return err
		}
		for event, err := range w.cloud.History(ctx, e.ExecutionARN) {
			if err != nil {
				return err
			}
			raw, err := json.Marshal(event)
			if err != nil {
				return err
			}
			var h struct {
				ExecutionStartedEventDetails struct{ Input string }
			}
			var input map[string]any
			if err := json.Unmarshal(raw, &h); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(h.ExecutionStartedEventDetails.Input), &input); err != nil {
				return err
			}
			s.inputs.add(fmt.Sprintf("%s, lap %v", machine, cmp.Or(input["lap"], any(0))), input)
			break
		}
	}
	return nil
}

// TestStoredFormsAreSampled writes down what is stored while jobs run, under the name that
// FLEETSTEP_STORED gives, for the tests that hold later versions to reading it: make
// stored-forms. It is for the moment before a form changes.
func TestStoredFormsAreSampled(t *testing.T) {
	name := os.Getenv("FLEETSTEP_STORED")
	if name == "" {
		t.Skip("FLEETSTEP_STORED gives no name")
	}
	s := stored{samples{}, samples{}, samples{}, samples{}}
	payload := filepath.Join(t.TempDir(), "job.json")
	if err := os.WriteFile(payload, []byte(`{
  "firmware": {"version": "2.0.0"},
  "activation": {"mode": "SEPARATE", "window": {"start": "09:00", "end": "09:05"}, "soakSeconds": 60},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"], "abort": {"criteriaList": []}
}`), 0o666); err != nil {
		t.Fatal(err)
	}
	var w *world
	over := false
	look := func(ctx context.Context, sched *localcloud.Scheduler) error {
		for n := 0; !over; n++ {
			if err := sched.Sleep(ctx, 500*time.Millisecond); err != nil {
				return err
			}
			if n == 80 || n == 1200 {
				verb := map[int]string{80: "stop-all", 1200: "start-all"}[n]
				if err := w.control(ctx, verb, ""); err != nil {
					return err
				}
			}
			if n > 2000 && n%50 != 0 && (n < 7200 || n > 8000) || n < 20 {
				continue // nothing is new then
			}
			if err := s.take(ctx, w); err != nil {
				return err
			}
		}
		return nil
	}
	var told error
	var out bytes.Buffer
	if _, err := Run(t.Context(), Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: 30, Seed: 3, Faults: "all", Event: payload, Image: 1 << 10,
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("look", func() {
				if err := look(context.WithoutCancel(t.Context()), sched); !over {
					told = err
				}
			})
		},
		opened: func(opened *world) { w = opened },
		over: func(ctx context.Context, w *world, _ string) error {
			over = true
			return s.ran(ctx, w, "firmware-upgrade")
		},
	}); err != nil || told != nil {
		t.Fatalf("%v, %v\n%s", err, told, last(out.String()))
	}

	s.arrive(t)
	for seed, operation := range []string{"every-task", "set-parameters", "reboot", "collect"} {
		p := operate(t, uint64(seed+1), 6, "delay=1,duplicate-all=1", nil)
		input := map[string]string{
			"every-task": `{"answerSeconds":120}`, "reboot": `{"bootSeconds":900}`,
			"collect":        `{"paths":["Device.DeviceInfo."]}`,
			"set-parameters": `{"parameters":{"Device.MQTT.Client.1.KeepAliveTime":300}}`,
		}[operation]
		p.create("job", operation, input)
		for range 1200 {
			p.pass(t, 100*time.Millisecond)
			if err := s.take(p.ctx, p.world); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.ran(p.ctx, p.world, operation); err != nil {
			t.Fatal(err)
		}
	}
	for file, of := range map[string]samples{
		"../workflow/dynamodb": s.items, "../flow/upgrade": s.upgrades, "../flow/script": s.scripts,
		"../event": s.inputs,
	} {
		t.Logf("%s: %q", file, slices.Sorted(maps.Keys(of)))
		of.write(t, filepath.Join(file, "testdata", "stored", name+".json"))
	}
}

// arrive has devices appear that nobody knows, more than are onboarded in a minute.
func (s stored) arrive(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	var w *world
	var told error
	over := false
	if _, err := Run(t.Context(), Config{
		Env: &cli.Env{Out: &out, Err: &out}, Devices: 6, Seed: 4, Event: "../../events/create-job.json",
		Image: 1 << 10, Onboard: true, with: map[string]string{"OnboardingPerMinute": "2"},
		Witness: func(_ *localcloud.Cloud, sched *localcloud.Scheduler) {
			sched.Go("look", func() {
				for ctx := context.WithoutCancel(t.Context()); !over && told == nil; {
					told = cmp.Or(sched.Sleep(ctx, time.Second), s.take(ctx, w))
				}
			})
		},
		opened: func(opened *world) { w = opened },
		over:   func(context.Context, *world, string) error { over = true; return nil },
	}); err != nil || told != nil && !over {
		t.Fatalf("%v, %v\n%s", err, told, last(out.String()))
	}
}
