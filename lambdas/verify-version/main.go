// Command verify-version asks a device which version it runs.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewVerifyVersion, functions.Patient) }
