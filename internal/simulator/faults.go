package simulator

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// Fault is one way for a device to be difficult, and how its upgrade ends.
type Fault struct {
	Name        string
	Description string
	// Ends is the error name with which its upgrade ends; "" is success.
	Ends string
	// Disturbed are the names with which it may end instead where the cloud itself is
	// ended, or loses messages, meanwhile.
	Disturbed []string
}

// Succeeds tells whether the device ends up on the new version all the same. A nil
// Fault is a healthy device.
func (f *Fault) Succeeds() bool { return f == nil || f.Ends == "" }

// Expects tells whether an upgrade of a recorded device with this fault ends so:
// errorName is empty for success.
func (f *Fault) Expects(errorName string) bool { return errorName == f.On(nil).Ends }

// Allows is Expects where the cloud itself is disturbed.
func (f *Fault) Allows(errorName string) bool { return f.On(nil).Allows(errorName) }

// Names of faults.
const (
	OfflineAtStart        = "offline-at-start"
	NotFound              = "404"
	BadChecksum           = "bad-checksum"
	DownloadAborted       = "download-aborted"
	Refuses               = "refuses"
	BootFails             = "boot-fails"
	OldImage              = "old-image"
	NeverReturns          = "never-returns"
	RebootInDownload      = "reboot-in-download"
	SlowLink              = "slow-link"
	DuplicateAll          = "duplicate-all"
	Reorder               = "reorder"
	Delay                 = "delay"
	Garbage               = "garbage"
	WrongEndpointID       = "wrong-endpoint-id"
	LosesOperComplete     = "loses-oper-complete"
	LosesTransferComplete = "loses-transfer-complete"
	CutBeforeRestart      = "cut-before-restart"
	FirstBootUnreported   = "first-boot-unreported"
	OldNews               = "old-news"
	Blocked               = "blocked"
	WrongVersion          = "wrong-version"
	CutInRollback         = "cut-in-rollback"
	BusyWithAnother       = "busy-with-another"
	SubscriptionChanged   = "subscription-changed"
	Forbidden             = "403"
	SlowFlash             = "slow-flash"
	DropsIdle             = "nat-drops-idle"
	WrongClock            = "wrong-clock"
)

// AllFaults is every fault there is, in a fixed order.
var AllFaults = []*Fault{
	{OfflineAtStart, "appears some time after the job began", "", nil},
	{NotFound, "its transfer ends with HTTP status 404", "Download.Failed", nil},
	{BadChecksum, "the image arrives damaged", "Download.ChecksumMismatch", nil},
	{DownloadAborted, "its transfer breaks half way", "Download.Failed", nil},
	{Refuses, "refuses Download() by 7002", "Device.Refused", nil},
	{BootFails, "the new image does not boot; it falls back and says so", "Activate.Failed", nil},
	{OldImage, "comes back with the old image, without a word", "Activate.Failed", nil},
	{NeverReturns, "does not come back from the reboot into the new image", "Device.Offline",
		[]string{"Device.NoReport"}},
	{RebootInDownload, "loses power in the middle of its first transfer", "", nil},
	{SlowLink, "its transfer takes long", "", nil},
	{DuplicateAll, "sends every message twice", "", nil},
	{Reorder, "completions come before events", "", nil},
	{Delay, "every message is late, by a time of its own", "", nil},
	{Garbage, "sends nonsense before every message", "", nil},
	{WrongEndpointID, "greets as itself, and then its records name another sender", "Device.NoReport",
		[]string{"Device.Offline"}},
	{LosesOperComplete, "never sends OperationComplete", "", nil},
	{LosesTransferComplete, "never sends TransferComplete!", "", nil},
	{CutBeforeRestart, "loses power when the image is complete, before it starts (11a, 11d)", "", nil},
	{FirstBootUnreported, "the first start of the new image ends before it is connected (11e)", "", nil},
	{OldNews, "loses power in its transfer, and tells the failure again while the next one runs (11f)", "", nil},
	{Blocked, "loses power as its transfer completes; refuses every Download() and Activate() from then on (11l)", "",
		nil},
	{WrongVersion, "the new image runs and reports another version; it goes back when told to", "Verify.WrongVersion",
		nil},
	{CutInRollback, "as wrong-version, and loses power before it goes back (11c)", "Verify.WrongVersion", nil},
	{BusyWithAnother, "downloads something for another controller when the upgrade begins", "", nil},
	{SubscriptionChanged, "another controller switches off the Subscriptions that tell of a download's end", "", nil},
	{Forbidden, "its first transfer ends with HTTP status 403: the address has expired", "", nil},
	{SlowFlash, "writes the image for long when it has it", "", nil},
	{DropsIdle, "is behind a router that forgets idle connections, five times: what comes then is lost", "", nil},
	{WrongClock, "begins each boot on 1970-01-01, and so uses its message ids again (24)", "", nil},
}

// FaultNamed finds a fault, nil if there is none of that name. "not-found" is
// another name of "404".
func FaultNamed(name string) *Fault {
	if name == "not-found" {
		name = NotFound
	}
	for _, f := range AllFaults {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Faults says how many devices of a fleet have which fault. The zero value is
// none.
type Faults struct{ placed[Fault] }

// ParseFaults reads a list separated by commas:
//
//	bad-checksum       one device, drawn
//	bad-checksum=3     three, drawn
//	bad-checksum@7     the seventh device
//	all, all=2         one, or two, of every fault
//
// All mistakes come in one error.
func ParseFaults(text string) (Faults, error) {
	f := Faults{placed[Fault]{fixed: map[int]*Fault{}}}
	named := func(f *Fault) string { return f.Name }
	err := eachItem(text, func(i item) error {
		if i.name != "all" {
			if fault := FaultNamed(i.name); fault != nil {
				return f.add(i, fault, "fault", "has", named)
			}
			names := make([]string, len(AllFaults))
			for i, f := range AllFaults {
				names[i] = f.Name
			}
			return fmt.Errorf("fault %q is none of: all, %s", i.name, strings.Join(names, ", "))
		}
		if i.isPlaced {
			i.counted = true // all are not one device's
		}
		for _, each := range AllFaults {
			if err := f.add(i, each, "fault", "has", named); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Faults{}, err
	}
	return f, nil
}

// Assign gives each of n devices its fault, nil for most. Equal arguments give
// equal answers. More faults than devices are an error.
func (f Faults) Assign(n int, seed uint64) ([]*Fault, error) {
	if f.Count() > n {
		return nil, fmt.Errorf("simulator: %d devices with faults are more than %d devices", f.Count(), n)
	}
	all := make([]*Fault, n)
	var free []int
	for device, fault := range f.fixed {
		if device > n {
			return nil, fmt.Errorf("simulator: fault %s is for device %d of %d", fault.Name, device, n)
		}
		all[device-1] = fault
	}
	for i, fault := range all {
		if fault == nil {
			free = append(free, i)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0xfa017))
	rng.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	for _, d := range f.drawn {
		for range d.count {
			all[free[0]], free = d.what, free[1:]
		}
	}
	return all, nil
}

// has tells whether it has a fault, from the beginning or since Befall.
func (a *Agent) has(fault string) bool { return a.born(fault) || a.befallen(fault) }

func (a *Agent) born(fault string) bool { return a.id.Fault != nil && a.id.Fault.Name == fault }

func (a *Agent) befallen(fault string) bool {
	later := a.later.Load()
	return later != nil && later.Name == fault
}

// fires is has, where the fault takes effect with it.
func (a *Agent) fires(fault string) bool {
	switch {
	case a.born(fault):
		a.setFacts(func(f *Facts) { f.Fired = true })
	case a.befallen(fault):
		a.setFacts(func(f *Facts) { f.Befallen = true })
	default:
		return false
	}
	return true
}

// fired tells whether a fault has taken effect.
func (a *Agent) fired(fault string) bool {
	f := a.Facts()
	return a.born(fault) && f.Fired || a.befallen(fault) && f.Befallen
}

// firesOnce is fires for what happens a single time.
func (a *Agent) firesOnce(fault string) bool {
	return a.has(fault) && !a.fired(fault) && a.fires(fault)
}

// powerCut switches the device off and on again, without a goodbye.
func (a *Agent) powerCut() {
	a.restart(rebootReason{cause: usp.CauseLocalReboot, reason: "Unknown"})
}

// Befall has the agent have another fault from now on, beside the one that it was made with;
// what it does once happens at the next occasion, which may be now. Whether it took effect
// is in its Facts (Befallen). It is for one fault: another one takes its place.
func (a *Agent) Befall(f *Fault) {
	a.do(func() {
		a.later.Store(f)
		a.setFacts(func(f *Facts) { f.Befallen = false })
		switch f.Name {
		case RebootInDownload, OldNews:
			if a.downloads() > 0 && a.firesOnce(f.Name) {
				a.powerCut()
			}
		case BusyWithAnother:
			a.beBusy()
		case SubscriptionChanged:
			a.changeSubscriptions()
		case DropsIdle:
			if a.session != nil {
				a.keepAliveLater(a.connection)
			}
		}
	})
}

// beBusy has another controller's download at work.
func (a *Agent) beBusy() {
	image := a.downloadTarget()
	a.addRequest(&request{command: usp.FirmwareImage(image) + usp.CommandDownload, key: "another", image: image,
		download: &transfer{}, foreign: true})
}

// changeSubscriptions switches off those that tell of a download's end, as another
// controller does.
func (a *Agent) changeSubscriptions() {
	for _, s := range a.subscriptions {
		tells := s.NotifType == usp.KindOperationComplete || s.ReferenceList == usp.EventTransferComplete
		if tells && a.fires(SubscriptionChanged) {
			s.Enable = false
		}
	}
}
