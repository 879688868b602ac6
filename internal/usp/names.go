package usp

import "strconv"

// Names of the data model (TR-181) that firmware upgrades are about.
const (
	DeviceInfo          = "Device.DeviceInfo."
	SoftwareVersion     = "Device.DeviceInfo.SoftwareVersion"
	ActiveFirmwareImage = "Device.DeviceInfo.ActiveFirmwareImage" // value: path without the last dot
	BootFirmwareImage   = "Device.DeviceInfo.BootFirmwareImage"
	FirmwareImages      = "Device.DeviceInfo.FirmwareImage."
	LocalAgent          = "Device.LocalAgent."
	Subscriptions       = "Device.LocalAgent.Subscription."
	Requests            = "Device.LocalAgent.Request."
	Controllers         = "Device.LocalAgent.Controller."

	CommandDownload = "Download()" // on a FirmwareImage
	CommandActivate = "Activate()" // on a FirmwareImage
	CommandCancel   = "Cancel()"   // on a Request
	CommandReboot   = "Device.Reboot()"

	EventBoot             = "Device.Boot!"
	EventTransferComplete = "Device.LocalAgent.TransferComplete!"
)

// FirmwareImage is the path of an instance, with the trailing dot.
func FirmwareImage(instance int) string { return FirmwareImages + strconv.Itoa(instance) + "." }

// Values of FirmwareImage.{i}.Status. An agent may show the running image as
// Active or as Available.
const (
	StatusNoImage            = "NoImage"
	StatusActive             = "Active"
	StatusDownloading        = "Downloading"
	StatusValidating         = "Validating"
	StatusAvailable          = "Available"
	StatusDownloadFailed     = "DownloadFailed"
	StatusValidationFailed   = "ValidationFailed"
	StatusInstallationFailed = "InstallationFailed"
	StatusActivationFailed   = "ActivationFailed"
)

// Values of Cause in Boot!.
const (
	CauseLocalReboot        = "LocalReboot"
	CauseRemoteReboot       = "RemoteReboot"
	CauseLocalFactoryReset  = "LocalFactoryReset"
	CauseRemoteFactoryReset = "RemoteFactoryReset"
)
