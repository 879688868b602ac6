// Command abort-campaign ends a campaign for good.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewAbortCampaign, functions.Patient) }
