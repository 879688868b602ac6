package device

import (
	"sort"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// lookPaths are what a look asks for: no more, since an answer is one MQTT
// message whatever its size.
var lookPaths = []string{
	usp.SoftwareVersion, usp.ActiveFirmwareImage, usp.FirmwareImages, usp.Requests,
}

// view is what a look showed.
type view struct {
	software string
	active   event.Image // zero if it cannot be told
	images   []event.Image
	running  []running // commands that the agent is busy with
	rows     []usp.Row // Subscriptions, if asked for
	missing  map[string]event.Fault
}

type running struct{ path, key string }

func see(a *event.Answer) view {
	values := usp.Values{Params: a.Params, Objects: a.Objects}
	v := view{software: values.Get(usp.SoftwareVersion), missing: a.Missing}
	for _, row := range values.Rows(usp.FirmwareImages) {
		v.images = append(v.images, event.Image{
			Path: row.Path, Version: row.Params["Version"], Status: row.Params["Status"], BootLog: row.Params["BootFailureLog"],
		})
	}
	for _, row := range values.Rows(usp.Requests) {
		switch row.Params["Status"] {
		case "Canceled", "Success", "Error":
			continue // over, and about to vanish
		}
		v.running = append(v.running, running{row.Params["Command"], row.Params["CommandKey"]})
	}
	v.rows = values.Rows(usp.Subscriptions)
	v.active = v.findActive(usp.ObjectOf(values.Get(usp.ActiveFirmwareImage)))
	return v
}

// findActive tells the running image: the one that ActiveFirmwareImage names, else
// the only one with Status Active, else the only one with the running version.
func (v view) findActive(named string) event.Image {
	for _, i := range v.images {
		if i.Path == named {
			return i
		}
	}
	for _, is := range []func(event.Image) bool{
		func(i event.Image) bool { return i.Status == usp.StatusActive },
		func(i event.Image) bool { return v.software != "" && i.Version == v.software },
	} {
		var found []event.Image
		for _, i := range v.images {
			if is(i) {
				found = append(found, i)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	return event.Image{}
}

func (v view) image(path string) event.Image {
	for _, i := range v.images {
		if i.Path == path {
			return i
		}
	}
	return event.Image{}
}

// runs reports whether the device itself reports this version as the one that is
// running: the version, and the active image where that says a version too.
func (v view) runs(version string) bool {
	return v.software == version && (v.active.Version == "" || v.active.Version == version)
}

// has reports whether an image is complete and of this version.
func (v view) has(path, version string) bool {
	i := v.image(path)
	return i.Version == version && (i.Status == usp.StatusAvailable || i.Status == usp.StatusActive)
}

// busy finds a command on any firmware image that is under way.
func (v view) busy(command string) (running, bool) {
	for _, r := range v.running {
		if strings.HasPrefix(r.path, usp.FirmwareImages) && strings.HasSuffix(r.path, "."+command) {
			return r, true
		}
	}
	return running{}, false
}

// target chooses the image to download into: never the running one where there is
// another; one that has the wanted version already before others; else the lowest.
func (v view) target(version string) (event.Image, bool) {
	var candidates []event.Image
	for _, i := range v.images {
		if i.Path != v.active.Path {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		return v.active, false
	}
	sort.SliceStable(candidates, func(a, b int) bool { return instance(candidates[a].Path) < instance(candidates[b].Path) })
	for _, i := range candidates {
		if v.has(i.Path, version) {
			return i, true
		}
	}
	return candidates[0], true
}

func instance(path string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(path, usp.FirmwareImages), "."))
	if err != nil {
		return 0
	}
	return n
}

// broken names the failure that an image's status tells of, "" if none.
func broken(i event.Image) event.ErrorName {
	switch i.Status {
	case usp.StatusValidationFailed:
		return event.DownloadChecksumMismatch
	case usp.StatusDownloadFailed, usp.StatusInstallationFailed:
		return event.DownloadFailed
	case usp.StatusActivationFailed:
		return event.ActivateFailed
	}
	return ""
}

func (v view) learnt() *event.Learnt {
	if v.software == "" {
		return nil
	}
	return &event.Learnt{SoftwareVersion: v.software, ActiveImage: v.active.Path}
}
