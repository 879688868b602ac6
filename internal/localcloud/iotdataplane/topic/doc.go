// Package topic has AWS IoT's topics: names, filters, and the tree that finds the filters that
// match a name. It imports nothing of the local cloud, so that the message broker and the
// rules engine use the same matching.
//
// AWS differs from the MQTT specification in one point: "a/#" does not match
// its parent "a". As in MQTT, a filter that begins with a wildcard does not
// match names that begin with "$".
package topic
