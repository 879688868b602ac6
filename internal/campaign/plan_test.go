package campaign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

func parse(t interface{ Fatal(...any) }, text string) campaign.Request {
	r, err := campaign.Parse([]byte(text), forms(), "firmware")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const simple = `"images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]}`

// members reads the whole manifest of a campaign.
func (w *world) members(c campaign.Campaign) (waves [][]campaign.Member) {
	w.t.Helper()
	for i, one := range c.Waves {
		var all []campaign.Member
		for class, k := range one.Classes {
			n := 0
			for part := 0; n < k.Count; part++ {
				list, err := w.Part(w.t.Context(), campaign.Part{Campaign: c.ID, Wave: i, Class: class, Number: part})
				if err != nil || len(list) == 0 {
					w.t.Fatalf("wave %d, class %d, part %d: %v", i, class, part, err)
				}
				n += len(list)
				all = append(all, list...)
			}
		}
		waves = append(waves, all)
	}
	return waves
}

// TestEveryDeviceIsInOneWave: whatever the waves, and the same the second time.
func TestEveryDeviceIsInOneWave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 700).Draw(t, "devices")
		waves := rapid.IntRange(1, 5).Draw(t, "waves")
		success := rapid.SampledFrom([]string{"0.5", "0.8", "0.9", "0.95", "0.99"}).Draw(t, "success")
		var list []string
		for i := range waves {
			size := fmt.Sprintf(`, "percent": %d`, rapid.IntRange(1, 20).Draw(t, "percent"))
			if rapid.Bool().Draw(t, "count") {
				size = fmt.Sprintf(`, "count": %d`, rapid.IntRange(1, 500).Draw(t, "many"))
				if rapid.Bool().Draw(t, "per model") {
					size += `, "perModel": true`
				}
			}
			if i == waves-1 && rapid.Bool().Draw(t, "rest") {
				size = ""
			}
			list = append(list, fmt.Sprintf(`{"name": "w%d"%s}`, i, size))
		}
		r := parse(t, `{"campaignId": "c", `+simple+`, "rate": 1000, "gate": {"success": `+success+`}, "waves": [`+
			strings.Join(list, ", ")+`]}`)
		w := newWorld(nil, n)
		p, problems := campaign.NewPlan(r, "c", w.devices, noon)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		backward := slices.Clone(w.devices)
		slices.Reverse(backward)
		again, _ := campaign.NewPlan(r, "c", backward, noon)
		if fmt.Sprint(p) != fmt.Sprint(again) {
			t.Fatal("in another order another plan")
		}
		sum := 0
		for i, one := range p.Waves {
			if one.Size < 1 || i < len(p.Waves)-1 && one.Size < one.Needs {
				t.Errorf("wave %s has %d devices, and needs %d", one.Name, one.Size, one.Needs)
			}
			sum += one.Size
		}
		if sum != n || p.Total != n {
			t.Errorf("%d devices in waves of %d, %d", sum, n, p.Total)
		}
	})
}

// TestACanaryIsAFairSample: of each model there is its share, give or take one.
func TestACanaryIsAFairSample(t *testing.T) {
	w := newWorld(t, 3000)
	models := map[string]int{}
	for i := range w.devices {
		switch {
		case i < 30:
			w.devices[i].Model = "rare"
		case i < 1000:
			w.devices[i].Model = "some"
		default:
			w.devices[i].Model = "most"
		}
		models[w.devices[i].Model]++
	}
	c := w.create(`{"campaignId": "c", ` + simple + `, "waves": [{"name": "a", "percent": 10},
		{"name": "b", "percent": 10},
		{"name": "c"}]}`)
	seen := map[event.ThingName]bool{}
	for i, members := range w.members(c) {
		got := map[string]int{}
		for _, m := range members {
			got[m.Model]++
			if seen[m.Thing] {
				t.Errorf("%s is there twice", m.Thing)
			}
			seen[m.Thing] = true
		}
		for model, n := range models {
			want := n * len(members) / 3000
			if d := got[model] - want; d < -1 || d > 1 {
				t.Errorf("wave %d has %d of model %s, want %d", i, got[model], model, want)
			}
		}
	}
	if len(seen) != 3000 {
		t.Errorf("%d devices", len(seen))
	}
}

func TestDefaultWavesGrowToWhatTheirGatesNeed(t *testing.T) {
	w := newWorld(t, 10000)
	c := w.create(`{"campaignId": "c", ` + simple + `, "rate": 1000}`)
	var sizes []int
	for _, one := range c.Waves {
		sizes = append(sizes, one.Size)
	}
	if !slices.Equal(sizes, []int{52, 100, 1000, 5000, 3848}) {
		t.Errorf("waves of %v", sizes)
	}
	b, err := w.Document(t.Context(), "c", campaign.PlanDocument)
	if err != nil || !strings.Contains(string(b), "wave canary has 52 devices instead of 10") {
		t.Errorf("plan %s, %v", b, err)
	}
}

func TestExactlyOneImageIsADevices(t *testing.T) {
	r := parse(t, `{"targets": {"groups": ["demo"]}, "images": [
		{"models": ["A"], "from": ["<2.0.0"], "firmware": {"version": "2.0.0"}},
		{"models": ["A", "B"], "hardware": ["1.*"], "from": [">=2.0.0 <3.0.0"], "firmware": {"version": "3.0.0"}},
		{"models": ["B"], "hardware": [">=1.5"], "firmware": {"version": "3.1.0"}},
		{"models": ["C"], "allowDowngrade": true, "firmware": {"version": "1.0.0"}}]}`)
	for _, c := range []struct {
		d      campaign.Device
		image  int
		reason string
	}{
		{campaign.Device{Model: "A", Hardware: "1.2", Version: "1.9.9"}, 0, ""},
		{campaign.Device{Model: "A", Hardware: "1.2", Version: "2.0.0"}, 1, ""},
		{campaign.Device{Model: "A", Hardware: "2.0", Version: "2.0.0"}, -1, campaign.NoImage},
		{campaign.Device{Model: "B", Hardware: "1.6", Version: "2.5.0"}, -1, campaign.ManyImages},
		{campaign.Device{Model: "B", Hardware: "2.0", Version: "3.1.0"}, -1, campaign.RunsAlready},
		{campaign.Device{Model: "B", Hardware: "2.0", Version: "3.10.0"}, -1, campaign.Downgrade},
		{campaign.Device{Model: "B", Hardware: "2.0"}, 2, ""},
		{campaign.Device{Model: "C", Version: "9"}, 3, ""},
		{campaign.Device{Model: "D", Version: "9"}, -1, campaign.NoImage},
	} {
		if image, reason := r.Allot(c.d); image != c.image || reason != c.reason {
			t.Errorf("%+v: image %d, %q, want %d, %q", c.d, image, reason, c.image, c.reason)
		}
	}
}

// TestNobodyGoesBackWhoIsAheadByThen: days may pass between the plan and a device's turn. What it is asked says so.
func TestNobodyGoesBackWhoIsAheadByThen(t *testing.T) {
	for images, want := range map[string]string{
		`{"firmware": {"version": "2.0.0"}}`:                          `{"noDowngrade":true,"version":"2.0.0"}`,
		`{"allowDowngrade": true, "firmware": {"version": "2.0.0"}}`:  `{"version":"2.0.0"}`,
		`{"allowDowngrade": false, "firmware": {"version": "2.0.0"}}`: `{"noDowngrade":true,"version":"2.0.0"}`,
		`{"firmware": {"version": "2.0.0", "noDowngrade": false}}`:    `{"noDowngrade":false,"version":"2.0.0"}`,
	} {
		r := parse(t, `{"targets": {"groups": ["g"]}, "quarantine": 0, "images": [`+images+`]}`)
		if got := string(r.Images[0].Input.Members["firmware"]); got != want {
			t.Errorf("%s: asks for %s, want %s", images, got, want)
		}
	}
}

// TestWhoFailedTooOftenIsQuarantined: what a device is asked says how often that is, over all campaigns.
func TestWhoFailedTooOftenIsQuarantined(t *testing.T) {
	for payload, want := range map[string]string{
		``:                  `{"maxFailures":5,"noDowngrade":true,"version":"2.0.0"}`,
		`"quarantine": 2,`:  `{"maxFailures":2,"noDowngrade":true,"version":"2.0.0"}`,
		`"quarantine": 0, `: `{"noDowngrade":true,"version":"2.0.0"}`,
	} {
		r := parse(t, `{`+payload+`"targets": {"groups": ["g"]}, "images": [{"firmware": {"version": "2.0.0"}}]}`)
		if got := string(r.Images[0].Input.Members["firmware"]); got != want {
			t.Errorf("%s: asks for %s, want %s", payload, got, want)
		}
	}
}

// TestWhatCannotFitIsRefused names the number that must change.
func TestWhatCannotFitIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ payload, path string }{
		"its rate is too small for a wave": {`"rate": 1, "waves": [{"name": "all", "maxHours": 1}]`,
			"$.waves[0].maxHours"},
		"its windows are too short": {`"rate": 10, "windows": [{"from": "02:00", "to": "02:10"}],
			"waves": [{"name": "all", "maxHours": 30}]`, "$.waves[0].maxHours"},
		"its stage is too short": {`"rate": 2, "stage": {"maxHours": 2}`, "$.stage.maxHours"},
		"it never opens for its stage": {`"stage": {}, "windows": [{"from": "02:00", "to": "04:00"}],
			"blackout": [{"from": "2026-01-01", "to": "2029-01-01"}]`, "$.blackout"},
		"it ends too early": {`"end": "2026-11-30T13:00:00Z"`, "$.end"},
		"it never opens": {`"blackout": [{"from": "2026-01-01", "to": "2029-01-01"}], "waves": [{"name": "all"}]`,
			"$.blackout"},
	} {
		w := newWorld(t, 300)
		_, err := w.ask([]byte(`{"campaignId": "c", `+simple+`, `+c.payload+`}`), "me", true)
		var problems event.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Path != c.path {
			t.Errorf("%s: %v, want a problem at %s", name, err, c.path)
		}
	}
}

// TestAPlanTellsWhatStandsInItsWay: windows and blackout dates, and what the devices fetch.
func TestAPlanTellsWhatStandsInItsWay(t *testing.T) {
	const end = "the last wave, first, is over when 95 % of its 300 devices have ended, or after 100 hours; those " +
		"that have not begun by then, because they are away for example, are withdrawn, and the report lists them: " +
		"a longer bakeMinutes gives them more time"
	for payload, want := range map[string][]string{
		simple: nil,
		simple + `, "blackout": [{"from": "2026-12-01", "to": "2026-12-02"}]`: nil, // it is over before
		simple + `, "blackout": [{"from": "2026-11-30", "to": "2026-12-02"}]`: {
			"windows and blackout dates hold wave first for 3600 of its 3603 minutes",
			"no device begins from 2026-11-30 to 2026-12-02: blackout"},
		simple + `, "zone": "UTC", "windows": [{"from": "13:00", "to": "17:00"}]`: {
			"windows and blackout dates hold wave first for 60 of its 63 minutes"},
	} {
		w := newWorld(t, 300)
		out, err := w.ask([]byte(`{"campaignId": "c", `+payload+`, "gate": {"success": 0.5}, "waves": [
			{"name": "first", "maxHours": 100, "bakeMinutes": 0}]}`), "me", true)
		if err != nil {
			t.Fatal(err)
		}
		if want = append(want, end); !slices.Equal(out.Plan.Notes, want) {
			t.Errorf("%s: notes %q, want %q", payload, out.Plan.Notes, want)
		}
	}
	w := newWorld(t, 300) // 100 of each model
	const images = `"targets": {"groups": ["g"]}, "images": [{"models": ["M0"], "firmware": {"version": "2.0.0"}},
		{"models": ["M1"], "firmware": {"version": "3.0.0"}}, {"models": ["M2"], "firmware": {"version": "unknown"}}]`
	out, err := w.ask([]byte(`{"campaignId": "c", `+images+`, "gate": {"success": 0.5}}`), "me", true)
	if err != nil || out.Plan.Estimate.Egress != 100*2_000+100*3_000 ||
		!slices.Contains(out.Plan.Notes, "egress is without 100 devices: the size of their image is not known") {
		t.Errorf("%+v, %v, %v", out.Plan.Estimate, out.Plan.Notes, err)
	}
}

// TestAPlanTellsOfWhatIsForNobody: an image that no device of the targets is for, which may be a mistake in the name
// of a model, and a time zone that there is not, without which a device begins when the campaign's window is open.
func TestAPlanTellsOfWhatIsForNobody(t *testing.T) {
	w := newWorld(t, 9)
	for i := range w.devices {
		w.devices[i].Model = []string{"M1", "M2", "M3"}[i%3]
	}
	w.devices[0].Zone, w.devices[1].Zone, w.devices[3].Zone = "Europe/Atlantis", "Europe/Berlin", "nowhere"
	const of = `{"campaignId": "c", "targets": {"groups": ["demo"]}, "images": [
		{"models": ["M1"], "firmware": {"version": "2.0.0"}}, {"models": ["M2"], "firmware": {"version": "2.0.0"}},
		{"models": ["M-3"], "firmware": {"version": "3.0.0"}}]`
	noted := func(text string) (told []string) {
		p, _ := campaign.NewPlan(parse(t, text), "c", w.devices, noon)
		for _, n := range p.Notes {
			if strings.Contains(n, "images[") || strings.Contains(n, "time zone") {
				told = append(told, n)
			}
		}
		return told
	}
	image := "images[2] is for none of the 9 devices that were found"
	zone := "2 devices have a time zone that there is not, as Europe/Atlantis of " + string(w.devices[0].Thing) +
		": the one that they report applies, or the campaign's"
	for text, want := range map[string][]string{
		of + `}`: {image},
		of + `, "windows": [{"from": "01:00", "to": "05:00"}]}`:                                        {image, zone},
		`{"targets": {"groups": ["demo"]}, "images": [{"firmware": {"version": "2.0.0"}}], "rate": 2}`: nil,
	} {
		if got := noted(text); !slices.Equal(got, want) {
			t.Errorf("%s\nnotes %q, want %q", text, got, want)
		}
	}
}

// TestAPlanTellsOfAStartThatIsPast: a mistake in its year has a campaign begin at once.
func TestAPlanTellsOfAStartThatIsPast(t *testing.T) {
	w := newWorld(t, 9)
	for start, want := range map[string]bool{"2025-12-01T02:00:00Z": true, "2125-12-01T02:00:00Z": false} {
		p, _ := campaign.NewPlan(parse(t, `{"campaignId": "c", `+simple+`, "start": "`+start+`"}`), "c", w.devices, noon)
		if got := slices.Contains(p.Notes, "start, "+start+", is past: it begins at once"); got != want {
			t.Errorf("%s: notes %q", start, p.Notes)
		}
	}
}

// TestACampaignBeginsWithinAYear: its execution lasts no longer.
func TestACampaignBeginsWithinAYear(t *testing.T) {
	w := newWorld(t, 60)
	for start, refused := range map[string]bool{"2062-12-01T00:00:00Z": true, "2027-06-01T00:00:00Z": false} {
		_, err := w.ask([]byte(`{`+simple+`, "start": "`+start+`"}`), "me", true)
		problems, _ := errors.AsType[event.Problems](err)
		if got := len(problems) == 1 && problems[0].Path == "$.start"; got != refused || !refused && err != nil {
			t.Errorf("%s: %v", start, err)
		}
	}
}

// TestAPlanTellsWhoIsWithdrawn at the end: of a small wave nobody, as long as it lasts.
func TestAPlanTellsWhoIsWithdrawn(t *testing.T) {
	for devices, want := range map[int]string{
		39: "the last wave, rest, is over when all of its 19 devices have ended, or after 24 hours; those that have " +
			"not begun 90 minutes later, because",
		40: "the last wave, rest, is over when 95 % of its 20 devices have ended, or after 24 hours; those",
	} {
		w := newWorld(t, devices)
		out, err := w.ask([]byte(`{"campaignId": "c", `+simple+`, "gate": {"success": 0.5}, "waves": [
			{"name": "first", "count": 20}, {"name": "rest", "bakeMinutes": 90}]}`), "me", true)
		if err != nil || !strings.HasPrefix(out.Plan.Notes[len(out.Plan.Notes)-1], want) {
			t.Errorf("%v: %q, want %q", err, out.Plan.Notes, want)
		}
	}
}

// TestPercentagesThatAre100: each is a number that the binary system does not have.
func TestPercentagesThatAre100(t *testing.T) {
	const waves = `"waves": [{"name": "a", "percent": 21.7}, {"name": "b", "percent": 13.5},
		{"name": "c", "percent": 37.7}, {"name": "d", "percent": 19.4}, {"name": "e", "percent": %s}]`
	parse(t, `{`+simple+`, `+fmt.Sprintf(waves, "7.7")+`}`)
	_, err := campaign.Parse([]byte(`{`+simple+`, `+fmt.Sprintf(waves, "7.701")+`}`), forms(), "firmware")
	if err == nil || !strings.HasSuffix(err.Error(), "these are 100.001") {
		t.Errorf("%v", err)
	}
}

func TestATargetOfNobody(t *testing.T) {
	w := newWorld(t, 3)
	for i := range w.devices {
		w.devices[i].Version = "2.0.0"
	}
	_, err := w.ask([]byte(`{"campaignId": "c", `+simple+`}`), "me", false)
	const why = "3 devices found; 3: it runs that version already"
	if !errors.Is(err, campaign.ErrEmpty) || !strings.Contains(err.Error(), why) {
		t.Errorf("refused with %v", err)
	}
	// With other mistakes it is one of them.
	_, err = w.ask([]byte(`{"campaignId": "c", `+simple+`, "gate": {"alarms": ["none"]}}`), "me", false)
	problems, _ := errors.AsType[event.Problems](err)
	if len(problems) != 2 || problems[1].Path != "$.targets" {
		t.Errorf("refused with %v", err)
	}
	c := w.create(`{"campaignId": "c", ` + simple + `, "allowEmpty": true}`)
	if len(c.Waves) != 0 {
		t.Errorf("waves %+v", c.Waves)
	}
	if end := w.play("c", 10, nil); campaign.State(end.Next) != campaign.Completed {
		t.Errorf("ended %+v", end)
	}
	w = newWorld(t, 1)
	c = w.create(`{"campaignId": "c", ` + simple + `, "waves": [{"name": "a", "count": 5, "bakeMinutes": 0},
		{"name": "b"}]}`)
	if end := w.play("c", 1e12, nil); campaign.State(end.Next) != campaign.Completed || len(c.Waves) != 1 {
		t.Errorf("of one device: ended %+v, waves %+v", end, c.Waves)
	}
}

func TestTheSameRequestMakesNothingNew(t *testing.T) {
	w := newWorld(t, 60)
	payload := []byte(`{` + simple + `}`)
	plan, err := w.ask(payload, "me", true)
	if err != nil || plan.Plan == nil || plan.Plan.Total != 60 || len(w.started) != 0 {
		t.Fatalf("planned %+v, %v", plan, err)
	}
	first, err := w.ask(payload, "me", false)
	if err != nil || first.Existed || !strings.HasPrefix(string(first.Campaign), "fw-2-0-0-") {
		t.Fatalf("created %+v, %v", first, err)
	}
	again, err := w.ask(payload, "you", false)
	if err != nil || !again.Existed || again.Campaign != first.Campaign || again.Execution != first.Execution {
		t.Errorf("again %+v, %v", again, err)
	}
	other := strings.Replace(string(payload), `"2.0.0"`, `"3.0.0"`, 1)
	_, err = w.ask([]byte(`{"campaignId": "`+string(first.Campaign)+`", `+other[1:]), "me",
		false)
	if !errors.Is(err, campaign.ErrConflict) {
		t.Errorf("another under its id: %v", err)
	}
	if len(w.started) != 1 {
		t.Errorf("started %d times", len(w.started))
	}
	var m map[string]any
	c := w.load(first.Campaign)
	if err := json.Unmarshal(c.Documents[0], &m); err != nil || m["operation"] != "firmware" || m["owner"] != "s" {
		t.Errorf("document %s, %v", c.Documents[0], err)
	}
}

// TestATargetThatIsNotThere: all mistakes of a payload, also those that only the account knows.
// TestACreateThatFailedHalfWayIsRepeated: also where the campaign was aborted meanwhile, which then comes to its end.
func TestACreateThatFailedHalfWayIsRepeated(t *testing.T) {
	for _, aborted := range []bool{false, true} {
		w := newWorld(t, 60)
		busy := errors.New("throttled")
		w.unstarted = busy
		payload := []byte(`{"campaignId": "c", ` + simple + `, "gate": {"success": 0.8}, "waves": [{"name": "all",
			"bakeMinutes": 0}]}`)
		if _, err := w.ask(payload, "me", false); !errors.Is(err, busy) {
			t.Fatalf("created with %v", err)
		}
		want := campaign.Completed
		if aborted {
			w.do(event.CampaignRequest{Verb: event.VerbAbort, Campaign: "c", Why: "no"}, "me")
			want = campaign.Aborted
		}
		// The clock meets one without an execution, which it starts if it is to end.
		if _, err := w.driver().Tick(t.Context()); errors.Is(err, busy) != aborted {
			t.Errorf("aborted %t: the clock has %v", aborted, err)
		}
		w.unstarted = nil
		out, err := w.ask(payload, "me", false)
		if err != nil || !out.Existed || out.Execution == "" {
			t.Fatalf("created again: %+v, %v", out, err)
		}
		if end := w.play("c", 6*time.Hour, nil); campaign.State(end.Next) != want || aborted && len(w.stands) > 0 {
			t.Errorf("aborted %t: ended %+v, %d devices were asked", aborted, end, len(w.stands))
		}
	}
}

func TestATargetThatIsNotThere(t *testing.T) {
	w := newWorld(t, 60)
	_, err := w.ask([]byte(`{"images": [{"firmware": {"version": "missing"}}],
		"targets": {"groups": ["nobody"]}}`), "me", false)
	var problems event.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("%v", err)
	}
	w.noIndex = true
	if _, err = w.ask([]byte(`{`+simple+`}`), "me", false); !errors.As(err, &problems) ||
		problems[0].Path != "$.targets.query" {
		t.Errorf("without an index: %v", err)
	}
	w.noIndex = false
	_, err = w.ask([]byte(`{"operation": "blink", "input": {"times": 1},
		"targets": {"things": ["a"]}}`), "me", false)
	if !errors.As(err, &problems) || problems[0].Path != "$.timeouts" {
		t.Errorf("an operation that takes too long: %v", err)
	}
}

func TestAllMistakesOfAPayloadAreTold(t *testing.T) {
	_, err := campaign.Parse([]byte(`{
		"campaignId": "a b", "images": [{"models": [7], "from": ["~1"], "firmware": {"version": "bad"}},
		{"firmware": {}}],
		"operation": "blink", "activation": "bad", "targets": {}, "rate": 0, "windows": [{"from": "25:00", "days": ["MON", "MON"]}],
		"zone": "Nowhere", "blackout": [{"from": "2026-12-02", "to": "2026-12-01"}, {"from": "x"}], "priority": 101,
		"retry": [{"error": "x", "times": 5}, {"error": "Verify.WrongVersion"}, {}, {"error": "Download.Failed"},
		{"error": "Download.Failed", "times": 2}],
		"start": "now", "approval": {"sixEyes": true}, "onFail": "undo", "attempts": 11, "colour": 1,
		"gate": {"success": 1, "haltOn": {"x": 1, "Verify.WrongVersion": 0}, "notReturned": -1,
		"alarms": [7, "errors", "arn:aws:sns:x", "`+strings.Repeat("a", 256)+`"]},
		"waves": [{"name": "a"}, {"name": "a", "percent": 60, "count": 1}, {"percent": 50, "bakeMinutes": -1},
		{"name": "d", "percent": -3}]}`),
		forms(), "firmware")
	var problems event.Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	want := []string{
		"$", "$.activation", "$.approval.sixEyes", "$.attempts", "$.blackout[0].to", "$.blackout[1].from",
		"$.blackout[1].to",
		"$.campaignId", "$.colour", "$.gate.alarms[0]", "$.gate.alarms[2]", "$.gate.alarms[3]",
		"$.gate.haltOn.Verify.WrongVersion", "$.gate.haltOn.x", "$.gate.notReturned", "$.gate.success",
		"$.images[0].firmware", "$.images[0].from[0]", "$.images[0].models[0]", "$.images[1]",
		"$.onFail", "$.priority", "$.rate",
		"$.retry[0].error", "$.retry[0].times", "$.retry[2].error", "$.retry[4].error", "$.start", "$.targets",
		"$.waves[0]", "$.waves[1]", "$.waves[1].name", "$.waves[2].bakeMinutes", "$.waves[2].name",
		"$.waves[2].percent", "$.waves[3].percent", "$.windows[0].days[1]",
		"$.windows[0].from", "$.windows[0].to", "$.zone",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("problems at %q,\nwant %q", paths, want)
	}
	for payload, want := range map[string][]string{
		`{"images": [{"models": [7], "from": ["~1"], "firmware": {"version": "bad"}}, {"firmware": {"version": "1"}}],
			"targets": {"things": ["a b"], "groups": ["arn:x/y"]}, "activation": {"window": {}}, "input": {}}`: {
			"$.activation.window", "$.images[0].firmware", "$.images[0].from[0]", "$.images[0].models[0]",
			"$.images[1]", "$.input", "$.targets.groups[0]", "$.targets.things[0]"},
		`{"images": [{"firmware": {"version": "1"}}, {"models": ["x"], "firmware": {"version": "1"}}],
			"activation": "bad",
			"targets": {"query": "*"}, "timeouts": {"downloadSeconds": 1, "x": 2}}`: {"$.activation", "$.images[0]",
			"$.timeouts.downloadSeconds", "$.timeouts.x"},
		`{"operation": "blink", "input": {"times": 1}, "targets": {"query": "*"}, "stage": {"maxHours": 0}}`: {
			"$.stage", "$.stage.maxHours"},
		`{"images": [{"firmware": {"version": "1"}}], "targets": {"query": "*"}, "activation": "at once",
			"stage": {"hours": 1}}`: {"$.activation", "$.stage.hours"},
		`{"operation": "jump", "targets": {"query": "*"}}`:                    {"$.operation"},
		`{"operation": "blink", "targets": {"query": "*"}, "input": 7}`:       {"$.input"},
		`{"operation": "blink", "targets": {"query": "*"}, "activation": {}}`: {"$.activation", "$.input.times"},
		`{"operation": "blink", "input": {"times": 1}}`:                       {"$.targets"},
		`[]`: {"$"}, `{`: {"$"},
	} {
		_, err := campaign.Parse([]byte(payload), forms(), "firmware")
		if !errors.As(err, &problems) {
			t.Fatalf("%s: %v", payload, err)
		}
		got := map[string]bool{}
		for _, p := range problems {
			got[p.Path] = true
		}
		if paths := slices.Sorted(maps.Keys(got)); !slices.Equal(paths, want) {
			t.Errorf("%s: problems at %q, want %q", payload, paths, want)
		}
	}
}

// TestWhatNoDeviceFailsWithHaltsNothing: one that is held has not failed, and what ends a job execution is a job's. It
// is not told as a name that may be, and neither an operation of any names nor one that lists it has it.
func TestWhatNoDeviceFailsWithHaltsNothing(t *testing.T) {
	for _, what := range []string{`"images": [{"firmware": {"version": "2.0.0"}}]`, `"operation": "blink", "input": {"times": 1}`} {
		forms := forms()
		forms[0].Errors = []event.ErrorName{"Download.Failed", "Device.Refused", event.JobCanceled, event.JobHeld,
			event.JobTimedOut, event.CampaignHeld}
		_, err := campaign.Parse([]byte(`{`+what+`, "targets": {"groups": ["g"]}, "attempts": 5,
			"gate": {"haltOn": {"Campaign.Held": 1, "Job.Held": 1, "Job.TimedOut": 1, "Device.Refused": 1}},
			"retry": [{"error": "Campaign.Held"}, {"error": "Download.Failed"}]}`), forms, "firmware")
		problems, _ := errors.AsType[event.Problems](err)
		var paths []string
		for _, p := range problems {
			paths = append(paths, p.Path)
			allowed, hint, _ := strings.Cut(p.Allowed, ";")
			held := strings.HasSuffix(p.Path, "Campaign.Held") || p.Value == "Campaign.Held"
			if strings.Contains(allowed, "Held") || strings.Contains(hint, "HELD") != held {
				t.Errorf("%+v", p)
			}
		}
		want := "$.gate.haltOn.Campaign.Held $.gate.haltOn.Job.Held $.gate.haltOn.Job.TimedOut $.retry[0].error"
		if got := strings.Join(paths, " "); got != want {
			t.Errorf("%s: mistakes at %s, want %s", what, got, want)
		}
	}
}

// TestAnAlarmOfAGateIsThere: told where it is written, once; one in ALARM is noted.
func TestAnAlarmOfAGateIsThere(t *testing.T) {
	w := newWorld(t, 60)
	w.alarms = map[string]campaign.Alarm{"errors": {State: campaign.AlarmInAlarm}, "calls": {State: campaign.AlarmOK}}
	const of = `{"campaignId": "c", ` + simple + `, "gate": {"alarms": ["errors", %q]}, "waves": [
		{"name": "a", "count": 20}, {"name": "b", "count": 5, "gate": {"alarms": ["calls", %q]}}, {"name": "c"}]}`
	_, err := w.ask(fmt.Appendf(nil, of, "x", "y"), "me", true)
	var problems event.Problems
	if !errors.As(err, &problems) || len(problems) != 2 || problems[0].Path != "$.gate.alarms[1]" ||
		problems[1].Path != "$.waves[1].gate.alarms[1]" {
		t.Errorf("%v", err)
	}
	out, err := w.ask(fmt.Appendf(nil, of, "calls", "calls"), "me", true)
	if err != nil || !slices.Contains(out.Plan.Notes, "alarm errors is in ALARM now: it halts the campaign at once") {
		t.Errorf("%+v, %v", out.Plan, err)
	}
}
