// Command send-usp-operate sends a device the command of a step: Inspect, Download, Activate
// or Rollback.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewSendUSPOperate, functions.Patient) }
