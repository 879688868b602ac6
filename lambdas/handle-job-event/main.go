// Command handle-job-event takes what AWS IoT says about jobs and job executions.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewHandleJobEvent, functions.Patient) }
