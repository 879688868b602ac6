// Command describe-campaign tells how campaigns stand.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewDescribeCampaign, functions.Patient) }
