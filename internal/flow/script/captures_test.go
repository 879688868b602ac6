package script_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/script"
	"github.com/fleetstep/fleetstep/internal/recordings"
)

// What a controller once asked a real agent is asked again, as a task, and the agent's
// own answers are given to it.

// capture is one recording, in the order of its packets.
type capture []struct {
	Packet, Dir, Topic string
	PayloadHex         string `json:"payload_hex"`
	Message            struct {
		Header struct {
			ID   string          `json:"msg_id"`
			Type json.RawMessage `json:"msg_type"`
		}
		Body struct {
			Request  request
			Response struct {
				Get struct {
					Paths []struct {
						Code     int `json:"err_code"`
						Resolved []struct {
							Params map[string]string `json:"result_params"`
						} `json:"resolved_path_results"`
					} `json:"req_path_results"`
				} `json:"get_resp"`
				Operate struct {
					Results []struct {
						Failure struct {
							Code int `json:"err_code"`
						} `json:"cmd_failure"`
					} `json:"operation_results"`
				} `json:"operate_resp"`
				Set struct {
					Results []struct {
						Status struct {
							Success struct {
								Instances []any `json:"updated_inst_results"`
							} `json:"oper_success"`
						} `json:"oper_status"`
					} `json:"updated_obj_results"`
				} `json:"set_resp"`
			}
			Error struct {
				Code   int `json:"err_code"`
				Params []struct {
					Code int `json:"err_code"`
				} `json:"param_errs"`
			}
		}
	} `json:"msg"`
}

type settings []struct {
	Param, Value string
	Required     bool
}

type request struct {
	Get struct {
		Paths    []string `json:"param_paths"`
		MaxDepth int      `json:"max_depth"`
	}
	Set struct {
		Partial bool `json:"allow_partial"`
		Objects []struct {
			Path     string   `json:"obj_path"`
			Settings settings `json:"param_settings"`
		} `json:"update_objs"`
	}
	Add struct {
		Partial bool `json:"allow_partial"`
		Objects []struct {
			Path     string   `json:"obj_path"`
			Settings settings `json:"param_settings"`
		} `json:"create_objs"`
	}
	Delete struct {
		Paths []string `json:"obj_paths"`
	}
	Operate struct {
		Command  string            `json:"command"`
		Key      string            `json:"command_key"`
		Answered bool              `json:"send_resp"`
		Args     map[string]string `json:"input_args"`
	}
}

// task is a request as a state would hand it over; "" if no state can ask it so.
func (r request) task() string {
	write := func(task map[string]any) string {
		b, err := json.Marshal(task)
		if err != nil {
			return ""
		}
		return string(b)
	}
	values := func(s settings, prefix string) map[string]any {
		all := map[string]any{}
		for _, p := range s {
			if !p.Required { // a task's are
				return nil
			}
			all[prefix+p.Param] = p.Value
		}
		return all
	}
	switch {
	case len(r.Get.Paths) > 0 && r.Get.MaxDepth == 0:
		return write(map[string]any{"task": "GET", "paths": r.Get.Paths, "allowPartial": true})
	case len(r.Set.Objects) > 0 && !r.Set.Partial:
		all := map[string]any{}
		for _, o := range r.Set.Objects {
			of := values(o.Settings, o.Path)
			if len(of) == 0 {
				return ""
			}
			for k, v := range of {
				all[k] = v
			}
		}
		return write(map[string]any{"task": "SET", "parameters": all})
	case len(r.Add.Objects) == 1 && !r.Add.Partial:
		o := r.Add.Objects[0]
		params := values(o.Settings, "")
		if len(params) == 0 {
			return ""
		}
		object := map[string]any{"path": o.Path, "parameters": params}
		if params["ID"] != nil {
			object["keys"] = []string{"ID"}
		}
		return write(map[string]any{"task": "ADD", "objects": []any{object}})
	case len(r.Delete.Paths) > 0:
		var objects []any
		for _, p := range r.Delete.Paths {
			objects = append(objects, map[string]any{"path": p})
		}
		return write(map[string]any{"task": "DELETE", "objects": objects})
	case r.Operate.Command != "" && r.Operate.Answered:
		task := map[string]any{"task": "OPERATE", "command": r.Operate.Command, "arguments": r.Operate.Args}
		if r.Operate.Command == "Device.Reboot()" {
			task["endsWith"] = "Boot!"
		}
		return write(task)
	}
	return ""
}

// TestWhatARealAgentSaid: every request of the captures that is a task comes to the end
// that the agent's answer says.
func TestWhatARealAgentSaid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings.Dir(t, "tasks put to a real agent", "usp/captures"),
		"*.json"))
	if err != nil {
		t.Fatal(err)
	}
	played, right := map[string]int{}, 0
	total := 0
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var raw []json.RawMessage
		if err := json.Unmarshal(b, &raw); err != nil {
			t.Fatal(name, err)
		}
		c := make(capture, len(raw))
		for i := range raw { // what does not decode is no request, and no answer to one
			if one := (capture{c[i]}); json.Unmarshal([]byte("["+string(raw[i])+"]"), &one) == nil {
				c[i] = one[0]
			}
		}
		for at, p := range c {
			task := p.Message.Body.Request.task()
			if p.Dir != "controller->agent" || task == "" {
				continue
			}
			kind, did := replay(t, c, at, task, filepath.Base(name))
			if kind == "" {
				continue
			}
			total++
			played[kind]++
			if did {
				right++
			}
		}
	}
	for kind, least := range map[string]int{"GET": 100, "SET": 15, "ADD": 20, "DELETE": 5, "OPERATE": 50} {
		if played[kind] < least {
			t.Errorf("%d of %s were played, want %d or more", played[kind], kind, least)
		}
	}
	recordings.Count(t, "tasks put to a real agent", right, total)
}

// replay plays one request; kind is "" where it is not one of a task, or was not
// answered.
func replay(t *testing.T, c capture, at int, task, file string) (kind string, right bool) {
	t.Helper()
	id := c[at].Message.Header.ID
	var answer *event.DeviceEvent
	var later []event.DeviceEvent // what was told after it, of its command
	want := 0
	ended := false
	for _, p := range c[at:] {
		if p.Dir != "agent->controller" {
			continue
		}
		ev, ok := heard(t, p.Topic, p.PayloadHex)
		switch {
		case !ok:
		case answer == nil && ev.Kind == event.KindAnswer && ev.Answer.MessageID == id:
			answer = &ev
			body := p.Message.Body
			want = body.Error.Code
			for _, e := range body.Error.Params {
				want = e.Code
				break
			}
			for _, r := range body.Response.Operate.Results {
				want = max(want, r.Failure.Code)
			}
			if results := body.Response.Set.Results; len(results) > 0 &&
				len(results[0].Status.Success.Instances) == 0 {
				want = 7016
			}
		case answer != nil && ev.CommandKey != "" && ev.CommandKey == c[at].Message.Body.Request.Operate.Key:
			later = append(later, ev)
			ended = ended || ev.Kind == event.KindCommandComplete || ev.Kind == event.KindBooted &&
				strings.Contains(task, "Boot!")
		}
	}
	if answer == nil {
		return "", false
	}
	flow := script.New("test", controller)
	turn := event.Turn{
		Thing: "rg-1", Execution: "x", Step: "Ask", Messages: "m-", Tries: map[event.Step]int{"Ask": 1}, Now: noon,
		Device: event.DeviceState{Endpoint: "os::1", Connected: true},
	}
	move, err := flow.Begin(t.Context(), turn, event.StepInput{Step: "Ask", Results: json.RawMessage(task)})
	if err != nil {
		t.Fatal(err)
	}
	if move.Failed != nil && move.Failed.Name == script.TaskInvalid {
		return "", false // a path that no task takes: a search for a command, a syntax error
	}
	kind = strings.Split(task, `"task":"`)[1]
	kind = kind[:strings.Index(kind, `"`)]
	fail := func(format string, args ...any) (string, bool) {
		t.Errorf("%s: %s\n%s", file, task, fmt.Sprintf(format, args...))
		return kind, false
	}
	hear := func(ev event.DeviceEvent) {
		if move.State != nil {
			turn.State = move.State
		}
		var next event.Move
		if next, err = flow.Continue(turn, ev); err != nil {
			t.Fatal(err)
		}
		if !next.Ignore {
			move = next
		}
	}
	answered := false
	for range 8 {
		switch r := move.Send.(type) {
		case *device.Get:
			if kind == "GET" {
				hear(as(*answer, r.ID))
				break
			}
			look := shows(strings.TrimPrefix(r.ID, "m-"))
			if kind == "OPERATE" {
				needed := to(boot)
				if !strings.Contains(task, "endsWith") {
					needed = to(boot, device.EndOf(c[at].Message.Body.Request.Operate.Command))
				}
				look = subscribed(strings.TrimPrefix(r.ID, "m-"), needed)
			}
			hear(look)
		case *device.Set:
			hear(as(*answer, r.ID))
		case *device.Add:
			hear(as(*answer, r.ID))
		case *device.Delete:
			hear(as(*answer, r.ID))
		case *device.Operate:
			if answered {
				return fail("the command is given twice")
			}
			answered = true
			hear(as(*answer, r.ID))
		}
		if move.Ends() {
			break
		}
		if kind == "OPERATE" && answered && move.Send == nil {
			for _, ev := range later {
				ev.CommandKey, ev.At = key, noon.Add(1)
				if !move.Ends() {
					hear(ev)
				}
			}
			break
		}
	}
	switch {
	case !move.Ends() && kind == "OPERATE" && want == 0 && !ended:
		return kind, true // nobody was told of its end: it waits
	case !move.Ends():
		return fail("does not end: %s, want %d; then %+v", tell(move), want, later)
	case want == 7005 && kind == "OPERATE":
		if move.Failed == nil || move.Failed.Name != event.DeviceBusy {
			return fail("ends with %s, want Device.Busy", tell(move))
		}
	case want != 0:
		if move.Failed == nil || move.Failed.Code != want {
			return fail("ends with %s, want USP code %d", tell(move), want)
		}
	case move.Failed != nil:
		told := 0
		for _, ev := range later {
			if ev.Fault != nil {
				told = ev.Fault.Code
			}
		}
		if move.Failed.Name != script.CommandFailed || move.Failed.Code != told {
			return fail("ends with %s", tell(move))
		}
	case kind == "GET":
		var got script.Got
		if err := json.Unmarshal(move.Done.(json.RawMessage), &got); err != nil {
			return fail("%v", err)
		}
		if len(got.Parameters) != len(answer.Answer.Params) || len(got.Missing) != len(answer.Answer.Missing) {
			return fail("got %d and %d missing, of %d and %d", len(got.Parameters), len(got.Missing),
				len(answer.Answer.Params), len(answer.Answer.Missing))
		}
	}
	return kind, true
}

// as is a recorded answer to a request of another id.
func as(ev event.DeviceEvent, id string) event.DeviceEvent {
	a := *ev.Answer
	a.MessageID = id
	ev.Answer, ev.At = &a, noon
	return ev
}

// heard is what a recorded packet says.
func heard(t *testing.T, topic, payload string) (event.DeviceEvent, bool) {
	t.Helper()
	b, err := hex.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	topics := device.Topics{Agent: "usp/agent/{thing}/in", Controller: "usp/controller/{controller}/from/{thing}"}
	in, err := device.Read(event.DeviceMessage{
		Topic: topic, ThingName: "cpe-0001", ClientID: "cpe-0001", Record: base64.StdEncoding.EncodeToString(b),
	}, topics, "self::controller-1")
	return in.Event, err == nil
}
