// Command prepare-account is a custom resource: it enables AWS IoT's job events and finds the
// endpoints of the data planes.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewPrepareAccount, functions.Patient) }
