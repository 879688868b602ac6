// Package quirk names the differences of a device model from the data model of firmware
// images, or from most devices. The agent doctor finds them, they are stored for a model, the
// upgrade takes them into account, and simulated devices play them. All use these names.
//
// It has names only, and imports the standard library alone. Source: TR-181 FirmwareImage;
// what the reference agent leaves to vendors.
package quirk

import (
	"fmt"
	"slices"
	"strings"
)

// Quirk is one difference.
type Quirk string

// The quirks.
const (
	OneImage            Quirk = "one-image"
	StatusActive        Quirk = "status-active"
	CompletionFirst     Quirk = "completion-first"
	NoTransferComplete  Quirk = "no-transfer-complete"
	NoOperationComplete Quirk = "no-operation-complete"
	NoTimeWindow        Quirk = "no-time-window"
	TwoTimeWindows      Quirk = "two-time-windows"
	CancelsCommands     Quirk = "cancels-commands"
	NoAutoActivate      Quirk = "no-auto-activate"
	MQTT311             Quirk = "mqtt-3.1.1"
	ResumesDownload     Quirk = "resumes-download"
	ForgetsDownload     Quirk = "forgets-download"
	StuckStatus         Quirk = "stuck-status"
)

// All are the quirks with what the device does, in a fixed order. Those of a restart are
// found by who may restart the device.
var All = []struct {
	Quirk   Quirk
	Does    string
	Restart bool
}{
	{OneImage, "has one firmware image, which a download overwrites: no way back", false},
	{StatusActive, "shows the running image as Active, not as Available", false},
	{CompletionFirst, "sends OperationComplete before TransferComplete!", false},
	{NoTransferComplete, "never sends TransferComplete!", false},
	{NoOperationComplete, "never sends OperationComplete of Download() and Activate()", false},
	{NoTimeWindow, "takes no TimeWindow in Activate()", true},
	{TwoTimeWindows, "takes two TimeWindows in Activate()", true},
	{CancelsCommands, "stops a command at work when told to by Cancel()", false},
	{NoAutoActivate, "ignores AutoActivate of Download()", true},
	{MQTT311, "speaks MQTT 3.1.1", false},
	{ResumesDownload, "goes on with a download after a restart, and says nothing of it", true},
	{ForgetsDownload, "says nothing of a download that a restart has ended, and has no image", true},
	{StuckStatus, "shows Downloading for good after a restart has ended a download", true},
}

// List is a set of quirks in the order of All.
type List []Quirk

// Of is a list of these quirks, each once.
func Of(quirks ...Quirk) List {
	var l List
	for _, each := range All {
		if slices.Contains(quirks, each.Quirk) {
			l = append(l, each.Quirk)
		}
	}
	return l
}

// Has reports whether a quirk is in the list.
func (l List) Has(q Quirk) bool { return slices.Contains(l, q) }

// String is the list as Parse reads it.
func (l List) String() string {
	words := make([]string, len(l))
	for i, q := range l {
		words[i] = string(q)
	}
	return strings.Join(words, ",")
}

// Parse reads quirks separated by commas.
func Parse(text string) (List, error) {
	var quirks []Quirk
	var unknown []string
	for word := range strings.SplitSeq(text, ",") {
		q := Quirk(strings.TrimSpace(word))
		switch {
		case q == "":
		case Of(q) == nil:
			unknown = append(unknown, fmt.Sprintf("%q", q))
		default:
			quirks = append(quirks, q)
		}
	}
	if unknown != nil {
		var names []Quirk
		for _, each := range All {
			names = append(names, each.Quirk)
		}
		return nil, fmt.Errorf("quirk %s is none of: %s", strings.Join(unknown, ", "), List(names))
	}
	return Of(quirks...), nil
}
