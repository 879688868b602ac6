package upgrade

import (
	"sort"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// lookPaths are what a look asks for: no more, since an answer is one MQTT
// message whatever its size.
var lookPaths = []string{
	softwareVersion, activeFirmwareImage, firmwareImages, device.Requests,
}

// view is what a look showed.
type view struct {
	software string
	active   Image // zero if it cannot be told
	images   []Image
	running  []device.Running // commands that the agent is busy with
}

func viewOf(a *event.Answer) view {
	v := view{software: a.Params[softwareVersion], running: device.RunningIn(a)}
	for _, row := range device.Rows(a, firmwareImages) {
		v.images = append(v.images, Image{
			Path: row.Path, Version: row.Params["Version"], Status: row.Params["Status"],
			BootLog: row.Params["BootFailureLog"],
		})
	}
	v.active = v.findActive(device.ObjectOf(a.Params[activeFirmwareImage]))
	return v
}

// findActive tells the running image: the one that ActiveFirmwareImage names, else
// the only one with Status Active, else the only one with the running version.
func (v view) findActive(named string) Image {
	for _, i := range v.images {
		if i.Path == named {
			return i
		}
	}
	for _, is := range []func(Image) bool{
		func(i Image) bool { return i.Status == statusActive },
		func(i Image) bool { return v.software != "" && i.Version == v.software },
	} {
		var found []Image
		for _, i := range v.images {
			if is(i) {
				found = append(found, i)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	return Image{}
}

func (v view) image(path string) Image {
	for _, i := range v.images {
		if i.Path == path {
			return i
		}
	}
	return Image{}
}

// runs reports whether the device itself reports this version as the one that is
// running: the version, and the active image where that says a version too.
func (v view) runs(version string) bool {
	return v.software == version && (v.active.Version == "" || v.active.Version == version)
}

// has reports whether an image is complete and of this version.
func (v view) has(path, version string) bool {
	i := v.image(path)
	return i.Version == version && (i.Status == statusAvailable || i.Status == statusActive)
}

// busy finds a command on any firmware image that is under way: one of ours, by its key, if
// there is one.
func (v view) busy(command string, ours func(key string) bool) (found device.Running, ok bool) {
	for _, r := range v.running {
		if !strings.HasPrefix(r.Command, firmwareImages) || !strings.HasSuffix(r.Command, "."+command) {
			continue
		}
		if ours(r.Key) {
			return r, true
		}
		if !ok {
			found, ok = r, true
		}
	}
	return found, ok
}

// anybodys is for busy where it does not matter whose command it is.
func anybodys(string) bool { return false }

// target chooses the image to download into: never the running one where there is
// another; one that has the wanted version already before others; else the lowest.
func (v view) target(version string) (Image, bool) {
	var candidates []Image
	for _, i := range v.images {
		if i.Path != v.active.Path {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		return v.active, false
	}
	sort.SliceStable(candidates, func(a, b int) bool {
		return instance(candidates[a].Path) < instance(candidates[b].Path)
	})
	for _, i := range candidates {
		if v.has(i.Path, version) {
			return i, true
		}
	}
	return candidates[0], true
}

func instance(path string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(path, firmwareImages), "."))
	if err != nil {
		return 0
	}
	return n
}

// broken names the failure that an image's status tells of, "" if none.
func broken(i Image) event.ErrorName {
	switch i.Status {
	case statusValidationFailed:
		return DownloadChecksumMismatch
	case statusDownloadFailed, statusInstallationFailed:
		return DownloadFailed
	case statusActivationFailed:
		return ActivateFailed
	}
	return ""
}

func (v view) learnt() map[string]string {
	if v.software == "" {
		return nil
	}
	return facts(v.software, v.active.Path)
}
