package upgrade

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/payload"
)

// Values of upgradeTrigger in the short form, also accepted in lower case. That a
// job is begun by hand says nothing of when devices restart: MANUAL is IMMEDIATE.
const (
	TriggerImmediate = "IMMEDIATE"          // download, then restart at once
	TriggerManual    = "MANUAL"             // the same, as the WME sample calls it
	TriggerWindow    = "MAINTENANCE_WINDOW" // download now, restart in DefaultWindow
)

// DefaultWindow is when TriggerWindow restarts devices, in their own time, or UTC.
var DefaultWindow = event.Window{Start: "02:00", End: "05:00"}

// Triggers lists what upgradeTrigger may be.
func Triggers() []string {
	words := []string{TriggerImmediate, TriggerManual, TriggerWindow}
	for _, w := range words[:len(words):len(words)] {
		words = append(words, strings.ToLower(w))
	}
	return words
}

var (
	versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
	bucketForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	nameForm    = regexp.MustCompile(`^[\s\S]+$`) // keys and version ids, see Checker.Short
	urlForm     = regexp.MustCompile(`^https://[^\s/@]+/[^\s]*$`)
	sha256Form  = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	base64Form  = regexp.MustCompile(`^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`)
	timeForm    = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

const allowedVersion = "letters, digits and . _ + -, up to 64, such as 2.0.0"

// NewForm is how a payload of create-job asks for upgrades. images and rules say where
// their images may come from.
func NewForm(images ImageStore, rules Rules) event.Form {
	return event.Form{
		Operation: Operation,
		Members: []string{
			"jobId", "firmware", "targets", "targetSelection", "allowEmpty", "rollout", "abort", "timeouts", "retry",
			"activation",
		},
		Short: event.ShortForm{Words: []string{"firmwareVersion", "upgradeTrigger"}, Read: readShort},
		Timeouts: []event.Timeout{
			{Name: "answerSeconds", Low: 5, High: 3600, Default: int(DefaultAnswer / time.Second)},
			{Name: "downloadSeconds", Low: 10, High: 604800, Default: int(DefaultDownload / time.Second)},
			{Name: "rebootSeconds", Low: 10, High: 86400, Default: int(DefaultReboot / time.Second)},
		},
		Errors: failureNames(),
		One:    "an upgrade", Beside: ", the activation window, the soak and all retries",
		Read: readForm, Staged: readStaged, Complete: finder{images, rules}.complete, Needs: needs,
	}
}

// readShort reads {firmwareVersion, upgradeTrigger}.
func readShort(at string, words map[string]any) (map[string]any, event.Problems) {
	c := &payload.Checker{}
	c.Require(at, words, "firmwareVersion", "the version to upgrade to, such as 2.0.0")
	version, _ := c.Text(at, words, "firmwareVersion", versionForm, allowedVersion)
	trigger, _ := c.Choice(at, words, "upgradeTrigger", Triggers()...)
	own := map[string]any{"firmware": map[string]any{"version": version}}
	if strings.ToUpper(trigger) == TriggerWindow {
		own["activation"] = map[string]any{
			"mode":   string(ActivateSeparate),
			"window": map[string]any{"start": DefaultWindow.Start, "end": DefaultWindow.End},
		}
	}
	return own, c.Problems()
}

// readForm reads {firmware, activation}.
func readForm(at string, members map[string]any) (event.Input, event.Problems) {
	c := &payload.Checker{}
	c.Known(at, members, "firmware", "activation")
	if c.Require(at, members, "firmware", "an object with at least version") {
		checkFirmware(c, at+".firmware", members["firmware"])
	}
	if v, ok := members["activation"]; ok {
		checkActivation(c, at+".activation", v)
	}
	if problems := c.Problems(); len(problems) > 0 {
		return event.Input{}, problems
	}
	var asked struct {
		Firmware   Firmware
		Activation Activation
	}
	if err := payload.Into(members, &asked); err != nil {
		return event.Input{}, event.Problems{{Path: at, Allowed: err.Error()}}
	}
	f, a := asked.Firmware, asked.Activation
	if a.Mode == "" {
		a.Mode = ActivateAuto
	}
	f.SHA256 = strings.ToLower(f.SHA256)
	in := event.Input{
		At: at, Title: "Firmware " + f.Version,
		Prefix:  "fw-" + strings.NewReplacer(".", "-", "+", "-").Replace(f.Version),
		Details: map[string]string{DetailFirmware: f.Version},
	}
	in, err := withMembers(in, map[string]any{"firmware": f, "activation": a})
	if err != nil {
		return event.Input{}, event.Problems{{Path: at, Allowed: err.Error()}}
	}
	return in, nil
}

// readStaged has the image activated by a command of its own.
func readStaged(at string, members map[string]any) (map[string]any, event.Problems) {
	activation := map[string]any{"mode": string(ActivateSeparate)}
	if v, ok := members["activation"]; ok {
		given, ok := v.(map[string]any)
		if !ok {
			return members, nil // told by Read
		}
		maps.Copy(activation, given)
	}
	if activation["mode"] == string(ActivateAuto) {
		return members, event.Problems{{Path: at + ".activation.mode", Value: activation["mode"],
			Allowed: string(ActivateSeparate) + ", or nothing: with stage an image does not activate itself"}}
	}
	all := maps.Clone(members)
	all["activation"] = activation
	return all, nil
}

// withMembers is an input with members of the job document set.
func withMembers(in event.Input, members map[string]any) (event.Input, error) {
	all := maps.Clone(in.Members)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	for name, v := range members {
		b, err := json.Marshal(v)
		if err != nil {
			return event.Input{}, err
		}
		all[name] = b
	}
	in.Members = all
	return in, nil
}

func checkFirmware(c *payload.Checker, p string, v any) {
	m, ok := c.Object(p, v, "version", "s3", "url", "sha256", "size", "signature", "versionIsProof",
		"noDowngrade", "maxFailures")
	if !ok {
		return
	}
	c.Require(p, m, "version", allowedVersion)
	c.Text(p, m, "version", versionForm, allowedVersion)
	c.Text(p, m, "sha256", sha256Form, "64 hexadecimal digits")
	c.Number(p, m, "size", 1, 1<<40, 1)
	c.Flag(p, m, "versionIsProof")
	c.Flag(p, m, "noDowngrade")
	c.Number(p, m, "maxFailures", 0, MostFailures, 1)
	c.Short(p, m, "signature", base64Form, 8192, "base64, 1 to 8,192 characters")
	c.Short(p, m, "url", urlForm, 2000,
		"an https URL with a host and a path, up to 2,000 characters, without user information")
	_, s3 := m["s3"]
	_, url := m["url"]
	if s3 && url {
		c.Add(p, "s3 and url", "one of them, or neither: then the image is found by its version")
	}
	if url && !s3 {
		// Nothing but the caller can know what is behind a URL.
		c.Require(p, m, "sha256", "64 hexadecimal digits, because the image is given by url")
	}
	if !s3 {
		return
	}
	if o, ok := c.Object(p+".s3", m["s3"], "bucket", "key", "versionId"); ok {
		c.Require(p+".s3", o, "bucket", "the name of a bucket")
		c.Text(p+".s3", o, "bucket", bucketForm, "the name of a bucket: 3 to 63 of a-z 0-9 . -")
		c.Require(p+".s3", o, "key", "the key of an object")
		c.Short(p+".s3", o, "key", nameForm, 1024, "1 to 1,024 characters")
		c.Short(p+".s3", o, "versionId", nameForm, 1024, "1 to 1,024 characters")
	}
}

func checkActivation(c *payload.Checker, p string, v any) {
	m, ok := c.Object(p, v, "mode", "window", "soakSeconds", "noRollback")
	if !ok {
		return
	}
	c.Choice(p, m, "mode", string(ActivateAuto), string(ActivateSeparate))
	c.Number(p, m, "soakSeconds", 0, 604800, 1)
	c.Flag(p, m, "noRollback")
	w, ok := m["window"]
	if !ok {
		return
	}
	if o, ok := c.Object(p+".window", w, "start", "end", "zone"); ok {
		const form = "a time of day in the device's time, HH:MM"
		if zone, given := o["zone"]; given {
			if name, isText := zone.(string); !isText || name == "" || !event.IsZone(name) {
				c.Add(p+".window.zone", zone, "the time zone of devices of which none is known:"+
					" a name such as Europe/Berlin, or a TZ string of POSIX")
			}
		}
		c.Require(p+".window", o, "start", form)
		c.Text(p+".window", o, "start", timeForm, form)
		c.Require(p+".window", o, "end", form)
		c.Text(p+".window", o, "end", timeForm, form)
		if o["start"] != nil && o["start"] == o["end"] {
			c.Add(p+".window.end", o["end"], "another time than start")
		}
	}
}

// needs is the longest that an upgrade may take; without an image there is none.
func needs(raw json.RawMessage) (time.Duration, error) {
	var head struct{ Firmware Firmware }
	if err := json.Unmarshal(raw, &head); err != nil || head.Firmware.S3 == nil && head.Firmware.URL == "" {
		return 0, err
	}
	doc, err := ParseDocument(raw)
	if err != nil {
		return 0, err
	}
	return longest(doc)
}
