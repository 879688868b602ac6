// Command control-campaign pauses and resumes a campaign, skips a bake, takes devices out, has them try again.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewControlCampaign, functions.Patient) }
