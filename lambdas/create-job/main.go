// Command create-job turns an operator's payload into an AWS IoT Job.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewCreateJob, functions.Patient) }
