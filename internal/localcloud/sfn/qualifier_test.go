package sfn

import "testing"

// Step Functions Developer Guide, "Authorization for versions and aliases" (read
// 2026-11): the state machine's ARN in place of the version's or the alias's.
func TestVersionsAndAliasesAreAuthorisedAsTheirMachine(t *testing.T) {
	const machine = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
	for arn, want := range map[string]string{
		machine: machine, machine + ":live": machine, machine + ":12": machine, machine + "/label": machine + "/label",
		"arn:aws:states:us-east-1:123456789012:execution:m:x": "arn:aws:states:us-east-1:123456789012:execution:m:x",
		"": "", "m": "m",
	} {
		if got := unqualified(arn); got != want {
			t.Errorf("%s: %s", arn, got)
		}
	}
}
