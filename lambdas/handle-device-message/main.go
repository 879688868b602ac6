// Command handle-device-message handles the messages of devices and the presence events of the
// broker.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewHandleDeviceMessage, functions.Brisk) }
