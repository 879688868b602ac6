// Command start-upgrade starts the upgrade of a device when its next job execution is
// announced.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewStartUpgrade, functions.Starting) }
