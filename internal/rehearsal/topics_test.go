package rehearsal

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// TestAnotherLayoutOfTopicsIsPlayed: template, device policy, rule, functions and agents
// agree on how topics are named, whichever layout it is, and nothing is said on others.
func TestAnotherLayoutOfTopicsIsPlayed(t *testing.T) {
	t.Parallel()
	for _, layout := range usp.Layouts[1:] {
		t.Run(layout.Name, func(t *testing.T) {
			t.Parallel()
			var w *world
			subscribed := map[string]bool{}
			_, out, err := play(t, Config{Devices: 40, Seed: 4, Faults: "all",
				Profiles: "mqtt-3.1.1=3", Event: "../../events/create-job-quick.json",
				with:   map[string]string{"TopicLayout": layout.Name},
				opened: func(x *world) { w = x; x.connected = func(l *link) { subscribed[l.topic] = true } },
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if denied := w.cloud.Denied(); len(denied) > 0 {
				t.Errorf("refused: %v", denied)
			}
			before, after, _ := strings.Cut(string(layout.Agent), "{thing}")
			for _, topic := range slices.Sorted(maps.Keys(subscribed)) {
				if !strings.HasPrefix(topic, before) || !strings.HasSuffix(strings.TrimSuffix(topic, "/#"), after) {
					t.Errorf("an agent listens at %s", topic)
				}
			}
			if len(subscribed) < 40 {
				t.Errorf("agents listen at %d topics", len(subscribed))
			}
		})
	}
}
