package upgrade

import (
	"encoding/json"
	"slices"

	"github.com/fleetstep/fleetstep/internal/event"
)

// MostFailures bounds Firmware.MaxFailures.
const MostFailures = 100

// failure is how often a device has failed with an image, whoever asked for it: a fact of the
// device. One success with the image ends it.
type failure struct {
	Image string `json:"image"` // its SHA-256, or its version where that is not known
	Times int    `json:"times"`
	By    string `json:"by"` // the execution that failed last: told twice, it is one
}

// failures are those with several images, the latest first.
type failures []failure

// mostImages is with how many images failures are remembered.
const mostImages = 4

// failuresOf reads them. What cannot be read is none.
func failuresOf(known event.DeviceState) (all failures) {
	if text := known.Facts[factFailures]; text == "" || json.Unmarshal([]byte(text), &all) != nil {
		return nil
	}
	return all
}

// image names an image, as far as it is known.
func (f Firmware) image() string {
	if f.SHA256 != "" {
		return f.SHA256
	}
	return "version " + f.Version
}

// of is how often a device has failed with an image.
func (all failures) of(f Firmware) failure {
	for _, one := range all {
		if one.Image == f.image() {
			return one
		}
	}
	return failure{Image: f.image()}
}

// without is all but those with an image.
func (all failures) without(f Firmware) failures {
	return slices.DeleteFunc(slices.Clone(all), func(one failure) bool { return one.Image == f.image() })
}

// and is all with one more, of an execution.
func (all failures) and(f Firmware, execution string) failures {
	one := all.of(f)
	if one.By == execution {
		return all
	}
	one.Times, one.By = one.Times+1, execution
	others := all.without(f)
	return append(failures{one}, others[:min(len(others), mostImages-1)]...)
}

// blames reports whether an end is a failure of the device with the image: not of one that was away,
// or busy with something else.
func blames(c event.Conclusion) bool {
	return c.Status == event.StatusFailed && c.Reason != event.DeviceOffline && c.Reason != event.DeviceBusy
}

// blame is what an end adds to the failures of a device, or takes from them.
func (f *Flow) blame(in event.FinalizeInput, known event.DeviceState) map[string]string {
	var doc Document
	c, err := f.Judge(in, known)
	if err != nil || json.Unmarshal(in.Input.Document, &doc) != nil {
		return nil
	}
	before := failuresOf(known)
	after := before
	switch {
	case c.Status == event.StatusSucceeded:
		after = before.without(doc.Firmware)
	case blames(c):
		after = before.and(doc.Firmware, in.Input.Execution)
	}
	if slices.Equal(before, after) {
		return nil
	}
	if len(after) == 0 {
		return map[string]string{factFailures: ""}
	}
	text, err := json.Marshal(after)
	if err != nil {
		return nil // unreachable: plain values only
	}
	return map[string]string{factFailures: string(text)}
}
