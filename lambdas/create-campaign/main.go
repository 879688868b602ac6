// Command create-campaign plans a campaign, and creates it.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewCreateCampaign, functions.Patient) }
