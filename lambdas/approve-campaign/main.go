// Command approve-campaign says whether a wave of a campaign may begin.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewApproveCampaign, functions.Patient) }
