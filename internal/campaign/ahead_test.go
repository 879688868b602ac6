package campaign_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// TestAModelAtItsCapHoldsNoOther: another campaign has as many of a model at work as the budget allows. Devices of
// other models that are behind them in the wave begin, in their order, and those of the model when there is room.
func TestAModelAtItsCapHoldsNoOther(t *testing.T) {
	w := newWorld(t, 90)
	var own, others []string
	for i := range w.devices {
		switch i % 3 {
		case 0:
			others = append(others, string(w.devices[i].Thing))
			w.devices[i].Model = "M"
		default:
			own = append(own, string(w.devices[i].Thing))
			w.devices[i].Model = []string{"M", "N"}[i%3-1]
		}
	}
	fleet := w.devices
	payload := func(id string, budget, priority int, bake int) string {
		return fmt.Sprintf(`{"campaignId": %q, "images": [{"firmware": {"version": "2.0.0"}}], "priority": %d,
			"targets": {"groups": ["d"]}, "rate": 100, "waves": [{"name": "all", "bakeMinutes": %d}]%s}`,
			id, priority, bake, map[bool]string{true: fmt.Sprintf(`, "budget": %d`, budget)}[budget > 0])
	}
	pick := func(names []string) (found []campaign.Device) {
		for _, d := range fleet {
			if slices.Contains(names, string(d.Thing)) {
				found = append(found, d)
			}
		}
		return found
	}
	w.devices = pick(others)
	busy := w.create(payload("busy", 0, 90, 0))
	w.devices = pick(own)
	held := w.create(payload("held", 20, 10, 0))
	for _, c := range []campaign.Campaign{busy, held} {
		if _, err := w.machine().Take(t.Context(), campaign.StepInput{Step: campaign.StepWave, Campaign: c.ID,
			Token: event.TaskToken(c.ID)}); err != nil {
			t.Fatal(err)
		}
	}
	model := map[event.ThingName]string{}
	for _, d := range fleet {
		model[d.Thing] = d.Model
	}
	begun := func(name string) (n int) {
		for thing, s := range w.stands {
			if s.Campaign == "held" && model[thing] == name {
				n++
			}
		}
		return n
	}
	// 30 devices of M are at work for the other campaign: more than 20.
	if _, err := w.driver().Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, n := begun("M"), begun("N"); m != 0 || n != 20 {
		t.Fatalf("%d of M and %d of N begin, of 0 and 20", m, n)
	}
	first := w.load("held").Waves[0]
	if first.Admitted != 20 {
		t.Errorf("counted as admitted: %d", first.Admitted)
	}
	// The index of those who began is that of their order: nobody overtakes within a model.
	var order []string
	for number := range 1 {
		members, err := w.Part(t.Context(), campaign.Part{Campaign: "held", Number: number})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if m.Model == "N" {
				order = append(order, string(m.Thing))
			}
		}
	}
	for i, thing := range order {
		if _, ok := w.stands[event.ThingName(thing)]; ok != (i < 20) {
			t.Errorf("%s, number %d of N: begun is %v", thing, i, ok)
		}
	}
	// The others come to their end, and every device begins once.
	clear(w.at)
	for thing, s := range w.stands {
		w.stands[thing] = s.In(event.StandSucceeded, "", w.now)
	}
	for range 12 {
		w.now = w.now.Add(60e9)
		if _, err := w.driver().Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		for thing, s := range w.stands {
			w.stands[thing] = s.In(event.StandSucceeded, "", w.now)
		}
		if c := w.load("held").Waves[0]; c.Admitted != begun("M")+begun("N") {
			t.Fatalf("admitted %d, begun %d and %d", c.Admitted, begun("M"), begun("N"))
		}
	}
	if c := w.load("held"); begun("M") != 30 || begun("N") != 30 || c.Phase != campaign.Bake ||
		c.Waves[0].Cursors[0] != 60 || len(c.Waves[0].Ahead) != 0 {
		t.Errorf("at the end %d of M and %d of N; phase %s, cursor %v, ahead %v", begun("M"), begun("N"), c.Phase,
			c.Waves[0].Cursors, c.Waves[0].Ahead)
	}
}

// TestHowFarOthersBegin: the record of a campaign stays small, however many devices of a model wait at the head of a
// wave: so many behind the first of them are looked at, and the others when it has begun.
func TestHowFarOthersBegin(t *testing.T) {
	const all, rare = 6060, 60
	w := newWorld(t, all)
	for i := range w.devices {
		w.devices[i].Model = "M"
		if i%(all/rare) == 0 {
			w.devices[i].Model = "N"
		}
	}
	const payload = `{"campaignId": %q, "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"priority": %d, "rate": 1000, "waves": [{"name": "all", "maxHours": 999}] %s}`
	fleet := w.devices
	w.devices = []campaign.Device{{Thing: "busy", Model: "M", Version: "1.0.0"}}
	busy := w.create(fmt.Sprintf(payload, "busy", 90, ""))
	w.devices = fleet
	held := w.create(fmt.Sprintf(payload, "held", 10, `, "budget": 1`))
	for _, c := range []campaign.Campaign{busy, held} {
		if _, err := w.machine().Take(t.Context(), campaign.StepInput{Step: campaign.StepWave, Campaign: c.ID,
			Token: event.TaskToken(c.ID)}); err != nil {
			t.Fatal(err)
		}
	}
	// tick lets a minute pass in which all come to their end but the one of the other campaign, while that is at work.
	tick := func(working bool) {
		t.Helper()
		w.now = w.now.Add(60e9)
		if _, err := w.driver().Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		for thing, s := range w.stands {
			if to := s.In(event.StandSucceeded, "", w.now); thing != "busy" {
				w.stands[thing] = to
			} else if w.stands[thing] = s.In(event.StandRunning, "", w.now); !working {
				w.stands[thing] = to
			}
		}
	}
	for range 2 * rare {
		tick(true)
	}
	most := 0
	for n := range 6 {
		members, err := w.Part(t.Context(), campaign.Part{Campaign: "held", Number: n})
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range members {
			if _, begun := w.stands[m.Thing]; begun != (m.Model == "N" && n*campaign.PartSize+i < 4000) {
				t.Fatalf("%+v, number %d, begun: %v", m, n*campaign.PartSize+i, begun)
			} else if begun {
				most++
			}
		}
	}
	if one := w.load("held").Waves[0]; one.Admitted != most || most < 30 || len(one.Ahead[0]) > 500 {
		t.Errorf("admitted %d, begun %d; the record has %d bytes of it", one.Admitted, most, len(one.Ahead[0]))
	}
	for range 100 {
		tick(false)
	}
	one := w.load("held").Waves[0]
	if one.Admitted <= most+40 || one.Admitted != len(w.stands)-1 || one.Cursors[0] < 40 {
		t.Errorf("with room: %d begun, admitted %d, cursor %d", len(w.stands)-1, one.Admitted, one.Cursors[0])
	}
}
