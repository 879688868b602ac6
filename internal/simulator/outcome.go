package simulator

import (
	"slices"

	"github.com/fleetstep/fleetstep/internal/quirk"
)

// Outcome is how the upgrade of a device with a fault, of a model, ends.
type Outcome struct {
	// Applies is false where the fault cannot take effect on the model.
	Applies bool
	// Ends is the error name with which the upgrade ends; "" is success.
	Ends string
	// Disturbed are the names with which it may end instead where the cloud itself is
	// ended, or loses messages, meanwhile.
	Disturbed []string
}

// Succeeds tells whether the device ends up on the new version all the same.
func (o Outcome) Succeeds() bool { return o.Ends == "" }

// Allows tells whether an upgrade may end so where the cloud itself is disturbed.
func (o Outcome) Allows(errorName string) bool {
	return errorName == o.Ends || slices.Contains(o.Disturbed, errorName)
}

// never is in the table for a fault that cannot take effect.
const never = "never"

// differs is where a fault ends otherwise on a model that has these quirks than on the
// recorded device; the first that fits counts.
var differs = []struct {
	fault string
	on    quirk.List
	ends  string
}{
	// There is nothing to fall back to.
	{BootFails, quirk.List{quirk.OneImage}, "Device.Offline"},
	{OldImage, quirk.List{quirk.OneImage}, never},
	{WrongVersion, quirk.List{quirk.OneImage}, "Rollback.Failed"},
	{CutInRollback, quirk.List{quirk.OneImage}, never},
	// What is never sent cannot be lost.
	{LosesTransferComplete, quirk.List{quirk.NoTransferComplete}, never},
	{LosesOperComplete, quirk.List{quirk.NoOperationComplete}, never},
}

// On is how the upgrade of a device with this fault ends if it is of this model; nil is
// a healthy device, and the recorded one.
func (f *Fault) On(p *Profile) Outcome {
	if f == nil {
		return Outcome{Applies: true}
	}
	o := Outcome{Applies: true, Ends: f.Ends, Disturbed: f.Disturbed}
	has := p.Quirks()
	for _, d := range differs {
		if d.fault == f.Name && !slices.ContainsFunc(d.on, func(q quirk.Quirk) bool { return !has.Has(q) }) {
			o.Applies, o.Ends = d.ends != never, d.ends
			break
		}
	}
	return o
}
