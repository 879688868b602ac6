// Command control pauses and resumes a job, or everything.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewControl, functions.Patient) }
