// Package iot is AWS IoT Core's control plane: the registry (things, types,
// static and dynamic groups), certificates, policies, fleet indexing, event
// configurations and, in the package jobs below it, jobs. It also tells the
// broker who a client is (Authenticate) and what it may do (Authorize); both are
// in clients.go, with the step from a certificate to its thing.
//
// # Who a client is
//
// With mutual TLS a client is identified by its certificate, which is found by the SHA-256 of
// its DER form in hex and must be ACTIVE. The plain listener has no authentication and is for
// trials. There the user name may be the id of a certificate. Without a user name the client
// id must be the name of a thing, and the thing's first ACTIVE certificate (in the order of
// certificate ids) counts. In both cases that certificate's policies decide; a client without
// one is refused.
//
// Thing variables of policies have values only if the certificate is attached to the thing
// named like the client id, or exclusively attached to a thing. The values are current at each
// decision, not those at the connection.
//
// # Certificates
//
// The store has a certificate authority, which is made when it is first needed. It signs
// device certificates and the server certificate of the broker's TLS listener. Keys come from
// the scheduler's randomness: the same seed gives the same keys and ids.
//
// # Groups
//
// Membership of static groups is stored in both directions. The query of a dynamic group is
// evaluated for a thing whenever the thing, its groups or its connectivity change, and for all
// things when the group is made. Members then join and leave as in static groups, a moment
// later. Both kinds of groups notify the jobs that target them, and publish events if those
// are enabled.
//
// # Parts without I/O
//
// Code without a store is in packages of its own: the rules for names and attributes
// (registry), the variables of policies (policyvariables), the certificate authority
// (authority), index queries (fleetindex), rule SQL (rulesql).
//
// Names have AWS's limits. Errors are *awsapi.Error with AWS's codes. Safe for concurrent use.
//
// Not built, in addition to the operations in Unbuilt: billing groups as a member of
// CreateThing, events of policies and certificates, shadows, aggregations and Device Defender
// in the index, thing group indexing.
//
// Source: AWS IoT developer guide, "Managing devices", "Security", "Fleet
// indexing", "Event messages"; API model iot.
package iot
