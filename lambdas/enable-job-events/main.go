// Command enable-job-events is a custom resource that switches on AWS IoT's job events.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewEnableJobEvents) }
