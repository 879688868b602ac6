package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/simulator"
)

const stepsFile = "testdata/steps.txt"

// A moment is when something goes wrong in an upgrade: as a state of it begins.
type moment struct {
	job   string // of jobs
	state string
	base  string // fault that leads to the state
	// late is how long after the beginning.
	late time.Duration
	is   func(asset string, p stepPayload) bool
}

func (m moment) String() string { return m.job + " " + m.state }

// stepPayload is what of a function's payload tells the state that it is called from.
type stepPayload struct {
	Step     string
	Soaked   bool
	Activate json.RawMessage
	Park     json.RawMessage
	Input    struct {
		ThingName string
		Lap       int
	}
}

// again is of a lap after a window was waited for.
func again(is func(string, stepPayload) bool) func(string, stepPayload) bool {
	return func(asset string, p stepPayload) bool { return p.Input.Lap > 0 && is(asset, p) }
}

func step(name string) func(string, stepPayload) bool {
	return func(_ string, p stepPayload) bool { return p.Step == name }
}

func reports(activated bool) func(string, stepPayload) bool {
	return func(_ string, p stepPayload) bool { return p.Step == "REPORT" && (p.Activate != nil) == activated }
}

func verifies(soaked bool) func(string, stepPayload) bool {
	return func(_ string, p stepPayload) bool { return p.Step == "VERIFY" && p.Soaked == soaked }
}

func finalizes(parked bool) func(string, stepPayload) bool {
	return func(asset string, p stepPayload) bool { return asset == "finalize" && (p.Park != nil) == parked }
}

// The jobs: one command for download and restart, two of them and a soak, and two with a
// window between them.
var jobsOfSteps = map[string]string{
	"AUTO":     `{"mode": "AUTO"}`,
	"SEPARATE": `{"mode": "SEPARATE", "soakSeconds": 120}`,
	"WINDOW":   `{"mode": "SEPARATE", "window": {"start": "09:00", "end": "11:00", "zone": "UTC"}}`,
}

var moments = []moment{
	{job: "AUTO", state: "Inspect", is: step("INSPECT")},
	{job: "AUTO", state: "Download", is: step("DOWNLOAD")},
	{job: "AUTO", state: "AwaitReport", is: reports(false)},
	{job: "AUTO", state: "Verify", is: step("VERIFY")},
	{job: "AUTO", state: "Rollback", base: simulator.WrongVersion, is: step("ROLLBACK")},
	{job: "AUTO", state: "Finalize", is: finalizes(false)},
	{job: "SEPARATE", state: "Inspect", is: step("INSPECT")},
	{job: "SEPARATE", state: "Download", is: step("DOWNLOAD")},
	{job: "SEPARATE", state: "AwaitReport (download)", is: reports(false)},
	{job: "SEPARATE", state: "Activate", is: step("ACTIVATE")},
	{job: "SEPARATE", state: "AwaitReport (restart)", is: reports(true)},
	{job: "SEPARATE", state: "Verify", is: verifies(false)},
	{job: "SEPARATE", state: "Soak", late: time.Minute, is: verifies(false)},
	{job: "SEPARATE", state: "Verify (soaked)", is: verifies(true)},
	{job: "SEPARATE", state: "Rollback", base: simulator.WrongVersion, is: step("ROLLBACK")},
	{job: "SEPARATE", state: "Finalize", is: finalizes(false)},
	{job: "WINDOW", state: "parked", late: time.Minute, is: finalizes(true)},
	{job: "WINDOW", state: "Inspect", is: again(step("INSPECT"))},
	{job: "WINDOW", state: "Activate", is: again(step("ACTIVATE"))},
}

// undisturbed is the device of each job that nothing happens to.
const undisturbed = "nothing"

// mishaps are what happens to a device at a moment: its power is cut, its connection breaks,
// or it has a fault from then on.
var mishaps = []string{"power-cut", "connection-lost", "away-for-ten-minutes"}

func mishapNames() (names []string) {
	names = slices.Clone(mishaps)
	for _, f := range simulator.AllFaults {
		if f.Name != simulator.OfflineAtStart { // which is over when an upgrade begins
			names = append(names, f.Name)
		}
	}
	return names
}

// befalls has it happen.
func befalls(a *simulator.Agent, mishap string) {
	switch mishap {
	case mishaps[0]:
		a.PowerCut()
	case mishaps[1]:
		a.Leave(0)
	case mishaps[2]:
		a.Leave(10 * time.Minute)
	default:
		a.Befall(simulator.FaultNamed(mishap))
	}
}

// endsAtStep is how upgrades end that a mishap meets at a moment, where that is not how
// upgrades of the fault end, or success where it has no effect any more. A key is a job ("*"
// is any), a state and a mishap.
var endsAtStep = map[string]string{
	// Its step is given three times 90 s. Where a restart or a window is waited for there is more time.
	"* Inspect away-for-ten-minutes":         "Device.Offline",
	"* Download away-for-ten-minutes":        "Device.Offline",
	"* Activate away-for-ten-minutes":        "Device.Offline",
	"* Verify away-for-ten-minutes":          "Device.Offline",
	"* Soak away-for-ten-minutes":            "Device.Offline",
	"* Verify (soaked) away-for-ten-minutes": "Device.Offline",
	// The old image does not come back, or nobody can tell.
	"* Rollback boot-fails":        "Rollback.Failed",
	"* Rollback old-image":         "Rollback.Failed",
	"* Rollback never-returns":     "Rollback.Failed",
	"* Rollback wrong-endpoint-id": "Rollback.Failed",
}

// expectedAt is how an upgrade is to end; fired tells whether the fault took effect.
func expectedAt(m moment, mishap string, fired bool, of *simulator.Profile) string {
	for _, key := range []string{m.String() + " " + mishap, "* " + m.state + " " + mishap} {
		if end, ok := endsAtStep[key]; ok {
			return end
		}
	}
	if end := simulator.FaultNamed(mishap).On(of).Ends; fired && end != "" {
		return end
	}
	if m.base != "" {
		return simulator.FaultNamed(m.base).Ends
	}
	return "success"
}

// A cell is a mishap at a moment, and what became of it.
type cell struct {
	moment moment
	mishap string
	fired  string // "yes", "never"
	end    string // "success", or the error
	path   string
}

func (c cell) String() string {
	return fmt.Sprintf("%s | %s | %s | %s | %s", c.moment, c.mishap, c.fired, c.end, c.path)
}

// playSteps plays one device for each cell, of a model, all of a job together, and fills the
// cells in.
func playSteps(t *testing.T, job string, cells []*cell, seed uint64, of *simulator.Profile) {
	t.Helper()
	payload := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(payload, fmt.Appendf(nil, `{
		"firmware": {"version": "2.0.0"}, "activation": %s, "abort": {"criteriaList": []},
		"rollout": {"maximumPerMinute": 1000},
		"targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"]}`, jobsOfSteps[job]), 0o600); err != nil {
		t.Fatal(err)
	}
	byThing := map[string]*cell{}
	var base, profiles []string
	for i, c := range cells {
		profiles = append(profiles, fmt.Sprintf("%s@%d", of.Name, i+1))
		byThing[simulator.ThingName(i+1)] = c
		if c.moment.base != "" {
			base = append(base, fmt.Sprintf("%s@%d", c.moment.base, i+1))
		}
	}
	came := map[*cell]bool{}
	_, out, err := play(t, Config{
		Devices: len(cells), Seed: seed, Faults: strings.Join(base, ","), Event: payload, Image: 1 << 10,
		Profiles: strings.Join(profiles, ","),
		opened: func(w *world) {
			w.timing = simulator.Timing{Download: [2]time.Duration{30 * time.Second, time.Minute},
				BeforeReboot: 5 * time.Second, Boot: 10 * time.Second}
			w.invoked = func(asset string, payload []byte) {
				var p stepPayload
				if json.Unmarshal(payload, &p) != nil {
					return
				}
				c := byThing[p.Input.ThingName]
				if c == nil || came[c] || c.mishap == undisturbed || !c.moment.is(asset, p) {
					return
				}
				came[c] = true
				a := w.fleet.Agent(p.Input.ThingName)
				if c.moment.late == 0 {
					befalls(a, c.mishap)
					return
				}
				w.sched.After(c.moment.late, "mishap", func() { befalls(a, c.mishap) })
			}
		},
		over: func(ctx context.Context, w *world, job string) error {
			paths, err := w.paths(ctx)
			if err != nil {
				return err
			}
			for _, facts := range w.fleet.Facts() {
				c := byThing[facts.Thing]
				c.path, c.fired = strings.Join(paths[facts.Thing], "; "), "yes"
				if c.mishap == undisturbed {
					c.fired = "never"
				} else if !came[c] {
					c.fired = "not reached"
				} else if simulator.FaultNamed(c.mishap) != nil && !facts.Befallen {
					c.fired = "never"
				}
				x, err := w.jobExecution(ctx, job, facts.Thing)
				if err != nil {
					return err
				}
				c.end = "success"
				if x.Status != "SUCCEEDED" {
					c.end = x.StatusDetails.DetailsMap["reason"]
				}
			}
			return nil
		},
	})
	if !strings.Contains(out, "SUMMARY ") {
		t.Fatalf("seed %d: %v\n%s", seed, err, last(out))
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "PROBLEM: left behind") {
			t.Errorf("%s, seed %d: %s", job, seed, line)
		}
	}
}

// TestAllFaultsAtEachStep has each mishap befall a device as each state of its upgrade
// begins: it ends as declared, and as recorded. In the ordinary suite it plays a part.
func TestAllFaultsAtEachStep(t *testing.T) {
	whole, rewrite := os.Getenv("FLEETSTEP_PROFILES") == "all", os.Getenv(behaviourRewrite) != ""
	record, err := os.ReadFile(stepsFile)
	if err != nil && !rewrite {
		t.Fatal(err)
	}
	var now bytes.Buffer
	reference := simulator.AllProfiles[0]
	for _, job := range []string{"AUTO", "SEPARATE", "WINDOW"} {
		all := cellsOf(job, reference)
		list, seeds := all, uint64(1)
		switch {
		case rewrite:
		case whole:
			seeds = 3
		default:
			list = nil
			for i := 5; i < len(all); i += 23 {
				list = append(list, all[i])
			}
		}
		for seed := range seeds {
			playSteps(t, job, list, seed+1, reference)
			for _, c := range list {
				want := expectedAt(c.moment, c.mishap, c.fired == "yes", reference)
				if c.end != want || c.fired == "not reached" {
					t.Errorf("seed %d: %s; want %s", seed+1, c, want)
				}
				fmt.Fprintln(&now, c)
				head, _, _ := strings.Cut(c.String(), " | "+c.path)
				if !rewrite && !bytes.Contains(record, []byte(head+" |")) {
					t.Errorf("seed %d: not as recorded: %s", seed+1, c)
				}
			}
		}
	}
	if rewrite {
		if err := os.WriteFile(stepsFile, now.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range simulator.AllProfiles[1:] {
		for _, job := range []string{"AUTO", "SEPARATE"} {
			// One that sleeps is away when its deadlines pass, and one of a single image is not activated separately.
			if !whole || p.Sleeps || p.Images == 1 && job == "SEPARATE" {
				continue
			}
			cells := cellsOf(job, p)
			playSteps(t, job, cells, 1, p)
			for _, c := range cells {
				want := expectedAt(c.moment, c.mishap, c.fired == "yes", p)
				if c.end != want || c.fired == "not reached" {
					t.Errorf("%s: %s; want %s", p.Name, c, want)
				}
			}
		}
	}
}

// cellsOf are those of a job that a model can be in.
func cellsOf(job string, p *simulator.Profile) []*cell {
	all := []*cell{{moment: moment{job: job, state: undisturbed}, mishap: undisturbed}}
	for _, m := range moments {
		for _, mishap := range mishapNames() {
			if m.job == job && mishap != m.base && simulator.FaultNamed(mishap).On(p).Applies &&
				(m.base == "" || p.Images != 1) { // whose rollback is none
				all = append(all, &cell{moment: m, mishap: mishap})
			}
		}
	}
	return all
}
