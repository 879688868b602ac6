// Command send-usp-operate gives a device the command of a step: Inspect, Download, Activate, Rollback.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewSendUSPOperate, functions.Patient) }
