// Package topic is AWS IoT's language of topics: names, filters, and the tree
// that finds the filters that match a name. It is a leaf so that the message
// broker and the rules engine share one idea of what matches.
//
// AWS differs from the MQTT specification in one point: "a/#" does not match
// its parent "a". As in MQTT, a filter that begins with a wildcard does not
// match names that begin with "$".
package topic
