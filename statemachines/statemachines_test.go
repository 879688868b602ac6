package statemachines_test

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/statemachines"
)

type catcher struct {
	ErrorEquals  []string
	Output, Next string
}

type state struct {
	Type, Resource, Next, Error, Cause string
	End                                bool
	Arguments                          json.RawMessage
	TimeoutSeconds, Seconds, Output    any
	Retry                              []struct {
		ErrorEquals                                   []string
		IntervalSeconds, MaxAttempts, MaxDelaySeconds int
		BackoffRate                                   float64
		JitterStrategy                                string
	}
	Catch []catcher
}

type machine struct {
	QueryLanguage, StartAt string
	States                 map[string]state
}

func load(t *testing.T) machine {
	t.Helper()
	var m machine
	if err := json.Unmarshal([]byte(statemachines.FirmwareUpgrade), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryTaskIsBoundedAndCaught(t *testing.T) {
	m := load(t)
	if m.QueryLanguage != "JSONata" {
		t.Errorf("query language %q", m.QueryLanguage)
	}
	for name, s := range m.States {
		if s.Type != "Task" {
			continue
		}
		if text, ok := s.TimeoutSeconds.(string); !ok || !strings.HasPrefix(text, "{% ") ||
			!strings.Contains(text, "econds") {
			t.Errorf("%s: TimeoutSeconds %v does not come from the input", name, s.TimeoutSeconds)
		}
		if len(s.Retry) == 0 {
			t.Errorf("%s: no Retry", name)
		}
		for _, r := range s.Retry {
			if r.JitterStrategy != "FULL" || r.MaxDelaySeconds == 0 || r.MaxAttempts == 0 || r.IntervalSeconds == 0 {
				t.Errorf("%s: Retry %v has no jitter or no bounds", name, r.ErrorEquals)
			}
		}
		if name == "Finalize" || name == "FinalizeFailed" {
			if len(s.Catch) > 0 {
				t.Errorf("%s: an execution that cannot report must fail here, to be redriven; it catches %+v",
					name, s.Catch)
			}
			continue
		}
		last := catcher{}
		if len(s.Catch) > 0 {
			last = s.Catch[len(s.Catch)-1]
		}
		if !slices.Equal(last.ErrorEquals, []string{"States.ALL"}) || last.Next != "FinalizeFailed" {
			t.Errorf("%s: the last Catch is %+v, not all errors to FinalizeFailed", name, last)
		}
		for _, c := range s.Catch {
			if !strings.Contains(c.Output, "$states.input") && name != "Inspect" {
				t.Errorf("%s: a Catch of %v loses the input", name, c.ErrorEquals)
			}
		}
	}
}

func TestEveryStateLeadsSomewhere(t *testing.T) {
	m := load(t)
	reached := map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		s, ok := m.States[name]
		if !ok {
			t.Fatalf("there is no state %q", name)
		}
		if reached[name] {
			return
		}
		reached[name] = true
		if s.Next != "" {
			walk(s.Next)
		} else if !s.End && s.Type != "Fail" {
			t.Errorf("%s leads nowhere", name)
		}
		for _, c := range s.Catch {
			walk(c.Next)
		}
	}
	walk(m.StartAt)
	for name := range m.States {
		if !reached[name] {
			t.Errorf("%s is never reached", name)
		}
	}
}

// A transition is an entry of a state and the end of the execution.
func TestASuccessIsCheap(t *testing.T) {
	m := load(t)
	path := func(signposts map[string]string) []string {
		var states []string
		for name := m.StartAt; name != ""; {
			states = append(states, name)
			s := m.States[name]
			next := s.Next
			if sign, ok := signposts[name]; ok {
				delete(signposts, name)
				next = ""
				for _, c := range s.Catch {
					if slices.Contains(c.ErrorEquals, sign) {
						next = c.Next
					}
				}
				if next == "" {
					t.Fatalf("%s has no way for %s", name, sign)
				}
			}
			name = next
		}
		return states
	}
	if p := path(nil); len(p)+1 > 6 {
		t.Errorf("%d transitions: %v", len(p)+1, p)
	}
	if p := path(map[string]string{"AwaitReport": "Next.Activate"}); len(p) > 7 {
		t.Errorf("%d states with a separate Activate: %v", len(p), p)
	}
	if p := path(map[string]string{"Verify": "Next.Soak"}); !slices.Contains(p, "Soak") {
		t.Errorf("no Soak in %v", p)
	}
	parked := []string{"Inspect", "Verify", "Finalize"}
	if p := path(map[string]string{"Inspect": "Next.Verify"}); !slices.Equal(p, parked) {
		t.Errorf("after a soak that was parked: %v", p)
	}
	if p := path(map[string]string{"Verify": "Verify.WrongVersion"}); !slices.Contains(p, "Rollback") {
		t.Errorf("no Rollback in %v", p)
	}
}

// An execution shows how its upgrade ended: what succeeded, or had succeeded before,
// ends in Finalize, as does what goes on later, everything else in Failed, under the name that was reported.
func TestAnUpgradeThatFailedEndsAnExecutionThatFailed(t *testing.T) {
	m := load(t)
	for name, s := range m.States {
		for _, c := range s.Catch {
			upToDate := slices.Equal(c.ErrorEquals, []string{"Upgrade.UpToDate"})
			park := slices.Equal(c.ErrorEquals, []string{"Next.Park"})
			if (c.Next == "Finalize") != (upToDate || park) {
				t.Errorf("%s: %v leads to %s", name, c.ErrorEquals, c.Next)
			}
		}
		if s.Next == "Finalize" && name != "Verify" {
			t.Errorf("%s leads to Finalize", name)
		}
	}
	if !m.States["Finalize"].End || m.States["FinalizeFailed"].Next != "Failed" {
		t.Error("Finalize does not end, or FinalizeFailed does not lead to Failed")
	}
	f := m.States["Failed"]
	if f.Type != "Fail" || !strings.Contains(f.Error, "$states.input.reason") ||
		!strings.Contains(f.Cause, "$states.input.detail") {
		t.Errorf("Failed is %+v", f)
	}
	reports := func(s state) string {
		s.Next, s.End = "", false
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if reports(m.States["Finalize"]) != reports(m.States["FinalizeFailed"]) {
		t.Error("the two Finalize states report in different ways")
	}
}

// AWS IoT takes 200 UpdateJobExecution and StartNextPendingJobExecution a second of
// an account and no more, on request or not (AWS General Reference, "AWS IoT Device
// Management endpoints and quotas", read 2026-11). Half of them are left to devices
// that begin. Whoever is turned away tries again as the state says; nobody may run
// out of tries before its turn, however many come at once.
func TestFinalizeOutlastsTheQuotaOfUpdates(t *testing.T) {
	const quota, seconds = 100, 48 * 3600
	for _, c := range []struct {
		devices, window int // seconds over which they come
	}{
		{100_000, 1},
		{1_000_000, 3600},
		{1_000_000, 1},
	} {
		if c.devices > 100_000 && testing.Short() {
			continue
		}
		r := load(t).States["Finalize"].Retry[0]
		delay := make([]float64, r.MaxAttempts)
		for i, d := 0, float64(r.IntervalSeconds); i < len(delay); i, d = i+1, min(d*r.BackoffRate,
			float64(r.MaxDelaySeconds)) {
			delay[i] = d
		}
		rnd := rand.New(rand.NewPCG(7, 7))
		due := make([][]uint8, seconds) // the tries before, of each who comes in a second
		for i := range c.devices {
			at := i * c.window / c.devices
			due[at] = append(due[at], 0)
		}
		done, calls, most, last := 0, 0, 0, 0
		for at, now := range due {
			rnd.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
			for i, tries := range now {
				calls++
				if i < quota {
					done, most, last = done+1, max(most, int(tries)), at
					continue
				}
				if int(tries) == len(delay) {
					t.Fatalf("%d devices in %d s: after %d s one has tried %d times in vain", c.devices, c.window,
						at, tries+1)
				}
				next := at + 1 + int(rnd.Float64()*delay[tries])
				due[next] = append(due[next], tries+1)
			}
			due[at] = nil
		}
		if done != c.devices {
			t.Errorf("%d devices in %d s: %d reported within two days", c.devices, c.window, done)
		}
		t.Logf("%d devices in %d s: the last after %d s; at most %d tries, %.1f on average; %d are allowed",
			c.devices, c.window, last, most+1, float64(calls)/float64(c.devices), len(delay)+1)
	}
}

func TestOnlyARNsAreSubstituted(t *testing.T) {
	for _, s := range regexp.MustCompile(`\$\{[^}]*\}`).FindAllString(statemachines.FirmwareUpgrade, -1) {
		switch s {
		case "${SendUspOperateArn}", "${AwaitFirmwareReportArn}", "${VerifyVersionArn}", "${FinalizeArn}":
		default:
			t.Errorf("unexpected substitution %s", s)
		}
	}
}

func TestWaitingTasksPassTheirToken(t *testing.T) {
	for name, s := range load(t).States {
		waits := strings.HasSuffix(s.Resource, ".waitForTaskToken")
		if waits != strings.Contains(string(s.Arguments), "$states.context.Task.Token") {
			t.Errorf("%s: resource %s, arguments %s", name, s.Resource, s.Arguments)
		}
	}
}
