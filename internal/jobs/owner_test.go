package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// library is Documents.
type library struct {
	documents map[event.JobID]string
	err       error
	asked     int
}

func (l *library) Document(_ context.Context, id event.JobID) (json.RawMessage, error) {
	l.asked++
	if d, ok := l.documents[id]; ok || l.err != nil {
		return json.RawMessage(d), l.err
	}
	return nil, jobs.ErrNotFound
}

func TestJobsAreToldApartByTheirDocuments(t *testing.T) {
	nothing := func(context.Context, event.Turn, event.StepInput) (event.Move, error) { return event.Move{}, nil }
	flows, err := event.NewFlows(event.Flow{
		Operation: "wash", Played: "a", Unfit: "b", Succeeded: "c", Failed: "d", Begin: nothing,
		Plan:     func(json.RawMessage) (event.Plan, error) { return event.Plan{}, nil },
		Continue: func(event.Turn, event.DeviceEvent) (event.Move, error) { return event.Move{}, nil },
		Judge: func(event.FinalizeInput, event.DeviceState) (event.Conclusion, error) {
			return event.Conclusion{}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &library{documents: map[event.JobID]string{
		"ours": `{"operation":"wash","owner":"s"}`, "by-hand": `{"operation":"wash"}`,
		"theirs": `{"operation":"wash","owner":"other"}`, "strange": `{"do":"it"}`,
	}}
	r := jobs.NewRegister(l, flows.Of("s"))
	for range 2 {
		for id, want := range map[event.JobID]jobs.Whose{
			"ours": jobs.Ours, "by-hand": jobs.Ours, "theirs": jobs.Others, "strange": jobs.Others,
		} {
			if got, err := r.Whose(t.Context(), id); err != nil || got != want {
				t.Errorf("%s: %v, %v", id, got, err)
			}
		}
	}
	if l.asked != 4 {
		t.Errorf("four jobs were looked up %d times", l.asked)
	}
	if got, err := r.Whose(t.Context(), "gone"); err != nil || got != jobs.Unknown {
		t.Errorf("gone: %v, %v", got, err)
	}
	l.err = errors.New("throttled")
	if _, err := r.Whose(t.Context(), "later"); !errors.Is(err, l.err) {
		t.Errorf("an error: %v", err)
	}
	l.err = nil
	for i := range 2000 { // what is forgotten is looked up again
		id := event.JobID(fmt.Sprint(i))
		l.documents[id] = l.documents["ours"]
		if got, err := r.Whose(t.Context(), id); err != nil || got != jobs.Ours {
			t.Fatalf("%s: %v, %v", id, got, err)
		}
	}
	if got, err := r.Whose(t.Context(), "theirs"); err != nil || got != jobs.Others {
		t.Errorf("theirs, later: %v, %v", got, err)
	}
}
