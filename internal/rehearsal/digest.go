package rehearsal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// ending is what the executions of a job that is over came to.
type ending struct {
	executions  []byte                       // SHA-256 of all, by machine and name
	transitions map[string]trial.Transitions // of those that succeeded, by machine
}

// ending reads the executions and their histories, once.
func (w *world) ending(ctx context.Context) (*ending, error) {
	if w.ended != nil {
		return w.ended, nil
	}
	machines, err := w.raw(ctx, "sfn", "ListStateMachines", map[string]any{})
	if err != nil {
		return nil, err
	}
	var list struct {
		StateMachines []struct{ StateMachineArn string }
	}
	if err := json.Unmarshal(machines, &list); err != nil {
		return nil, err
	}
	end := &ending{transitions: map[string]trial.Transitions{}}
	h := sha256.New()
	for _, m := range list.StateMachines {
		var executions []localcloud.Execution
		for e, err := range w.cloud.Executions(ctx, m.StateMachineArn) {
			if err != nil {
				return nil, err
			}
			executions = append(executions, e)
		}
		slices.SortFunc(executions, func(a, b localcloud.Execution) int { return cmp.Compare(a.Name, b.Name) })
		t, err := w.readAll(ctx, executions, h)
		if err != nil {
			return nil, err
		}
		end.transitions[m.StateMachineArn] = t
	}
	end.executions = h.Sum(nil)
	w.ended = end
	return end, nil
}

// readAll writes the SHA-256 of each execution and its history to h, in their
// order. Time has come to its end, so that several may be read at once.
func (w *world) readAll(ctx context.Context, executions []localcloud.Execution,
	h io.Writer) (t trial.Transitions, err error) {
	type result struct {
		sum   [sha256.Size]byte
		kinds []string
		err   error
	}
	results := make([]result, len(executions))
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(executions) {
					return
				}
				r := &results[i]
				r.sum, r.kinds, r.err = w.readOne(ctx, executions[i])
			}
		})
	}
	group.Wait()
	for i, r := range results {
		if r.err != nil {
			return t, r.err
		}
		if executions[i].Status == "SUCCEEDED" {
			t.Add(slices.Values(r.kinds))
		}
		_, _ = h.Write(r.sum[:]) // a hash always takes it
	}
	return t, nil
}

// readOne returns the SHA-256 of an execution and its history, and the types of
// its events.
func (w *world) readOne(ctx context.Context,
	e localcloud.Execution) (sum [sha256.Size]byte, kinds []string, err error) {
	h := sha256.New()
	if err := line(h, e); err != nil {
		return sum, nil, err
	}
	for event, err := range w.cloud.History(ctx, e.ExecutionARN) {
		if err != nil {
			return sum, nil, err
		}
		if err := line(h, event); err != nil {
			return sum, nil, err
		}
		kinds = append(kinds, event.Type)
	}
	return [sha256.Size]byte(h.Sum(nil)), kinds, nil
}

// digest is the SHA-256, in hex, of what a job came to, as JSON documents:
// every execution by name, with its history (the hash of each); the job; every
// device in order, with its facts, its thing and its job execution.
func (w *world) digest(job string) (string, error) {
	ctx := context.Background()
	end, err := w.ending(ctx)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(end.executions)
	if err := w.write(ctx, h, "iot", "DescribeJob", map[string]any{"jobId": job}); err != nil {
		return "", err
	}
	for _, facts := range w.fleet.Facts() {
		if err := line(h, facts); err != nil {
			return "", err
		}
		if err := w.write(ctx, h, "iot", "DescribeThing", map[string]any{"thingName": facts.Thing}); err != nil {
			return "", err
		}
		err := w.write(ctx, h, "iot", "DescribeJobExecution", map[string]any{"thingName": facts.Thing, "jobId": job})
		if err != nil && localcloud.ErrorCode(err) != "ResourceNotFoundException" { // the job did not get that far
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func line(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// output is what an operation answers to the account's root.
func (w *world) output(ctx context.Context, service, operation string, in any) (any, error) {
	out, err := w.cloud.Call(ctx, w.cloud.Root(), service, operation, in)
	if err != nil {
		return nil, fmt.Errorf("rehearsal: %s:%s: %w", service, operation, err)
	}
	return out, nil
}

// raw is output as JSON.
func (w *world) raw(ctx context.Context, service, operation string, in any) ([]byte, error) {
	out, err := w.output(ctx, service, operation, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// write writes output as a line.
func (w *world) write(ctx context.Context, to io.Writer, service, operation string, in any) error {
	out, err := w.output(ctx, service, operation, in)
	if err != nil {
		return err
	}
	return line(to, out)
}
