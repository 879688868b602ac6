package broker

import (
	"bytes"

	"github.com/mochi-mqtt/server/v2/packets"
)

// reasonAndUser are the properties of acknowledgements.
var reasonAndUser = map[byte]property{0x1f: {texts: 1}, 0x26: {texts: 2, often: true}}

// packetProperties are those that a client may send after its CONNECT, by the kind of packet.
var packetProperties = map[byte]map[byte]property{
	packets.Publish: {
		0x01: {size: 1, most: 1},        // payload format indicator
		0x02: {size: 4},                 // message expiry interval
		0x03: {texts: 1},                // content type
		0x08: {texts: 1},                // response topic
		0x09: {data: true},              // correlation data
		0x0b: {vary: true, often: true}, // subscription identifier, which is refused
		0x23: {size: 2},                 // topic alias
		0x26: {texts: 2, often: true},   // user property
	},
	packets.Puback: reasonAndUser, packets.Pubrec: reasonAndUser, packets.Pubrel: reasonAndUser,
	packets.Pubcomp:     reasonAndUser,
	packets.Subscribe:   {0x0b: {vary: true}, 0x26: {texts: 2, often: true}},
	packets.Unsubscribe: {0x26: {texts: 2, often: true}},
	packets.Disconnect:  {0x11: {size: 4}, 0x1f: {texts: 1}, 0x26: {texts: 2, often: true}},
}

// reasons are the reason codes that a client may give, by the kind of packet.
var reasons = map[byte]string{
	packets.Puback:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	packets.Pubrec:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	packets.Pubrel:     "\x00\x92",
	packets.Pubcomp:    "\x00\x92",
	packets.Disconnect: "\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99",
}

// checkPacket says what is wrong with a whole packet that comes after the CONNECT, CodeSuccess if nothing is. What a
// packet means, and whether it may be sent, is not its matter.
//
// Source: MQTT 3.1.1 and 5.0, 2.1.3 and 3.3 to 3.15.
func checkPacket(version byte, packet []byte) packets.Code {
	kind, flags := packet[0]>>4, packet[0]&0x0f
	c := cursor{rest: packet[1:]}
	c.varint()
	wanted := byte(0)
	switch kind {
	case packets.Publish:
		return checkPublish(version, flags, &c)
	case packets.Pubrel, packets.Subscribe, packets.Unsubscribe:
		wanted = 0x02
	case packets.Connect, packets.Connack, packets.Suback, packets.Unsuback, packets.Pingresp:
		return packets.ErrProtocolViolation // a server's, or a second one [MQTT-3.1.0-2]
	case packets.Auth:
		if version == 5 { // no CONNECT has named a method
			return packets.ErrProtocolViolation
		}
		return packets.ErrMalformedPacket
	case packets.Reserved:
		return packets.ErrMalformedPacket
	}
	if flags != wanted { // [MQTT-2.1.3-1]
		return packets.ErrMalformedPacket
	}
	switch kind {
	case packets.Subscribe, packets.Unsubscribe:
		return checkFilters(version, kind, &c)
	case packets.Pingreq:
	case packets.Disconnect:
		if code := checkReason(version, kind, &c); code != packets.CodeSuccess {
			return code
		}
	default:
		c.bytes(2)
		if code := checkReason(version, kind, &c); code != packets.CodeSuccess {
			return code
		}
	}
	if c.broken || len(c.rest) > 0 {
		return packets.ErrMalformedPacket
	}
	return packets.CodeSuccess
}

// checkReason reads the reason code and the properties that MQTT 5 has, which may be left out from the end.
func checkReason(version, kind byte, c *cursor) packets.Code {
	if version < 5 || c.broken || len(c.rest) == 0 {
		return packets.CodeSuccess
	}
	reason := c.bytes(1)
	if bytes.IndexByte([]byte(reasons[kind]), reason[0]) < 0 {
		return packets.ErrProtocolViolation
	}
	if len(c.rest) == 0 {
		return packets.CodeSuccess
	}
	_, code := c.properties(packetProperties[kind])
	return code
}

func checkPublish(version, flags byte, c *cursor) packets.Code {
	qos := flags >> 1 & 0x03
	if qos == 3 || qos == 0 && flags&0x08 != 0 { // [MQTT-3.3.1-4] [MQTT-3.3.1-2]
		return packets.ErrMalformedPacket
	}
	c.text()
	if qos > 0 {
		c.bytes(2)
	}
	if version == 5 && !c.broken {
		if _, code := c.properties(packetProperties[packets.Publish]); code != packets.CodeSuccess {
			return code
		}
	}
	if c.broken {
		return packets.ErrMalformedPacket
	}
	return packets.CodeSuccess
}

// checkFilters reads a SUBSCRIBE or an UNSUBSCRIBE.
func checkFilters(version, kind byte, c *cursor) packets.Code {
	c.bytes(2)
	if version == 5 && !c.broken {
		if _, code := c.properties(packetProperties[kind]); code != packets.CodeSuccess {
			return code
		}
	}
	if !c.broken && len(c.rest) == 0 { // [MQTT-3.8.3-2] [MQTT-3.10.3-2]
		return packets.ErrProtocolViolation
	}
	for len(c.rest) > 0 && !c.broken {
		c.text()
		if kind == packets.Unsubscribe || c.broken {
			continue
		}
		options := c.bytes(1)
		switch reserved := byte(0xfc); {
		case c.broken:
		case version == 5 && options[0]&0xc0 != 0, version < 5 && options[0]&reserved != 0: // [MQTT-3.8.3-5]
			return packets.ErrMalformedPacket
		case options[0]&0x03 == 3:
			return packets.ErrProtocolViolation
		}
	}
	if c.broken {
		return packets.ErrMalformedPacket
	}
	return packets.CodeSuccess
}
