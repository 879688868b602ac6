package broker

import (
	"bytes"
	"net"
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The library panics at some packets that are cut off, and closes the connection without a word at others. So a
// connection is read packet by packet, and the library gets none that breaks the protocol.

// listener is one whose connections are guarded.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guard{Conn: c}, nil
}

// inner is the connection that a listener has accepted.
func inner(c net.Conn) net.Conn {
	if g, ok := c.(*guard); ok {
		return g.Conn
	}
	return c
}

// guard is a connection that gives whole packets to its reader, which is one goroutine. The first is given as it is;
// of the others, from one on that is malformed, none. Then refuse is told why, and what still comes is passed over.
type guard struct {
	net.Conn
	refuse  func(code packets.Code) // set before the second packet
	version byte                    // of the protocol, from the first packet; 0 before it
	first   []byte                  // the first packet, until it is taken
	buffer  []byte                  // where kept begins; thousands of connections have one
	kept    []byte                  // what has been read and not given
	whole   int                     // how much of it may be given
	broken  bool
}

// readSize is how much is read at once, unless more of a packet is there already; leastRead is how much at least.
const (
	readSize  = 1 << 10
	leastRead = 256
)

// Read gives whole packets. Of a first packet that is no CONNECT, or of a length that there is not, it gives what it
// has: the library closes the connection.
func (g *guard) Read(p []byte) (int, error) {
	for g.whole == 0 {
		if g.broken {
			g.kept = nil
		} else if code := g.look(); code != packets.CodeSuccess {
			g.broken = true
			g.refuse(code)
			continue
		} else if g.whole > 0 {
			break
		}
		if g.buffer == nil {
			g.buffer = make([]byte, 0, readSize)
		}
		if len(g.kept) == 0 {
			g.kept = g.buffer
		}
		g.kept = slices.Grow(g.kept, leastRead)
		n, err := g.Conn.Read(g.kept[len(g.kept):cap(g.kept)])
		g.kept = g.kept[:len(g.kept)+n]
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, g.kept[:g.whole])
	g.kept, g.whole = g.kept[n:], g.whole-n
	return n, nil
}

// look sets whole to the packets that are there and are well formed. The code is that of a malformed one, if it is
// the next.
func (g *guard) look() packets.Code {
	for rest := g.kept; len(rest) > 0; {
		if g.version == 0 && rest[0] != packets.Connect<<4 {
			g.whole = len(g.kept)
			return packets.CodeSuccess
		}
		size, code := packetSize(rest)
		switch {
		case code != packets.CodeSuccess && g.version == 0:
			g.whole = len(g.kept)
			return packets.CodeSuccess
		case code == packets.CodeSuccess && (size == 0 || size > len(rest)):
			return packets.CodeSuccess // more is to come
		case g.version == 0:
			g.first, g.whole, g.version = bytes.Clone(rest[:size]), size, versionOf(rest[:size])
			return packets.CodeSuccess
		case code == packets.CodeSuccess:
			code = checkPacket(g.version, rest[:size])
		}
		if code != packets.CodeSuccess {
			if g.whole > 0 {
				return packets.CodeSuccess // those before it are first
			}
			return code
		}
		g.whole, rest = g.whole+size, rest[size:]
	}
	return packets.CodeSuccess
}

// take gives the first packet, and keeps it no more.
func (g *guard) take() []byte {
	b := g.first
	g.first = nil
	return b
}

// packetSize is the size of a packet by its first bytes; 0 if they do not tell yet.
func packetSize(b []byte) (int, packets.Code) {
	n := 0
	for i := 1; i <= 4; i++ {
		if i >= len(b) {
			return 0, packets.CodeSuccess
		}
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			if n+1 > maxPacketSize {
				return 0, packets.ErrPacketTooLarge
			}
			return i + 1 + n, packets.CodeSuccess
		}
	}
	return 0, packets.ErrMalformedPacket // [MQTT-1.5.5-1]
}

// versionOf is the version of the protocol in a CONNECT; that of MQTT 3.1.1 where there is none to be read.
func versionOf(packet []byte) byte {
	c := cursor{rest: packet}
	c.bytes(1)
	c.varint()
	c.data()
	if v := c.bytes(1); v != nil && v[0] == 5 {
		return 5
	}
	return 4
}
