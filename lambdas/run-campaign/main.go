// Command run-campaign takes the steps of a campaign's state machine.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewRunCampaign, functions.Patient) }
