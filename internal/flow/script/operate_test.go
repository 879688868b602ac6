package script_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/script"
)

var key = event.StepKey("x", "Ask", 1)

// subscribed is the answer to a look of an agent that has Subscriptions, in rows from 4
// on, as they should be but for what is changed.
func subscribed(id string, needed []device.Subscription, changed ...string) event.DeviceEvent {
	missing := device.CompareSubscriptions(controller, &event.Answer{}, needed)
	var params []string
	for n, row := range missing.Add {
		for _, set := range row.Settings {
			params = append(params, fmt.Sprintf("%s%d.%s", device.Subscriptions, n+4, set.Param), set.Value)
		}
	}
	return shows(id, append(params, changed...)...)
}

func to(list ...device.Subscription) []device.Subscription { return list }

var boot = device.NewsOf(device.BootEvent)

func running(id, command, key string, more ...string) event.DeviceEvent {
	return shows(id, append(more, device.Requests+"1.Command", command, device.Requests+"1.CommandKey", key,
		device.Requests+"1.Status", "Active")...)
}

func complete(key string, fault *event.Fault) event.DeviceEvent {
	return event.DeviceEvent{Kind: event.KindCommandComplete, ID: "c", CommandKey: key, Output: map[string]string{
		"Took": "3",
	}, Fault: fault}
}

func TestOperate(t *testing.T) {
	const command = "Device.IP.Diagnostics.IPPing()"
	const task = `{"task":"OPERATE","command":"Device.IP.Diagnostics.IPPing()","arguments":{"Host":"a","NumberOfRepetitions":3}}`
	const looks = "m-news@1 get " + device.Subscriptions + " " + device.Requests
	const traces = "m-trace@3 get " + device.Requests + " " + device.UpTime
	const gives = "gate m-operate@2 operate " + command + " Host=a NumberOfRepetitions=3"
	end := device.EndOf(command)
	ready := exchange{1, subscribed("news@1", to(end, boot)), gives}
	accepted := exchange{1, results("operate@2", event.Result{Path: command, Request: "Device.LocalAgent.Request.1"}),
		"waits"}
	done := `done {"commandKey":"` + key + `","output":{"Took":"3"}}`
	plays(t, map[string]conversation{
		"synchronous": {task: task, does: looks, turns: []exchange{ready,
			{1, results("operate@2", event.Result{Path: command, Output: map[string]string{"Took": "3"}}), done}}},
		"asynchronous": {task: task, does: looks, turns: []exchange{ready, accepted,
			{9, complete(key, nil), done}}},
		"its end comes before its answer": {task: task, does: looks,
			turns: []exchange{ready, {1, complete(key, nil), done}}},
		"it fails": {task: task, does: looks, turns: []exchange{ready, accepted,
			{1, complete(key, &event.Fault{Code: 7022}), "fails Command.Failed 7022"}}},
		"the end of another": {task: task, does: looks, turns: []exchange{
			{1, complete(key, nil), "ignores"}, ready, accepted, {1, complete("fs-other", nil), "ignores"}}},
		"refused": {task: task, does: looks,
			turns: []exchange{ready, {1, results("operate@2", event.Result{Fault: &event.Fault{Code: 7027}}),
				"fails Device.Refused 7027"}}},
		"refused whole": {task: task, does: looks, turns: []exchange{ready, {1, fault("operate@2", 7026),
			"fails Device.Refused 7026"}}},
		"matches nothing": {task: task, does: looks,
			turns: []exchange{ready, {1, results("operate@2"), "fails Device.Refused 7016"}}},
		"busy": {task: task, does: looks, turns: []exchange{ready,
			{1, results("operate@2", event.Result{Fault: &event.Fault{Code: 7005}}), traces},
			{1, running("trace@3", command, "another"), "fails Device.Busy 0"}}},
		"busy with its own copy (07a)": {task: task, does: looks, turns: []exchange{ready,
			{1, results("operate@2", event.Result{Fault: &event.Fault{Code: 7005}}), traces},
			{1, running("trace@3", command, key), "waits"}, {1, complete(key, nil), done}}},
		"the answer of a copy (07a)": {task: task, does: looks, turns: []exchange{ready, accepted,
			{1, results("operate@2", event.Result{Fault: &event.Fault{Code: 7005}}), "ignores"}}},
		"the look is lost": {task: task, does: looks,
			turns: []exchange{{1, connected, strings.Replace(looks, "@1", "@2", 1)}}},
		"the look is refused": {task: task, does: looks,
			turns: []exchange{{1, fault("news@1", 7006), "fails Device.Refused 7006"}}},
		"the answer is lost, and it runs": {task: task, does: looks, turns: []exchange{ready,
			{1, connected, traces}, {1, running("trace@3", command, key), "waits"}, {1, complete(key, nil), done}}},
		"the answer is lost, and nothing shows it": {task: task, does: looks, turns: []exchange{ready,
			{1, connected, traces}, {1, shows("trace@3"), "comes again"},
			{8.5, shows("trace@3"), "comes again"}, {0.5, shows("trace@3"), strings.Replace(traces, "@3", "@4", 1)},
			{1, shows("trace@4"), "fails Device.NoReport 0"}}},
		"the command arrives after the first look": {task: task, does: looks, turns: []exchange{ready,
			{1, connected, traces}, {0.1, shows("trace@3"), "comes again"}, {3, complete(key, nil), done}}},
		"the command is at work after the first look": {task: task, does: looks, turns: []exchange{ready,
			{1, connected, traces}, {0.1, shows("trace@3"), "comes again"},
			{10, shows("trace@3"), strings.Replace(traces, "@3", "@4", 1)},
			{1, running("trace@4", command, key), "waits"}, {1, complete(key, nil), done}}},
		"the trace is lost": {task: task, does: looks, turns: []exchange{ready,
			{1, connected, traces}, {1, connected, strings.Replace(traces, "@3", "@4", 1)}}},
		"the trace is refused": {task: task, does: looks, turns: []exchange{ready, {1, connected, traces},
			{1, fault("trace@3", 7006), "fails Device.Refused 7006"}}},
		"the answer comes late": {task: task, does: looks, turns: []exchange{ready, {1, connected, traces}, accepted,
			{1, shows("trace@3"), "ignores"}, {1, complete(key, nil), done}}},
		"a restart ended it (07b)": {task: task, does: looks, turns: []exchange{ready, accepted,
			{1, booted("b", ""), traces}, {0, complete(key, &event.Fault{Code: 7022}), "fails Command.Failed 7022"}}},
		"it goes on after a restart (07c)": {task: task, does: looks, turns: []exchange{ready, accepted,
			{1, booted("b", ""), traces}, {1, running("trace@3", command, key), "waits"},
			{1, complete(key, nil), done}}},
		"a restart before it": {task: task, does: looks,
			turns: []exchange{ready, {1, early(booted("b", "")), "ignores"}}},
		"a greeting later": {task: task, does: looks, turns: []exchange{ready, accepted,
			{1, connected, "ignores"}}},
		"the device is away": {task: task, away: true, does: "waits for the device",
			turns: []exchange{{100, connected, looks}}},
		"a function died before it asked again": {task: task, does: looks, turns: []exchange{
			{9, at(8, connected), strings.Replace(looks, "@1", "@2", 1)}, {1, at(8, connected), "ignores"},
			{60, at(8, connected), strings.Replace(looks, "@1", "@3", 1)},
			{60, at(8, connected), strings.Replace(looks, "@1", "@4", 1)}, {60, at(7, connected), "ignores"}}},
		"a function died before it asked for the first time": {task: task, away: true, does: "waits for the device",
			turns: []exchange{{100, at(99, connected), looks},
				{60, at(99, connected), strings.Replace(looks, "@1", "@2", 1)}}},
		"a function died before it gave it": {task: task, does: looks,
			turns: []exchange{ready, {3, subscribed("news@1", to(end, boot)), traces}}},
		"two functions died before they asked": {task: task, does: looks, turns: []exchange{ready,
			{3, subscribed("news@1", to(end, boot)), traces}, {0.1, subscribed("news@1", to(end, boot)), "ignores"},
			{60, subscribed("news@1", to(end, boot)), strings.Replace(traces, "@3", "@4", 1)},
			{0.1, shows("trace@3"), "ignores"}, {1, running("trace@4", command, key), "waits"}}},
	})
}

func TestOperateSubscribes(t *testing.T) {
	const command = "Device.X.2.Do()"
	const task = `{"task":"OPERATE","command":"Device.X.2.Do()"}`
	const looks = "m-news@1 get " + device.Subscriptions + " " + device.Requests
	end := device.EndOf(command)
	if end.Of != "Device.X.*.Do()" {
		t.Errorf("subscribes to %s", end.Of)
	}
	rows := device.CompareSubscriptions(controller, &event.Answer{}, []device.Subscription{end})
	id := rows.Add[0].Settings[1].Value
	row := func(number string, settings ...string) string {
		at := "m-subscribe@" + number + " add all=false"
		for _, s := range rows.Add[0].Settings {
			at += " " + device.Subscriptions + s.Param + "=" + s.Value
		}
		return at
	}
	if len(id) > 64 {
		t.Errorf("the ID %s is longer than 64", id)
	}
	const four = device.Subscriptions + "4."
	plays(t, map[string]conversation{
		"there is none": {task: task, does: looks, turns: []exchange{{1, subscribed("news@1", to(boot)), row("2")},
			{1, results("subscribe@2", event.Result{}), "gate m-operate@3 operate Device.X.2.Do()"}}},
		"one that is added meanwhile": {task: task, does: looks,
			turns: []exchange{{1, subscribed("news@1", to(boot)), row("2")},
				{1, results("subscribe@2", event.Result{Fault: &event.Fault{Code: 7025}}),
					"gate m-operate@3 operate Device.X.2.Do()"}}},
		"one cannot be added": {task: task, does: looks,
			turns: []exchange{{1, subscribed("news@1", to(boot)), row("2")},
				{1, results("subscribe@2", event.Result{Fault: &event.Fault{Code: 7002}}),
					"fails Device.Refused 7002"}}},
		"one is off": {task: task, does: looks, turns: []exchange{
			{1, subscribed("news@1", to(end, boot), four+"Enable", "false"), "m-repair@2 set " + four + "Enable=true"},
			{1, results("repair@2", event.Result{}), "gate m-operate@3 operate Device.X.2.Do()"}}},
		"one is of something else (11g)": {task: task, does: looks, turns: []exchange{
			{1, subscribed("news@1", to(end, boot), four+"ReferenceList", "Device.X.*.Undo()"),
				"m-unsub@2 delete " + four},
			{1, results("unsub@2", event.Result{}), row("3")},
			{1, results("subscribe@3", event.Result{}), "gate m-operate@4 operate Device.X.2.Do()"}}},
		"what asks for it is lost": {task: task, does: looks,
			turns: []exchange{{1, subscribed("news@1", to(boot)), row("2")},
				{1, connected, strings.Replace(looks, "@1", "@3", 1)}}},
	})
}

func TestOperateUntilTheRestart(t *testing.T) {
	const task = `{"task":"OPERATE","command":"Device.Reboot()","endsWith":"Boot!"}`
	const looks = "m-news@1 get " + device.Subscriptions + " " + device.Requests
	const traces = "m-trace@3 get " + device.Requests + " " + device.UpTime
	const tracesAgain = "m-trace@4 get " + device.Requests + " " + device.UpTime
	ready := exchange{1, subscribed("news@1", to(boot)),
		"gate m-operate@2 operate Device.Reboot()"}
	accepted := exchange{1, results("operate@2", event.Result{Output: map[string]string{}}), "waits"}
	done := func(at float64, key2 string) string {
		said := ""
		if key2 != "" {
			said = `"commandKey":"` + key2 + `",`
		}
		return `takes b done {"commandKey":"` + key + `","output":{},"boot":{"cause":"RemoteReboot",` + said + `"firmwareUpdated":false,"at":"` +
			noon.Add(time.Duration(at)*time.Second).Format(time.RFC3339) + `"}}`
	}
	plays(t, map[string]conversation{
		"it restarts": {task: task, does: looks, turns: []exchange{ready, accepted,
			{8, booted("b", key), done(10, key)}}},
		"it does not say by whom": {task: task, does: looks, turns: []exchange{ready, accepted,
			{8, booted("b", ""), done(10, "")}}},
		"the answer is lost": {task: task, does: looks,
			turns: []exchange{ready, {9, booted("b", key), done(10, key)}}},
		"it restarted before": {task: task, does: looks, turns: []exchange{ready, accepted,
			{1, early(booted("a", "")), "ignores"}}},
		"it reconnects first": {task: task, does: looks, turns: []exchange{ready, accepted,
			{7, connected, "ignores"}, {1, booted("b", key), done(10, key)}}},
		"asynchronous, with an end": {task: task, does: looks, turns: []exchange{ready, accepted, {4, complete(key, nil), "waits"}, {4, booted("b", key), strings.Replace(done(10, key), `"output":{}`, `"output":{"Took":"3"}`, 1)}}},
		"asynchronous, and fails": {task: task, does: looks, turns: []exchange{ready, accepted,
			{4, complete(key, &event.Fault{Code: 7022}), "fails Command.Failed 7022"}}},
		"its answer is lost, it is slow": {task: task, does: looks, turns: []exchange{ready, {9, connected, traces},
			{1, shows("trace@3", device.UpTime, "4"), "waits"}, {1, booted("b", key), done(12, key)}}},
		"it is lost": {task: task, does: looks, turns: []exchange{ready, {9, connected, traces},
			{10, shows("trace@3", device.UpTime, "4000"), tracesAgain}, {1, shows("trace@4", device.UpTime, "4001"),
				"fails Device.NoReport 0"}}},
		"the device began a second before it, and its answer waits for the next connection": {task: task, does: looks,
			turns: []exchange{ready, {9, connected, traces}, {11, shows("trace@3", device.UpTime, "10"), tracesAgain},
				{1, shows("trace@4", device.UpTime, "22"), "fails Device.NoReport 0"}}},
		"it restarts by something else": {task: task, does: looks,
			turns: []exchange{ready, {9, booted("a", ""), traces},
				{10, shows("trace@3", device.UpTime, "1"), tracesAgain}, {1, shows("trace@4", device.UpTime, "12"),
					"fails Device.NoReport 0"}}},
		"it restarts by another command, then by this": {task: task, does: looks,
			turns: []exchange{ready, {7, booted("a", "other"), traces}, {2, booted("b", key), done(10, key)}}},
		"taken, and late": {task: task, does: looks, turns: []exchange{ready, {1, connected, traces}, accepted,
			{7, booted("b", key), done(10, key)}}},
	})
}

func TestOperateUntilTheResponse(t *testing.T) {
	const task = `{"task":"OPERATE","command":"Device.X.2.Do()","endsWith":"Response","undoes":true}`
	const looks = "m-news@1 get " + device.Subscriptions + " " + device.Requests
	const traces = "m-trace@3 get " + device.Requests + " " + device.UpTime
	ready := exchange{1, subscribed("news@1", to(boot)), "m-operate@2 operate Device.X.2.Do()"}
	done := `done {"commandKey":"` + key + `","output":{}}`
	plays(t, map[string]conversation{
		"taken": {task: task, does: looks,
			turns: []exchange{ready, {1, results("operate@2", event.Result{Request: "Device.LocalAgent.Request.1"}),
				done}}},
		"look refused": {task: task, does: looks,
			turns: []exchange{{1, fault("news@1", 7006), "fails Device.Refused 7006"}}},
		"it is over then": {task: task, does: looks, turns: []exchange{ready, {1, complete(key, nil), `done {"commandKey":"` + key + `","output":{"Took":"3"}}`}}},
		"lost, and it runs": {task: task, does: looks,
			turns: []exchange{ready, {1, connected, traces}, {1, running("trace@3", "Device.X.2.Do()", key), done}}},
		"lost, and it has restarted the device": {task: task, does: looks,
			turns: []exchange{ready, {9, booted("b", key), done}}},
		"lost, and it has restarted the device, which reconnects first": {task: task, does: looks,
			turns: []exchange{ready, {9, connected, traces}, {1, shows("trace@3", device.UpTime, "4"), "waits"},
				{1, booted("b", key), done}}},
		"lost, and something else has restarted the device": {task: task, does: looks,
			turns: []exchange{ready, {9, booted("b", "other"), traces},
				{10, shows("trace@3", device.UpTime, "1"), strings.Replace(traces, "@3", "@4", 1)},
				{1, shows("trace@4", device.UpTime, "12"), "fails Device.NoReport 0"}}},
	})
}

// TestARestartShowsThatACommandWasTaken: its Boot! has the key of a command whose answer is lost. A command of which
// nothing is at work then, and that was not told as asynchronous, is over.
func TestARestartShowsThatACommandWasTaken(t *testing.T) {
	const task = `{"task":"OPERATE","command":"Device.Reboot()"}`
	const looks = "m-news@1 get " + device.Subscriptions + " " + device.Requests
	const traces = "m-trace@3 get " + device.Requests + " " + device.UpTime
	again := strings.Replace(traces, "@3", "@4", 1)
	ready := exchange{1, subscribed("news@1", to(device.EndOf("Device.Reboot()"), boot)),
		"gate m-operate@2 operate Device.Reboot()"}
	plays(t, map[string]conversation{
		"nothing is at work": {task: task, does: looks, turns: []exchange{ready, {9, booted("b", key), traces},
			{10, shows("trace@3", device.UpTime, "2"), again}, {1, shows("trace@4", device.UpTime, "13"),
				`done {"commandKey":"` + key + `","output":{},"boot":{"cause":"RemoteReboot","commandKey":"` + key +
					`","firmwareUpdated":false,"at":"2026-11-22T12:00:10Z"}}`}}},
		"it is at work": {task: task, does: looks, turns: []exchange{ready, {9, booted("b", key), traces},
			{1, running("trace@3", "Device.Reboot()", key), "waits"},
			{1, complete(key, nil), `done {"commandKey":"` + key + `","output":{"Took":"3"}}`}}},
		"it was told as asynchronous": {task: task, does: looks, turns: []exchange{ready,
			{1, results("operate@2", event.Result{Request: "Device.LocalAgent.Request.1"}), "waits"},
			{9, booted("b", key), traces}, {10, shows("trace@3", device.UpTime, "2"), again},
			{1, shows("trace@4", device.UpTime, "13"), "fails Device.NoReport 0"}}},
	})
}

// TestARetryLooksBeforeItGivesACommandAgain: the try before has seen no trace of its command. If that was carried out
// after all, it is not given a second time: nobody wants a router to restart twice.
func TestARetryLooksBeforeItGivesACommandAgain(t *testing.T) {
	flow := script.New("test", controller)
	key2 := event.StepKey("x", "Ask", 2)
	end := device.EndOf("Device.X.2.Do()")
	done := func(key string) string {
		return `takes b done {"commandKey":"` + key + `","output":{},"boot":{"cause":"RemoteReboot","commandKey":"` + key +
			`","firmwareUpdated":false,"at":"2026-11-22T12:01:02Z"}}`
	}
	// before is the memory of a try that was at its second look when it failed.
	before := func(t *testing.T, endsWith string, booted bool) (json.RawMessage, string) {
		task := `{"task":"OPERATE","command":"Device.X.2.Do()",` + endsWith + `}`
		turn := event.Turn{Execution: "x", Step: "Ask", Messages: "m-", Now: noon, Tries: map[event.Step]int{"Ask": 1},
			Device: event.DeviceState{Endpoint: "os::1", Connected: true}}
		move, err := flow.Begin(t.Context(), turn, event.StepInput{Step: "Ask", Results: json.RawMessage(task)})
		back := connected
		if booted {
			back = event.DeviceEvent{Kind: event.KindBooted, ID: "a", Path: device.BootEvent, CommandKey: "other"}
		}
		for _, ev := range []event.DeviceEvent{subscribed("news@1", to(end, boot)), back,
			shows("trace@3", device.UpTime, "4000")} {
			if err != nil || move.Ends() {
				t.Fatal(tell(move), err)
			}
			turn.State, turn.Now, ev.At = move.State, turn.Now.Add(11*time.Second), turn.Now.Add(time.Second)
			move, err = flow.Continue(turn, ev)
		}
		if err != nil || tell(move) != "m-trace@4 get "+device.Requests+" "+device.UpTime {
			t.Fatal(tell(move), err)
		}
		return move.State, task
	}
	look := func(up string) event.DeviceEvent {
		return subscribed("news@1", to(end, boot), device.UpTime, up)
	}
	type heard struct {
		ev   event.DeviceEvent
		does string
	}
	const again = "gate m-operate@2 operate Device.X.2.Do()"
	for name, c := range map[string]struct {
		endsWith string
		booted   bool // the try before was told of a restart by something else
		turns    []heard
	}{
		"it was lost": {endsWith: `"endsWith":"Boot!"`, turns: []heard{{look("4060"), again}, {booted("b", key2),
			done(key2)}}},
		"it has restarted the device": {endsWith: `"endsWith":"Boot!"`, turns: []heard{{look("20"), "waits"},
			{booted("b", key), done(key)}}},
		"something else has": {endsWith: `"endsWith":"Boot!"`, turns: []heard{{look("20"), "waits"},
			{booted("b", "other"), "m-trace@2 get " + device.Requests + " " + device.UpTime}}},
		"something else has, as the try before knows": {endsWith: `"endsWith":"Boot!"`, booted: true,
			turns: []heard{{look("20"), again}}},
		"its restart is told first": {endsWith: `"endsWith":"Boot!"`, turns: []heard{{booted("b", key), done(key)}}},
		"its restart is told first, and its response was enough": {endsWith: `"endsWith":"Response"`, turns: []heard{
			{booted("b", key), `done {"commandKey":"` + key + `","output":{}}`}}},
		"it is at work": {endsWith: `"arguments":{}`, turns: []heard{
			{running("news@1", "Device.X.2.Do()", key), "waits"},
			{complete(key, nil), `done {"commandKey":"` + key + `","output":{"Took":"3"}}`}}},
		"its end is told first": {endsWith: `"arguments":{}`, turns: []heard{
			{complete(key, nil), `done {"commandKey":"` + key + `","output":{"Took":"3"}}`}}},
		"it was given again, and the first one restarts the device": {endsWith: `"endsWith":"Boot!"`, turns: []heard{
			{look("4060"), again}, {booted("b", key), done(key)}}},
		"it was given again, and the first one ends": {endsWith: `"arguments":{}`, turns: []heard{
			{look("4060"), again}, {complete(key, nil), `done {"commandKey":"` + key + `","output":{"Took":"3"}}`}}},
		"it was given again, and the first one failed": {endsWith: `"arguments":{}`, turns: []heard{
			{look("4060"), again}, {complete(key, &event.Fault{Code: 7022}), "ignores"},
			{complete(key2, nil), `done {"commandKey":"` + key2 + `","output":{"Took":"3"}}`}}},
		"it was given again, and the first one is at work": {endsWith: `"arguments":{}`, turns: []heard{
			{look("4060"), again}, {results("operate@2", event.Result{Fault: &event.Fault{Code: 7005}}),
				"m-trace@3 get " + device.Requests + " " + device.UpTime},
			{running("trace@3", "Device.X.2.Do()", key), "waits"},
			{complete(key, nil), `done {"commandKey":"` + key + `","output":{"Took":"3"}}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			memory, task := before(t, c.endsWith, c.booted)
			turn := event.Turn{Execution: "x", Step: "Ask", Messages: "m-", Now: noon.Add(time.Minute), Before: memory,
				Tries: map[event.Step]int{"Ask": 2}, Device: event.DeviceState{Endpoint: "os::1", Connected: true}}
			move, err := flow.Begin(t.Context(), turn, event.StepInput{Step: "Ask", Results: json.RawMessage(task)})
			if err != nil || tell(move) != "m-news@1 get "+device.Subscriptions+" "+device.Requests+" "+device.UpTime {
				t.Fatal(tell(move), err)
			}
			if move.Commands[key] == "" || move.Commands[key2] == "" {
				t.Errorf("it waits for news of %v", move.Commands)
			}
			for i, h := range c.turns {
				if move.State != nil {
					turn.State = move.State
				}
				h.ev.At = noon.Add(time.Minute + time.Duration(i+1)*time.Second)
				if h.ev.ID == "b" {
					h.ev.At = noon.Add(time.Minute + 2*time.Second)
				}
				turn.Before, turn.Now = nil, h.ev.At
				if move, err = flow.Continue(turn, h.ev); err != nil || tell(move) != h.does {
					t.Fatalf("turn %d: %s, %v\nwant %s", i+1, tell(move), err, h.does)
				}
			}
		})
	}
}

func TestAwait(t *testing.T) {
	const looks = "m-news@1 get " + device.Subscriptions + " " + device.Requests
	ev := func(path string, params map[string]string) event.DeviceEvent {
		return event.DeviceEvent{Kind: event.KindEvent, ID: "e", Path: path, Params: params}
	}
	value := func(v string) event.DeviceEvent {
		return event.DeviceEvent{Kind: event.KindValueChanged, ID: "v", Path: "Device.A.B", Value: v}
	}
	transfer := func(f *event.Fault) event.DeviceEvent {
		return event.DeviceEvent{Kind: event.KindTransferComplete, ID: "t", Path: device.TransferEvent,
			CommandKey: "k", CommandPath: "Device.X()", Fault: f}
	}
	at := func(s int) string { return noon.Add(time.Duration(s) * time.Second).Format(time.RFC3339) }
	const boot = `{"task":"AWAIT","event":"Device.Boot!"}`
	const push = `{"task":"AWAIT","event":"Device.Push!","where":{"Button":"1"}}`
	const change = `{"task":"AWAIT","valueChange":"Device.A.B"}`
	const up = `{"task":"AWAIT","valueChange":"Device.A.B","value":"Up"}`
	const done = `{"task":"AWAIT","event":"Device.LocalAgent.TransferComplete!"}`
	const there = `{"task":"AWAIT","presence":"connected"}`
	ready := func(s device.Subscription) exchange { return exchange{1, subscribed("news@1", to(s)), "waits"} }
	plays(t, map[string]conversation{
		"a restart": {task: boot, does: looks, turns: []exchange{ready(device.NewsOf(device.BootEvent)),
			{1, connected, "ignores"},
			{1, booted("b", "k"), `takes b done {"path":"Device.Boot!","parameters":{"Cause":"RemoteReboot","CommandKey":"k","FirmwareUpdated":"false"},"at":"` + at(3) + `"}`}}},
		"a restart, before it is subscribed to": {task: boot, does: looks, turns: []exchange{
			{1, booted("b", ""), `takes b done {"path":"Device.Boot!","parameters":{"Cause":"RemoteReboot","CommandKey":"","FirmwareUpdated":"false"},"at":"` + at(1) + `"}`}}},
		"an event": {task: push, does: looks, turns: []exchange{ready(device.NewsOf("Device.Push!")),
			{1, booted("b", ""), "ignores"},
			{1, ev("Device.Other!", nil), "ignores"}, {1, ev("Device.Push!", map[string]string{"Button": "2"}),
				"ignores"},
			{1, ev("Device.Push!", map[string]string{"Button": "1"}), `takes e done {"path":"Device.Push!","parameters":{"Button":"1"},"at":"` + at(5) + `"}`}}},
		"a transfer": {task: done, does: looks, turns: []exchange{ready(device.NewsOf(device.TransferEvent)),
			{1, transfer(nil), `takes t done {"path":"Device.LocalAgent.TransferComplete!","parameters":{"Command":"Device.X()","CommandKey":"k","FaultCode":"0"},"at":"` + at(2) + `"}`}}},
		"a transfer that failed": {task: done, does: looks, turns: []exchange{
			{1, transfer(&event.Fault{Code: 7022, Text: "no"}), `takes t done {"path":"Device.LocalAgent.TransferComplete!",` +
				`"parameters":{"Command":"Device.X()","CommandKey":"k","FaultCode":"7022","FaultString":"no"},"at":"` + at(1) + `"}`}}},
		"another value": {task: change, does: looks, turns: []exchange{ready(device.ChangeOf("Device.A.B")),
			{1, value("x"), `takes v done {"path":"Device.A.B","value":"x","at":"` + at(2) + `"}`}}},
		"that value": {task: up, does: looks, turns: []exchange{ready(device.ChangeOf("Device.A.B")),
			{1, value("Down"), "ignores"},
			{1, value("Up"), `takes v done {"path":"Device.A.B","value":"Up","at":"` + at(3) + `"}`}}},
		"it restarts before it is subscribed to": {task: change, does: looks,
			turns: []exchange{{1, booted("b", ""), strings.Replace(looks, "@1", "@2", 1)}}},
		"the look is refused": {task: change, does: looks,
			turns: []exchange{{1, fault("news@1", 7006), "fails Device.Refused 7006"}}},
		"the device, which is there": {task: there, does: `done {"at":"` + at(0) + `"}`},
		"the device, which is away":  {task: there, away: true, does: "waits for the device", turns: []exchange{{7, connected, `done {"at":"` + at(7) + `"}`}}},
		"news, while it is away": {task: change, away: true, does: "waits for the device",
			turns: []exchange{{7, connected, looks}}},
	})
}

// A state of GET runs out of time: the answer to its first try is as good for the next. Another GET, or another
// task, has requests of its own.
func TestAnotherTryReadsOn(t *testing.T) {
	flow := script.New("test", controller)
	const get = `{"task":"GET","paths":["Device.A.B"]}`
	first := event.Turn{Execution: "x", Step: "Ask", Messages: "m-", Now: noon, Tries: map[event.Step]int{"Ask": 1},
		Device: event.DeviceState{Endpoint: "os::1", Connected: true}}
	was, err := flow.Begin(t.Context(), first, event.StepInput{Step: "Ask", Results: json.RawMessage(get)})
	if err != nil {
		t.Fatal(err)
	}
	next := first
	next.Messages, next.Before, next.Asked, next.Now = "m2-", was.State, "m-", noon.Add(time.Minute)
	for task, want := range map[string]string{
		get: "m-", `{"task":"GET","paths":["Device.C"]}`: "", `{"task":"DELETE","objects":[{"path":"Device.A.1."}]}`: "",
		`{"task":"GET","paths":["Device.A.B"],"allowPartial":true}`: "",
	} {
		move, err := flow.Begin(t.Context(), next, event.StepInput{Step: "Ask", Results: json.RawMessage(task)})
		if err != nil || move.Messages != want {
			t.Errorf("%s: goes on with the requests of %q, want %q; %v", task, move.Messages, want, err)
		}
		if task != get {
			continue
		}
		turn := next
		turn.Messages, turn.State = move.Messages, move.State
		if move, err = flow.Continue(turn, shows("get@1", "Device.A.B", "x")); err != nil ||
			tell(move) != `done {"parameters":{"Device.A.B":"x"}}` {
			t.Errorf("%s, %v", tell(move), err)
		}
	}
}

// A function fails, or a state runs out of time, after the command was given: the next try
// of the state goes on with it.
func TestAnotherTryGoesOnWithACommand(t *testing.T) {
	flow := script.New("test", controller)
	begin := func(task string, try int, away bool, before json.RawMessage) (event.Turn, event.Move) {
		t.Helper()
		turn := event.Turn{
			Execution: "x", Step: "Ask", Messages: fmt.Sprintf("m%d-", try), Now: noon, Before: before,
			Tries: map[event.Step]int{"Ask": try}, Device: event.DeviceState{Endpoint: "os::1", Connected: !away},
		}
		move, err := flow.Begin(t.Context(), turn, event.StepInput{Step: "Ask", Results: json.RawMessage(task)})
		if err != nil {
			t.Fatal(err)
		}
		turn.State, turn.Before = move.State, nil
		return turn, move
	}
	hear := func(turn *event.Turn, ev event.DeviceEvent) string {
		t.Helper()
		if ev.At.IsZero() {
			ev.At = noon.Add(time.Second)
		}
		move, err := flow.Continue(*turn, ev)
		if err != nil {
			t.Fatal(err)
		}
		if move.State != nil {
			turn.State = move.State
		}
		return tell(move)
	}
	of := func(try int, ev event.DeviceEvent) event.DeviceEvent {
		a := *ev.Answer
		a.MessageID = strings.Replace(a.MessageID, "m-", fmt.Sprintf("m%d-", try), 1)
		ev.Answer = &a
		return ev
	}
	const traces = "m2-trace@1 get " + device.Requests + " " + device.UpTime
	for name, c := range map[string]struct {
		endsWith string
		away     bool
		ends     event.DeviceEvent
		done     string
	}{
		"that runs": {endsWith: `"arguments":{}`, ends: complete(key, nil),
			done: `done {"commandKey":"` + key + `","output":{"Took":"3"}}`},
		"that restarts it": {endsWith: `"endsWith":"Boot!"`, ends: booted("b", key),
			done: `takes b done {"commandKey":"` + key + `","output":{},"boot":{"cause":"RemoteReboot","commandKey":"` + key +
				`","firmwareUpdated":false,"at":"2026-11-22T12:00:01Z"}}`},
		"of a device that is away": {endsWith: `"arguments":{}`, away: true, ends: complete(key, nil),
			done: `done {"commandKey":"` + key + `","output":{"Took":"3"}}`},
	} {
		task := `{"task":"OPERATE","command":"Device.X.2.Do()",` + c.endsWith + `}`
		first, _ := begin(task, 1, false, nil)
		// Before the command was given there is nothing to go on with.
		if turn, move := begin(task, 2, false, first.State); !strings.HasPrefix(tell(move), "m2-news@1 get") ||
			turn.State == nil || move.Commands[event.StepKey("x", "Ask", 2)] == "" {
			t.Errorf("%s: before the command it begins with %s, %v", name, tell(move), move.Commands)
		}
		if did := hear(&first, of(1, subscribed("news@1", to(device.EndOf("Device.X.2.Do()"), boot)))); did !=
			"gate m1-operate@2 operate Device.X.2.Do()" {
			t.Fatalf("%s: %s", name, did)
		}
		second, move := begin(task, 2, c.away, first.State)
		if move.Commands[key] != "Device.X.2.Do()" {
			t.Errorf("%s: it waits for news of %v", name, move.Commands)
		}
		did := tell(move)
		if c.away {
			did = hear(&second, connected)
		}
		if did != traces {
			t.Errorf("%s: begins with %s", name, did)
		}
		// A try that found no trace may have ended so: then this one is the Retry.
		unfound := second
		unfound.Now = unfound.Now.Add(20 * time.Second)
		if hear(&unfound, of(2, shows("trace@1", device.UpTime, "4000"))) != strings.Replace(traces, "@1", "@2", 1) {
			t.Errorf("%s: one look is enough to it", name)
		} else if _, move := begin(task, 3, false, unfound.State); !strings.HasPrefix(tell(move), "m3-news@1 get") {
			t.Errorf("%s: the Retry begins with %s", name, tell(move))
		}
		if did := hear(&second, of(2, running("trace@1", "Device.X.2.Do()", key))); did != "waits" {
			t.Errorf("%s: %s", name, did)
		}
		if did := hear(&second, c.ends); did != c.done {
			t.Errorf("%s: %s\nwant %s", name, did, c.done)
		}
	}
}
