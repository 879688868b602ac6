package upgrade

import (
	"slices"

	"github.com/fleetstep/fleetstep/internal/event"
)

// The errors of an upgrade beside those that any operation has.
const (
	UpgradeUpToDate    event.ErrorName = "Upgrade.UpToDate"    // runs the wanted version already
	UpgradeNotEligible event.ErrorName = "Upgrade.NotEligible" // cannot be upgraded this way
	UpgradeDuplicate   event.ErrorName = "Upgrade.Duplicate"   // this attempt was played before
	UpgradeQuarantined event.ErrorName = "Upgrade.Quarantined" // the device has failed too often with this image
	DownloadFailed     event.ErrorName = "Download.Failed"     // the transfer ended without an image
	// the image arrived and was not the one promised
	DownloadChecksumMismatch event.ErrorName = "Download.ChecksumMismatch"
	ActivateFailed           event.ErrorName = "Activate.Failed"     // the new image did not start, the old one runs
	VerifyWrongVersion       event.ErrorName = "Verify.WrongVersion" // the new image runs and reports another version
	RollbackFailed           event.ErrorName = "Rollback.Failed"     // wrong version, and no way back
)

// ErrorNames lists every error with which an upgrade may end.
func ErrorNames() []event.ErrorName {
	return []event.ErrorName{
		event.DeviceOffline, event.DeviceBusy, event.DeviceRefused, event.DeviceNoReport,
		UpgradeUpToDate, UpgradeNotEligible, UpgradeDuplicate, UpgradeQuarantined,
		DownloadFailed, DownloadChecksumMismatch, ActivateFailed,
		VerifyWrongVersion, RollbackFailed, event.ControllerFailed, event.JobCanceled, event.JobTimedOut,
		event.JobHeld, event.CampaignHeld,
	}
}

// Signposts travel like errors, through Catch, because that is how a Task
// chooses its next state without paying for a Choice. They never reach a job. Another
// is event.NextPark.
const (
	NextDownload event.ErrorName = "Next.Download" // ask for the image again
	NextBackoff  event.ErrorName = "Next.Backoff"  // ask for the image again, after a pause
	NextRenewal  event.ErrorName = "Next.Renewal"  // ask for the image again, by a new address
	NextActivate event.ErrorName = "Next.Activate" // the image is there, not yet activated
	NextSoak     event.ErrorName = "Next.Soak"     // verified; wait, then look once more
	NextVerify   event.ErrorName = "Next.Verify"   // it has soaked outside of an execution
)

// The steps.
const (
	Inspect     event.Step = "INSPECT"  // look, subscribe
	Download    event.Step = "DOWNLOAD" // ask for the image
	Activate    event.Step = "ACTIVATE" // ask for the restart
	AwaitReport event.Step = "REPORT"   // wait for the device's own news
	Verify      event.Step = "VERIFY"   // look again, compare
	Rollback    event.Step = "ROLLBACK" // back to the previous image, and see it run
)

// Phases of an upgrade as an operator sees it.
const (
	PhaseInspect  = "Inspect"  // what runs there, and is it well
	PhaseDownload = "Download" // from the accepted request to the complete image
	PhaseActivate = "Activate" // from the complete image to the restarted device
	PhaseVerify   = "Verify"   // from the restart to the proof
)

// Names of an upgrade's outcomes, and of what is told of it: a member of the
// outcome that filter policies may use, and an attribute of the thing, which is the
// version that the device last proved to run.
const (
	OutcomeSuccess    = "FIRMWARE_UPGRADE_SUCCESS"
	OutcomeFail       = "FIRMWARE_UPGRADE_FAIL"
	DetailFirmware    = "firmwareVersion" // the version wanted
	DetailSoftware    = "softwareVersion" // last proved to run
	AttributeFirmware = event.ThingFirmwareAttribute
)

// Names of facts in a device's state.
const (
	factSoftware = event.FactSoftware
	factActive   = "activeImage" // path
	factEntered  = "registered"  // when the device said which version, and that: see Overhear
	factBank     = event.FactBank
	factFailures = "failures" // with which images, and how often: failure
)

func facts(software, active string) map[string]string {
	return map[string]string{factSoftware: event.FactOf(software), factActive: event.FactOf(active)}
}

// Names of the data model (TR-181) that are about firmware.
const (
	softwareVersion     = "Device.DeviceInfo.SoftwareVersion"
	activeFirmwareImage = "Device.DeviceInfo.ActiveFirmwareImage" // value: path without the last dot
	firmwareImages      = "Device.DeviceInfo.FirmwareImage."
	deviceInfo          = "Device.DeviceInfo."
	bootFirmwareImage   = "BootFirmwareImage" // of DeviceInfo; value: path without the last dot

	localTimeZone = "Device.Time.LocalTimeZone" // a TZ string of POSIX

	commandDownload = "Download()" // on a FirmwareImage
	commandActivate = "Activate()" // on a FirmwareImage
	commandReboot   = "Device.Reboot()"
)

// Values of FirmwareImage.{i}.Status. An agent may show the running image as
// Active or as Available.
const (
	statusActive             = "Active"
	statusAvailable          = "Available"
	statusDownloading        = "Downloading"
	statusValidating         = "Validating"
	statusDownloadFailed     = "DownloadFailed"
	statusValidationFailed   = "ValidationFailed"
	statusInstallationFailed = "InstallationFailed"
	statusActivationFailed   = "ActivationFailed"
)

// Phases lists an operator's names of the phases.
func Phases() []string {
	return []string{PhaseInspect, PhaseDownload, PhaseActivate, PhaseVerify}
}

// Reasons lists the names of failures: every error but the one that is a success.
func Reasons() []string {
	var names []string
	for _, n := range failureNames() {
		names = append(names, string(n))
	}
	return names
}

func failureNames() []event.ErrorName {
	return slices.DeleteFunc(ErrorNames(), func(n event.ErrorName) bool { return n == UpgradeUpToDate })
}
