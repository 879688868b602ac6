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
// Messages are accepted in batches, in the order in which they came. A batch has at most one
// transaction, with everything that must survive: the retained message, the copies for
// persistent sessions, the rows of the rules engine's outbox. After it the message is
// acknowledged and handed to connected clients, the rules engine and reserved topics. A
// message that leaves nothing in the store (QoS 0, or without a receiver) needs no
// transaction.
//
// A copy for a persistent session stays in the store until its client has acknowledged it.
// When the client comes back, also after a restart, the remaining copies are sent in order,
// each with a new packet identifier. A copy from before the end of the last connection may
// have been sent already and is marked as a duplicate. After a restart, clients that were
// connected are reported as disconnected and their last wills are published; their sessions
// stay.
//
// # What differs from MQTT, as on AWS
//
// "a/#" does not match "a"; retained messages are sent for subscriptions
// without wildcards only; there is no QoS 2; replies on reserved topics go to
// the asking client alone; topics have at most 256 bytes and 7 slashes, and
// payloads at most 128 KiB.
package iotdataplane
