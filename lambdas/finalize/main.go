// Command finalize ends an upgrade: reports it, publishes it, releases the device.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewFinalize, functions.Patient) }
