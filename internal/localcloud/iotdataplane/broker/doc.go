// Package broker is the network face of the message broker: MQTT 3.1.1 and 5
// over TCP and TLS. A library reads packets and keeps connections alive; every
// decision (who may connect, what a session is, who receives a message) is the
// core's in iotdataplane, to which each connection is attached.
//
// The library's goroutines (one that reads for each connection, one that it
// starts to write, one for its housekeeping) are the only ones here that the
// scheduler does not know. The package serves real time only.
//
// As on AWS, and unlike the specification: a refused publish ends the
// connection; publishes and subscriptions with QoS 2 are not answered; MQTT
// 3.1.1 clients that are not authorised get return code 5; keep alive lies
// between 30 and 1200 seconds; subscription identifiers are not supported.
//
// The PUBACK of a message is sent once the message is accepted, that is, as
// durable as QoS 1 promises; several may be under way for one client, and
// are acknowledged in their order.
package broker
