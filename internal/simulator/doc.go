// Package simulator has simulated USP agents, thousands to a process. An agent is a device
// with TR-181 DeviceInfo and firmware images. It connects, announces itself, sends what its
// Subscriptions ask for, downloads over HTTP, checks, reboots and boots the image. It behaves
// like a real agent (OB-USP-AGENT 11) and is tested against recordings of one. If the recorded
// device made a choice that the agent leaves open, comments call it the vendor's.
//
// Parts. Agent is one device. It has three ports: Clock (time, timers, work that may block),
// Transport (MQTT; subpackage mqtt is the real one) and an HTTP client, so that the same agent
// runs over real sockets and in virtual time. Fleet is many agents with numbered things and
// endpoint IDs, and with faults drawn from a seed. Faults are data, see Faults. MakeImage
// makes the firmware images that agents accept.
//
// Files:
//
//	agent.go                   the connection and the life of an agent
//	receive.go model.go        what a message asks; the data model
//	operate.go                 commands in general
//	transfer.go firmware.go    Download(); Activate() with its time windows, and booting
//	notify.go subscription.go  what is reported
//	faults.go                  what goes wrong on purpose
//
// Order and concurrency. Each agent has a queue of its own for all its work, and does one
// piece at a time; an idle agent has no goroutine. Every method may be called from anywhere,
// callbacks included, and none waits for the network. Messages on one connection are sent in
// order, the mqtt_connect record first, unless a fault changes this. With the same seed, clock
// and messages an agent does the same.
//
// Limits. There is one controller. The data model is that of model.go, and nothing else
// exists. Session contexts are refused (7106). Subscriptions are in memory; they survive the
// device's boots but not the process.
//
// Source: TR-369 (messages, notifications, MQTT), TR-181 FirmwareImage.
package simulator
