// Package broker connects the message broker to the network: MQTT 3.1.1 and 5 over TCP and
// TLS. A library reads packets and keeps connections alive. Package iotdataplane, to which
// each connection is attached, makes every decision: who may connect, what a session is, who
// receives a message.
//
// The scheduler does not know the library's goroutines: one that reads for each connection,
// one that it starts to write, one for its housekeeping. They are the only such goroutines
// here. The package works in real time only.
//
// As on AWS, and different from the specification: a refused publish ends the connection;
// publishes and subscriptions with QoS 2 are not answered; MQTT 3.1.1 clients that are not
// authorised get return code 5; keep alive is between 30 and 1200 seconds; subscription
// identifiers are not supported.
//
// The library gets whole packets, and none that is malformed (guard.go, packet.go): it does not
// bear them all.
//
// The PUBACK of a message is sent when the message is accepted, which for QoS 1 means stored.
// Several messages of a client may be in progress; they are acknowledged in their order.
package broker
