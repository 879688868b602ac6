package broker_test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/entrance"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
)

// wellFormed are packets of a client, by the version of the protocol; each has the length of its rest in its second
// byte.
var wellFormed = map[byte][][]byte{
	4: {
		{0x30, 4, 0, 1, 'a', 'x'}, {0x32, 6, 0, 1, 'a', 0, 1, 'x'}, {0x34, 6, 0, 1, 'a', 0, 1, 'x'}, {0x40, 2, 0, 1},
		{0x50, 2, 0, 1}, {0x62, 2, 0, 1}, {0x70, 2, 0, 1}, {0x82, 6, 0, 1, 0, 1, '#', 1}, {0xa2, 5, 0, 1, 0, 1, '#'},
		{0xc0, 0}, {0xe0, 0}, connect(4, "hostile"),
	},
	5: {
		{0x30, 5, 0, 1, 'a', 0, 'x'}, {0x32, 10, 0, 1, 'a', 0, 1, 3, 0x23, 0, 1, 'x'}, {0x40, 4, 0, 1, 0x10, 0},
		{0x30, 13, 0, 1, 'a', 8, 0x26, 0, 1, 'k', 0, 2, 'v', 'w', 'x'}, {0x50, 2, 0, 1}, {0x62, 3, 0, 1, 0},
		{0x70, 2, 0, 1}, {0x82, 7, 0, 1, 0, 0, 1, '#', 1}, {0x82, 9, 0, 1, 2, 0x0b, 1, 0, 1, '#', 0},
		{0xa2, 6, 0, 1, 0, 0, 1, '#'}, {0xc0, 0}, {0xe0, 2, 4, 0}, {0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9},
		{0xf0, 2, 0x18, 0},
		connect(5, "hostile"),
	},
}

// spoilt draws a packet with something done to it: its length is right again afterwards, most of the time.
func spoilt(t *rapid.T, version byte) []byte {
	p := slices.Clone(rapid.SampledFrom(wellFormed[version]).Draw(t, "packet"))
	for range rapid.IntRange(0, 2).Draw(t, "changes") {
		at := rapid.IntRange(0, len(p)-1).Draw(t, "at")
		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			p[at] = rapid.Byte().Draw(t, "byte")
		case 1:
			p[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 2:
			p = append(p[:max(at, 2)], rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "in the place of the rest")...)
		case 3:
			p = slices.Insert(p, max(at, 2), rapid.Byte().Draw(t, "more"))
		}
		if len(p) < 2 {
			p = append(p, 0, 0)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "keep the length") > 0 {
		p[1] = byte(len(p) - 2)
	}
	return p
}

// TestNoPacketHarmsTheBroker: whatever a client sends, before its CONNECT or after, the broker lives, serves others,
// and keeps nothing of the connection. A client of MQTT 5 that had connected is told why its connection ends.
func TestNoPacketHarmsTheBroker(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		version := rapid.SampledFrom([]byte{4, 5}).Draw(rt, "version")
		connected := rapid.IntRange(0, 3).Draw(rt, "connected") > 0
		var sent []byte
		if !connected {
			sent = spoilt(rt, version)
		}
		for range rapid.IntRange(1, 3).Draw(rt, "packets") {
			sent = append(sent, spoilt(rt, version)...)
		}
		rt.Logf("%x", sent)
		synctest.Test(t, func(t *testing.T) {
			m := inMemory(t, iotdataplane.Limits{}, entrance.Limits{}, 0)
			defer m.close()
			c := m.plain.dial()
			if connected {
				enter(t, c, version, "hostile")
			}
			// A client that is served is left alone; one that is not has half a minute. A pipe whose other side has
			// closed takes no deadline any more.
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = c.Write(sent) }()
			answer, err := io.ReadAll(c)
			closed := err == nil
			if last := lastPacket(answer); connected && closed && version == 5 && !leaves(sent) &&
				(len(last) < 3 || last[0] != 0xe0 || last[2] < 0x80) {
				rt.Errorf("the connection ends after %x", answer)
			}
			_ = c.Close()
			synctest.Wait()
			if open := m.entrance.Report().Open; open != 0 {
				rt.Errorf("%d connections are open", open)
			}
			good := m.plain.dial()
			if code := enter(t, good, version, "good"); code != 0 {
				rt.Errorf("who behaves gets CONNACK %#x", code)
			}
			go func() { _, _ = good.Write([]byte{0xc0, 0}) }()
			pong := make([]byte, 2)
			if _, err := io.ReadFull(good, pong); err != nil || !bytes.Equal(pong, []byte{0xd0, 0}) {
				rt.Errorf("who behaves is answered with %x, %v", pong, err)
			}
			_ = good.Close()
			synctest.Wait()
		})
	})
}

// leaves reports whether a DISCONNECT may be among packets.
func leaves(packets []byte) bool { return bytes.IndexByte(packets, 0xe0) >= 0 }

// lastPacket is the last of whole packets, whose lengths have one or two bytes.
func lastPacket(b []byte) []byte {
	for len(b) > 1 {
		n := 2 + int(b[1])
		if b[1] >= 0x80 && len(b) > 2 {
			n = 3 + int(b[1]&0x7f) + int(b[2])<<7
		}
		if n >= len(b) {
			return b
		}
		b = b[n:]
	}
	return b
}

// TestWhoDoesNotReadItsEndIsClosed: a client that is told why its connection ends, and does not read, holds it for ten
// seconds.
func TestWhoDoesNotReadItsEndIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, iotdataplane.Limits{}, entrance.Limits{}, 0)
		defer m.close()
		c := m.plain.dial()
		enter(t, c, 5, "hostile")
		if _, err := c.Write([]byte{0x82, 6, 0, 1, 0, 0, 1, 'a'}); err != nil { // a pipe keeps nothing: it is read
			t.Fatal(err)
		}
		synctest.Wait()
		if open := m.entrance.Report().Open; open != 1 {
			t.Errorf("%d connections are open at once, want 1", open)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if open := m.entrance.Report().Open; open != 0 {
			t.Errorf("%d connections are open after ten seconds", open)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF && err != net.ErrClosed && err != io.ErrClosedPipe {
			t.Errorf("the connection: %v", err)
		}
	})
}
