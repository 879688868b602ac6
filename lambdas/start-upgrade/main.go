// Command start-upgrade starts the upgrade of a device that is named a next job execution.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewStartUpgrade, functions.Patient) }
