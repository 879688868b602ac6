// Command handle-device-message takes what devices and the broker say.
package main

import "github.com/fleetstep/fleetstep/internal/functions"

func main() { functions.Main(functions.NewHandleDeviceMessage, functions.Brisk) }
