package sfn

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// standing makes one of everything that the service stores: executions that
// wait for a token, a worker, a time, a job and the children of a Map Run, one
// that has failed and may be redriven, versions, an alias, tags.
func standing(t *testing.T) *world {
	w := virtual(t)
	w.invoke = func(name string, p map[string]any) (any, *string) {
		if strings.HasSuffix(name, "broken") {
			kind := "Unhandled"
			return map[string]any{"errorType": "Broken", "errorMessage": "no"}, &kind
		}
		return map[string]any{}, nil
	}
	ask := w.create("ask", callbackMachine)
	w.start(ask, "asks", `{"device":"rg-1"}`)
	w.call("TagResource", map[string]any{"resourceArn": ask, "tags": []map[string]any{{"key": "Stack", "value": "a"}}})
	v := w.call("PublishStateMachineVersion", map[string]any{"stateMachineArn": ask,
		"description": "first"})["stateMachineVersionArn"]
	w.call("CreateStateMachineAlias", map[string]any{"name": "live",
		"routingConfiguration": []map[string]any{{"stateMachineVersionArn": v, "weight": 100}}})
	activity := w.call("CreateActivity", map[string]any{"name": "hands"})["activityArn"].(string)
	w.start(w.create("work", `{"StartAt":"Work","States":{"Work":{"Type":"Task","Resource":"`+activity+`","End":true}}}`), "works", `{"n":1}`)
	w.start(w.create("both", `{"StartAt":"Both","States":{"Both":{"Type":"Parallel","End":true,"Branches":[
	 {"StartAt":"Rest","States":{"Rest":{"Type":"Wait","Seconds":3600,"End":true}}},
	 {"StartAt":"Name","States":{"Name":{"Type":"Pass","Assign":{"who.$":"$.device"},"Next":"Nap"},"Nap":{"Type":"Wait","Seconds":60,"End":true}}}]}}}`), "rests", `{"device":"rg-2"}`)
	w.start(w.create("each", `{"StartAt":"Each","States":{"Each":{"Type":"Map","Label":"Each","MaxConcurrency":1,"ToleratedFailureCount":1,
	 "ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"Rest","States":{"Rest":{"Type":"Wait","Seconds":600,"End":true}}},"End":true}}}`), "runs", `[1,2]`)
	w.start(w.create("outer", `{"StartAt":"Start","States":{"Start":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync:2",
	 "Parameters":{"StateMachineArn":"`+ask+`","Name":"inner","Input":{}},"End":true}}}`), "starts", `{}`)
	w.start(w.create("fails", `{"StartAt":"Call","States":{"Call":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:111111111111:function:broken","End":true}}}`), "failed", `{}`)
	w.sched.RunFor(2 * time.Second)
	return w
}

// stored writes all rows of a store as lines of key and value, quoted.
func stored(t *testing.T, db *store.DB) string {
	t.Helper()
	var b strings.Builder
	err := db.View(func(tx *store.Tx) error {
		for pair, err := range tx.Range(nil, []byte{0xff}, false) {
			if err != nil {
				return err
			}
			parts, err := store.ParseKey(pair.Key)
			if err != nil {
				return err
			}
			for i := range parts {
				parts[i] = strconv.Quote(parts[i])
			}
			fmt.Fprintf(&b, "%s = %s\n", strings.Join(parts, " "), strconv.Quote(string(pair.Value)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// restored is a store of the rows of a golden file.
func restored(t *testing.T, name string) *store.DB {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	db := store.Memory()
	err = db.Update(func(tx *store.Tx) error {
		for line := range strings.Lines(string(text)) {
			keys, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
			var parts []string
			for keys != "" {
				q, err := strconv.QuotedPrefix(keys)
				if err != nil {
					return err
				}
				part, err := strconv.Unquote(q)
				if err != nil {
					return err
				}
				parts, keys = append(parts, part), strings.TrimPrefix(keys[len(q):], " ")
			}
			v, err := strconv.Unquote(value)
			if err != nil || !ok {
				return fmt.Errorf("%s: %q is no row: %w", name, line, err)
			}
			if err := tx.Set(store.Key(parts...), []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestStoredFormIsGolden: what changes here needs a new version of its table,
// and a way to read the one before.
func TestStoredFormIsGolden(t *testing.T) {
	const name = "testdata/stored/form-1.txt"
	got := stored(t, standing(t).db)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		gots, wants := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range max(len(gots), len(wants)) {
			if i >= len(gots) || i >= len(wants) || gots[i] != wants[i] {
				t.Fatalf("the stored form has changed, from row %d on:\n got %s\nwant %s", i+1, at(gots, i),
					at(wants, i))
			}
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

// TestStoredFormsOfOldAreTakenUp: a store of an older version goes on where it
// was. form-0 was recorded before tables had versions.
func TestStoredFormsOfOldAreTakenUp(t *testing.T) {
	for _, name := range []string{"form-0", "form-1"} {
		t.Run(name, func(t *testing.T) {
			db := restored(t, "testdata/stored/"+name+".txt")
			w := newWorld(t, scheduler.NewVirtual(8, time.Date(2026, 11, 1, 0, 0, 2, 0, time.UTC)), db)
			w.sched.OnFailure(func(what string, err error) { t.Errorf("%s: %v", what, err) })
			w.invoke = func(string, map[string]any) (any, *string) { return "mended", nil }
			execution := func(machine, name string) string { return w.svc.arn("execution", machine+":"+name) }
			if got := w.call("DescribeStateMachineAlias",
				map[string]any{"stateMachineAliasArn": w.svc.arn("stateMachine",
					"ask:live")}); got["routingConfiguration"] == nil {
				t.Errorf("alias %v", got)
			}
			if tags := w.call("ListTagsForResource", map[string]any{"resourceArn": w.svc.arn("stateMachine",
				"ask")})["tags"].([]any); len(tags) != 1 {
				t.Errorf("tags %v", tags)
			}
			for _, name := range []string{"asks", "inner"} {
				_, o, _, err := w.svc.load(key{"ask", name})
				if err != nil || o == nil {
					t.Fatalf("execution %s: %v, %v", name, o, err)
				}
				w.call("SendTaskSuccess", map[string]any{"taskToken": o.Snapshot.Root.Token, "output": `"by token"`})
			}
			task := w.call("GetActivityTask", map[string]any{"activityArn": w.svc.arn("activity", "hands")})
			w.call("SendTaskSuccess", map[string]any{"taskToken": task["taskToken"], "output": `"by hand"`})
			w.call("RedriveExecution", map[string]any{"executionArn": execution("fails", "failed")})
			w.sched.RunFor(2 * time.Hour)
			for _, c := range []struct{ machine, name, output string }{
				{"ask", "asks", `{"got":"by token"}`}, {"ask", "inner", `{"got":"by token"}`}, {"work", "works", `"by hand"`},
				{"both", "rests", `[{"device":"rg-2"},{"device":"rg-2"}]`}, {"each", "runs", `[1,2]`}, {"fails", "failed", `"mended"`}, {"outer", "starts", ""},
			} {
				got := w.describe(execution(c.machine, c.name))
				if got["status"] != "SUCCEEDED" || c.output != "" && got["output"] != c.output {
					b, _ := json.Marshal(got)
					t.Errorf("%s of %s: %s", c.name, c.machine, b)
				}
			}
			if left := w.svc.Residue(t.Context()); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}
