package simulator

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/internal/quirk"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

func TestProfileLists(t *testing.T) {
	for _, c := range []struct {
		text  string
		count int
		bad   string // in the error
	}{
		{"", 0, ""},
		{"one-image, status-active=3", 4, ""},
		{"one-image@2,sleeps", 2, ""},
		{"all,one-image=2", 2, ""},
		{"one-image+mqtt-3.1.1=2", 2, ""},
		{"nope", 0, `"nope"`},
		{"one-image+nope", 0, `"one-image+nope"`},
		{"one-image=x", 0, `"x"`},
		{"one-image@0", 0, `"0"`},
		{"one-image@3,sleeps@3", 0, "already"},
		{"one-image=2@3", 0, "either"},
		{"all=2", 0, "takes no number"},
	} {
		p, err := ParseProfiles(c.text)
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%q: %v", c.text, err)
			}
			continue
		}
		if err != nil || p.Count() != c.count {
			t.Errorf("%q: %d profiles, %v", c.text, p.Count(), err)
			continue
		}
		got, err := p.Assign(make([]*Fault, 40), 1)
		again, _ := p.Assign(make([]*Fault, 40), 1)
		n := 0
		for _, profile := range got {
			if profile != nil {
				n++
			}
		}
		want := c.count
		if strings.Contains(c.text, "all") {
			want = 40
		}
		same := slices.EqualFunc(got, again, func(a, b *Profile) bool { return a == b })
		if err != nil || n != want || !same {
			t.Errorf("%q: %d devices have a profile (%v)", c.text, n, err)
		}
	}
}

// Profiles go to devices whose fault can take effect on them.
func TestProfilesLeaveFaultsTheirEffect(t *testing.T) {
	faults, err := ParseFaults("all=3")
	if err != nil {
		t.Fatal(err)
	}
	n := 3 * len(AllFaults)
	for seed := range uint64(20) {
		assigned, err := faults.Assign(n, seed)
		if err != nil {
			t.Fatal(err)
		}
		profiles, err := ParseProfiles("all,worst=10,boot-only=10")
		if err != nil {
			t.Fatal(err)
		}
		got, err := profiles.Assign(assigned, seed)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if !assigned[i].On(got[i]).Applies {
				t.Errorf("seed %d: %s on %s", seed, assigned[i].Name, got[i].Name)
			}
		}
	}
	old := []*Fault{FaultNamed(OldImage)}
	for _, text := range []string{"one-image@1", "one-image", "worst@2", "reference=2"} {
		profiles, err := ParseProfiles(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := profiles.Assign(old, 1); err == nil {
			t.Errorf("%s on one device with %s", text, OldImage)
		}
	}
}

func FuzzProfiles(f *testing.F) {
	f.Add("all,one-image@3,one-image+mqtt-3.1.1=2")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseProfiles(text)
		if err != nil || p.Count() > 1000 {
			return
		}
		if got, err := p.Assign(make([]*Fault, 1000), 1); err == nil && len(got) != 1000 {
			t.Fatal(len(got))
		}
	})
}

// A model can be made of its quirks alone.
func TestModelsAreMadeOfQuirks(t *testing.T) {
	for _, p := range AllProfiles {
		quirks := p.Quirks()
		if got := ProfileWith("x", quirks).Quirks(); !slices.Equal(got, quirks) {
			t.Errorf("%s: %s, made of %s", p.Name, got, quirks)
		}
	}
	var all quirk.List
	for _, each := range quirk.All {
		one := quirk.Of(each.Quirk)
		if got := ProfileWith("x", one).Quirks(); !slices.Equal(got, one) {
			t.Errorf("%s is %s", one, got)
		}
		if slices.ContainsFunc(AllProfiles, func(p *Profile) bool { return p.Quirks().Has(each.Quirk) }) {
			all = append(all, each.Quirk)
		}
	}
	if len(all) != len(quirk.All) {
		t.Errorf("only %s are of a profile", all)
	}
}

func profiled(name string) func(*Settings) {
	return func(s *Settings) { s.Profile = *ProfileNamed(name) }
}

// What a later version adds is sent, and hurts nobody who does not know it.
func TestALaterVersionIsUnderstood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", profiled("usp-later"))
		w.start()
		w.send(func(id string) *uspmsg.Msg { return usp.NewGet(id, 0, usp.SoftwareVersion) })
		for i, p := range w.b.sent {
			r, err := usp.DecodeRecord(p.Payload)
			if err != nil || r.Version != "1.5" {
				t.Fatalf("%v, %v", r, err)
			}
			var raw usprecord.Record
			if err := proto.Unmarshal(p.Payload, &raw); err != nil || len(raw.ProtoReflect().GetUnknown()) == 0 {
				t.Errorf("record %d: %v, no unknown field", i, err)
			}
			if r.Message != nil && len(r.Message.GetHeader().ProtoReflect().GetUnknown()) == 0 {
				t.Errorf("message %d: no unknown field", i)
			}
		}
		expect(t, w.story(), "mqtt_connect", "Boot! updated=false key=", "GET_RESP")
	})
}

// An agent that sleeps is away most of the day, and not in the middle of a command.
func TestASleeperFinishesWhatItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBench(t, "", func(s *Settings) {
			noRetry(s)
			profiled("sleeps")(s)
			s.Timing.Download = [2]time.Duration{30 * time.Minute, 30 * time.Minute}
		})
		w.start()
		awake := func() bool { return w.a.Facts().Phase != Offline }
		for range 24 * 60 {
			if awake() {
				break
			}
			w.wait(time.Minute)
		}
		if !awake() {
			t.Fatal("it never woke")
		}
		w.operate("Device.DeviceInfo.FirmwareImage.2.Download()", "k", downloadArgs("fw", "2.0.0", true))
		minutes := 0
		for range 24 * 60 {
			w.wait(time.Minute)
			if awake() {
				minutes++
			}
		}
		if f := w.a.Facts(); !f.Upgraded() || minutes < 30 || minutes > 60 {
			t.Errorf("awake for %d minutes of a day: %+v", minutes, f)
		}
	})
}
