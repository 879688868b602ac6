// Package simulator is a USP agent, thousands of which fit into one process: a
// device with TR-181 DeviceInfo and two firmware images, which connects,
// announces itself, sends what its Subscriptions ask for, downloads over HTTP,
// checks, reboots and boots the image. It behaves as the recordings of a real
// agent (OB-USP-AGENT 11) do, and tests hold it to them. Where the recorded device made a
// choice that the agent leaves open, comments call it the vendor's.
//
// Parts. Agent is one device. It reaches the world by three ports: Clock (time,
// timers, work that may block), Transport (MQTT; subpackage mqtt is the real
// one) and an HTTP client, so that the same agent runs over real sockets and in
// virtual time. Fleet is many agents with things and endpoint IDs made by
// number, with faults drawn from a seed. Faults are data, see Faults. MakeImage
// makes the firmware that agents accept.
//
// Files: agent.go the connection and the life of an agent; receive.go what a message
// asks, with model.go, the data model; operate.go commands in general; firmware.go
// Download() and Activate() with its time windows, and booting; notify.go and
// subscription.go what is reported; faults.go what goes wrong on purpose.
//
// Order and concurrency. All of an agent's work goes through a queue of its own,
// one piece at a time; an idle agent has no goroutine. Every method may be
// called from anywhere, callbacks included, and none waits for the network. What
// an agent sends on one connection leaves in order, the mqtt_connect record first,
// unless a fault says otherwise. The same seed, clock and messages make an agent do the
// same.
//
// Limits. One controller; requests in the data model of the file model.go, and
// nothing else exists; session contexts are refused (7106); Subscriptions live
// in memory, and survive the device's boots but not the process.
//
// Source: TR-369 (messages, notifications, MQTT), TR-181 FirmwareImage.
package simulator
