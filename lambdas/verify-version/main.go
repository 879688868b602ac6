// Command verify-version asks a device for its firmware version.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewVerifyVersion, functions.Patient) }
