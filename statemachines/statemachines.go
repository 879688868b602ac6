// Package statemachines embeds the Amazon States Language documents, so that the template, the
// tests and the programs use the same bytes. The documents are data; nothing here interprets
// them.
//
// firmware-upgrade.asl.json is the upgrade, firmware-campaign.asl.json the campaign. Every
// other <operation>.asl.json has a <operation>.schema.json beside it, the JSON Schema of its
// input. Such an operation has no other files and is found by its name.
//
// The only placeholders are those of CloudFormation's DefinitionSubstitutions: ARNs of
// functions, ${SendUspOperateArn}, ${AwaitFirmwareReportArn}, ${VerifyVersionArn} and
// ${FinalizeArn} of the upgrade; ${RunCampaignArn} of campaigns; ${UspTaskArn}, ${FinalizeArn} and a bucket,
// ${ResultsBucket}, of the others. Everything else, timeouts included, comes from the
// execution's input (event.ExecutionInput).
package statemachines

import (
	"embed"
	"io/fs"
)

// FirmwareUpgrade upgrades one device: firmware-upgrade.asl.json.
//
//go:embed firmware-upgrade.asl.json
var FirmwareUpgrade string

// FirmwareCampaign leads a fleet through a campaign: firmware-campaign.asl.json. It is no
// operation: it does nothing to a device itself.
//
//go:embed firmware-campaign.asl.json
var FirmwareCampaign string

// Campaign is the name of FirmwareCampaign's document and state machine.
const Campaign = "firmware-campaign"

//go:embed *.json
var files embed.FS

// Files are the documents, by name: those of all operations, and Campaign's.
func Files() fs.FS { return files }

// Has reports whether there is a document of that name here, so that no workflow of a user's own may have it.
func Has(name string) bool {
	_, err := fs.Stat(files, name+".asl.json")
	return err == nil
}
