package simulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Fault is one way for a device to be difficult, and how its upgrade should end.
type Fault struct {
	Name        string
	Description string
	// ExpectSuccess tells whether the device ends up on the new version all the
	// same.
	ExpectSuccess bool
	// Errors are the error names with which its upgrade may end, the likeliest
	// first. Beside ExpectSuccess they are what may happen instead: such a
	// fault can go either way, by the workflow's choice to try again.
	Errors []string
}

// Expects tells whether an upgrade of a device with this fault may end so:
// errorName is empty for success. A nil Fault, a healthy device, expects success.
func (f *Fault) Expects(errorName string) bool {
	if f == nil {
		return errorName == ""
	}
	if errorName == "" {
		return f.ExpectSuccess
	}
	return slices.Contains(f.Errors, errorName)
}

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
)

// AllFaults is every fault there is, in a fixed order.
var AllFaults = []*Fault{
	{OfflineAtStart, "appears some time after the job began", true, nil},
	{NotFound, "its transfer ends with HTTP status 404", false, []string{"Download.Failed"}},
	{BadChecksum, "the image arrives damaged", false, []string{"Download.ChecksumMismatch"}},
	{DownloadAborted, "its transfer breaks half way", false, []string{"Download.Failed"}},
	{Refuses, "refuses Download() by 7002", false, []string{"Device.Refused"}},
	{BootFails, "the new image does not boot; it falls back and says so", false, []string{"Activate.Failed", "Verify.WrongVersion"}},
	{OldImage, "comes back with the old image, without a word", false, []string{"Activate.Failed", "Verify.WrongVersion"}},
	{NeverReturns, "does not come back from the reboot into the new image", false, []string{"Device.Offline", "Device.NoReport"}},
	{RebootInDownload, "loses power in the middle of its first transfer", true, nil},
	{SlowLink, "its transfer takes long", true, nil},
	{DuplicateAll, "sends every message twice", true, nil},
	{Reorder, "completions come before events", true, nil},
	{Delay, "every message is late, by a time of its own", true, nil},
	{Garbage, "sends nonsense before every message", true, nil},
	{WrongEndpointID, "greets as itself, and then its records name another sender", false, []string{"Device.NoReport", "Device.Offline"}},
	{LosesOperComplete, "never sends OperationComplete", true, nil},
	{LosesTransferComplete, "never sends TransferComplete!", true, nil},
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
type Faults struct {
	drawn []drawnFault
	fixed map[int]*Fault // by device number, from 1
}

type drawnFault struct {
	fault *Fault
	count int
}

// ParseFaults reads a list separated by commas:
//
//	bad-checksum       one device, drawn
//	bad-checksum=3     three, drawn
//	bad-checksum@7     the seventh device
//	all, all=2         one, or two, of every fault
//
// All mistakes come in one error.
func ParseFaults(text string) (Faults, error) {
	f := Faults{fixed: map[int]*Fault{}}
	var errs []error
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, at, placed := strings.Cut(item, "@")
		name, number, counted := strings.Cut(name, "=")
		if !counted {
			number = "1"
		}
		n, err := strconv.Atoi(number)
		fault := FaultNamed(name)
		switch {
		case fault == nil && name != "all":
			names := make([]string, len(AllFaults))
			for i, f := range AllFaults {
				names[i] = f.Name
			}
			errs = append(errs, fmt.Errorf("fault %q is none of: all, %s", name, strings.Join(names, ", ")))
		case err != nil || n < 0:
			errs = append(errs, fmt.Errorf("fault %s: %q is not a number of devices", name, number))
		case placed && (counted || name == "all"):
			errs = append(errs, fmt.Errorf("fault %s: either a number of devices or one device", item))
		case placed:
			device, err := strconv.Atoi(at)
			switch {
			case err != nil || device < 1:
				errs = append(errs, fmt.Errorf("fault %s: %q is not the number of a device", name, at))
			case f.fixed[device] != nil:
				errs = append(errs, fmt.Errorf("fault %s: device %d already has %s", name, device, f.fixed[device].Name))
			default:
				f.fixed[device] = fault
			}
		case name == "all":
			for _, each := range AllFaults {
				f.drawn = append(f.drawn, drawnFault{each, n})
			}
		default:
			f.drawn = append(f.drawn, drawnFault{fault, n})
		}
	}
	if len(errs) > 0 {
		return Faults{}, errors.Join(errs...)
	}
	return f, nil
}

// Count is how many devices have a fault.
func (f Faults) Count() int {
	n := len(f.fixed)
	for _, d := range f.drawn {
		n += d.count
	}
	return n
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
			all[free[0]], free = d.fault, free[1:]
		}
	}
	return all, nil
}

func (a *Agent) has(fault string) bool { return a.id.Fault != nil && a.id.Fault.Name == fault }
