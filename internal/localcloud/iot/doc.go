// Package iot is AWS IoT Core's control plane: the registry (things, types,
// static and dynamic groups), certificates, policies, fleet indexing, event
// configurations and, in the package jobs below it, jobs. It also tells the
// broker who a client is (Authenticate) and what it may do (Authorize); both are
// in clients.go, with the step from a certificate to its thing.
//
// # Who a client is
//
// With mutual TLS a client is its certificate, found by the SHA-256 of its DER
// form in hex; it must be ACTIVE. On the plain listener there is no proof of
// identity. For trials there, the user name may be a certificate's id; without
// one the client id must be the name of a thing, whose first ACTIVE certificate
// (in the order of certificate ids) then counts. Either way that certificate's
// policies decide; who has none is refused.
//
// Thing variables of policies have values only if the certificate is attached
// to the thing named like the client id, or exclusively attached to a thing.
// Values are those at the time of the question, not of the connection.
//
// # Certificates
//
// The store keeps a certificate authority that is made when first needed. It
// signs device certificates and the server certificate of the broker's TLS
// listener. Keys come from the scheduler's randomness: one seed makes the same
// keys and ids.
//
// # Groups
//
// Membership of static groups is stored in both directions. A dynamic group's
// query is asked again for a thing whenever the thing, its groups or its
// connectivity change, and for all things when the group is made; members then
// come and go like those of static groups, a moment later. Both tell the jobs
// that target the group, and publish events if those are enabled.
//
// # Parts without I/O
//
// What needs no store is in packages of its own: the rules for names and
// attributes (registry), the variables of policies (policyvariables), the
// certificate authority (authority), index queries (fleetindex), rule SQL
// (rulesql).
//
// Names are as AWS limits them. Errors are *awsapi.Error with AWS's codes.
// Safe for concurrent use.
//
// Not built, beside the operations in Unbuilt: billing groups as a member of
// CreateThing, events of policies and certificates, shadows, aggregations and
// Device Defender in the index, thing group indexing.
//
// Source: AWS IoT developer guide, "Managing devices", "Security", "Fleet
// indexing", "Event messages"; API model iot.
package iot
