package rehearsal

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/simulator"
)

const profilesFile = "testdata/profiles.txt"

// combination is a device with a fault, nil for none, of a model.
type combination struct {
	fault   *simulator.Fault
	profile *simulator.Profile
}

func (c combination) String() string {
	fault := "healthy"
	if c.fault != nil {
		fault = c.fault.Name
	}
	return c.profile.Name + " " + fault
}

// combinations are all in which the fault can take effect, in a fixed order.
func combinations() (all []combination) {
	for _, p := range simulator.AllProfiles {
		for _, f := range append([]*simulator.Fault{nil}, simulator.AllFaults...) {
			if f.On(p).Applies {
				all = append(all, combination{f, p})
			}
		}
	}
	return all
}

// ends plays one device of each combination and gives the lines of how they ended.
func ends(t *testing.T, list []combination, seed uint64, event string) (lines []string, out string, err error) {
	t.Helper()
	var faults, profiles []string
	for i, c := range list {
		if c.fault != nil {
			faults = append(faults, fmt.Sprintf("%s@%d", c.fault.Name, i+1))
		}
		profiles = append(profiles, fmt.Sprintf("%s@%d", c.profile.Name, i+1))
	}
	s, out, err := play(t, Config{Devices: len(list), Seed: seed, Faults: strings.Join(faults, ","), Event: event,
		Profiles: strings.Join(profiles, ",")})
	if s == nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, out)
	}
	for profile, faults := range s.Models {
		for fault, ends := range faults {
			for end, n := range ends {
				for range n {
					lines = append(lines, profile+" "+fault+" "+end)
				}
			}
		}
	}
	slices.Sort(lines)
	return lines, out, err
}

// problems are the complaints of a rehearsal.
func problems(out string) (lines []string) {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "PROBLEM") || strings.HasPrefix(line, "seed ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// TestEveryFaultOnEveryProfile plays a device of each model with each fault, all of them
// together: each has the one end that is declared for the two. In the ordinary suite it
// plays a part of them.
func TestEveryFaultOnEveryProfile(t *testing.T) {
	all, whole, rewrite := combinations(), os.Getenv("FLEETSTEP_PROFILES") == "all", os.Getenv(behaviourRewrite) != ""
	if !whole && !rewrite {
		var part []combination
		for i := 3; i < len(all); i += 29 {
			if !all[i].profile.Sleeps { // which takes a virtual day
				part = append(part, all[i])
			}
		}
		all = part
	}
	judge := func(list []combination, seed uint64, event string) []string {
		t.Helper()
		lines, out, err := ends(t, list, seed, event)
		if err != nil {
			t.Errorf("seed %d, %s: %v\n%s", seed, event, err, strings.Join(problems(out), "\n"))
		}
		return lines
	}
	lines := judge(all, 1, "")
	if rewrite {
		if err := os.WriteFile(profilesFile, []byte(strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if !whole {
		return
	}
	judge(all, 2, "../../events/create-job-quick.json")
	// One image cannot be activated separately; and who hears nothing of a device's download waits until the device
	// sleeps again, where it does not restart of itself.
	two := slices.DeleteFunc(slices.Clone(all), func(c combination) bool {
		return c.profile.Images == 1 ||
			c.profile.Sleeps && c.fault != nil && c.fault.Name == simulator.SubscriptionChanged
	})
	separate := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(separate, []byte(`{
		"firmware": {"version": "2.0.0"}, "activation": {"mode": "SEPARATE"}, "abort": {"criteriaList": []},
		"targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	judge(two, 3, separate)
}

// TestRecordOfProfilesIsWhole holds the record of the last whole run to the table:
// every combination is in it, with the end that is declared.
func TestRecordOfProfilesIsWhole(t *testing.T) {
	record, err := os.ReadFile(profilesFile)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range combinations() {
		end := c.fault.On(c.profile).Ends
		if end == "" {
			end = "success"
		}
		want = append(want, c.String()+" "+end)
	}
	slices.Sort(want)
	if got := strings.Split(strings.TrimSpace(string(record)), "\n"); !slices.Equal(got, want) {
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("not in the record: %s", line)
			}
		}
		t.Errorf("the record has %d lines, want %d; %s=1 writes it", len(got), len(want), behaviourRewrite)
	}
}

// asked watches what agents fetch.
type asked struct {
	simulator.HTTPClient
	answers []string // ranges, and the statuses of their answers
}

func (a *asked) Do(r *http.Request) (*http.Response, error) {
	out, err := a.HTTPClient.Do(r)
	if span := r.Header.Get("Range"); span != "" && err == nil {
		a.answers = append(a.answers, fmt.Sprint(span, " ", out.StatusCode))
	}
	return out, err
}

// A device that goes on with a transfer after a power cut asks the bucket for the rest, by
// the address that it was given.
func TestATransferGoesOnWhereItWas(t *testing.T) {
	var a asked
	s, out, err := play(t, Config{
		Devices: 1, Seed: 1, Image: 16 << 10, Faults: "reboot-in-download@1", Profiles: "resumes-download@1",
		opened: func(w *world) {
			a.HTTPClient = client{handler: w.handler}
			w.firmware = &a
		},
	})
	if err != nil || s.Succeeded != 1 || !slices.Equal(a.answers, []string{"bytes=8192- 206"}) {
		t.Errorf("asked for %q; %v\n%s", a.answers, err, out)
	}
}
