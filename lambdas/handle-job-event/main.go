// Command handle-job-event handles the events of AWS IoT about jobs and job executions.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewHandleJobEvent, functions.Patient) }
