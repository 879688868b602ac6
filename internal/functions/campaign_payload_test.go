package functions

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
)

func campaignSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(samples, "schema", "create-campaign.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parseCampaign(payload []byte) (campaign.Request, error) {
	return campaign.Parse(payload, []event.Form{upgrade.NewForm(nil, upgrade.Rules{})}, upgrade.Operation)
}

var campaignSamples = []string{"create-campaign.json", "create-campaign-demo.json", "create-campaign-staged.json"}

func TestSamplesOfCampaigns(t *testing.T) {
	s := campaignSchema(t)
	r, err := parseCampaign(sample(t, "create-campaign.json"))
	if err != nil || r.Stage == nil || r.Stage.MaxHours != 72 || len(r.Images) != 2 || len(r.Windows) != 2 ||
		!r.FourEyes || r.Waves[0].Gate.NotReturned != 3 || r.Waves[1].Gate.Success != 0.98 {
		t.Errorf("%+v, %v", r, err)
	}
	demo, err := parseCampaign(sample(t, "create-campaign-demo.json"))
	if err != nil || len(demo.Waves) != 3 || !demo.Waves[1].Approval {
		t.Errorf("%+v, %v", demo, err)
	}
	staged, err := parseCampaign(sample(t, "create-campaign-staged.json"))
	if err != nil || len(staged.Waves) != 2 || staged.Stage == nil || staged.Stage.MaxHours != 1 {
		t.Errorf("%+v, %v", staged, err)
	}
	for _, name := range campaignSamples {
		if !accepts(s, sample(t, name)) {
			t.Errorf("the schema refuses %s", name)
		}
	}
}

// TestErrorsOfACampaignAreThoseOfAnUpgrade: one with a mistake in its name would halt nothing, and never be tried
// again.
func TestErrorsOfACampaignAreThoseOfAnUpgrade(t *testing.T) {
	_, err := parseCampaign([]byte(`{"images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["g"]},
		"gate": {"haltOn": {"Verify.WrongVerson": 5, "Activate.Failed": 5}},
		"waves": [{"name": "a", "gate": {"haltOn": {"Rolback.Failed": 1}}}],
		"retry": [{"error": "Downlod.Failed"}, {"error": "Download.Failed"}]}`))
	problems, _ := errors.AsType[event.Problems](err)
	var paths []string
	for _, p := range problems {
		if paths = append(paths, p.Path); !strings.Contains(p.Allowed, "Verify.WrongVersion") ||
			strings.Contains(p.Allowed, "Upgrade.UpToDate") || p.Value == nil {
			t.Errorf("%+v", p)
		}
	}
	want := "$.gate.haltOn.Verify.WrongVerson $.retry[0].error $.waves[0].gate.haltOn.Rolback.Failed"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("mistakes at %s, want %s", got, want)
	}
}

// TestAStagedImageIsActivatedByACommand: whatever else is said of its activation.
func TestAStagedImageIsActivatedByACommand(t *testing.T) {
	const of = `{"targets": {"groups": ["g"]}, "stage": {}, "images": [{"firmware": {"version": "2.0.0"}}]`
	for activation, want := range map[string]string{
		``:                                      `{"mode":"SEPARATE"}`,
		`, "activation": {"soakSeconds": 60}`:   `{"mode":"SEPARATE","soakSeconds":60}`,
		`, "activation": {"mode": "SEPARATE"}`:  `{"mode":"SEPARATE"}`,
		`, "activation": {"mode": "AUTO"}`:      "$.activation.mode",
		`, "activation": {"mode": "SOMETIMES"}`: "$.activation.mode",
		`, "activation": 7`:                     "$.activation",
	} {
		r, err := parseCampaign([]byte(of + activation + "}"))
		var problems event.Problems
		switch {
		case errors.As(err, &problems):
			if len(problems) != 1 || problems[0].Path != want {
				t.Errorf("%s: %v, want a problem at %s", activation, err, want)
			}
		case err != nil || string(r.Images[0].Input.Members["activation"]) != want:
			t.Errorf("%s: %s, %v, want %s", activation, r.Images[0].Input.Members["activation"], err, want)
		}
	}
}

// TestTheSchemaOfCampaignsAgreesWithValidation: what the schema refuses validation refuses, and what validation
// refuses the schema does, but for what it says that it cannot hold.
func TestTheSchemaOfCampaignsAgreesWithValidation(t *testing.T) {
	s := campaignSchema(t)
	values := []any{
		nil, true, 0, 1, -1, 1.5, 0.5, 0.95, 0.9999, 5, 7, 100, 1000, 1001, 1e9, "", "x", "2.0.0", "02:00", "24:00",
		"halt", "MON", "Europe/Berlin", "s3://bucket/key", []any{}, []any{"x"}, map[string]any{},
		map[string]any{"success": 0.9}, map[string]any{"from": "02:00", "to": "03:00"},
		map[string]any{"name": "w", "count": 1},
	}
	rapid.Check(t, func(t *rapid.T) {
		var tree any
		name := rapid.SampledFrom(campaignSamples).Draw(t, "base")
		b, err := os.ReadFile(filepath.Join(samples, name))
		if err != nil || json.Unmarshal(b, &tree) != nil {
			t.Fatal(name, err)
		}
		for i := rapid.IntRange(0, 2).Draw(t, "changes"); i > 0; i-- {
			mutate(t, tree, values)
		}
		payload, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseCampaign(payload)
		var problems event.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%s: %v is not a list of problems", payload, err)
		}
		if ok := accepts(s, payload); ok != (err == nil) && !(ok && beyondCampaignSchema(problems)) {
			t.Fatalf("schema says %v, validation says %v, of %s", ok, err, payload)
		}
	})
}

// beyondCampaignSchema reports whether something is wrong that the schema says it cannot hold.
func beyondCampaignSchema(problems event.Problems) bool {
	for _, p := range problems {
		for _, part := range []string{".firmware", "$.activation", ".blackout", "$.zone", "$.start", "$.end", ".from[",
			".timeouts", ".percent", "$.operation", "$.input"} {
			if strings.Contains(p.Path, part) {
				return true
			}
		}
		for _, text := range []string{"another name than the waves", "only the last wave", "of several images",
			"fewer than attempts", "does not halt"} {
			if strings.Contains(p.Allowed, text) {
				return true
			}
		}
	}
	return false
}
