package broker

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// What the library lets pass in a CONNECT of MQTT 5: it keeps the last of a property that comes twice, and takes
// values that there are not. For that the packet is kept until it is answered (guard).

// property is what MQTT 5 says of one, by its identifier [MQTT-2.2.2.2].
type property struct {
	size  int    // of a value of fixed length
	texts int    // or how many texts of UTF-8
	data  bool   // or binary
	most  uint32 // of a number, 0 for any
	least uint32
	often bool // it may be there more than once
	vary  bool // of a number of one to four bytes
}

var connectProperties = map[byte]property{
	0x11: {size: 4},                              // session expiry interval
	0x15: {texts: 1},                             // authentication method
	0x16: {data: true},                           // authentication data
	0x17: {size: 1, most: 1},                     // request problem information
	0x19: {size: 1, most: 1},                     // request response information
	0x21: {size: 2, least: 1, most: 0xffff},      // receive maximum
	0x22: {size: 2},                              // topic alias maximum
	0x26: {texts: 2, often: true},                // user property
	0x27: {size: 4, least: 1, most: 0xffff_ffff}, // maximum packet size
}

var willProperties = map[byte]property{
	0x01: {size: 1, most: 1}, // payload format indicator
	0x02: {size: 4},          // message expiry interval
	0x03: {texts: 1},         // content type
	0x08: {texts: 1},         // response topic
	0x09: {data: true},       // correlation data
	0x18: {size: 4},          // will delay interval
	0x26: {texts: 2, often: true},
}

// cursor reads a packet; it is broken from the first piece on that is not there.
type cursor struct {
	rest   []byte
	broken bool
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.broken, c.rest = true, nil
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) data() []byte {
	n := c.bytes(2)
	if n == nil {
		return nil
	}
	return c.bytes(int(binary.BigEndian.Uint16(n)))
}

// text is UTF-8 without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
func (c *cursor) text() {
	b := c.data()
	for _, r := range string(b) {
		c.broken = c.broken || r == 0
	}
	c.broken = c.broken || !utf8.Valid(b)
}

func (c *cursor) varint() int {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		b := c.bytes(1)
		if b == nil {
			return 0
		}
		n |= int(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return n
		}
	}
	c.broken = true
	return 0
}

// properties reads properties of which known are allowed, and returns those that are there.
func (c *cursor) properties(known map[byte]property) (seen map[byte]bool, code packets.Code) {
	p := cursor{rest: c.bytes(c.varint())}
	seen = map[byte]bool{}
	for len(p.rest) > 0 && !p.broken {
		id := p.bytes(1)[0]
		k, ok := known[id]
		switch {
		case !ok:
			return seen, packets.ErrMalformedProperties
		case seen[id] && !k.often:
			return seen, packets.ErrProtocolViolation
		}
		seen[id] = true
		switch {
		case k.data:
			p.data()
		case k.vary:
			if p.varint() == 0 && !p.broken { // [MQTT-3.8.2.1.2]
				return seen, packets.ErrProtocolViolation
			}
		case k.texts > 0:
			for range k.texts {
				p.text()
			}
		default:
			n := uint32(0)
			for _, b := range p.bytes(k.size) {
				n = n<<8 | uint32(b)
			}
			if !p.broken && (n < k.least || k.most > 0 && n > k.most) {
				return seen, packets.ErrProtocolViolation
			}
		}
	}
	if p.broken {
		c.broken = true
	}
	return seen, packets.CodeSuccess
}

// checkConnect says what is wrong with a CONNECT of MQTT 5, CodeSuccess if nothing is. The library has read it before.
// Source: MQTT 5.0, 3.1.
func checkConnect(packet []byte) packets.Code {
	c := cursor{rest: packet}
	c.bytes(1)
	c.rest = c.bytes(c.varint())
	c.data()   // the protocol's name
	c.bytes(1) // and version
	f := c.bytes(1)
	c.bytes(2) // keep alive
	if c.broken {
		return packets.ErrMalformedPacket
	}
	flags := f[0]
	seen, code := c.properties(connectProperties)
	switch {
	case code != packets.CodeSuccess:
		return code
	case seen[0x16] && !seen[0x15]: // [MQTT-3.1.2.11.10]
		return packets.ErrProtocolViolation
	}
	c.text()
	if flags&0x04 != 0 {
		if _, code := c.properties(willProperties); code != packets.CodeSuccess {
			return code
		}
		c.text()
		c.data()
	}
	if flags&0x80 != 0 {
		c.text()
	}
	if flags&0x40 != 0 {
		c.data()
	}
	if c.broken || len(c.rest) > 0 {
		return packets.ErrMalformedPacket
	}
	return packets.CodeSuccess
}
