package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// A second operation, whole: restart a device, and see that it came back. This is
// all that one takes beside a state machine.

const restart event.Step = "RESTART"

func reboot() event.Flow {
	return event.Flow{
		Operation: "reboot", Commands: []event.Step{restart}, Phases: map[event.Step]string{restart: "Restart"},
		Played: "Reboot.Duplicate", Unfit: "Reboot.NotEligible", Succeeded: "REBOOT_SUCCESS", Failed: "REBOOT_FAIL",
		Plan: func(document json.RawMessage) (event.Plan, error) {
			var d struct{ Minutes int }
			if err := json.Unmarshal(document, &d); err != nil || d.Minutes < 1 {
				return event.Plan{}, errors.New("minutes is a whole number from 1")
			}
			return event.Plan{Document: document, Timeouts: json.RawMessage(`{"answerSeconds":60}`),
				Lasts: time.Duration(d.Minutes) * time.Minute}, nil
		},
		Begin: func(_ context.Context, t event.Turn, _ event.StepInput) (event.Move, error) {
			key := event.StepKey(t.Execution, t.Step, t.Tries[t.Step])
			return event.Move{
				Send: "Device.Reboot() " + key, Once: true, State: json.RawMessage(`{}`),
				Commands: map[string]string{key: "Device.Reboot()"},
			}, nil
		},
		Continue: func(t event.Turn, ev event.DeviceEvent) (event.Move, error) {
			switch {
			case ev.Kind == event.KindBooted:
				return event.Move{Done: map[string]string{"cause": ev.Cause},
					Learnt: map[string]string{"rebootedAt": ev.At.Format(time.RFC3339)}}, nil
			case ev.Kind == event.KindAnswer && t.Now.Sub(ev.At) < time.Second:
				return event.Move{Later: true}, nil
			case ev.Kind == event.KindAnswer && ev.Answer.Fault != nil:
				return event.Move{Failed: event.Refusal(ev.Answer.Fault.Code, ev.Answer.Fault.Text)}, nil
			}
			return event.Move{Ignore: true}, nil
		},
		Judge: func(in event.FinalizeInput, _ event.DeviceState) (event.Conclusion, error) {
			if in.Failure == nil {
				return event.Conclusion{Status: event.StatusSucceeded}, nil
			}
			name := event.ErrorName(in.Failure.Error)
			return event.Conclusion{Reason: name, Status: name.Status()}, nil
		},
	}
}

// rebooting is a rig that knows both operations.
func rebooting(t *testing.T) *rig {
	r := newRig(t)
	flows, err := event.NewFlows(r.flow(), reboot())
	r.must(err)
	r.Starter.Flows, r.Steps.Flows, r.Inbox.Flows = flows, flows, flows
	r.greeted()
	return r
}

func TestASecondFlowIsPlayedBesideTheFirst(t *testing.T) {
	r := rebooting(t)
	owner := event.JobOwner("restart-all")
	s, err := r.Offer(t.Context(), "rg-1", owner, 1, json.RawMessage(`{"operation":"reboot","minutes":5}`))
	if err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	c := r.load().Claim
	if c.Operation != "reboot" || c.Owner != owner || c.Deadline.Sub(r.now) != 5*time.Minute {
		t.Errorf("claimed %+v", c)
	}
	// Another operation's job waits for the device.
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBusy {
		t.Errorf("beside it: %+v, %v", s, err)
	}
	r.log = nil
	in := event.NewExecutionInput(owner, "rg-1", 1, "reboot", event.Plan{})
	taken, err := r.Await(t.Context(), step(in, restart, "tok"))
	if err != nil || taken != workflow.TakenSent {
		t.Fatal(taken, err)
	}
	r.expect("asked", "send rg-1 Device.Reboot() "+event.StepKey(in.Execution, restart, 1))
	got, err := r.Record(t.Context(), event.Inbound{
		Thing: "rg-1", Endpoint: "os::1", Event: event.DeviceEvent{Kind: event.KindBooted, Thing: "rg-1",
			At: r.now.Add(time.Minute), Cause: "RemoteReboot"},
	})
	if err != nil || got.Fate != workflow.FateResumed || got.Owner != owner {
		t.Errorf("got %+v, %v", got, err)
	}
	r.expect("back", "succeed tok")
	d, _, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in})
	r.must(err)
	if d.State.Facts["rebootedAt"] == "" {
		t.Errorf("learnt %v", d.State.Facts)
	}
	if got := r.store.Residue(); !slices.Equal(got, []string{"rg-1 PENDING#fw-2"}) {
		t.Errorf("left %q", got)
	}
}

// TestAnAnswerThatIsEarlyComesAgain: a conversation cannot wait, and the queue can.
func TestAnAnswerThatIsEarlyComesAgain(t *testing.T) {
	r := rebooting(t)
	owner := event.JobOwner("restart-all")
	_, err := r.Offer(t.Context(), "rg-1", owner, 1, json.RawMessage(`{"operation":"reboot","minutes":5}`))
	r.must(err)
	in := event.NewExecutionInput(owner, "rg-1", 1, "reboot", event.Plan{})
	_, err = r.Await(t.Context(), step(in, restart, "tok"))
	r.must(err)
	id := event.MessagePrefix(in.Execution, restart, 1) + "operate@1"
	refused := event.Inbound{Thing: "rg-1", Endpoint: "os::1", Event: event.DeviceEvent{Kind: event.KindAnswer,
		Thing: "rg-1", At: r.now, Answer: &event.Answer{MessageID: id, Fault: &event.Fault{Code: 7027}}}}
	r.log = nil
	got, err := r.Record(t.Context(), refused)
	if !errors.Is(err, workflow.ErrAgain) || got.Fate != workflow.FateIgnored {
		t.Errorf("at once: %+v, %v", got, err)
	}
	r.expect("nothing is done")
	r.now = r.now.Add(2 * time.Second)
	if got, err := r.Record(t.Context(), refused); err != nil || got.Fate != workflow.FateResumed {
		t.Errorf("when it comes again: %+v, %v", got, err)
	}
}

func TestADocumentChoosesItsFlow(t *testing.T) {
	r := rebooting(t)
	for document, want := range map[string]workflow.Start{
		`{"operation":"self-destruct"}`: workflow.StartForeign, `{}`: workflow.StartForeign,
		`nonsense`:               workflow.StartForeign,
		`{"operation":"reboot"}`: workflow.StartRefused,
	} {
		s, err := r.Offer(t.Context(), "rg-1", fw2, 1, json.RawMessage(document))
		if err != nil || s.Did != want || (s.Refused != nil) != (want == workflow.StartRefused) {
			t.Errorf("%s: %+v, %v", document, s, err)
		}
	}
	r.expect("only an unfit document is anybody's", "reject Reboot.NotEligible",
		"report fw-2 REJECTED Reboot.NotEligible")
	r.clean("documents that start nothing")
}
