// Command usp-task runs the tasks of operations that are only a state machine.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewUSPTask, functions.Patient) }
