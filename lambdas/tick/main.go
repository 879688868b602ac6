// Command tick does the work of each minute.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewTick, functions.Patient) }
