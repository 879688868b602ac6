package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// image is a row of Device.DeviceInfo.FirmwareImage.{i}.
type image struct {
	name      string
	header    ImageHeader
	status    string
	available bool
	bootLog   string
}

// bootImage runs the image that is to boot, or the one that ran before if that
// cannot: then the error says why, the status is ActivationFailed and
// BootFirmwareImage is left pointing at the failure.
func (a *Agent) bootImage() *usp.Error {
	want, old := a.boot, a.active
	img := &a.images[want-1]
	if want == old {
		if img.available {
			a.running = img.header
		} // else it was overwritten in vain, and what runs is still in memory
		a.applyWrongVersion()
		return nil
	}
	if a.images[old-1].header.Version != "" {
		a.running = a.images[old-1].header
	}
	switch {
	case a.fires(OldImage): // without a word
		return nil
	case !img.available:
		return usp.CommandFailure.Errorf("image %d is not available", want)
	case !img.header.Boots || a.fires(BootFails):
		why := fmt.Sprintf("image %d did not boot, fell back to image %d", want, old)
		img.available, img.status, img.bootLog = false, usp.StatusActivationFailed, why
		return usp.CommandFailure.Errorf("activation failed: %s", why)
	}
	a.active, a.running = want, img.header
	a.applyWrongVersion()
	return nil
}

// applyWrongVersion is what a new image does that reports another version than it is.
func (a *Agent) applyWrongVersion() {
	if a.running.Version != a.s.Version && (a.fires(WrongVersion) || a.has(CutInRollback)) {
		a.running.Version += "-mislabelled"
	}
}

// startFails tells whether the image that is to start does not: with no other to fall back
// to, the device does not come back.
func (a *Agent) startFails() bool { return !a.images[a.boot-1].header.Boots || a.fires(BootFails) }

// startsNewImage tells whether the next boot is the first of an image.
func (a *Agent) startsNewImage() bool {
	img := a.images[a.boot-1]
	return a.boot != a.active || len(a.images) == 1 && img.available && img.header != a.running
}

// status is what the Status parameter shows.
func (a *Agent) status(instance int) string {
	img := a.images[instance-1]
	if a.p.ShowActive && instance == a.active && img.status == usp.StatusAvailable {
		return usp.StatusActive
	}
	return img.status
}

// window reads the time windows of Activate() and gives the wait until the
// first begins.
func (a *Agent) window(args map[string]string) (time.Duration, *usp.Error) {
	bad := usp.InvalidCommandArgs.Errorf
	first := time.Duration(-1)
	seen := map[int]bool{}
	for key := range args {
		rest, ok := strings.CutPrefix(key, "TimeWindow.")
		if !ok {
			continue
		}
		number, name, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return 0, bad("Activate() argument %s: bad instance", key)
		}
		if name == "" || seen[n] {
			continue
		}
		seen[n] = true
		prefix := "TimeWindow." + number + "."
		number64 := func(name string, missing uint64) (uint64, *usp.Error) {
			s, ok := args[prefix+name]
			if !ok || s == "" {
				return missing, nil
			}
			v, err := strconv.ParseUint(s, 10, 31)
			if err != nil {
				return 0, bad("Activate() argument %s%s: %q is not a number of seconds", prefix, name, s)
			}
			return v, nil
		}
		start, e := number64("Start", 0)
		if e != nil {
			return 0, e
		}
		end, e := number64("End", start+1)
		if e != nil {
			return 0, e
		}
		if end <= start {
			return 0, bad("Activate() argument %sEnd is not after Start", prefix)
		}
		switch mode := args[prefix+"Mode"]; mode {
		case "", "AnyTime", "Immediately", "WhenIdle", "ConfirmationNeeded":
		default:
			return 0, bad("Activate() argument %sMode: %q is not a mode", prefix, mode)
		}
		if wait := time.Duration(start) * time.Second; first < 0 || wait < first {
			first = wait
		}
	}
	if most := a.p.timeWindows(); len(seen) > most {
		return 0, bad("Activate() takes no more than %d time windows, not %d", most, len(seen))
	}
	return max(first, 0), nil
}
