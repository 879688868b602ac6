package rehearsal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// restless is an operator who does whatever comes to his mind, at any moment, for a while, and has the campaign go on
// at the end.
type restless struct {
	*world
	api     cli.Campaigns
	r       *rand.Rand
	devices int
	changed map[event.CampaignVerb]int // what his verbs have changed
}

// verbs are those that end no campaign; what is there twice is done as often.
var verbs = []event.CampaignVerb{event.VerbPauseCampaign, event.VerbResumeCampaign, event.VerbResumeCampaign,
	event.VerbSkip, event.VerbApprove, event.VerbRetry, event.VerbRetry, event.VerbExclude}

// do does a verb. That it is not the moment for it is fine, and what a bad day says is, too; over is that the campaign
// is.
func (o *restless) do(verb event.CampaignVerb) (over bool) {
	ctx := context.Background()
	q := event.CampaignRequest{Campaign: "two", Verb: verb, Why: "a mood"}
	switch v, _, err := o.api.Describe(ctx, "two", false); {
	case err != nil:
		return false
	case v.Over():
		return true
	case verb == event.VerbResumeCampaign:
		failed := v.Devices.Failures()
		q.Failures = &failed
	case verb == event.VerbExclude:
		q.Things = []event.ThingName{event.ThingName(simulator.ThingName(1 + o.r.IntN(o.devices))), "nobody"}
	}
	if out, err := o.api.Do(ctx, q); err == nil && strings.Contains(string(out), `"changed":true`) {
		o.changed[verb]++
	}
	return false
}

func (o *restless) operate() {
	ctx := context.Background()
	moods := []time.Duration{2 * time.Second, 30 * time.Second, 4 * time.Minute}
	for end := o.sched.Now().Add(90 * time.Minute); o.sched.Now().Before(end); {
		_ = o.sched.Sleep(ctx, time.Duration(o.r.Int64N(int64(moods[o.r.IntN(len(moods))]))))
		if o.do(verbs[o.r.IntN(len(verbs))]) {
			return
		}
	}
	for !o.do(event.VerbResumeCampaign) {
		_ = o.sched.Sleep(ctx, time.Minute)
	}
}

// TestTwoOperatorsOfACampaign do their verbs at the same moments and against each other, every other time in bad
// weather. What must hold at every moment and at the end the trial looks at itself.
func TestTwoOperatorsOfACampaign(t *testing.T) {
	seeds := []uint64{2}
	if text := os.Getenv(campaigns); text != "" {
		var err error
		if seeds, err = seedsOf(text); err != nil {
			t.Fatal(err)
		}
	}
	const devices, of = 40, `{"campaignId": "two", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "rate": 10, "gate": {"success": 0.6, "haltOn": {}, "notReturned": 0},
		"waves": [{"name": "canary", "count": 10, "bakeMinutes": 20},
		{"name": "early", "percent": 30, "bakeMinutes": 10, "approval": true}, {"name": "rest", "bakeMinutes": 20}]`
	kinds := []string{of + "}", of + `, "stage": {}, "budget": 5}`,
		of + `, "activation": {"mode": "SEPARATE"}, "retry": [{"error": "Download.Failed", "times": 1, "minutes": 2}]}`}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := Config{Devices: devices, Seed: seed, Faults: "all", Every: 15 * time.Second,
				Campaign: trial.Campaign{File: payload(t, kinds[seed%uint64(len(kinds))]), Models: 3}}
			if seed%2 == 0 {
				var err error
				if c.Weather, err = localcloud.ParseWeather("bad", "", seed); err != nil {
					t.Fatal(err)
				}
			}
			changed := map[event.CampaignVerb]int{}
			c.opened = func(w *world) {
				for n, name := range []string{"ann", "bob"} {
					o := &restless{world: w, devices: devices, changed: changed}
					o.r = rand.New(rand.NewPCG(seed, uint64(n)))
					w.sched.Go("an operator", func() {
						for w.fleet == nil {
							_ = w.sched.Sleep(context.Background(), time.Second)
						}
						o.api = cli.Campaigns{AWS: w.operator(), Stack: stack, Now: w.sched.Now}
						var err error
						if o.api.Asker, err = w.somebody(context.Background(), name); err != nil {
							t.Error(err)
							return
						}
						o.operate()
					})
				}
			}
			s, out, err := lead(t, c)
			if err != nil || changed[event.VerbPauseCampaign] == 0 || changed[event.VerbExclude] == 0 {
				t.Errorf("%v: %v\n%s", changed, err, out)
			} else if testing.Verbose() {
				t.Logf("%v: %d succeeded, %d withdrawn, %.0f s", changed, s.Succeeded, s.Withdrawn, s.VirtualSeconds)
			}
		})
	}
}
