// Package iotdataplane is AWS IoT Core's data plane: the message broker's core
// and the operations of the service "iotdata" (Publish, retained messages,
// DeleteConnection). Device shadows are not built.
//
// The core routes in process and uses no socket: clients attach to it with
// Connect (simulated devices, in virtual time too) or Attach (the MQTT listeners of
// the package broker). Both meet the same authentication, authorisation,
// sessions, retained messages, presence events and last wills.
//
// # From publish to acknowledgement
//
// Messages are accepted in batches, in the order in which they came. For one
// batch there is at most one transaction, which holds everything that must
// survive: the retained message, the copies for persistent sessions, the rules
// engine's outbox rows. Only then is a message acknowledged, handed to
// connected clients, to the rules engine and to reserved topics. A message that
// leaves no trace in the store (QoS 0, or nobody wants it) costs no
// transaction.
//
// A copy for a persistent session stays in the store until its client has acknowledged
// it. When the client comes back, also after a restart, the copies that are left are sent
// in order, each under a new packet identifier. A copy that came before the last
// connection ended may have been sent already, and is marked as a duplicate. After a
// restart, clients that were connected are reported as disconnected and their last wills
// are published; their sessions wait for them.
//
// # What differs from MQTT, as on AWS
//
// "a/#" does not match "a"; retained messages are sent for subscriptions
// without wildcards only; there is no QoS 2; replies on reserved topics go to
// the asking client alone; topics have at most 256 bytes and 7 slashes, and
// payloads at most 128 KiB.
package iotdataplane
