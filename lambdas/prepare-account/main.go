// Command prepare-account is a custom resource: it switches on AWS IoT's job events and finds the
// data planes' endpoints.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewPrepareAccount, functions.Patient) }
