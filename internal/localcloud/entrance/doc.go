// Package entrance is the way in to the local cloud: every listener, of HTTP and
// of MQTT, is given to an Entrance, which keeps it open whatever comes through.
//
// An Accept that fails (no descriptor left, a connection reset while it waited)
// does not end a listener: it waits, 5 ms at first and a second at most, and goes
// on. Connections are counted, in all and by address. One beyond a limit is let in
// as turned away, for whoever serves it to answer as AWS does and to close it; a
// few dozen at once are, more are closed unanswered. The limit leaves descriptors
// for the store and for functions.
//
// Every phase of a connection has its end: until Listener's hello has passed, a
// client of MQTT has to be through with TLS and CONNECT (the server sets its own
// deadline then); the body of an HTTP request has to come on (see Handler).
//
// Report says what has come and what was refused; all methods are safe for
// concurrent use.
package entrance
