// Package entrance is the way in to the local cloud: every listener, of HTTP and
// of MQTT, is given to an Entrance, which keeps it open whatever comes through.
//
// An Accept that fails (no descriptor left, a connection reset while it waited) does not
// end a listener: it waits, 5 ms at first and a second at most, and goes on. Connections
// are counted, in all and by address. A connection beyond a limit is passed on with the
// mark that it is turned away, so that its server can answer as AWS does and close it.
// This is done for a few dozen at once; further ones are closed without an answer. The
// limit leaves descriptors for the store and for functions.
//
// Every phase of a connection has its end: a client of MQTT has to finish TLS and CONNECT
// within the time that Listener was given for the handshake (the server sets its own
// deadline then); the body of an HTTP request has to come on (see Handler).
//
// Report says what has come and what was refused; all methods are safe for
// concurrent use.
package entrance
