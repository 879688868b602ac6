// Command await-firmware-report waits until a device reports the end of its download or
// activation.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewAwaitFirmwareReport, functions.Patient) }
