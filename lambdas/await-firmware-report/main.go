// Command await-firmware-report waits for what a device reports by itself.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewAwaitFirmwareReport, functions.Patient) }
