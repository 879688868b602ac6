// Package statemachines embeds the Amazon States Language documents, so that the
// template, the tests and the programs all speak of the same bytes. The
// documents are data: nothing here interprets them.
//
// The only placeholders are ARNs in the form of CloudFormation's
// DefinitionSubstitutions: ${SendUspOperateArn}, ${AwaitFirmwareReportArn},
// ${VerifyVersionArn} and ${FinalizeArn}. Everything else, timeouts included, comes
// from the execution's input (event.ExecutionInput), whose timeouts are the flow's.
package statemachines

import _ "embed"

// FirmwareUpgrade upgrades one device: firmware-upgrade.asl.json.
//
//go:embed firmware-upgrade.asl.json
var FirmwareUpgrade string
