package upgrade

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Operation is what documents and claims call an upgrade, and its state machine's
// document.
const Operation event.Operation = "firmware-upgrade"

// Defaults of a job document's times, filled in by start-upgrade. DefaultJob is
// used where neither payload nor job template sets AWS IoT's in-progress timer.
// DefaultAnswer outlasts one message that the queue of messages hands over again
// (docs/reliability.md).
const (
	DefaultAnswer   = 90 * time.Second
	DefaultDownload = time.Hour
	DefaultReboot   = 15 * time.Minute
	DefaultJob      = 24 * time.Hour
)

// Document is the job document: what one job asks of each of its devices.
type Document struct {
	Operation  event.Operation `json:"operation"`
	Owner      string          `json:"owner,omitempty"` // the stack that made it
	Firmware   Firmware        `json:"firmware"`
	Activation Activation      `json:"activation"`
	Timeouts   Timeouts        `json:"timeouts"`
}

// Firmware is an image and how to be sure of it.
type Firmware struct {
	Version   string    `json:"version"`
	S3        *S3Object `json:"s3,omitempty"`
	URL       string    `json:"url,omitempty"` // instead of S3
	SHA256    string    `json:"sha256,omitempty"`
	Size      int64     `json:"size,omitempty"`      // bytes; 0 is unknown
	Signature string    `json:"signature,omitempty"` // base64; create-job has verified it
	// VersionIsProof has an image that a device holds under the wanted version taken
	// for the wanted one, without a record that it was downloaded there.
	VersionIsProof bool `json:"versionIsProof,omitempty"`
	// NoDowngrade refuses the image to a device that runs a later version.
	NoDowngrade bool `json:"noDowngrade,omitempty"`
	// MaxFailures refuses the image to a device that has failed so often with it; 0 does not.
	MaxFailures int `json:"maxFailures,omitempty"`
}

// S3Object is an object, of one version if VersionID is not empty.
type S3Object struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"versionId,omitempty"`
}

// ActivationMode says how an image that was downloaded comes to run.
type ActivationMode string

// The activation modes.
const (
	ActivateAuto     ActivationMode = "AUTO"     // the device restarts as soon as it has the image
	ActivateSeparate ActivationMode = "SEPARATE" // a second command
)

// Activation says when a downloaded image may start, and what follows.
type Activation struct {
	Mode        ActivationMode `json:"mode"`
	Window      *event.Window  `json:"window,omitempty"`      // with AUTO it begins there, with SEPARATE it activates there
	SoakSeconds int            `json:"soakSeconds,omitempty"` // wait, then verify once more; 0 is not at all
	NoRollback  bool           `json:"noRollback,omitempty"`  // leave a wrong version running
}

// Timeouts bound the waits of an upgrade.
type Timeouts struct {
	JobMinutes      int `json:"jobMinutes,omitempty"`      // AWS IoT's in-progress timer
	AnswerSeconds   int `json:"answerSeconds,omitempty"`   // for a connected device to answer a request, each try
	DownloadSeconds int `json:"downloadSeconds,omitempty"` // from the accepted request to the complete image
	RebootSeconds   int `json:"rebootSeconds,omitempty"`   // from activation to the restarted device
}

// WithDefaults fills in what is not set.
func (t Timeouts) WithDefaults() Timeouts {
	fill := func(v *int, d time.Duration, unit time.Duration) {
		if *v == 0 {
			*v = int(d / unit)
		}
	}
	fill(&t.JobMinutes, DefaultJob, time.Minute)
	fill(&t.AnswerSeconds, DefaultAnswer, time.Second)
	fill(&t.DownloadSeconds, DefaultDownload, time.Second)
	fill(&t.RebootSeconds, DefaultReboot, time.Second)
	return t
}

// ParseDocument reads a job document, with defaults filled in.
func ParseDocument(raw json.RawMessage) (doc Document, err error) {
	if err := json.Unmarshal(raw, &doc); err != nil {
		return Document{}, fmt.Errorf("job document: %w", err)
	}
	if doc.Activation.Mode == "" {
		doc.Activation.Mode = ActivateAuto
	}
	doc.Timeouts = doc.Timeouts.WithDefaults()
	var bad []string
	if doc.Firmware.Version == "" {
		bad = append(bad, "firmware.version is missing")
	}
	if (doc.Firmware.S3 == nil) == (doc.Firmware.URL == "") {
		bad = append(bad, "firmware needs either s3 or url")
	}
	if m := doc.Activation.Mode; m != ActivateAuto && m != ActivateSeparate {
		bad = append(bad, fmt.Sprintf("activation.mode %q is neither AUTO nor SEPARATE", m))
	}
	if len(bad) > 0 {
		return Document{}, fmt.Errorf("job document: %s", strings.Join(bad, "; "))
	}
	return doc, nil
}
