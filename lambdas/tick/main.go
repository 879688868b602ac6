// Command tick does what is done by the clock, once a minute.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewTick, functions.Patient) }
