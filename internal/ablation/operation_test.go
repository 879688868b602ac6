package ablation

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/infra/operation"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// Operations that are only ASL have permissions of one form. They are tried with an
// operation that is not in the stack, and needs every one of them.
const everyTask = "every-task"

// shipped are those that are in the stack.
var shipped = []string{"collect", "reboot", "set-parameters"}

// template is that of the stack, with one operation more.
func template(t *testing.T) []byte {
	t.Helper()
	asl, err := os.ReadFile("../rehearsal/testdata/every-task.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	b, err := operation.Merge(infra.Template, []string{everyTask}, func(string) []byte { return asl })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ofShipped reports whether a resource is an operation's of the stack.
func ofShipped(id string) bool {
	return slices.ContainsFunc(shipped, func(name string) bool { return strings.HasPrefix(id, operation.ID(name)) })
}

// What an operation of the stack may, and what functions may with it, is what is tried
// with the one more; but one that leaves nothing in S3 may not.
func TestOperationsMayTheSame(t *testing.T) {
	resources := resourcesOf(parse(t))
	text := func(id, name string) string {
		resource, ok := resources[id].(object)
		if !ok {
			t.Fatalf("there is no %s", id)
		}
		for _, d := range documents(resource) {
			d["Statement"] = slices.DeleteFunc(d["Statement"].([]any), func(s any) bool {
				return s.(object)["Sid"] == "WriteResults" // of collect and of this one
			})
		}
		b, err := json.Marshal(resource)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(operation.ID(name), "ID", name, "NAME").Replace(string(b))
	}
	for _, of := range []string{"Role", "StartUpgradePolicy", "HandleDeviceMessagePolicy", "HandleJobEventPolicy",
		"UspTaskPolicy", "TickPolicy"} {
		want := text(operation.ID(everyTask)+of, everyTask)
		for _, name := range shipped {
			if got := text(operation.ID(name)+of, name); got != want {
				t.Errorf("%s: %s of %s is %s\nwant %s", name, of, operation.ID(name), got, want)
			}
		}
	}
	ids := 0
	for id := range resources {
		if ofShipped(id) && (strings.HasSuffix(id, "Role") || strings.HasSuffix(id, "Policy")) {
			ids++
		}
	}
	if ids != 6*len(shipped) {
		t.Errorf("the operations of the stack have %d roles and policies, of which this test knows %d", ids,
			6*len(shipped))
	}
}

// beginOperation makes a job of the operation every-task, as create-job does.
func (s stage) beginOperation(ctx context.Context, job, thing string, answerSeconds int) error {
	document := fmt.Sprintf(`{"operation":%q,"owner":%q,"input":{"answerSeconds":%d}}`, everyTask, stack, answerSeconds)
	return s.call(ctx, "iot", "CreateJob", map[string]any{
		"jobId": job, "document": document,
		"targets": []string{"arn:aws:iot:" + region + ":" + account + ":thing/" + thing},
	}, nil)
}

// operated is an operation that comes to its end, and one that is cancelled.
func (s stage) operated(ctx context.Context) error {
	thing := simulator.ThingName(busy)
	// The operation restarts the device, which is asked what it runs: the registry is wrong.
	if err := s.call(ctx, "iot", "UpdateThing", map[string]any{"thingName": thing, "attributePayload": map[string]any{
		"attributes": map[string]string{"firmwareVersion": "0.0.0"}, "merge": true}}, nil); err != nil {
		return err
	}
	if err := s.beginOperation(ctx, "operated", thing, 60); err != nil {
		return err
	}
	if err := s.execution(ctx, "operated", thing, "SUCCEEDED"); err != nil {
		return err
	}
	if err := s.until(ctx, "the version in the registry", func() (bool, error) {
		var out struct{ Attributes map[string]string }
		err := s.call(ctx, "iot", "DescribeThing", map[string]string{"thingName": thing}, &out)
		return out.Attributes["firmwareVersion"] == "2.0.0", err
	}); err != nil {
		return err
	}
	if err := s.beginOperation(ctx, "stopped", thing, 60); err != nil {
		return err
	}
	if err := s.execution(ctx, "stopped", thing, "IN_PROGRESS"); err != nil {
		return err
	}
	if err := s.cancel(ctx, "stopped", thing); err != nil {
		return err
	}
	return s.sched.Sleep(ctx, 15*time.Second)
}
