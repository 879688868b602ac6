package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
)

func TestANewWorkflowIsWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "workflows")
	r := run(t, setup{}, "workflow", "new", "blink", "--dir", dir)
	file := filepath.Join(dir, "blink.asl.json")
	if r.code != 0 || r.out != file+"\n"+filepath.Join(dir, "blink.schema.json")+"\n" {
		t.Fatalf("%+v", r)
	}
	if r := run(t, setup{}, "workflow", "validate", file); r.code != 0 || !strings.HasPrefix(r.out,
		file+": 4 states, at most") {
		t.Errorf("%+v", r)
	}
	if r := run(t, setup{}, "workflow", "validate", "--json", filepath.Join(dir, "blink.schema.json")); r.code != 0 ||
		r.out != "[]\n" {
		t.Errorf("%+v", r)
	}
	if r := run(t, setup{}, "workflow", "list", "--workflows", dir); r.code != 0 || !strings.Contains(r.out,
		"\nblink ") ||
		!strings.Contains(r.out, "\nset-parameters ") || !strings.Contains(r.out, "parameters [answerSeconds]") {
		t.Errorf("%+v", r)
	}
	// What is there stays.
	if r := run(t, setup{}, "workflow", "new", "blink", "--dir", dir); r.code != 1 || !strings.Contains(r.text,
		"exists") {
		t.Errorf("%+v", r)
	}
	// So does what comes with the stack.
	for _, name := range []string{"reboot", "firmware-upgrade", "firmware-campaign", "device-onboarding"} {
		if r := run(t, setup{}, "workflow", "new", name, "--dir", t.TempDir()); r.code != 2 ||
			!strings.Contains(r.text, "the stack has a workflow "+name+" already") {
			t.Errorf("%+v", r)
		}
	}
	for _, name := range []string{"blink.asl.json", "blink.schema.json"} {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, strings.Replace(name, "blink", "reboot",
			1))); err != nil {
			t.Fatal(err)
		}
	}
	if r := run(t, setup{}, "workflow", "list", "--workflows", dir); r.code != 1 || !strings.Contains(r.text,
		"the stack has a workflow reboot already") {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"new"}, {"new", "Blink"}, {"validate"}, {"validate", "blink.json"},
		{"describe"}} {
		if r := run(t, setup{}, append([]string{"workflow"}, args...)...); r.code != 2 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

func TestANameOfAWorkflowIsProposed(t *testing.T) {
	const allowed = "a workflow has a name of 2 to 32 of a-z 0-9 -, " +
		"which begins with a letter and does not end with -"
	for name, proposed := range map[string]string{
		"Lamp X":                                "lamp-x",
		"Blink":                                 "blink",
		"blink--it-":                            "blink--it",
		"2nd_lamp":                              "nd-lamp",
		"lamp 5":                                "lamp-5",
		"lamp\"x\"":                             "lamp-x",
		"../lamp":                               "lamp",
		"":                                      "",
		"a":                                     "",
		"1":                                     "",
		"Ł":                                     "",
		"Reboot":                                "", // there is one
		"turns all of the lamps of a house on":  "turns-all-of-the-lamps-of-a-hous",
		"turns all of the lamps of a hou es on": "turns-all-of-the-lamps-of-a-hou",
	} {
		want := allowed
		if proposed != "" {
			want += ": " + proposed + ", for example"
		}
		dir := t.TempDir()
		r := run(t, setup{}, "workflow", "new", name, "--dir", dir)
		if r.code != 2 || !strings.HasSuffix(r.text, strconv.Quote(name)+": "+want) {
			t.Errorf("%q: want %s, got %+v", name, want, r)
		}
		if proposed == "" {
			continue
		}
		if r := run(t, setup{}, "workflow", "new", proposed, "--dir", dir); r.code != 0 {
			t.Errorf("%+v", r)
		}
	}
}

// newWorkflow makes the workflow blink, changes its state machine, and returns that one's file.
func newWorkflow(t *testing.T, change func(text string) string) string {
	t.Helper()
	dir := t.TempDir()
	if r := run(t, setup{}, "workflow", "new", "blink", "--dir", dir); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	file := filepath.Join(dir, "blink.asl.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(change(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAllMistakesOfAWorkflowAreTold(t *testing.T) {
	file := newWorkflow(t, func(text string) string {
		return strings.ReplaceAll(strings.Replace(text, `"GET"`, `"PUT"`, 1), `"TimeoutSeconds": 60,`, ``)
	})
	r := run(t, setup{states: func(string) event.Problems {
		return event.Problems{{Path: "/States/Look", Value: "CODE", Allowed: "something else"}}
	}}, "workflow", "validate", file)
	var places []string
	for line := range strings.Lines(r.out) {
		place, _, _ := strings.Cut(strings.TrimPrefix(line, "blink.asl.json: "), ": ")
		places = append(places, place)
	}
	const want = "/States/Look $.States.Finalize.TimeoutSeconds $.States.FinalizeFailed.TimeoutSeconds" +
		" $.States.Look.Arguments.Payload.task"
	if got := strings.Join(places, " "); r.code != 1 || got != want {
		t.Errorf("got %s\n%s", got, r.out)
	}
	r = run(t, setup{}, "workflow", "validate", "--json", file)
	var found event.Problems
	if err := json.Unmarshal([]byte(r.out), &found); err != nil || len(found) != 3 || r.code != 1 {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestWhatIsNoJSONIsToldOnce: the service would print the document.
func TestWhatIsNoJSONIsToldOnce(t *testing.T) {
	file := newWorkflow(t, func(text string) string { return "// mine\n" + text })
	states := func(string) event.Problems { return event.Problems{{Value: "CODE", Allowed: "something else"}} }
	r := run(t, setup{states: states}, "workflow", "validate", file)
	const want = `blink.asl.json: $: "// mine": a JSON object: line 1, column 1: `
	if r.code != 1 || !strings.HasPrefix(r.out, want) || strings.Count(r.out, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	// What is of the whole document has a place, too.
	file = newWorkflow(t, func(text string) string { return text })
	if r := run(t, setup{states: states}, "workflow", "validate", file); !strings.HasPrefix(r.out,
		"blink.asl.json: $: ") {
		t.Errorf("%+v", r)
	}
}

// TestAWarningIsNoMistake: a workflow with a warning is valid.
func TestAWarningIsNoMistake(t *testing.T) {
	file := newWorkflow(t, func(text string) string {
		return strings.Replace(text, "Lambda.TooManyRequestsException", "Lambda.Unknown", 1)
	})
	r := run(t, setup{}, "workflow", "validate", file)
	_, warning, _ := strings.Cut(r.out, "\n")
	if r.code != 0 || !strings.HasPrefix(r.out, file+": 4 states") ||
		!strings.HasPrefix(warning, "warning: blink.asl.json: $.States.Look.Retry: missing: a retrier of ") {
		t.Errorf("%+v", r)
	}
	r = run(t, setup{}, "workflow", "validate", "--json", file)
	var found []finding
	if err := json.Unmarshal([]byte(r.out), &found); err != nil || len(found) != 1 || !found[0].Warning ||
		r.code != 0 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestWorkflowsAreDrawn(t *testing.T) {
	if r := run(t, setup{}, "workflow", "describe", "reboot"); r.code != 0 || !strings.Contains(r.out,
		"OPERATE Device.Reboot()") {
		t.Errorf("%+v", r)
	}
	if r := run(t, setup{}, "workflow", "describe", "firmware-upgrade", "--svg"); r.code != 0 ||
		!strings.HasPrefix(r.out, "<svg ") {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"nothing", "nothing.asl.json"} {
		if r := run(t, setup{}, "workflow", "describe", name); r.code != 1 {
			t.Errorf("%+v", r)
		}
	}
}

func TestWorkflowsOfAStack(t *testing.T) {
	list := ok(`{"stateMachines":[{"name":"lab-reboot","stateMachineArn":"arn:lab-reboot"},` +
		`{"name":"lab-mine","stateMachineArn":"arn:lab-mine"},{"name":"other-reboot","stateMachineArn":"arn:other-reboot"}]}`)
	s := setup{answers: map[string][]answer{
		"ListStateMachines":    list,
		"DescribeStateMachine": ok(`{"definition":"{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Pass\",\"End\":true}}}"}`),
	}}
	r := run(t, s, "workflow", "list", "--stack", "lab", "--json")
	var rows []listed
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil || len(rows) != 2 || rows[0].Bounds == "" ||
		rows[1].Name != "mine" ||
		rows[1].Bounds != "" {
		t.Errorf("%v, %+v", err, r)
	}
	if r := run(t, s, "workflow", "describe", "mine", "--stack", "lab"); r.code != 0 || !strings.Contains(r.out,
		"> A  Pass") {
		t.Errorf("%+v", r)
	}
	if r := run(t, s, "workflow", "describe", "blink", "--stack", "lab"); r.code != 1 || !strings.Contains(r.text,
		"has no workflow blink") {
		t.Errorf("%+v", r)
	}
}
