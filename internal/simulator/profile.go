package simulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/quirk"
)

// Profile is a model of devices: what a vendor has chosen where TR-369 and TR-181 leave
// a choice, and where devices take a liberty. The zero value is the recorded device.
type Profile struct {
	Name        string
	Description string

	Images          int  // 2: FirmwareImage instances; 1 is overwritten while it runs
	ShowActive      bool // Status of the running image is Active, not Available
	CompletionFirst bool // OperationComplete before TransferComplete!
	// News that it never sends.
	NoTransferComplete, NoOperationComplete bool
	NoTimeWindow                            bool // refuses Activate() with a TimeWindow (7027)
	TwoTimeWindows                          bool // takes two of them; the recorded device takes one
	Cancels                                 bool // stops a command when told to by Cancel() of its Request
	NoAutoActivate                          bool // takes AutoActivate of Download() for false
	Interrupted                             Interrupted
	// MQTT311 makes agents speak MQTT 3.1.1: no properties, the reply topic appended to the topic (R-MQTT.24), a
	// wildcard in the subscription.
	MQTT311 bool
	// Versions are those of the protocol that it names, the last one is in its records; "" is usp.SupportedVersions.
	Versions string
	// Later has it send fields that a later version of the protocol might have.
	Later bool
	// Sleeps has it connected for Timing.Awake, then away for Timing.Asleep, again and again, but never in the
	// middle of a command.
	Sleeps bool
}

// Interrupted is what becomes of a download that a restart has ended.
type Interrupted string

// What may become of it.
const (
	Fails    Interrupted = ""         // it has failed, and says so (07b)
	Restarts Interrupted = "restarts" // it begins again, without a word (11f4)
	Resumes  Interrupted = "resumes"  // it goes on where it was, without a word
	Forgets  Interrupted = "forgets"  // there is no image, and no word
	Sticks   Interrupted = "sticks"   // as Fails, but its Status stays Downloading
)

// AllProfiles is every profile there is, in a fixed order, the recorded device first.
var AllProfiles = []*Profile{
	{Name: "reference", Description: "the recorded device: two images, everything is told"},
	{Name: "one-image", Description: "one image, overwritten while it runs", Images: 1},
	{Name: "three-images", Description: "three images", Images: 3},
	{Name: "status-active", Description: "shows the running image as Active", ShowActive: true},
	{Name: "completion-first", Description: "OperationComplete comes before TransferComplete!", CompletionFirst: true},
	{Name: "no-transfer-complete", Description: "never sends TransferComplete!", NoTransferComplete: true},
	{Name: "no-operation-complete", Description: "never sends OperationComplete", NoOperationComplete: true},
	{Name: "boot-only", Description: "sends neither of them: Boot! is all that it tells", NoTransferComplete: true,
		NoOperationComplete: true},
	{Name: "no-time-window", Description: "takes no TimeWindow in Activate()", NoTimeWindow: true},
	{Name: "two-time-windows", Description: "takes two TimeWindows in Activate()", TwoTimeWindows: true},
	{Name: "cancels-commands", Description: "stops a command at work when told to", Cancels: true},
	{Name: "no-auto-activate", Description: "ignores AutoActivate of Download()", NoAutoActivate: true},
	{Name: "restarts-download", Description: "begins an interrupted download again, without a word",
		Interrupted: Restarts},
	{Name: "resumes-download", Description: "goes on with an interrupted download, without a word",
		Interrupted: Resumes},
	{Name: "forgets-download", Description: "forgets an interrupted download, without a word", Interrupted: Forgets},
	{Name: "stuck-status", Description: "shows an interrupted download as Downloading for good", Interrupted: Sticks},
	{Name: "mqtt-3.1.1", Description: "speaks MQTT 3.1.1", MQTT311: true},
	{Name: "usp-1.4", Description: "speaks USP 1.4", Versions: "1.0,1.1,1.2,1.3,1.4"},
	{Name: "usp-later", Description: "speaks a later USP, with fields that nobody knows",
		Versions: "1.0,1.1,1.2,1.3,1.4,1.5", Later: true},
	{Name: "sleeps", Description: "is connected ten minutes a day", Sleeps: true},
	{Name: "worst", Description: "one image, Active, MQTT 3.1.1, tells of its restarts alone, forgets what they end",
		Images: 1, ShowActive: true, MQTT311: true, NoTransferComplete: true, NoOperationComplete: true,
		NoTimeWindow: true, Interrupted: Forgets},
}

// timeWindows is how many Activate() takes.
func (p *Profile) timeWindows() int {
	switch {
	case p.NoTimeWindow:
		return 0
	case p.TwoTimeWindows:
		return 2
	}
	return 1
}

// ProfileNamed finds a profile, nil if there is none of that name.
func ProfileNamed(name string) *Profile {
	for _, p := range AllProfiles {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Quirks are the differences from the recorded device that one who asks the device can
// find.
func (p *Profile) Quirks() quirk.List {
	var all []quirk.Quirk
	if p == nil {
		return nil
	}
	for q, has := range map[quirk.Quirk]bool{
		quirk.OneImage: p.Images == 1, quirk.StatusActive: p.ShowActive,
		quirk.CompletionFirst:    p.CompletionFirst && !p.NoTransferComplete && !p.NoOperationComplete,
		quirk.NoTransferComplete: p.NoTransferComplete, quirk.NoOperationComplete: p.NoOperationComplete,
		quirk.TwoTimeWindows: p.TwoTimeWindows, quirk.CancelsCommands: p.Cancels,
		quirk.NoTimeWindow: p.NoTimeWindow, quirk.NoAutoActivate: p.NoAutoActivate, quirk.MQTT311: p.MQTT311,
		quirk.ResumesDownload: p.Interrupted == Restarts || p.Interrupted == Resumes,
		quirk.ForgetsDownload: p.Interrupted == Forgets, quirk.StuckStatus: p.Interrupted == Sticks,
	} {
		if has {
			all = append(all, q)
		}
	}
	return quirk.Of(all...)
}

// ProfileWith is a model that has these quirks.
func ProfileWith(name string, quirks quirk.List) *Profile {
	p := &Profile{
		Name: name, Description: "has " + quirks.String(),
		ShowActive: quirks.Has(quirk.StatusActive), CompletionFirst: quirks.Has(quirk.CompletionFirst),
		NoTransferComplete: quirks.Has(quirk.NoTransferComplete), MQTT311: quirks.Has(quirk.MQTT311),
		NoOperationComplete: quirks.Has(quirk.NoOperationComplete), NoTimeWindow: quirks.Has(quirk.NoTimeWindow),
		NoAutoActivate: quirks.Has(quirk.NoAutoActivate), TwoTimeWindows: quirks.Has(quirk.TwoTimeWindows),
		Cancels: quirks.Has(quirk.CancelsCommands),
	}
	switch {
	case quirks.Has(quirk.ResumesDownload):
		p.Interrupted = Resumes
	case quirks.Has(quirk.ForgetsDownload):
		p.Interrupted = Forgets
	case quirks.Has(quirk.StuckStatus):
		p.Interrupted = Sticks
	}
	if quirks.Has(quirk.OneImage) {
		p.Images = 1
	}
	return p
}

// Profiles says how many devices of a fleet are of which model. The zero value is that
// all are the recorded device.
type Profiles struct {
	placed[Profile]
	all bool // the rest is spread over all of them
}

// ParseProfiles reads a list separated by commas:
//
//	one-image                     one device, drawn
//	one-image=3                   three, drawn
//	one-image@7                   the seventh device
//	all                           the rest, evenly spread over all profiles
//	one-image+status-active=3     three that have both quirks (as the agent doctor names them)
//
// The rest is the recorded device. All mistakes come in one error.
func ParseProfiles(text string) (Profiles, error) {
	out := Profiles{placed: placed[Profile]{fixed: map[int]*Profile{}}}
	err := eachItem(text, func(i item) error {
		if i.name == "all" {
			if out.all = !i.counted && !i.isPlaced; !out.all {
				return errors.New("profile all: it is for all devices without another, and takes no number")
			}
			return nil
		}
		profile := ProfileNamed(i.name)
		if profile == nil && strings.Contains(i.name, "+") {
			if quirks, bad := quirk.Parse(strings.ReplaceAll(i.name, "+", ",")); bad == nil {
				profile = ProfileWith(i.name, quirks)
			}
		}
		if profile != nil {
			return out.add(i, profile, "profile", "is", func(p *Profile) string { return p.Name })
		}
		names := make([]string, len(AllProfiles))
		for i, p := range AllProfiles {
			names[i] = p.Name
		}
		return fmt.Errorf("profile %q is none of: all, %s; nor quirks joined by +", i.name, strings.Join(names, ", "))
	})
	if err != nil {
		return Profiles{}, err
	}
	return out, nil
}

// Assign gives each device its profile, nil for the recorded device where nothing is
// said; faults are theirs by Faults.Assign. Where profiles are drawn, a device whose
// fault cannot take effect on one gets another. Equal arguments give equal answers. More
// profiles than devices, and one at a device whose fault it rules out, are an error.
func (s Profiles) Assign(faults []*Fault, seed uint64) ([]*Profile, error) {
	n := len(faults)
	if s.Count() > n {
		return nil, fmt.Errorf("simulator: %d devices with profiles are more than %d devices", s.Count(), n)
	}
	out := make([]*Profile, n)
	var free []int
	for device := range out {
		p := s.fixed[device+1]
		if p != nil && !faults[device].On(p).Applies {
			return nil, fmt.Errorf("simulator: fault %s of device %d never takes effect on profile %s",
				faults[device].Name, device+1, p.Name)
		}
		if out[device] = p; p == nil {
			free = append(free, device)
		}
	}
	for device := range s.fixed {
		if device > n {
			return nil, fmt.Errorf("simulator: profile %s is for device %d of %d", s.fixed[device].Name, device, n)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0x9f07117e5))
	rng.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	for _, d := range s.drawn {
		for range d.count {
			i := slices.IndexFunc(free, func(device int) bool { return faults[device].On(d.what).Applies })
			if i < 0 {
				return nil, fmt.Errorf("simulator: the faults leave too few devices for profile %s", d.what.Name)
			}
			out[free[i]] = d.what
			free = slices.Delete(free, i, i+1)
		}
	}
	if s.all {
		for i, device := range free {
			for k := range AllProfiles {
				p := AllProfiles[(i+k)%len(AllProfiles)]
				if faults[device].On(p).Applies {
					out[device] = p
					break
				}
			}
		}
	}
	return out, nil
}
