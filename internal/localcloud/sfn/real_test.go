package sfn

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TestExecutionsMoveAtOnce answers tokens, beats and stops executions from many
// goroutines in real time, on disk, and starts again from the same folder.
func TestExecutionsMoveAtOnce(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	sched := scheduler.NewReal()
	w := newWorld(t, sched, db)
	tokens := make(chan string, 1000)
	w.door.Add(awsapi.Service{ID: "lambda", Prefix: "lambda", Operations: []awsapi.Operation{
		awsapi.Op("Invoke", func(_ context.Context, _ *awsapi.Call, in *invokeInput) (*invokeOutput, error) {
			var p struct{ Token string }
			_ = json.Unmarshal(in.Payload, &p)
			tokens <- p.Token
			return &invokeOutput{StatusCode: 200, Payload: []byte("null")}, nil
		}),
	}})
	machine := w.create("m", `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[`+tokenMachine+`,`+strings.ReplaceAll(tokenMachine, `"A"`, `"B"`)+`]}}}`)
	const n = 60
	var all sync.WaitGroup
	arns := make([]string, n)
	for i := range n {
		arns[i] = w.start(machine, "e"+string(rune('0'+i/10))+string(rune('0'+i%10)), `{}`)
	}
	kept := map[string]bool{}
	var mu sync.Mutex
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 2 * n / 8 {
				token := <-tokens
				k, _, _, _ := parseToken(token)
				if k.Name >= "e50" {
					mu.Lock()
					kept[token] = true
					mu.Unlock()
					continue
				}
				if _, err := w.try("SendTaskHeartbeat", map[string]any{"taskToken": token}); err != nil {
					t.Error(err)
				}
				if _, err := w.try("SendTaskSuccess", map[string]any{"taskToken": token, "output": `1`}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	for i := range 50 {
		if s := w.describe(arns[i])["status"]; s != asl.Succeeded {
			t.Fatalf("execution %d: %v", i, s)
		}
	}
	if err := sched.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(dir); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	again := newWorld(t, scheduler.NewReal(), db)
	for token := range kept {
		again.call("SendTaskSuccess", map[string]any{"taskToken": token, "output": `1`})
	}
	for _, arn := range arns[50:] {
		if s := again.describe(arn)["status"]; s != asl.Succeeded {
			t.Fatal(s)
		}
	}
	if r := again.svc.Residue(context.Background()); len(r) != 0 {
		t.Fatal(r)
	}
}
