package script_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/script"
)

func TestTasksThatAreNone(t *testing.T) {
	for task, want := range map[string][]string{
		`[]`:                  {"cannot unmarshal"},
		`{"task":1}`:          {"cannot unmarshal"},
		`{"task":"FINALIZE"}`: {`task is "FINALIZE"`},
		`{"task":"GET"}`:      {"GET needs paths", "GET of nothing"},
		`{"task":"GET","paths":["Device.A!","x","Device.*.B"],"undoes":true}`: {`"Device.A!"`, `"x"`, "undoes is no member of GET"},
		`{"task":"SET","parameters":{"Device.A.":"x"}}`:                       {`"Device.A." is not the path of parameter`},
		`{"task":"SET","parameters":{"Device.A":null}}`:                       {"null is neither text nor a number nor a boolean"},
		`{"task":"SET","parameters":{"Device.A":[1]}}`:                        {"[1] is neither"},
		`{"task":"ADD","objects":[{"path":"Device.T.*.","parameters":{"A":1},"keys":["B"]}]}`: {
			"must name one object", "key B of Device.T.*. is not among"},
		`{"task":"ADD","objects":[{"path":"Device.T.","keys":{"B":"1"}}]}`:      {"keys of Device.T. are names"},
		`{"task":"ADD","objects":[]}`:                                           {"ADD of nothing"},
		`{"task":"DELETE","objects":[{"path":"Device.T.","keys":["B"]}]}`:       {"is deleted by its path, or by keys with their values"},
		`{"task":"DELETE","objects":[{"path":"Device.T.B"}]}`:                   {`"Device.T.B" is not the path of object`},
		`{"task":"DELETE","objects":[{"path":"Device.T.*.","keys":{"B":"1"}}]}`: {"must name one object"},
		`{"task":"OPERATE"}`: {"OPERATE needs command"},
		`{"task":"OPERATE","command":"Device.X.*.Do()","endsWith":"Never"}`: {"must name one command", `endsWith "Never"`},
		`{"task":"AWAIT"}`: {"AWAIT needs one of"},
		`{"task":"AWAIT","event":"Device.A","valueChange":"Device.B!","presence":"gone","where":{"a":"b"},"value":"x"}`: {
			"AWAIT needs one of", `"Device.A" is not the path of event`, `"Device.B!" is not the path of parameter`, `presence "gone"`},
		`{"task":"AWAIT","presence":"connected","where":{"a":"b"},"value":"x"}`: {"where goes with event", "value goes with valueChange"},
	} {
		turn := event.Turn{Step: "Ask", Tries: map[event.Step]int{"Ask": 1}}
		move, err := script.New("test", controller).Begin(t.Context(), turn,
			event.StepInput{Results: json.RawMessage(task)})
		if err != nil || move.Failed == nil || move.Failed.Name != script.TaskInvalid {
			t.Errorf("%s: %+v, %v", task, move, err)
			continue
		}
		for _, words := range want {
			if !strings.Contains(move.Failed.Detail, words) {
				t.Errorf("%s: %q does not say %q", task, move.Failed.Detail, words)
			}
		}
	}
}

func TestPlan(t *testing.T) {
	flow := script.New("set-parameters", controller)
	if flow.Succeeded != "SET_PARAMETERS_SUCCESS" || flow.Failed != "SET_PARAMETERS_FAIL" ||
		flow.Operation != "set-parameters" {
		t.Errorf("is called %+v", flow)
	}
	for doc, want := range map[string]time.Duration{
		`{"operation":"x"}`: 24 * time.Hour, `{"timeouts":{"jobMinutes":90}}`: 90 * time.Minute,
		`{"timeouts":{"jobMinutes":-1}}`: 0, `[]`: 0,
	} {
		p, err := flow.Plan(json.RawMessage(doc))
		if (err != nil) != (want == 0) || p.Lasts != want || err == nil && string(p.Document) != doc {
			t.Errorf("%s: %+v, %v", doc, p, err)
		}
	}
}

func TestJudge(t *testing.T) {
	flow := script.New("test", controller)
	caught := func(name, cause string) *event.Caught { return &event.Caught{State: "Ask", Error: name, Cause: cause} }
	for name, c := range map[string]struct {
		end     string
		failure *event.Caught
		away    bool
		want    event.Conclusion
	}{
		"a success":           {end: `{"task":"FINALIZE"}`, want: event.Conclusion{Status: event.StatusSucceeded}},
		"a success with more": {end: `{"outcome":"SUCCEEDED","details":{"a":1},"attributes":{"b":"c"}}`, want: event.Conclusion{Status: event.StatusSucceeded, Details: map[string]string{"a": "1"}, Attributes: map[string]string{"b": "c"}}},
		"its author's reason": {end: `{"reason":"Verify.Mismatch","detail":"d"}`, want: event.Conclusion{Status: event.StatusFailed, Reason: "Verify.Mismatch", Detail: "d"}},
		"rejected":            {end: `{"outcome":"REJECTED","reason":"My.Own"}`, want: event.Conclusion{Status: event.StatusRejected, Reason: "My.Own"}},
		"refused": {failure: caught("Device.Refused", " 7012 no "),
			want: event.Conclusion{Status: event.StatusRejected, Reason: event.DeviceRefused, Detail: "7012 no"}},
		"refused, and failed": {end: `{"outcome":"FAILED"}`, failure: caught("Device.Refused", ""), want: event.Conclusion{Status: event.StatusFailed, Reason: event.DeviceRefused}},
		"a reason beside what was caught": {end: `{"reason":"My.Own"}`, failure: caught("Device.Refused", "x"),
			want: event.Conclusion{Status: event.StatusFailed, Reason: "My.Own"}},
		"no answer": {failure: caught("States.Timeout", ""), want: event.Conclusion{Status: event.StatusFailed,
			Reason: event.DeviceNoReport, Detail: "connected, and no answer in time in state Ask"}},
		"away": {failure: caught("States.HeartbeatTimeout", ""), away: true,
			want: event.Conclusion{Status: event.StatusFailed, Reason: event.DeviceOffline,
				Detail: "away, and not back in time in state Ask"}},
		"ours": {failure: caught("Lambda.Unknown", "x"), end: `{"outcome":"FAILED"}`,
			want: event.Conclusion{Status: event.StatusCanceled, Reason: event.ControllerFailed,
				Detail: "Lambda.Unknown in state Ask x"}},
		"no task": {failure: caught("Task.Invalid", "x"), want: event.Conclusion{Status: event.StatusCanceled,
			Reason: script.TaskInvalid, Detail: "x"}},
		"played": {failure: caught("Operation.Duplicate", ""), want: event.Conclusion{Status: event.StatusRejected,
			Reason: script.OperationDuplicate}},
		"a long cause": {failure: caught("Command.Failed", strings.Repeat("x", 2000)),
			want: event.Conclusion{Status: event.StatusFailed, Reason: script.CommandFailed,
				Detail: strings.Repeat("x", 1000)}},
	} {
		in := event.FinalizeInput{Failure: c.failure, Results: json.RawMessage(c.end)}
		got, err := flow.Judge(in, event.DeviceState{Connected: !c.away})
		if err != nil || got.Status != c.want.Status || got.Reason != c.want.Reason || got.Detail != c.want.Detail ||
			!maps.Equal(got.Details, c.want.Details) || !maps.Equal(got.Attributes, c.want.Attributes) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	for end, detail := range map[string]string{
		`[]`: "FINALIZE: json: cannot unmarshal array", `{"outcome":"DONE"}`: `FINALIZE: outcome "DONE" is none of`,
		`{"reason":"no good"}`:                 `FINALIZE: reason "no good" is not`,
		`{"attributes":{"endpointId":"os-x"}}`: "FINALIZE: attributes: endpointId says which device",
	} {
		in := event.FinalizeInput{Results: json.RawMessage(end), Failure: caught("Device.Refused", "")}
		got, err := flow.Judge(in, event.DeviceState{})
		if err != nil || got.Status != event.StatusCanceled || got.Reason != script.TaskInvalid ||
			!strings.HasPrefix(got.Detail, detail) || len(got.Attributes) > 0 {
			t.Errorf("%s: %+v, %v", end, got, err)
		}
	}
}

func TestAMemoryThatCannotBeRead(t *testing.T) {
	_, err := script.New("test", controller).Continue(event.Turn{State: json.RawMessage(`[`)}, event.DeviceEvent{})
	if err == nil {
		t.Error("it was read")
	}
}

// What a state hands over with its context is read from there.
func TestTheContextTellsWhoAsks(t *testing.T) {
	const context = `{"Execution":{"Id":"arn","Input":{"jobId":"j","thingName":"rg-1","execution":"e","operation":"test"},` +
		`"Name":"e","StartTime":"2026-11-22T12:00:00.5Z","RedriveCount":1},` +
		`"State":{"Name":"Ask it","EnteredTime":"2026-11-22T12:00:01.25Z","RetryCount":%},"StateMachine":{"Id":"m","Name":"n"},"Task":{"Token":"tok"}}`
	read := func(retries string) (in event.StepInput) {
		payload := `{"task":"GET","context":` + strings.Replace(context, "%", retries, 1) + `,"paths":["Device.A"]}`
		if err := json.Unmarshal([]byte(payload), &in); err != nil {
			t.Fatal(err)
		}
		return in
	}
	first, third := read("0"), read("2")
	if first.Step != "Ask it" || first.TaskToken != "tok" || first.Input.ThingName != "rg-1" ||
		first.Input.Job != "j" || len(first.Results) == 0 {
		t.Errorf("read %+v", first)
	}
	if first.Attempt >= third.Attempt || event.EntryOf(first.Attempt) != event.EntryOf(third.Attempt) ||
		first.Attempt == "" {
		t.Errorf("attempts %q, %q", first.Attempt, third.Attempt)
	}
	var end event.FinalizeInput
	payload := `{"task":"FINALIZE","context":` + strings.Replace(context, "%", "3", 1) + `,"failure":{"error":"X.Y"}}`
	if err := json.Unmarshal([]byte(payload), &end); err != nil {
		t.Fatal(err)
	}
	if end.Tries != 3 || end.Redrives != 1 || end.StartedAt != "2026-11-22T12:00:00.5Z" ||
		end.Input.Execution != "e" || end.Failure.Error != "X.Y" {
		t.Errorf("read %+v", end)
	}
}
