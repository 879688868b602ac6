// Package entrance has the listeners of the local cloud, of HTTP and of MQTT. An Entrance
// keeps each of them open, whatever its clients do.
//
// If Accept fails (no descriptor left, a connection reset while it waited), the listener waits
// for 5 ms at first and a second at most, and continues. Connections are counted, in total and
// by address. A connection beyond a limit is marked and passed on, so that its server can
// refuse it as AWS does and close it. This happens for a few dozen at once; further ones are
// closed without an answer. The limit leaves descriptors for the store and for functions.
//
// Every phase of a connection has a limit of time. An MQTT client must finish TLS and CONNECT
// within the handshake time given to Listener; after that the server sets its own deadline.
// The body of an HTTP request must keep coming (see Handler); the time for its head is that of
// the http.Server, which ServeHTTP of package localcloud sets.
//
// Report has the numbers of accepted and refused connections. All methods are safe for
// concurrent use.
package entrance
