package script_test

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/script"
)

// Conversations are played as tables: what is heard, and what is done about it.

const controller = "self::fleetstep"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// exchange is one turn: after so many seconds something is heard.
type exchange struct {
	after float64
	hears event.DeviceEvent
	does  string
}

// conversation is a task from its beginning.
type conversation struct {
	task  string
	away  bool
	tries int // before this one
	does  string
	turns []exchange
}

func (c conversation) play(t *testing.T) {
	t.Helper()
	flow := script.New("test", controller)
	now := noon
	turn := event.Turn{
		Thing: "rg-1", Execution: "x", Step: "Ask", Messages: "m-", Tries: map[event.Step]int{"Ask": c.tries + 1},
		Now:    now,
		Device: event.DeviceState{Endpoint: "os::1", Connected: !c.away},
	}
	raw := json.RawMessage(c.task)
	move, err := flow.Begin(t.Context(), turn, event.StepInput{Step: "Ask", Results: raw})
	if err != nil {
		t.Fatal(err)
	}
	if got := tell(move); got != c.does {
		t.Fatalf("begins with %s\nwant %s", got, c.does)
	}
	for i, e := range c.turns {
		if move.State != nil {
			turn.State = move.State
		}
		now = now.Add(time.Duration(e.after * float64(time.Second)))
		turn.Now = now
		if e.hears.At.IsZero() {
			e.hears.At = now
		}
		if move, err = flow.Continue(turn, e.hears); err != nil {
			t.Fatal(err)
		}
		if got := tell(move); got != e.does {
			t.Fatalf("turn %d: %s\nwant %s", i+1, got, e.does)
		}
		if e.hears.Kind == event.KindBooted && !move.Ignore && move.Takes == "" && !move.KeepNews {
			t.Errorf("turn %d: a restart that the task does not take is kept from others", i+1)
		}
		if move.Send != nil && (move.State == nil || !move.Once) {
			t.Errorf("turn %d: a request is not in the memory before it is sent", i+1)
		}
	}
}

// tell writes a move.
func tell(m event.Move) string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	objects := func(list []device.Object) string {
		var all []string
		for _, o := range list {
			for _, s := range o.Settings {
				all = append(all, o.Path+s.Param+"="+s.Value)
			}
		}
		return strings.Join(all, " ")
	}
	switch {
	case m.Ignore:
		return "ignores"
	case m.Away:
		return "waits for the device"
	case m.Later:
		return "comes again"
	case m.Failed != nil:
		return fmt.Sprintf("fails %s %d", m.Failed.Name, m.Failed.Code)
	case m.Done != nil:
		b, err := json.Marshal(m.Done)
		if err != nil {
			return err.Error()
		}
		if m.Takes != "" {
			return "takes " + m.Takes + " done " + string(b)
		}
		return "done " + string(b)
	case m.Send == nil:
		return "waits"
	}
	if m.Gate {
		add("gate")
	}
	switch r := m.Send.(type) {
	case *device.Get:
		add("%s get %s", r.ID, strings.Join(r.Paths, " "))
	case *device.Set:
		add("%s set %s", r.ID, objects(r.Objects))
	case *device.Add:
		add("%s add all=%t %s", r.ID, r.All, objects(r.Objects))
	case *device.Delete:
		add("%s delete %s", r.ID, strings.Join(r.Paths, " "))
	case *device.Operate:
		var args []string
		for k, v := range r.Args {
			args = append(args, k+"="+v)
		}
		sort.Strings(args)
		add("%s operate %s %s", r.ID, r.Command, strings.Join(args, " "))
	}
	return strings.TrimSpace(strings.Join(out, " "))
}

func shows(id string, params ...string) event.DeviceEvent {
	a := &event.Answer{MessageID: "m-" + id, Params: map[string]string{}}
	for i := 0; i+1 < len(params); i += 2 {
		a.Params[params[i]] = params[i+1]
	}
	return event.DeviceEvent{Kind: event.KindAnswer, Answer: a}
}

func fault(id string, code int) event.DeviceEvent {
	return event.DeviceEvent{Kind: event.KindAnswer, Answer: &event.Answer{MessageID: "m-" + id,
		Fault: &event.Fault{Code: code, Text: "no"}}}
}

func results(id string, list ...event.Result) event.DeviceEvent {
	return event.DeviceEvent{Kind: event.KindAnswer, Answer: &event.Answer{MessageID: "m-" + id, Results: list}}
}

func missing(id, path string, code int) event.DeviceEvent {
	ev := shows(id)
	ev.Answer.Missing = map[string]event.Fault{path: {Code: code, Text: "no"}}
	return ev
}

var connected = event.DeviceEvent{Kind: event.KindConnected}

func booted(id, key string) event.DeviceEvent {
	return event.DeviceEvent{Kind: event.KindBooted, ID: id, Path: device.BootEvent, Cause: "RemoteReboot",
		CommandKey: key}
}

func at(s int, ev event.DeviceEvent) event.DeviceEvent {
	ev.At = noon.Add(time.Duration(s) * time.Second)
	return ev
}

func early(ev event.DeviceEvent) event.DeviceEvent { ev.At = noon.Add(-time.Minute); return ev }

func plays(t *testing.T, list map[string]conversation) {
	t.Helper()
	for name, c := range list {
		t.Run(name, c.play)
	}
}

func TestGet(t *testing.T) {
	const task = `{"task":"GET","context":{},"paths":["Device.A.B","Device.C."]}`
	const partly = `{"task":"GET","paths":["Device.A.B","Device.C."],"allowPartial":true}`
	const asks = "m-get@1 get Device.A.B Device.C."
	const again = "m-get@2 get Device.A.B Device.C."
	plays(t, map[string]conversation{
		"answered":         {task: task, does: asks, turns: []exchange{{1, shows("get@1", "Device.A.B", "x"), `done {"parameters":{"Device.A.B":"x"}}`}}},
		"of nothing there": {task: task, does: asks, turns: []exchange{{1, event.DeviceEvent{Kind: event.KindAnswer, Answer: &event.Answer{MessageID: "m-get@1"}}, `done {"parameters":{}}`}}},
		"refused": {task: task, does: asks,
			turns: []exchange{{1, fault("get@1", 7006), "fails Device.Refused 7006"}}},
		"a path is not there": {task: task, does: asks, turns: []exchange{
			{1, missing("get@1", "Device.A.B", 7026), "fails Device.Refused 7026"}}},
		"a path is not there, and need not be": {task: partly, does: asks, turns: []exchange{
			{1, missing("get@1", "Device.A.B", 7026), `done {"parameters":{},"missing":{"Device.A.B":{"code":7026,"text":"no"}}}`}}},
		"its answer is lost": {task: task, does: asks, turns: []exchange{
			{1, connected, again}, {0, early(connected), "ignores"}, {1, shows("get@2"), `done {"parameters":{}}`}}},
		"the answer to its first request comes after all": {task: task, does: asks, turns: []exchange{
			{1, connected, again}, {1, shows("get@1", "Device.A.B", "x"), `done {"parameters":{"Device.A.B":"x"}}`}}},
		"the device restarts": {task: task, does: asks, turns: []exchange{{1, booted("n", ""), again}}},
		// By the broker's clock it came back before the request.
		"its answer is lost in this moment": {task: task, does: asks, turns: []exchange{
			{0, event.DeviceEvent{Kind: event.KindConnected, At: noon.Add(-300 * time.Millisecond)}, again}}},
		"it restarted before": {task: task, does: asks, turns: []exchange{{1, early(booted("n", "")), "ignores"},
			{0, early(connected), "ignores"}}},
		"the device is away": {task: task, away: true, does: "waits for the device",
			turns: []exchange{{100, connected, asks}}},
		"other news": {task: task, does: asks,
			turns: []exchange{{1, event.DeviceEvent{Kind: event.KindEvent, Path: "Device.X!"}, "ignores"}}},
		"an answer of another": {task: task, does: asks, turns: []exchange{{1, shows("get"), "ignores"},
			{1, shows("set@7"), "ignores"}}},
		"an answer that is too large": {task: task, does: asks, turns: []exchange{
			{1, shows("get@1", "Device.A.B", strings.Repeat("x", 250<<10)), "fails Task.TooLarge 0"}}},
	})
	many := conversation{task: task, does: asks}
	for n := 2; n <= 100; n++ {
		many.turns = append(many.turns, exchange{1, connected, fmt.Sprintf("m-get@%d get Device.A.B Device.C.", n)})
	}
	many.turns = append(many.turns, exchange{1, connected, "fails Device.NoReport 0"})
	plays(t, map[string]conversation{"a device that comes and goes": many})
}

func TestSet(t *testing.T) {
	const task = `{"task":"SET","parameters":{"Device.A.X":1,"Device.A.Y":true,"Device.B.Z":"z"}}`
	const sets = "gate m-set@1 set Device.A.X=1 Device.A.Y=true Device.B.Z=z"
	const reads = "m-look@2 get Device.A.X Device.A.Y Device.B.Z"
	const sends = "gate m-set@3 set Device.A.X=1 Device.A.Y=true Device.B.Z=z"
	const done = `done {"parameters":{"Device.A.X":"1","Device.A.Y":"true","Device.B.Z":"z"}}`
	ok := []event.Result{{Path: "Device.A.", Objects: []string{"Device.A."}},
		{Path: "Device.B.", Objects: []string{"Device.B."}}}
	plays(t, map[string]conversation{
		"written": {task: task, does: sets, turns: []exchange{{1, results("set@1", ok...), done}}},
		"one is refused (11g)": {task: task, does: sets,
			turns: []exchange{{1, event.DeviceEvent{Kind: event.KindAnswer, Answer: &event.Answer{
				MessageID: "m-set@1", Fault: &event.Fault{Code: 7004},
				Results: []event.Result{{Path: "Device.A.X", Fault: &event.Fault{Code: 7012}}},
			}}, "fails Device.Refused 7012"}}},
		"an object is not there (11h)": {task: task, does: sets,
			turns: []exchange{{1, fault("set@1", 7016), "fails Device.Refused 7016"}}},
		"a unique key is taken": {task: task, does: sets,
			turns: []exchange{{1, fault("set@1", 7025), "fails Device.Refused 7025"}}},
		"a search matches nothing (11h)": {task: `{"task":"SET","parameters":{"Device.A.[N==\"x\"].P":"v"}}`,
			does:  `gate m-set@1 set Device.A.[N=="x"].P=v`,
			turns: []exchange{{1, results("set@1", event.Result{Path: "Device.A.[]."}), "fails Device.Refused 7016"}}},
		"its answer is lost, and it was written": {task: task, does: sets, turns: []exchange{
			{1, connected, reads}, {1, shows("look@2", "Device.A.X", "1", "Device.A.Y", "1", "Device.B.Z", "z"),
				done}}},
		"it is lost": {task: task, does: sets, turns: []exchange{
			{1, connected, reads}, {1, shows("look@2", "Device.A.X", "1", "Device.A.Y", "0", "Device.B.Z", "z"),
				sends},
			{1, results("set@3", ok...), done}}},
		"it is lost, and a value is missing": {task: task, does: sets, turns: []exchange{
			{1, booted("n", ""), reads}, {1, shows("look@2", "Device.A.X", "1"), sends}}},
		"the look is lost too": {task: task, does: sets, turns: []exchange{
			{1, connected, reads}, {1, connected, "m-look@3 get Device.A.X Device.A.Y Device.B.Z"}}},
		"the look is refused": {task: task, does: sets, turns: []exchange{{1, connected, reads},
			{1, fault("look@2", 7006), sends}}},
		"tried before": {task: task, tries: 1, does: "m-look@1 get Device.A.X Device.A.Y Device.B.Z",
			turns: []exchange{
				{1, shows("look@1", "Device.A.X", "1", "Device.A.Y", "true", "Device.B.Z", "z"), done}}},
		"with a wildcard, lost": {task: `{"task":"SET","parameters":{"Device.A.*.P":"v"}}`, does: "gate m-set@1 set Device.A.*.P=v", turns: []exchange{
			{1, connected, "m-look@2 get Device.A.*.P"},
			{1, shows("look@2", "Device.A.1.P", "v", "Device.A.2.P", "w"), "gate m-set@3 set Device.A.*.P=v"},
			{1, connected, "m-look@4 get Device.A.*.P"},
			{1, shows("look@4", "Device.A.1.P", "v", "Device.A.2.P", "v"), `done {"parameters":{"Device.A.*.P":"v"}}`}}},
		"it undoes": {task: `{"task":"SET","parameters":{"Device.A.X":"1"},"undoes":true}`, does: "m-set@1 set Device.A.X=1"},
		"the device is away": {task: task, away: true, does: "waits for the device", turns: []exchange{
			{9, event.DeviceEvent{Kind: event.KindEvent}, "ignores"}, {9, connected, sets}}},
		// Whoever was to send the look died: the news that led to it comes again.
		"a function died before it sent": {task: task, tries: 1, does: "m-look@1 get Device.A.X Device.A.Y Device.B.Z",
			turns: []exchange{
				{1, shows("look@1"), strings.Replace(sets, "@1", "@2", 1)},
				{0, shows("look@1"), "ignores"}, // a device that says everything twice
				{3, shows("look@1"), "m-look@3 get Device.A.X Device.A.Y Device.B.Z"}}},
	})
}

func TestAdd(t *testing.T) {
	const task = `{"task":"ADD","objects":[{"path":"Device.T.","parameters":{"ID":"a","V":1},"keys":["ID"]}]}`
	const looks = `m-look@1 get Device.T.[ID=="a"].`
	const adds = "gate m-add@2 add all=true Device.T.ID=a Device.T.V=1"
	const looksAgain = `m-look@3 get Device.T.[ID=="a"].`
	made := results("add@2", event.Result{Path: "Device.T.", Objects: []string{"Device.T.7."}})
	const two = `{"task":"ADD","objects":[{"path":"Device.T.","parameters":{"ID":"a"},"keys":["ID"]},{"path":"Device.U.","parameters":{"W":"w"}}]}`
	const blind = `{"task":"ADD","objects":[{"path":"Device.U.","parameters":{"W":"w"}}]}`
	plays(t, map[string]conversation{
		"made": {task: task, does: looks, turns: []exchange{{1, shows("look@1"), adds}, {1, made, `done {"objects":[{"path":"Device.T.7."}]}`}}},
		"there": {task: task, does: looks, turns: []exchange{
			{1, shows("look@1", "Device.T.3.ID", "a", "Device.T.4.ID", "b"), `done {"objects":[{"path":"Device.T.3.","existed":true}]}`}}},
		"its answer is lost, and it was made": {task: task, does: looks, turns: []exchange{
			{1, shows("look@1"), adds}, {1, connected, looksAgain}, {1, shows("look@3", "Device.T.7.ID", "a"), `done {"objects":[{"path":"Device.T.7."}]}`}}},
		"it is lost": {task: task, does: looks, turns: []exchange{
			{1, shows("look@1"), adds}, {1, connected, looksAgain},
			{1, shows("look@3"), strings.Replace(adds, "@2", "@4", 1)}}},
		"the look is lost": {task: task, does: looks,
			turns: []exchange{{1, connected, strings.Replace(looks, "@1", "@2", 1)}}},
		"the look is refused": {task: task, does: looks,
			turns: []exchange{{1, fault("look@1", 7026), "fails Device.Refused 7026"}}},
		"refused": {task: task, does: looks, turns: []exchange{{1, shows("look@1"), adds}, {1, results("add@2",
			event.Result{Path: "Device.T.V", Fault: &event.Fault{Code: 7012}}), "fails Device.Refused 7012"}}},
		"somebody was quicker": {task: task, does: looks, turns: []exchange{
			{1, shows("look@1"), adds}, {1, fault("add@2", 7025), looksAgain},
			{1, shows("look@3", "Device.T.9.ID", "a"), `done {"objects":[{"path":"Device.T.9."}]}`}}},
		"another key is taken": {task: task, does: looks, turns: []exchange{
			{1, shows("look@1"), adds}, {1, fault("add@2", 7025), looksAgain},
			{1, shows("look@3"), strings.Replace(adds, "@2", "@4", 1)},
			{1, fault("add@4", 7025), "fails Device.Refused 7025"}}},
		"one is there, the other is made": {task: two, does: looks, turns: []exchange{
			{1, shows("look@1", "Device.T.1.ID", "a"), "gate m-add@2 add all=true Device.U.W=w"},
			{1, results("add@2", event.Result{Objects: []string{"Device.U.2."}}),
				`done {"objects":[{"path":"Device.T.1.","existed":true},{"path":"Device.U.2."}]}`}}},
		"without keys": {task: blind, does: "m-look@1 get " + device.Requests, turns: []exchange{
			{1, shows("look@1"), "gate m-add@2 add all=true Device.U.W=w"},
			{1, connected, "m-look@3 get " + device.Requests}, {1, shows("look@3"), "fails Device.NoReport 0"}}},
		"without keys, taken": {task: blind, does: "m-look@1 get " + device.Requests, turns: []exchange{
			{1, shows("look@1"), "gate m-add@2 add all=true Device.U.W=w"},
			{1, fault("add@2", 7025), "fails Device.Refused 7025"}}},
		"the device does not tell what it made": {task: task, does: looks, turns: []exchange{
			{1, shows("look@1"), adds}, {1, results("add@2"), "fails Device.NoReport 0"}}},
		"other news": {task: task, does: looks, turns: []exchange{{1, event.DeviceEvent{Kind: event.KindEvent},
			"ignores"}}},
	})
}

func TestDelete(t *testing.T) {
	const keyed = `{"task":"DELETE","objects":[{"path":"Device.T.","keys":{"ID":"a"}}]}`
	const row = `{"task":"DELETE","objects":[{"path":"Device.T.3."}]}`
	const all = `{"task":"DELETE","objects":[{"path":"Device.T.*."}]}`
	const looks, deletes = `m-look@1 get Device.T.[ID=="a"].`, `gate m-delete@2 delete Device.T.[ID=="a"].`
	const looksAgain = `m-look@3 get Device.T.[ID=="a"].`
	gone := results("delete@2", event.Result{Objects: []string{"Device.T.3."}})
	there := shows("look@3", "Device.T.3.ID", "a")
	plays(t, map[string]conversation{
		"deleted":   {task: keyed, does: looks, turns: []exchange{{1, shows("look@1"), deletes}, {1, gone, `done {"objects":[{"path":"Device.T.3."}]}`}}},
		"not there": {task: keyed, does: looks, turns: []exchange{{1, shows("look@1"), deletes}, {1, results("delete@2", event.Result{}), `done {"objects":[]}`}}},
		"refused": {task: keyed, does: looks, turns: []exchange{{1, shows("look@1"), deletes},
			{1, fault("delete@2", 7024), "fails Device.Refused 7024"}}},
		"look denied": {task: keyed, does: looks,
			turns: []exchange{{1, fault("look@1", 7006), "fails Device.Refused 7006"}}},
		"its answer is lost": {task: keyed, does: looks, turns: []exchange{
			{1, shows("look@1"), deletes}, {1, connected, looksAgain}, {1, shows("look@3"), `done {"objects":[]}`}}},
		"it is lost": {task: keyed, does: looks, turns: []exchange{
			{1, shows("look@1"), deletes}, {1, connected, looksAgain},
			{1, there, strings.Replace(deletes, "@2", "@4", 1)}}},
		"by number, lost": {task: row, does: "m-look@1 get Device.T.3.", turns: []exchange{
			{1, missing("look@1", "Device.T.3.", 7026), "gate m-delete@2 delete Device.T.3."},
			{1, connected, "m-look@3 get Device.T.3."},
			{1, missing("look@3", "Device.T.3.", 7026), `done {"objects":[]}`}}},
		"by number, and the number is there": {task: row, does: "m-look@1 get Device.T.3.", turns: []exchange{
			{1, shows("look@1"), "gate m-delete@2 delete Device.T.3."}, {1, connected, "m-look@3 get Device.T.3."},
			{1, there, "fails Device.NoReport 0"}}},
		"all rows, lost": {task: all, does: "m-look@1 get Device.T.*.", turns: []exchange{
			{1, shows("look@1"), "gate m-delete@2 delete Device.T.*."}, {1, connected, "m-look@3 get Device.T.*."},
			{1, there, "gate m-delete@4 delete Device.T.*."}}},
		"the look is lost": {task: row, does: "m-look@1 get Device.T.3.",
			turns: []exchange{{1, connected, "m-look@2 get Device.T.3."}}},
		"other news": {task: row, does: "m-look@1 get Device.T.3.",
			turns: []exchange{{1, event.DeviceEvent{Kind: event.KindEvent}, "ignores"}}},
	})
}
